use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use crate::rpc::{CallError, DEFAULT_SOCKET};
use crate::top::{self, TopError};

use super::Outcome;

#[derive(Debug, clap::Args)]
pub(super) struct TopArguments {
    /// The control socket of the switch
    #[arg(long, value_name = "SOCKET", default_value = DEFAULT_SOCKET)]
    control: PathBuf,
    /// How often to draw
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = super::parse_interval)]
    interval: Duration,
}

/// Draws what the switch does, until somebody has seen enough.
pub(super) fn top(arguments: &TopArguments) -> Outcome {
    if !std::io::stdout().is_terminal() {
        eprintln!(
            "`top` draws on a terminal: for programs there is `pollux exec --json show port stats all`"
        );
        return Outcome::BadInput;
    }
    // In a thread of its own: who waits for keys of a terminal that is gone doesn't look at anything else.
    let ended = || {
        top::leave();
        std::process::exit(Outcome::Done as i32);
    };
    if let Err(error) = ctrlc::set_handler(ended) {
        eprintln!("signals can't be handled: {error}");
        return Outcome::Failed;
    }
    match top::run(&arguments.control, arguments.interval) {
        Ok(()) => Outcome::Done,
        Err(error) => {
            eprintln!("{error}");
            match error {
                TopError::Switch(CallError::Unreachable(..)) => Outcome::HostLacks,
                _ => Outcome::Failed,
            }
        }
    }
}
