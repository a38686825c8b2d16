use proptest::prelude::*;

use super::argument::Named;
use super::*;

struct Two;

impl Values for Two {
    fn ports(&self) -> Vec<String> {
        ["vm1", "vm2"].map(str::to_owned).to_vec()
    }

    fn names(&self, of: Named) -> Vec<String> {
        if of == Named::Profile { vec!["gold".to_owned()] } else { Vec::new() }
    }

    fn vlans(&self) -> Vec<String> {
        vec!["10".to_owned()]
    }
}

fn refusal(line: &str) -> String {
    Command::parse(line).map(|_| ()).expect_err(line).to_string()
}

/// The words that can come next.
fn candidates(line: &str) -> Vec<String> {
    let (_, next) = next(line, &Two);
    next.into_iter()
        .filter_map(|next| match next {
            Next::Word { word, .. } => Some(word),
            _ => None,
        })
        .collect()
}

#[test]
fn what_is_no_command_says_what_was_meant() {
    let meant = |line: &str| refusal(line).split('`').nth(3).map(str::to_owned);
    assert_eq!(meant("shwo vhost").as_deref(), Some("show vhost"));
    assert_eq!(meant("show port statz all").as_deref(), Some("show port stats all"));
    assert_eq!(meant("shwo port nonsense here").as_deref(), Some("show"));
    assert_eq!(meant("capture strat \"a b\" snap 64").as_deref(), Some("capture start \"a b\" snap 64"));
    assert_eq!(refusal("xyzzy"), "there is no command `xyzzy`; `help` lists all");
    assert_eq!(refusal("port detach"), "something is missing: write `port detach|close PORT`");
    assert_eq!(refusal("show vhost a b"), "`b` is too much: write `show vhost [PORT|all]`");
    assert_eq!(refusal("show vlan 5000"), "`5000` can't stand here: write a VLAN, 1 to 4094");
    assert!(refusal("port config mtu vm1 7").contains("a number from 68 to "));
    assert!(refusal("port attach vm3 { vhost_user = }").starts_with("`{ vhost_user = }` can't stand here"));
    assert_eq!(refusal("port attach vm3 { a = 1"), "`}` is missing: close what is opened");
    assert_eq!(refusal(&"x".repeat(MAX_LINE + 1)), "the line is longer than 65536 octets: shorten it");
    let absent = refusal("set fwd mac");
    assert!(absent.starts_with("`set fwd`: the switch has one way to forward"), "{absent}");
}

#[test]
fn options_come_in_any_order_and_once() {
    let args = |line: &str| Command::parse(line).unwrap().unwrap().args;
    let one = args("show fdb vlan 10 port vm1");
    let other = args("show fdb port vm1 vlan 10");
    assert_eq!((one.get("VID"), one.get("PORT")), (other.get("VID"), other.get("PORT")));
    assert_eq!(
        refusal("show fdb vlan 10 vlan 11"),
        "`vlan` can't stand here: write `show fdb [vlan VID] [port PORT] [mac MAC]`"
    );
    // A port may be called like a keyword that comes next.
    assert_eq!(args("show fdb port vlan vlan 10").get("PORT"), Some("vlan"));
}

#[test]
fn lines_are_completed_from_the_table_and_the_switch() {
    assert_eq!(candidates("show port st"), ["stats"]);
    assert_eq!(candidates("show port stats "), ["all", "vm1", "vm2"]);
    assert_eq!(candidates("show fdb vlan 10 "), ["mac", "port"]);
    assert_eq!(candidates("set qos port vm1 profile "), ["gold", "none"]);
    assert_eq!(candidates("capture start x port vm1,"), ["vm1,vm1", "vm1,vm2"]);
    assert!(candidates("").contains(&"show".to_owned()));
    assert!(candidates("help ").contains(&"vlan".to_owned()));
    assert!(candidates("shwo ").is_empty());
    assert!(candidates("show port stats all ").is_empty());
    let (start, files) = next("load /et", &Two);
    assert_eq!(start, 5);
    assert!(files.contains(&Next::File), "{files:?}");
    assert!(next("show version ", &Two).1.contains(&Next::End));
}

proptest! {
    #[test]
    fn any_text_is_a_command_or_refused(line in "(\\PC|[ \t\"'{}\\[\\]#?-]){0,80}") {
        if let Err(error) = Command::parse(&line) {
            prop_assert!(!error.to_string().is_empty());
        }
        next(&line, &Two);
    }
}
