//! Lines that nobody would write: each is a command or refused with a reason, and none harms the switch.

use std::path::Path;

use pollux::console::commands;
use pollux::console::grammar::argument::Kind;
use pollux::console::grammar::{Atom, Item, Pattern};
use pollux::console::{Command, Failed, Screen, quote};
use pollux::rpc::{CallError, Client};
use tempfile::TempDir;

use crate::harness::{Switch, wait};
use crate::vhost::socket;

const LINES: usize = 10_000;

/// Numbers that look random (xorshift64*): the same in every run, so that what fails once fails again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// A line that is a command of the table, or was before something happened to it.
fn line(dice: &mut Dice, folder: &Path) -> String {
    let all = commands::all();
    let mut words = Vec::new();
    follow(&all[dice.below(all.len())].pattern, dice, folder, &mut words);
    if dice.chance(30) {
        mutate(dice, &mut words);
    }
    let line = words.join(" ");
    if dice.chance(10) { garble(dice, line) } else { line }
}

fn follow(pattern: &Pattern, dice: &mut Dice, folder: &Path, words: &mut Vec<String>) {
    for item in pattern {
        match item {
            Item::Word(atoms) => match &atoms[dice.below(atoms.len())] {
                Atom::Keyword(keyword) => words.push((*keyword).to_owned()),
                Atom::Argument(argument) => words.push(quote(&value(argument.kind, dice, folder))),
            },
            Item::Choice(patterns) => follow(&patterns[dice.below(patterns.len())], dice, folder, words),
            Item::Options(options) => {
                let first = dice.below(options.len());
                for place in 0..options.len() {
                    if dice.chance(50) {
                        follow(&options[(first + place) % options.len()], dice, folder, words);
                    }
                }
            }
        }
    }
}

/// What can stand for an argument: most of it means something to the switch.
fn value(kind: Kind, dice: &mut Dice, folder: &Path) -> String {
    let in_folder = |name: &str| folder.join(name).display().to_string();
    match kind {
        Kind::Port => dice.one(&["vm1", "vm2", "0", "1", "extra", "null1", "nobody", "99"]).to_owned(),
        Kind::Ports => dice.one(&["vm1", "vm1,vm2", "0,1", "nobody,vm1"]).to_owned(),
        Kind::Name(_) => dice.one(&["extra", "vm1", "gold", "silver", "burst", "a", "one", "vm2"]).to_owned(),
        Kind::Vid => dice.one(&["1", "10", "100", "4094"]).to_owned(),
        Kind::Vids => dice.one(&["1", "1-4094", "0", "10,20-29,4094"]).to_owned(),
        Kind::Mac => dice.one(&["02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff", "00-00-00-00-00-00"]).to_owned(),
        Kind::Number(least, most) => match dice.below(3) {
            0 => least.to_string(),
            1 => most.to_string(),
            _ => (least + dice.below(64) as u64).min(most).to_string(),
        },
        Kind::Numbers(..) => dice.one(&["7,6", "1,0,2,3,4,5,6,7", "0", "0,0,0,0,0,0,0,0"]).to_owned(),
        Kind::Masks => dice.one(&["0xff,0x1", "(0x3,1)", "0"]).to_owned(),
        Kind::Weights => dice.one(&["5=8,4=4", "0=1", "7=1000,7=1"]).to_owned(),
        Kind::Quantity => dice.one(&["1MiB", "10ms", "60s", "2Gbit", "500kpps", "1.5Mbit", "7x"]).to_owned(),
        Kind::File => match dice.below(4) {
            0 => in_folder("good.toml"),
            1 => in_folder("bad.toml"),
            2 => in_folder("nowhere/x"),
            _ => in_folder(&format!("new{}", dice.below(10_000))),
        },
        Kind::Table => dice
            .one(&[
                "{}",
                "{ mtu = 9000 }",
                "{ device = \"net_null9\", rx_ring = 64, tx_ring = 64 }",
                "{ a.b.c = [1] }",
            ])
            .to_owned(),
        Kind::Toml => {
            dice.one(&["7", "true", "\"text\"", "gold", "[1, 2]", "[]", "{}", "0x88a8", "-1"]).to_owned()
        }
        Kind::Keys => dice
            .one(&[
                "fdb.ageing_time",
                "ports.vm1.mtu",
                "qos.profiles.gold",
                "switch.burst",
                "ports.extra",
                "a.b.c",
            ])
            .to_owned(),
        Kind::Word | Kind::Rest => dice
            .one(&["net_null7", "0000:ff:1f.7", "tcp port 80", "link", "all", "0xff,0x1", "mb_pool"])
            .to_owned(),
    }
}

fn mutate(dice: &mut Dice, words: &mut Vec<String>) {
    let (one, other) = (dice.below(words.len()), dice.below(words.len()));
    match dice.below(5) {
        0 => drop(words.remove(one)),
        1 => words.insert(one, words[other].clone()),
        2 => words.swap(one, other),
        3 => words.truncate(one),
        _ => words.push(dice.one(&["all", "?", "\"", "{ a = ", "\u{1f600}", "--", "#", "[[["]).to_owned()),
    }
}

/// Puts something anywhere. A slash could make another path of one.
fn garble(dice: &mut Dice, mut line: String) -> String {
    let at = line.char_indices().map(|(place, _)| place).nth(dice.below(line.len())).unwrap_or(0);
    line.insert_str(at, dice.one(&["x", "9", " ", "\0", "\"", "'", "\u{e9}", "\\", "}", "=", "\u{200b}"]));
    line
}

#[test]
fn random_lines_are_commands_or_refused() {
    let (mut dice, mut commands, mut refused) = (Dice(7), 0, 0);
    for _ in 0..LINES {
        let line = line(&mut dice, Path::new("/nowhere"));
        match Command::parse(&line) {
            Ok(Some(command)) => {
                commands += 1;
                // Whatever it is, it can be called, and an answer that says nothing can be read.
                command.call();
                command.read(&serde_json::Value::Null);
            }
            Ok(None) => {}
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty(), "{line:?}");
            }
        }
    }
    assert!(commands > LINES / 2 && refused > LINES / 20, "{commands} commands, {refused} refused");
}

#[test]
fn ten_thousand_random_lines_leave_the_switch_whole() {
    let folder = TempDir::new().unwrap();
    let port = |number: u8| {
        let socket = socket(folder.path(), number);
        format!(
            "[ports.vm{number}]\nvhost_user = {{ socket = \"{}\", role = \"server\" }}\n",
            socket.display()
        )
    };
    // The port over net_null receives as fast as the worker polls.
    let config = format!(
        "[switch]\ncores = [0]\nhugepages = false\nmemory = \"128MiB\"\n[fdb]\ncapacity = 1024\n{}{}\
         [ports.null1]\ndevice = \"net_null1\"\nrx_ring = 64\ntx_ring = 64\n",
        port(1),
        port(2)
    );
    std::fs::write(folder.path().join("good.toml"), &config).unwrap();
    std::fs::write(folder.path().join("bad.toml"), "[ports.vm1]\nmtu = 7\n").unwrap();
    let switch = Switch::start(&config);
    let mut client = Client::connect(&switch.socket()).unwrap();
    let mut dice = Dice(11);
    let (mut answered, mut refused, mut wrong) = (0, 0, 0);
    for number in 0..LINES {
        let line = line(&mut dice, folder.path());
        let Ok(Some(command)) = Command::parse(&line) else {
            wrong += 1;
            continue;
        };
        let mut shown = Vec::new();
        let mut screen = Screen { out: &mut shown, json: dice.chance(50), stopped: &|| true };
        match command.run(&mut client, &mut screen) {
            Ok(()) => answered += 1,
            Err(Failed::Call(CallError::Broken(_, error) | CallError::Unreachable(_, error))) => {
                panic!("line {number}, {line:?}: {error}")
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty(), "line {number}, {line:?}");
            }
        }
    }
    println!("{answered} answered, {refused} refused by the switch, {wrong} no command");
    assert!(answered > LINES / 10 && refused > LINES / 10, "{answered} answered, {refused} refused");
    // A change may wait to be confirmed still.
    let _ = Command::parse("config confirm").unwrap().unwrap().ask(&mut client);
    switch.ask(&format!("config apply {}", folder.path().join("good.toml").display()));
    switch.ask("stop");
    wait("the books to balance", || (switch.ask("show accounting")["balances"] == true).then_some(()));
    let sum = switch.ask("show accounting");
    assert!(sum["rx"].as_u64() > Some(0), "{sum}");
    switch.stop();
}
