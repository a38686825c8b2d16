//! The configuration file: text in, a validated [`Config`] or every [`Fault`] of the file out.
//!
//! Nothing here asks the host anything. What only the host can tell (a device that isn't there, a
//! core it doesn't have) is for the caller to find, who reports it in the same form with
//! [`Config::locate`] and [`Fault::at`].
//!
//! ```
//! let text = "[ports.lab]\ndevice = \"net_tap0,iface=lab0\"\nmtu = 90000\n";
//! let faults = pollux_config::parse("pollux.toml", text).unwrap_err();
//! assert_eq!(
//!     faults.lines().to_string(),
//!     "pollux.toml:3:7: `ports.lab.mtu` is out of range: `90000`; write a number from 68 to 9216"
//! );
//! ```
#![forbid(unsafe_code)]

mod changes;
mod config;
mod control;
mod device;
mod fault;
mod fdb;
mod flow_control;
pub mod limits;
mod log;
mod metrics;
mod mirror;
mod port;
mod qos;
mod socket;
mod switch;
mod syntax;
mod tree;
mod units;
mod vhost;
mod vlan;
mod work;

pub use changes::Changes;
pub use config::Config;
pub use control::Control;
pub use device::{Device, DeviceSpec, PciAddress};
pub use fault::{Fault, Faults, Line, Lines, Notice, Place};
pub use fdb::{FdbSettings, StaticEntry};
pub use flow_control::{FlowControl, PauseThresholds, PriorityFlowControl};
pub use log::{Log, LogArea, LogLevel};
pub use metrics::Metrics;
pub use mirror::{Directions, Mirror, MirrorFrom, MirrorTo};
pub use port::{Port, PortKind};
pub use qos::{
    ClassSettings, Classes, Policer, PolicerAction, Probability, QosProfile, Remark, Rule, Shaper, Wred,
    WredCurve,
};
pub use switch::Switch;
pub use units::Bytes;
pub use vhost::{VhostOffloads, VhostRole, VhostUser};
pub use work::{Rebalance, Rest, RestMode, Watchdog};

use fault::Source;
use tree::Reader;

/// Reads a configuration file's text. `name` is what faults call the file.
pub fn parse(name: &str, text: &str) -> Result<Config, Faults> {
    let source = Source::new(name, text);
    if text.len() > limits::MAX_FILE_LEN {
        let fault = Fault::at(
            &Place::new(source, 0..0),
            format!("the file has {} octets", text.len()),
            format!("a configuration has at most {}", limits::MAX_FILE_LEN),
        );
        return Err(Faults::from_iter([fault]));
    }
    let repaired = syntax::repair(&source)?;
    let root = repaired.tree();
    let reader = Reader::new(source, &repaired.repeats);
    let config = reader.read(&root, config::read);
    let (faults, places) = reader.finish();
    match config {
        Some(config) if faults.is_empty() => Ok(config(places)),
        _ => Err(faults),
    }
}

/// Reads a configuration file's octets, which may turn out not to be UTF-8.
pub fn parse_bytes(name: &str, octets: &[u8]) -> Result<Config, Faults> {
    match std::str::from_utf8(octets) {
        Ok(text) => parse(name, text),
        Err(error) => {
            // The text up to the first octet that is none keeps its lines and columns.
            let valid = error.valid_up_to();
            let text = String::from_utf8_lossy(&octets[..valid]);
            let fault = Fault::at(
                &Place::new(Source::new(name, &text), valid..valid),
                "an octet here is not UTF-8 text",
                "save the file as UTF-8",
            );
            Err(Faults::from_iter([fault]))
        }
    }
}
