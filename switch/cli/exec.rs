use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use crate::console::{Command, render};
use crate::rpc::{CallError, Client, Code, DEFAULT_SOCKET};

use super::Outcome;

#[derive(Debug, clap::Args)]
#[command(after_help = format!("Commands:\n{}", crate::console::HELP))]
pub(super) struct ExecArguments {
    /// The control socket of the switch
    #[arg(long, value_name = "SOCKET", default_value = DEFAULT_SOCKET)]
    control: PathBuf,
    /// Prints each answer as one line of JSON
    #[arg(long)]
    json: bool,
    /// Takes the commands from FILE, one a line; those after the first that fails are not run
    #[arg(short, value_name = "FILE", conflicts_with = "command")]
    file: Option<PathBuf>,
    /// One command; without any they are read from the standard input, one a line
    #[arg(trailing_var_arg = true)]
    command: Vec<String>,
}

/// Runs console commands.
pub(super) fn exec(arguments: &ExecArguments) -> Outcome {
    let text = match commands(arguments) {
        Ok(text) => text,
        Err(what) => {
            eprintln!("{what}");
            return Outcome::BadInput;
        }
    };
    // All lines are read before the first is run.
    let mut commands = Vec::new();
    for (number, line) in text.lines().enumerate() {
        match Command::parse(line) {
            Ok(command) => commands.extend(command),
            Err(error) => {
                eprintln!("line {}: {error}", number + 1);
                return Outcome::BadInput;
            }
        }
    }
    match run(arguments, &commands) {
        Ok(()) => Outcome::Done,
        Err(error) => {
            eprintln!("{error}");
            match error {
                CallError::Unreachable(..) => Outcome::HostLacks,
                CallError::Refused(failure) if failure.code != Code::Failed as i64 => Outcome::BadInput,
                CallError::Refused(_) | CallError::Broken(..) => Outcome::Failed,
            }
        }
    }
}

fn commands(arguments: &ExecArguments) -> Result<String, String> {
    if !arguments.command.is_empty() {
        return Ok(arguments.command.join(" "));
    }
    if let Some(file) = &arguments.file {
        let unreadable = |error| format!("{}: can't be read: {error}; name a readable file", file.display());
        return std::fs::read_to_string(file).map_err(unreadable);
    }
    if std::io::stdin().is_terminal() {
        return Err(format!(
            "write a command, or name a file of them with -f FILE:\n{}",
            crate::console::HELP
        ));
    }
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|error| format!("the standard input can't be read: {error}"))?;
    Ok(text)
}

fn run(arguments: &ExecArguments, commands: &[Command]) -> Result<(), CallError> {
    let mut client = Client::connect(&arguments.control)?;
    for command in commands {
        let answer = client.call(command.method, command.params.clone())?;
        if arguments.json {
            println!("{answer}");
        } else {
            println!("{}", render(command, &answer));
        }
    }
    Ok(())
}
