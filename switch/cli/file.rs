use std::path::Path;

use pollux_config::{Config, Faults};

use super::Outcome;

/// Reads and validates a file; what is wrong goes to stderr, with the lines at fault.
pub(super) fn load(path: &Path) -> Result<Config, Outcome> {
    Ok(load_with_text(path)?.0)
}

/// As [`load`], with the file's text.
pub(super) fn load_with_text(path: &Path) -> Result<(Config, String), Outcome> {
    let name = path.display().to_string();
    let octets = std::fs::read(path).map_err(|error| {
        eprintln!("{name}: can't be read: {error}; name a readable file with --config FILE");
        Outcome::BadInput
    })?;
    let config = pollux_config::parse_bytes(&name, &octets).map_err(|faults| {
        show(faults);
        Outcome::BadInput
    })?;
    for notice in config.notices() {
        tracing::warn!("{}", notice.line());
    }
    Ok((config, String::from_utf8_lossy(&octets).into_owned()))
}

/// Prints every fault: in a line for programs, then with the file's own line for people.
pub(super) fn show(faults: Faults) {
    eprintln!("{}", faults.lines());
    eprintln!("{:?}", miette::Report::new(faults));
}
