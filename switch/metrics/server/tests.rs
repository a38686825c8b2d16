//! The server, with a thread in the switch's place.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::metrics::desk::Desk;
use crate::metrics::sample::numbers;

/// A server, and a thread in the switch's place that counts how often it is asked.
struct Rig {
    address: SocketAddr,
    server: Option<Server>,
    answered: Arc<AtomicUsize>,
    switch: Option<JoinHandle<()>>,
}

impl Rig {
    fn start(healthy: bool) -> Self {
        let (wake, woken) = std::sync::mpsc::channel();
        let (desk, asker) = Desk::new(move || wake.send(()).unwrap());
        let answered = Arc::new(AtomicUsize::new(0));
        let count = answered.clone();
        let switch = std::thread::spawn(move || {
            for () in woken {
                desk.answer(|| {
                    count.fetch_add(1, Ordering::SeqCst);
                    crate::control::Numbers { is_healthy: healthy, is_ready: healthy, ..numbers() }
                });
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = Some(Server::start(listener, Arc::new(asker)).unwrap());
        Self { address, server, answered, switch: Some(switch) }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).unwrap()
    }

    /// What comes back for these octets, to the end.
    fn say(&self, octets: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(octets).unwrap();
        let mut said = Vec::new();
        // A server that has heard enough closes while more comes.
        let _ = stream.read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    }

    fn get(&self, path: &str) -> String {
        self.say(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        drop(self.server.take());
        self.switch.take().unwrap().join().unwrap();
    }
}

#[test]
fn each_path_answers_in_its_way() {
    let rig = Rig::start(true);
    let scrape = rig.get("/metrics");
    assert!(scrape.starts_with("HTTP/1.1 200 OK\r\n"), "{scrape}");
    assert!(scrape.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{scrape}");
    assert!(scrape.contains("# TYPE pollux_receive_frames_total counter\n"), "{scrape}");
    let accept = "accept: application/openmetrics-text; version=1.0.0";
    let open = rig.say(format!("GET /metrics HTTP/1.1\r\nHost: a\r\n{accept}\r\n\r\n").as_bytes());
    let content_type = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(open.contains(content_type) && open.ends_with("\n# EOF\n"), "{open}");
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/", 200), ("/metric", 404), ("//", 404)] {
        assert!(rig.get(path).starts_with(&format!("HTTP/1.1 {status} ")), "{path}");
    }
    let head = rig.say(b"HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    let post = rig.say(b"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("allow: GET, HEAD\r\n"), "{post}");
}

#[test]
fn a_switch_that_ails_or_is_silent_says_so() {
    let rig = Rig::start(false);
    for path in ["/healthz", "/readyz"] {
        assert!(rig.get(path).starts_with("HTTP/1.1 503 "), "{path}");
    }
    assert!(rig.get("/metrics").starts_with("HTTP/1.1 200 "));
    let (desk, asker) = Desk::new(|| ());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::start(listener, Arc::new(asker)).unwrap();
    drop(desk);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
    drop(server);
}

/// More connections than there are places, none of which says a whole request.
#[test]
fn who_only_sits_there_makes_room_for_who_asks() {
    let rig = Rig::start(true);
    let mut idle: Vec<_> = (0..200).map(|_| rig.connect()).collect();
    let mut slow = rig.connect();
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHo").unwrap();
    for _ in 0..10 {
        assert!(rig.get("/metrics").starts_with("HTTP/1.1 200 "));
    }
    // The first has been let go, and sees it.
    assert_eq!(idle[0].read(&mut [0; 1]).unwrap_or(0), 0);
    slow.write_all(b"st: a\r\n\r\n").unwrap();
    let mut said = String::new();
    slow.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
}

#[test]
fn nonsense_is_refused_and_others_are_served() {
    let rig = Rig::start(true);
    let long = [b"GET /".to_vec(), vec![b'a'; 64 << 10], b" HTTP/1.1\r\n\r\n".to_vec()].concat();
    let headers = [b"GET / HTTP/1.1\r\n".to_vec(), b"a: b\r\n".repeat(1000), b"\r\n".to_vec()].concat();
    let bad: [&[u8]; 5] = [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"\0\0\r\n\r\n", &long, &headers];
    for octets in bad {
        let said = rig.say(octets);
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
    }
    // A body isn't read, and a second request on the connection isn't answered.
    let twice = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(rig.say(twice).matches("HTTP/1.1 ").count(), 1);
    assert!(rig.get("/healthz").starts_with("HTTP/1.1 200 "));
}

#[test]
fn who_comes_meanwhile_shares_the_answer() {
    let rig = Rig::start(true);
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..40).map(|_| scope.spawn(|| rig.get("/metrics"))).collect();
        for one in all {
            assert!(one.join().unwrap().starts_with("HTTP/1.1 200 "));
        }
    });
    let answered = rig.answered.load(Ordering::SeqCst);
    assert!((1..=40).contains(&answered), "{answered}");
    assert!(rig.get("/metrics").contains("\npollux_workers 1\n"));
    assert_eq!(rig.answered.load(Ordering::SeqCst), answered + 1, "what is old isn't told again");
}
