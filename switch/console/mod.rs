//! Console commands: what a person types, the calls that it becomes, and how the answers read.

mod grammar;
mod qos;
mod render;

pub use grammar::{Command, InputError};
pub use render::render;

/// The commands there are, for people.
pub const HELP: &str = "\
show vhost [PORT|all]            VMs: their connection, features, queues, addresses, counters and guest agents
show port stats PORT|all         frames and octets received, sent and dropped, and the balance
show port PORT flow_ctrl         how a NIC pauses its link
show qos [PORT|all]              classes, queues, shapers, policers and rules: configured, measured, dropped
show config running              the configuration that runs, as a file
port attach NAME { KEYS }        adds a port; KEYS are those below [ports.NAME] in the file
port detach NAME                 takes a port away
set flow_ctrl rx on|off PORT     and tx, high_water, low_water, pause_time, send_xon, autoneg: as in testpmd
set pfc_ctrl rx on|off tx on|off HIGH LOW TIME PRIORITY PORT   the same for one priority
config reload                    reads the file again and applies what differs
";
