//! `pollux demo`: the switch at work on this machine, without a NIC, hugepages or a file.
//!
//! Two hosts in network namespaces ping each other and move a TCP stream through the switch; then a
//! second process drives two vhost-user ports with 64-byte frames. Whatever is printed was measured.
//!
//! Everything that it makes is called `plxdemo` and the process's number, and has a guard that removes
//! it: on success, on failure, and after SIGINT or SIGTERM. What a demo that was killed left behind, the
//! next one removes.

mod child;
mod closing;
mod configuration;
mod cpus;
mod error;
mod folder;
mod host;
mod leftovers;
mod load;
mod names;
mod ping;
mod rates;
mod screen;
mod stage;
mod stream;
mod tcp;
mod tools;

use std::sync::atomic::AtomicBool;

pub use error::DemoError;
pub use screen::Screen;
pub use stream::EndArguments;

use closing::Findings;
use cpus::Cpus;
use folder::Folder;
use host::Host;
use names::Names;
use stage::Stage;
use tools::Tools;

/// Shows the switch at work until it is done or `stop` is raised. Returns what wasn't as it should be.
///
/// # Errors
///
/// What kept the demo from coming to its end. Nothing is left behind then either.
pub fn run(screen: &mut Screen, stop: &AtomicBool) -> Result<Vec<String>, DemoError> {
    let tools = Tools::find()?;
    tools::privileges()?;
    leftovers::remove(&tools);
    let names = Names::of(std::process::id());
    let cpus = Cpus::choose();

    // Guards, dropped from the last to the first: the switch lets go of the hosts before they go.
    let folder = Folder::new(names.folder())?;
    let hosts = [Host::new(&tools, &names, 1)?, Host::new(&tools, &names, 2)?];
    let switch = configuration::start(&hosts, folder.path(), cpus)?;
    screen.text(&switch.describe())?;
    hosts.iter().try_for_each(Host::join)?;

    let mut stage = Stage::new(switch, screen, stop);
    let ping = ping::run(&mut stage, &tools, &hosts)?;
    let tcp = tcp::run(&mut stage, &hosts)?;
    let load = load::run(&mut stage, folder.path(), cpus)?;
    let (stopped, fdb) = stage.close();
    let findings = Findings { ping, tcp, load, stopped, fdb, kernel: hosts.each_ref().map(Host::counters) };
    screen.text(&findings.text())?;
    Ok(findings.faults())
}

/// What the demo has done inside a host's namespace, in a process of its own.
///
/// # Errors
///
/// What kept it from its work.
pub fn end(arguments: &EndArguments) -> Result<(), DemoError> {
    stream::run(arguments)
}
