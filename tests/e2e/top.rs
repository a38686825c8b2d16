//! `pollux top` in a real terminal: tmux is one, and tells what is on it.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::harness::{Switch, Vm, bound, frame, run_to_end, wait};
use crate::vhost::{config, introduce, socket};

/// A terminal in which a program runs. Both end with this value.
struct Terminal {
    server: Child,
    folder: TempDir,
}

impl Terminal {
    fn run(program: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut server = bound("tmux");
        // In the foreground, so that it is this process's own.
        server.arg("-S").arg(folder.path().join("tmux")).args(["-f", "/dev/null", "-D"]);
        let server = server.stdin(Stdio::null()).spawn().unwrap();
        let terminal = Self { server, folder };
        let session = ["new-session", "-d", "-x", "120", "-y", "35"];
        let session = [&session[..], program].concat();
        wait("tmux to open a terminal", || terminal.tmux(&session).status.success().then_some(()));
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let server = self.folder.path().join("tmux");
        Command::new("tmux")
            .arg("-N")
            .arg("-S")
            .arg(server)
            .args(arguments)
            .output()
            .expect("tmux is installed")
    }

    /// What is on the screen.
    fn screen(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p"]).stdout).into_owned()
    }

    fn press(&self, keys: &[&str]) {
        assert!(self.tmux(&[&["send-keys"], keys].concat()).status.success());
    }

    fn await_text(&self, text: &str) -> String {
        let mut screen = String::new();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait(text, || {
                screen = self.screen();
                screen.contains(text).then_some(())
            });
        }));
        assert!(found.is_ok(), "{text:?} isn't on the screen:\n{screen}");
        screen
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn top(switch: &Switch) -> Terminal {
    let control = switch.socket();
    Terminal::run(&[
        env!("CARGO_BIN_EXE_pollux"),
        "top",
        "--interval",
        "0.2",
        "--control",
        control.to_str().unwrap(),
    ])
}

#[test]
fn rates_drops_and_vms_are_drawn() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path(), 2, "server"));
    let terminal = top(&switch);
    terminal.await_text("2 ports, 0 of 2 VMs there");
    let mut one = Vm::connect(&socket(folder.path(), 1), 1);
    let mut two = Vm::connect(&socket(folder.path(), 2), 2);
    terminal.await_text("2 ports, 2 of 2 VMs there");
    introduce(&mut [&mut one, &mut two]);

    // Frames that only come, and are dropped: the VM sends what no bridge forwards.
    let reserved = [0x01, 0x80, 0xc2, 0, 0, 0];
    let mut sent = 0;
    wait("drops to be drawn", || {
        one.send(reserved, "-", sent, 32);
        sent += 32;
        terminal.screen().contains("bridge_reserved").then_some(())
    });
    terminal.await_text("nothing is dropped now");
    let screen = terminal.await_text("0 on CPU 0:");
    assert!(screen.contains("ports by number"), "{screen}");

    terminal.press(&["s"]);
    terminal.await_text("ports by name");
    terminal.press(&["/", "vm2", "Enter"]);
    let screen = terminal.await_text("only /vm2");
    assert!(!screen.contains("vm1"), "{screen}");
    terminal.press(&["Escape"]);
    terminal.press(&["Up", "Enter"]);
    let screen = terminal.await_text("port vm1");
    assert!(screen.contains(&format!("dropped {sent} bridge_reserved")), "{screen}");
    one.send(frame::BROADCAST, "-", 0, 1);

    // The switch goes and comes back: the terminal says so.
    switch.stop();
    terminal.await_text("no answer, trying again");
    terminal.press(&["q"]);
    wait("the program to end", || (!terminal.tmux(&["has-session"]).status.success()).then_some(()));
}

/// Whoever closes the window leaves nothing that runs on.
#[test]
fn it_ends_with_its_terminal() {
    let folder = TempDir::new().unwrap();
    let switch = Switch::start(&config(folder.path(), 1, "server"));
    let terminal = top(&switch);
    terminal.await_text("1 ports");
    let told = terminal.tmux(&["display-message", "-p", "#{pane_pid}"]).stdout;
    let process = Path::new("/proc").join(String::from_utf8(told).unwrap().trim());
    assert!(process.exists());
    drop(terminal);
    wait("the program to end", || (!process.exists()).then_some(()));
    switch.stop();
}

#[test]
fn without_a_terminal_or_a_switch_it_says_what_to_do() {
    let (_, output) = run_to_end(&["top"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("pollux exec --json"));
    let nowhere = Path::new("/nowhere/control.sock").to_str().unwrap();
    let said = "; echo code $?; sleep 60";
    let shell = format!("{} top --control {nowhere}{said}", env!("CARGO_BIN_EXE_pollux"));
    let terminal = Terminal::run(&["sh", "-c", &shell]);
    let screen = terminal.await_text("code 3");
    assert!(screen.contains("no switch answers on"), "{screen}");
}
