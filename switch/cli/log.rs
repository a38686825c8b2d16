//! The log: to the journal where the standard error output is one, else as lines to it. What it tells is in the
//! file, area by area, and can change; the environment has the last word.

use std::io::stderr;

use nix::sys::stat::fstat;
use pollux_config::{Config, Faults, LogArea};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::control::{Follower, Then};

/// What overrides the file, in the form of [`EnvFilter`].
const VARIABLE: &str = "POLLUX_LOG";

/// What messages of an area come under: names that are given where they are written, or modules.
const fn targets(area: LogArea) -> &'static [&'static str] {
    match area {
        LogArea::Config => &["config", "pollux::cli::file"],
        LogArea::Dpdk => &["dpdk"],
        LogArea::Metrics => &["pollux::metrics"],
        LogArea::Ports => &["ports", "pollux::control"],
        LogArea::Rpc => &["rpc", "pollux::rpc"],
        LogArea::Workers => &["workers", "pollux::worker", "pollux::control::rebalance"],
    }
}

/// The process's log.
#[derive(Clone)]
pub(super) struct Log(Option<reload::Handle<EnvFilter, Registry>>);

impl Log {
    /// Starts it; once in a process.
    pub(super) fn start() -> Self {
        let own = EnvFilter::try_from_env(VARIABLE).ok();
        let fixed = own.is_some();
        let (filter, handle) = reload::Layer::new(own.unwrap_or_else(|| EnvFilter::new("info")));
        let journal = is_journal().then(|| tracing_journald::layer().ok()).flatten();
        let lines = journal.is_none().then(|| fmt::layer().with_writer(stderr).with_ansi(false));
        tracing_subscriber::registry().with(filter).with(journal.map(Layer::boxed)).with(lines).init();
        Self((!fixed).then_some(handle))
    }

    /// Tells what `log` says from now on, unless the environment said something.
    pub(super) fn tell(&self, log: &pollux_config::Log) {
        if let Some(handle) = &self.0 {
            // It fails only if there is no log any more.
            let _ = handle.reload(filter(log));
        }
    }
}

impl Follower for Log {
    fn prepare(&self, _: &Config, new: &Config) -> Result<Then, Faults> {
        let (log, what) = (self.clone(), new.log.clone());
        Ok(Box::new(move || log.tell(&what)))
    }
}

fn filter(log: &pollux_config::Log) -> EnvFilter {
    let areas = log.areas.iter().flat_map(|(area, level)| {
        targets(*area).iter().map(move |target| format!("{target}={}", level.name()))
    });
    let directives: Vec<_> = std::iter::once(log.level.name().to_owned()).chain(areas).collect();
    EnvFilter::new(directives.join(","))
}

/// Whether the standard error output is the stream that systemd says is the journal's (systemd.exec(5)).
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    fstat(stderr()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pollux_config::LogLevel;

    #[test]
    fn areas_become_targets() {
        let log = pollux_config::Log {
            level: LogLevel::Warn,
            areas: vec![(LogArea::Dpdk, LogLevel::Off), (LogArea::Rpc, LogLevel::Debug)],
        };
        let mut parts: Vec<_> = filter(&log).to_string().split(',').map(str::to_owned).collect();
        parts.sort_unstable();
        assert_eq!(parts, ["dpdk=off", "pollux::rpc=debug", "rpc=debug", "warn"]);
    }

    #[test]
    fn every_area_has_targets_of_its_own() {
        let all: Vec<_> = LogArea::ALL.iter().flat_map(|(_, area)| targets(*area)).collect();
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert!(all.len() == distinct.len() && all.len() >= LogArea::ALL.len());
    }
}
