//! The second scene: one host sends the other a TCP stream.

use std::time::Duration;

use super::DemoError;
use super::child::{Background, this_program};
use super::host::Host;
use super::rates::Flow;
use super::stage::Stage;
use super::stream::{Counted, LISTENING};

/// Any port will do: the hosts have nothing else that listens.
const PORT: u16 = 5001;

/// How long the stream flows, in seconds.
const SECONDS: f64 = 3.0;

/// How long one step may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the ends counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transfer {
    pub(super) sent: Counted,
    pub(super) received: Counted,
}

impl Transfer {
    /// Whether what arrived is what was sent.
    pub(super) fn matches(&self) -> bool {
        let counted = |end: &Counted| (end.bytes, end.checksum);
        self.received.bytes > 0 && counted(&self.sent) == counted(&self.received)
    }

    /// Bits of the stream a second.
    pub(super) fn goodput(&self) -> f64 {
        8.0 * self.received.bytes as f64 / self.received.seconds
    }
}

pub(super) fn run(stage: &mut Stage<'_>, hosts: &[Host; 2]) -> Result<(Transfer, Flow), DemoError> {
    let [from, to] = hosts;
    let address = format!("{}:{PORT}", to.address());
    let program = this_program();
    let start = |name, host: &Host, words: &[&str]| {
        Background::start(name, host.command(&program).arg("demo-end").args(words))
    };
    let begin = stage.begin(&format!("tcp: host1 to host2 for {SECONDS} s"))?;
    let mut receiver = start("the receiver", to, &["receive", &address])?;
    stage.wait("tcp", PATIENCE, || {
        // One that has ended before it listened is an error.
        let listens = receiver.said().iter().any(|line| line == LISTENING) || receiver.ended_well()?;
        Ok(listens.then_some(()))
    })?;
    let mut sender = start("the sender", from, &["send", &address, &SECONDS.to_string()])?;
    stage.wait("tcp", PATIENCE, || Ok((sender.ended_well()? & receiver.ended_well()?).then_some(())))?;
    let transfer = Transfer { sent: counted(&mut sender)?, received: counted(&mut receiver)? };
    Ok((transfer, stage.sent_since(&begin)))
}

/// The figures that an end printed.
fn counted(end: &mut Background) -> Result<Counted, DemoError> {
    let found = end.said().iter().find_map(|line| serde_json::from_str(line).ok());
    found.ok_or_else(|| end.failure("printed no figures"))
}
