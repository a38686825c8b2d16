//! Agents that say what the test says, over real sockets.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::control::sockets::connect_at_once;

/// So long that no answer comes too late, on whatever machine.
const LONG: Duration = Duration::from_secs(60);
/// Long enough for what was said at once.
const SHORT: Duration = Duration::from_secs(1);

/// An agent's end of a connection.
struct End(BufReader<UnixStream>);

impl End {
    fn say(&mut self, octets: &[u8]) {
        self.0.get_mut().write_all(octets).expect("we are heard");
    }

    fn answer(&mut self, value: &Value) {
        self.say(format!("{}\n", json!({ "return": value })).as_bytes());
    }

    /// The next command's name and arguments, and what stood before it.
    fn command(&mut self) -> (String, Value, Vec<u8>) {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).expect("a command");
        let start = line.iter().position(|&octet| octet == b'{').expect("an object");
        let command: Value = serde_json::from_slice(&line[start..]).expect("JSON");
        let name = command["execute"].as_str().expect("a command's name").to_owned();
        (name, command["arguments"].clone(), line[..start].to_vec())
    }

    /// Gets into step, as an agent does.
    fn sync(&mut self) {
        let (name, arguments, before) = self.command();
        assert_eq!((name.as_str(), before), ("guest-sync-delimited", vec![0xff]));
        self.say(&[0xff]);
        self.answer(&arguments["id"]);
    }

    /// Waits until we are gone.
    fn end(mut self) {
        let _ = self.0.read_to_end(&mut Vec::new());
    }
}

struct Agent {
    _folder: TempDir,
    socket: PathBuf,
    script: JoinHandle<()>,
}

fn agent(script: impl FnOnce(End) + Send + 'static) -> Agent {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let script = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        script(End(BufReader::new(stream)));
    });
    Agent { _folder: folder, socket, script }
}

fn ask(socket: &Path, patience: Duration) -> Guest {
    let mut guest = Guest::behind(socket);
    Agents::default().ask_for(patience, std::iter::once(&mut guest));
    guest
}

/// What is told of an agent with this script.
fn told(patience: Duration, script: impl FnOnce(End) + Send + 'static) -> Guest {
    let agent = agent(script);
    let guest = ask(&agent.socket, patience);
    agent.script.join().expect("the agent meets what it expects");
    guest
}

/// Why it told nothing.
fn refusal(patience: Duration, script: impl FnOnce(End) + Send + 'static) -> String {
    let guest = told(patience, script);
    assert_eq!((guest.interfaces, guest.host_name), (None, None));
    guest.error.expect("a reason")
}

fn eth0() -> Value {
    json!([{ "name": "eth0", "hardware-address": "52:54:00:00:07:01",
             "ip-addresses": [{ "ip-address": "10.7.0.1", "ip-address-type": "ipv4", "prefix": 24 },
                              { "ip-address": "fe80::1%4", "ip-address-type": "ipv6", "prefix": 64 }],
             "statistics": { "rx-bytes": 1 } },
           { "name": "tun0" }])
}

fn shown() -> Vec<Interface> {
    let eth0 = Interface {
        name: "eth0".to_owned(),
        mac_address: Some("52:54:00:00:07:01".to_owned()),
        ip_addresses: vec!["10.7.0.1/24".to_owned(), "fe80::1/64".to_owned()],
    };
    vec![eth0, Interface { name: "tun0".to_owned(), mac_address: None, ip_addresses: Vec::new() }]
}

#[test]
fn a_good_agent_is_understood() {
    let guest = told(LONG, |mut end| {
        end.sync();
        assert_eq!(end.command().0, "guest-network-get-interfaces");
        end.answer(&eth0());
        assert_eq!(end.command().0, "guest-get-host-name");
        end.answer(&json!({ "host-name": "web" }));
        end.end();
    });
    assert_eq!((guest.host_name.as_deref(), guest.error), (Some("web"), None));
    assert_eq!(guest.interfaces, Some(shown()));
}

#[test]
fn what_was_meant_for_others_is_passed_over() {
    let guest = told(LONG, |mut end| {
        end.say(b"half of an ans");
        end.say(b"wer\"}]}\n{\"return\": [{\"name\": \"stale\"}]}\n\xff{\"return\": 7}\n\xff{\"return\"\n\n\xff\xff\n");
        end.sync();
        end.command();
        // An octet at a time, as a serial line may.
        for octet in format!("{}\n", json!({ "return": eth0() })).bytes() {
            end.say(&[octet]);
        }
        end.command();
        end.say(b"{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"unknown\"}}\n");
        end.end();
    });
    assert_eq!((guest.host_name, guest.interfaces), (None, Some(shown())));
}

#[test]
fn interfaces_are_worth_telling_without_a_host_name() {
    let interfaces = |mut end: End| {
        end.sync();
        end.command();
        end.answer(&eth0());
        end
    };
    // It hangs up, says something else, or nothing more.
    for rest in [|_: End| (), |mut end: End| end.say(b"?\n"), End::end] {
        let guest = told(SHORT, move |end| rest(interfaces(end)));
        assert_eq!((guest.interfaces, guest.error), (Some(shown()), None));
    }
}

#[test]
fn silence_has_an_end() {
    let reason = "no answer within 1 s: the guest runs no agent, or another program holds the socket";
    assert_eq!(refusal(SHORT, End::end), reason);
    // Nobody even takes the connection, as when another program has the agent.
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("agent.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    assert_eq!(ask(&path, SHORT).error.as_deref(), Some(reason));
}

#[test]
fn garbage_and_half_answers_have_an_end() {
    let garbage = |mut end: End| {
        end.say(b"\r\nlogin: \xff\xff\n\xff[]\n");
        end.end();
    };
    assert_eq!(refusal(SHORT, garbage), "no agent's answer within 1 s, but something else");
    let half = |mut end: End| {
        end.sync();
        end.say(b"{\"return\": [");
        end.end();
    };
    assert_eq!(refusal(SHORT, half), "half an answer within 1 s");
    let gone = |mut end: End| {
        end.sync();
        end.command();
        end.say(b"{\"return\": [");
    };
    assert_eq!(refusal(LONG, gone), "it hung up before its answer");
}

#[test]
fn endless_answers_have_an_end() {
    let endless = |what: &'static [u8]| {
        move |mut end: End| {
            end.sync();
            end.command();
            while end.0.get_mut().write_all(what).is_ok() {}
        }
    };
    assert_eq!(refusal(LONG, endless(b"[")), "an answer of more than 256 KiB");
    let unsynced = |mut end: End| while end.0.get_mut().write_all(b"\n\xff{}\n").is_ok() {};
    assert_eq!(refusal(LONG, unsynced), "an answer of more than 256 KiB");
}

#[test]
fn answers_that_are_none_are_refused() {
    let said = |text: &'static str| {
        refusal(LONG, move |mut end| {
            end.sync();
            end.command();
            end.say(text.as_bytes());
            end.say(b"\n");
            end.end();
        })
    };
    let unreadable = "an answer that can't be read: ";
    for text in [
        "{}",
        "null",
        "\u{0}",
        r#"{"return": {}}"#,
        r#"{"return": [{}]}"#,
        r#"{"return": [{"name": "a", "hardware-address": "52:54"}]}"#,
        r#"{"return": [{"name": "a", "ip-addresses": [{"ip-address": "10.7", "prefix": 8}]}]}"#,
        r#"{"return": [{"name": "a", "ip-addresses": [{"ip-address": "10.0.0.7", "prefix": -8}]}]}"#,
    ] {
        let error = said(text);
        assert!(error.starts_with(unreadable), "{text}: {error}");
    }
    assert!(said(concat!("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "{\"a\":\"b\"}")).starts_with(unreadable));
    let refused = r#"{"error": {"class": "GenericError", "desc": "Command is \u001b[2Jdisabled"}}"#;
    assert_eq!(said(refused), "the agent refuses: Command is ?[2Jdisabled");
}

#[test]
fn a_guests_texts_are_short_and_plain() {
    let guest = told(LONG, |mut end| {
        end.sync();
        end.command();
        end.answer(&json!([{ "name": "eth\n0\u{1b}[31m\u{202e}" }, { "name": "x".repeat(1000) }]));
        end.command();
        end.answer(&json!({ "host-name": "büro\u{9b}" }));
        end.end();
    });
    let names: Vec<_> = guest.interfaces.unwrap().into_iter().map(|interface| interface.name).collect();
    assert_eq!(names, ["eth?0?[31m?".to_owned(), "x".repeat(64) + "…"]);
    assert_eq!(guest.host_name.as_deref(), Some("büro?"));
}

#[test]
fn who_does_not_listen_is_named_at_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("agent.sock");
    let error = |path: &Path| ask(path, LONG).error.unwrap();
    assert_eq!(error(&path), "there is no such socket: is the VM started with the channel?");
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(error(&path), "nobody listens on the socket");
    assert_eq!(error(&path.join("x")), "the socket can't be opened: ENOTDIR: Not a directory");

    let busy = folder.path().join("busy.sock");
    let listener: OwnedFd =
        socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(listener.as_raw_fd(), &UnixAddr::new(&busy).unwrap()).unwrap();
    listen(&listener, Backlog::new(1).unwrap()).unwrap();
    let waiting: Vec<_> = std::iter::from_fn(|| connect_at_once(&busy).ok()).collect();
    assert!(!waiting.is_empty());
    assert_eq!(error(&busy), "busy: other programs wait for the agent");
}

#[test]
fn agents_are_asked_side_by_side() {
    // Neither answers before the other was asked too.
    let both = Arc::new(Barrier::new(2));
    let agents = [0, 1].map(|number| {
        let both = both.clone();
        agent(move |mut end| {
            end.sync();
            end.command();
            both.wait();
            end.answer(&json!([{ "name": format!("eth{number}") }]));
            end.command();
            end.answer(&json!({ "host-name": "web" }));
            end.end();
        })
    });
    let mut guests = agents.each_ref().map(|agent| Guest::behind(&agent.socket));
    Agents::default().ask_for(LONG, guests.iter_mut());
    let names = guests.map(|guest| guest.interfaces.unwrap()[0].name.clone());
    assert_eq!(names, ["eth0", "eth1"]);
}

#[test]
fn an_agent_that_is_being_asked_is_not_asked_again() {
    let agents = Arc::new(Agents::default());
    let agent = {
        let agents = agents.clone();
        agent(move |mut end| {
            end.sync();
            end.command();
            // The list's, the claim's, and that of each of the two who wait.
            let waiting = || agents.asked().values().map(Arc::strong_count).sum::<usize>();
            while waiting() < 4 {
                std::thread::yield_now();
            }
            end.answer(&eth0());
            end.command();
            end.answer(&json!({ "host-name": "web" }));
            end.end();
        })
    };
    // The agent takes one connection, so that a second would hear nothing.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut guest = Guest::behind(&agent.socket);
                agents.ask_for(LONG, std::iter::once(&mut guest));
                assert_eq!(guest.interfaces, Some(shown()));
            });
        }
    });
    assert!(agents.asked().is_empty());
    agent.script.join().unwrap();
}
