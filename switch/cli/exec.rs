use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use crate::console::script::{self, Step};
use crate::console::{Failed, Screen, quote};
use crate::rpc::{CallError, Client, Code, DEFAULT_SOCKET};

use super::Outcome;

#[derive(Debug, clap::Args)]
#[command(after_help = "`pollux exec help` lists the commands.")]
pub(super) struct ExecArguments {
    /// The control socket of the switch
    #[arg(long, value_name = "SOCKET", default_value = DEFAULT_SOCKET)]
    control: PathBuf,
    /// Prints each answer as one line of JSON
    #[arg(long)]
    json: bool,
    /// Goes on after a command that fails; the exit code is that of the first
    #[arg(long)]
    keep_going: bool,
    /// Takes the commands from FILE, one a line; those after the first that fails are not run
    #[arg(short, value_name = "FILE", conflicts_with = "command")]
    file: Option<PathBuf>,
    /// One command; without any they are read from the standard input, one a line
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Runs console commands.
pub(super) fn exec(arguments: &ExecArguments) -> Outcome {
    // All lines are read before the first is run.
    let steps = match steps(arguments) {
        Ok(steps) => steps,
        Err(what) => {
            eprintln!("{what}");
            return Outcome::BadInput;
        }
    };
    let mut run = Run { socket: &arguments.control, client: None, json: arguments.json };
    let mut outcome = Outcome::Done;
    for step in &steps {
        let Err(failed) = run.step(step) else { continue };
        eprintln!("{}{failed}", step.place);
        if outcome == Outcome::Done {
            outcome = outcome_of(&failed);
        }
        if !arguments.keep_going || !matches!(failed, Failed::Input(_) | Failed::Call(CallError::Refused(_)))
        {
            break;
        }
    }
    outcome
}

fn steps(arguments: &ExecArguments) -> Result<Vec<Step>, String> {
    match (&arguments.command[..], &arguments.file) {
        // One argument is a line as it stands; of several each is a word.
        ([line], _) => script::read(line.as_bytes(), ""),
        ([_, ..], _) => {
            let words: Vec<_> = arguments.command.iter().map(|word| quote(word)).collect();
            script::read(words.join(" ").as_bytes(), "")
        }
        ([], Some(file)) => script::load(file),
        ([], None) => {
            if std::io::stdin().is_terminal() {
                return Err(
                    "write a command, or name a file of them with -f FILE; `pollux exec help` lists the \
                            commands, and `pollux cli` reads them one by one"
                        .to_owned(),
                );
            }
            let mut text = Vec::new();
            let read = std::io::stdin().read_to_end(&mut text);
            read.map_err(|error| format!("the standard input can't be read: {error}"))?;
            script::read(&text, "")
        }
    }
}

struct Run<'a> {
    socket: &'a Path,
    /// There is none until a command needs it.
    client: Option<Client>,
    json: bool,
}

impl Run<'_> {
    fn step(&mut self, step: &Step) -> Result<(), Failed> {
        let mut out = std::io::stdout().lock();
        let mut screen = Screen { out: &mut out, json: self.json, stopped: &|| false };
        if let Some(answer) = step.command.here() {
            return screen.show(&step.command, &answer);
        }
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(Client::connect(self.socket)?),
        };
        step.command.run(client, &mut screen)
    }
}

/// How a process ends after such a failure.
fn outcome_of(failed: &Failed) -> Outcome {
    match failed {
        Failed::Input(_) => Outcome::BadInput,
        Failed::Here(_) | Failed::Call(CallError::Broken(..) | CallError::Silent(..)) => Outcome::Failed,
        Failed::Call(CallError::Unreachable(..)) => Outcome::HostLacks,
        Failed::Call(CallError::Refused(failure)) if failure.code == Code::Failed as i64 => Outcome::Failed,
        Failed::Call(CallError::Refused(_)) => Outcome::BadInput,
    }
}
