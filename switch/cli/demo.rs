use crate::demo::{self, DemoError, EndArguments, Screen};

use super::Outcome;
use super::signals::stop_on_signals;

/// Shows the switch at work.
pub(super) fn demo() -> Outcome {
    let stop = match stop_on_signals() {
        Ok(stop) => stop,
        Err(error) => {
            eprintln!("signals can't be handled: {error}");
            return Outcome::Failed;
        }
    };
    let result = demo::run(&mut Screen::default(), &stop);
    match result {
        Ok(faults) if faults.is_empty() => Outcome::Done,
        Ok(faults) => {
            faults.iter().for_each(|fault| eprintln!("failed: {fault}"));
            Outcome::Failed
        }
        Err(error) => refuse(&error),
    }
}

/// What the demo does inside a host's namespace.
pub(super) fn end(arguments: &EndArguments) -> Outcome {
    match demo::end(arguments) {
        Ok(()) => Outcome::Done,
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &DemoError) -> Outcome {
    eprintln!("{error}");
    match error {
        DemoError::Lacks(_) => Outcome::HostLacks,
        _ => Outcome::Failed,
    }
}
