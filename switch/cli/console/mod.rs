//! `pollux cli`: the console, line by line.

mod editor;
mod live;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustyline::error::ReadlineError;

use crate::console::commands::Does;
use crate::console::script::{self, Step};
use crate::console::{Command, Failed, Local, Screen, help};
use crate::rpc::{Client, DEFAULT_SOCKET};

use super::Outcome;
use editor::Typed;
use live::Live;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "`help` lists the commands; `?` shows what can come next, tab completes it, ctrl-C abandons the \
                        line, ctrl-D leaves."
)]
pub(super) struct ConsoleArguments {
    /// The control socket of the switch
    #[arg(long, value_name = "SOCKET", default_value = DEFAULT_SOCKET)]
    control: PathBuf,
}

/// Reads commands until the end of the input or `quit`.
pub(super) fn console(arguments: &ConsoleArguments) -> Outcome {
    let interrupted = match Interrupted::watch() {
        Ok(interrupted) => interrupted,
        Err(error) => return failed(&error),
    };
    let live = Arc::new(Live::new(&arguments.control));
    let mut editor = match editor::Editor::new(live.clone()) {
        Ok(editor) => editor,
        Err(error) => return failed(&error),
    };
    greet(&arguments.control);
    loop {
        match editor.read() {
            Ok(Typed::Question(line)) => print!("{}", help::next(&line, &*live)),
            Ok(Typed::Line(line)) => {
                live.forget();
                if run(&line, &arguments.control, &interrupted) == Goes::Away {
                    return Outcome::Done;
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Outcome::Done,
            Err(error) => return failed(&error),
        }
    }
}

fn failed(error: &dyn std::fmt::Display) -> Outcome {
    eprintln!("the console can't be used here: {error}; `pollux exec` needs no terminal");
    Outcome::Failed
}

fn greet(socket: &Path) {
    let info =
        Client::connect(socket).and_then(|mut client| client.call("switch.info", serde_json::Value::Null));
    match info {
        Ok(info) => {
            let version = info["version"].as_str().unwrap_or("Pollux");
            println!(
                "{version}: {} ports; `help` lists the commands, `?` shows what can come next",
                info["ports"]
            );
        }
        Err(error) => eprintln!("{error}"),
    }
}

#[derive(PartialEq, Eq)]
enum Goes {
    On,
    Away,
}

/// Runs a line. Whatever goes wrong is said, and the console goes on.
fn run(line: &str, socket: &Path, interrupted: &Interrupted) -> Goes {
    // `show port ?` and enter asks as well.
    if let Some(begun) =
        line.trim_end().strip_suffix('?').filter(|begun| begun.ends_with(' ') || begun.is_empty())
    {
        print!("{}", help::next(begun, &Live::new(socket)));
        return Goes::On;
    }
    let command = match Command::parse(line) {
        Ok(Some(command)) => command,
        Ok(None) => return Goes::On,
        Err(error) => {
            eprintln!("{error}");
            return Goes::On;
        }
    };
    let steps = match command.local() {
        Some(Local::Quit) => return Goes::Away,
        Some(Local::Load) => script::load(Path::new(command.args.get("FILE").unwrap_or_default())),
        _ => Ok(vec![Step { command, place: String::new() }]),
    };
    let steps = steps.unwrap_or_else(|error| {
        eprintln!("{error}");
        Vec::new()
    });
    for step in &steps {
        if let Err(error) = step_of(step, socket, interrupted) {
            eprintln!("{}{error}", step.place);
            break;
        }
    }
    Goes::On
}

/// Runs a command over a connection of its own: the switch lets silent ones go, and may have been restarted.
fn step_of(step: &Step, socket: &Path, interrupted: &Interrupted) -> Result<(), Failed> {
    let mut out = std::io::stdout().lock();
    let stopped = || interrupted.asked.load(Ordering::SeqCst);
    let mut screen = Screen { out: &mut out, json: false, stopped: &stopped };
    let ran = match step.command.here() {
        Some(answer) => screen.show(&step.command, &answer),
        None => {
            let mut client = Client::connect(socket)?;
            let _streaming = matches!(step.command.entry.does, Does::Stream(_)).then(|| interrupted.allow());
            step.command.run(&mut client, &mut screen)
        }
    };
    out.flush().map_err(|error| Failed::Here(format!("the answer can't be shown: {error}")))?;
    ran
}

/// What ctrl-C does while a command runs: it ends one that goes on by itself, and else the console. While a line is
/// written it is a key like others.
#[derive(Clone, Default)]
struct Interrupted {
    /// Somebody wants the command to end.
    asked: Arc<AtomicBool>,
    /// The command would listen.
    listens: Arc<AtomicBool>,
}

impl Interrupted {
    fn watch() -> Result<Self, ctrlc::Error> {
        let this = Self::default();
        let Self { asked, listens } = this.clone();
        ctrlc::set_handler(move || {
            if !listens.load(Ordering::SeqCst) || asked.swap(true, Ordering::SeqCst) {
                std::process::exit(Outcome::Failed as i32);
            }
        })?;
        Ok(this)
    }

    /// Lets the next ctrl-C be the command's, until what this returns is gone.
    fn allow(&self) -> impl Drop + use<> {
        struct Listening(Interrupted);
        impl Drop for Listening {
            fn drop(&mut self) {
                self.0.listens.store(false, Ordering::SeqCst);
            }
        }
        self.asked.store(false, Ordering::SeqCst);
        self.listens.store(true, Ordering::SeqCst);
        Listening(self.clone())
    }
}
