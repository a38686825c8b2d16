//! Every way in which a file is refused says what, where, and what would cure it.

use pollux_config::{Faults, limits, parse, parse_bytes};

/// The table: see its head for its form.
const BAD_FILES: &str = include_str!("bad_files.txt");

fn refuse(text: &str) -> Faults {
    parse("pollux.toml", text).expect_err("the file should be refused")
}

#[test]
fn each_bad_file_is_refused_in_these_words() {
    let mut count = 0;
    let mut wrong = String::new();
    for case in BAD_FILES.split("\n=== ").skip(1) {
        let (name, rest) = case.split_once('\n').expect("a name");
        let (text, expected) = rest.split_once("---\n").expect("a file and its faults");
        let found = match parse("pollux.toml", text) {
            Ok(_) => "it loads".to_owned(),
            Err(faults) => faults.lines().to_string(),
        };
        if found != expected.trim_end() {
            wrong += &format!("=== {name}\nexpected:\n{expected}\nfound:\n{found}\n\n");
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count >= 120, "{count} files");
}

#[test]
fn five_faults_are_five_reports() {
    let faults = refuse(
        "[switch]\ncores = [2, 2]\n[fdb]\nageing_time = 300\n[ports.uplink]\ndevice = \"03:00.0\"\nmtu = 90000\n\
         vlan = { mode = \"trunk\", allowed = [\"1-4095\"] }\n[ports.vm1]\nvhost_usr = {}\n",
    );
    let lines: Vec<_> = faults.iter().map(|fault| fault.place().line()).collect();
    assert_eq!(lines, [2, 4, 7, 8, 10]);
    assert_eq!(faults.to_string(), "5 faults in pollux.toml");
}

#[test]
fn diagnostics_show_the_line_underlined() {
    let faults = refuse("[ports.lab]\ndevice = \"net_tap0\"\nmtu = 90000\n");
    let mut shown = String::new();
    let theme = miette::GraphicalTheme::unicode_nocolor();
    let handler = miette::GraphicalReportHandler::new_themed(theme);
    handler.render_report(&mut shown, &faults).unwrap();
    for part in [
        "a fault in pollux.toml",
        "`ports.lab.mtu` is out of range",
        "[pollux.toml:3:7]",
        "3 │ mtu = 90000\n   ·       ─────\n",
        "help: write a number from 68 to 9216",
    ] {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
}

#[test]
fn a_fault_has_its_parts() {
    let faults =
        refuse("[ports.lab]\r\n# ünder\r\ndevice = \"net_tap0\"\r\nqos = { \"trüst\" = 'é', trust = 1 }\r\n");
    let fault = faults.iter().nth(1).unwrap();
    let place = fault.place();
    assert_eq!((place.file(), place.line(), place.column()), ("pollux.toml", 4, 32));
    assert_eq!(place.text(), "1");
    assert_eq!(place.span(), 77..78);
    assert_eq!(fault.what(), "`ports.lab.qos.trust` is an integer, not a string");
    assert_eq!(fault.cure(), "write \"pcp\", \"dscp\" or \"port\"");
}

#[test]
fn a_byte_order_mark_does_no_harm() {
    let faults = refuse("\u{feff}[ports.lab]\ndevice = \"net_tap0\"\nmtu = 1\n");
    assert_eq!(faults.len(), 1);
    assert_eq!(faults.iter().next().unwrap().place().line(), 3);
}

#[test]
fn what_is_no_text_is_refused_where_it_starts() {
    let faults = parse_bytes("pollux.toml", b"[switch]\ncores = \"\xff\"\n").unwrap_err();
    assert_eq!(
        faults.lines().to_string(),
        "pollux.toml:2:10: an octet here is not UTF-8 text: `cores = \"`; save the file as UTF-8"
    );
    assert!(parse_bytes("pollux.toml", b"[ports.lab]\ndevice = \"net_tap0\"\n").is_ok());
}

#[test]
fn there_is_an_end_to_everything() {
    let ports = |count: usize| -> String {
        (0..count).map(|number| format!("[ports.p{number}]\ndevice = \"net_null{number}\"\n")).collect()
    };
    assert!(parse("pollux.toml", &ports(64)).is_ok());
    assert_eq!(
        refuse(&ports(65)).lines().to_string(),
        "pollux.toml:129:8: the switch has 65 ports: `p64`; keep 64: remove this one and those below"
    );

    let statics = |count: usize| -> String {
        let entry = |number| {
            format!(
                "[[fdb.static]]\nmac = \"02:00:00:00:{:02x}:{:02x}\"\nvid = 1\nport = \"p0\"\n",
                number >> 8,
                number & 0xff
            )
        };
        ports(1) + "[fdb]\ncapacity = 1024\n" + &(0..count).map(entry).collect::<String>()
    };
    assert!(parse("pollux.toml", &statics(1023)).is_ok());
    assert_eq!(
        refuse(&statics(1024)).lines().to_string(),
        "pollux.toml:5:1: 1024 static entries leave no room in the FDB: `[[fdb.static]]`; \
         keep fewer than its `capacity`, 1024"
    );

    let rules = |count: usize| -> String {
        let rule = |number| {
            let key = "[[qos.profiles.vm.rules]]";
            format!("{key}\nname = \"r{number}\"\nmatch = {{ vid = 1 }}\nclass = 0\n")
        };
        ports(1) + &(0..count).map(rule).collect::<String>()
    };
    assert!(parse("pollux.toml", &rules(1024)).is_ok());
    assert_eq!(
        refuse(&rules(1025)).lines().to_string(),
        "pollux.toml:4099:1: `qos.profiles.vm.rules` has 1025 rules: `[[qos.profiles.vm.rules]]`; \
         keep 1024: remove this one and those below"
    );

    let cores = |count: usize| format!("switch.cores = {:?}\n{}", (0..count).collect::<Vec<_>>(), ports(1));
    assert!(parse("pollux.toml", &cores(64)).is_ok());
    let faults = refuse(&cores(65));
    assert_eq!(faults.len(), 1);
    assert_eq!(faults.iter().next().unwrap().what(), "65 cores are listed");

    let padded = ports(1) + &"#".repeat(limits::MAX_FILE_LEN);
    assert_eq!(
        refuse(&padded).lines().to_string(),
        "pollux.toml:1:1: the file has 1048608 octets; a configuration has at most 1048576"
    );

    let long = format!("[ports.lab]\ndevice = \"net_tap0,iface={}\"\n", "x".repeat(limits::MAX_VDEV_LEN));
    assert_eq!(refuse(&long).iter().next().unwrap().what(), "`ports.lab.device` is too long");
}

#[test]
fn a_key_may_be_set_any_number_of_times_too_often() {
    let text = "[ports.lab]\ndevice = \"net_tap0\"\n".to_owned() + &"mtu = 1500\n".repeat(200);
    let faults = refuse(&text);
    assert_eq!(faults.len(), 199);
    assert!(faults.iter().all(|fault| fault.what().contains("key")));
    let text = "a = 1\n".repeat(200);
    assert_eq!(refuse(&text).len(), 199);
}
