//! Ports: what the data path and the devices counted, links, VMs.

use std::fmt::Result;

use pollux_engine::{PortTotals, Reason};

use super::families::{Families, Family};
use crate::control::{Numbers, VmNumbers};

pub(super) fn encode(to: &mut Families<'_>, numbers: &Numbers) -> Result {
    totals(to, numbers)?;
    devices(to, numbers)?;
    resets(to, numbers)?;
    links(to, numbers)?;
    vms(to, numbers)
}

fn totals(to: &mut Families<'_>, numbers: &Numbers) -> Result {
    let families: [Family<PortTotals, u64>; 5] = [
        ("port_receive_frames", "Frames that came in, dropped ones included.", |port| port.rx_frames),
        ("port_receive_bytes", "Octets that came in, without frame check sequences.", |port| port.rx_bytes),
        ("port_transmit_frames", "Frames that the device or the VM took.", |port| port.tx_frames),
        ("port_transmit_bytes", "Octets of these, without frame check sequences.", |port| port.tx_bytes),
        (
            "port_replicated_frames",
            "Frames that were added to those received, by floods and by cutting what a VM left uncut.",
            |port| port.replicated,
        ),
    ];
    for (name, help, of) in families {
        to.counter(name, help, numbers.ports.iter().map(|port| ([("port", &*port.name)], of(&port.totals))))?;
    }
    let drops = numbers.ports.iter().flat_map(|port| {
        Reason::ALL.iter().map(move |reason| {
            let labels = [("port", &*port.name), ("reason", reason.name())];
            (labels, port.totals.drops[reason.index()])
        })
    });
    to.counter("port_drops", "Frames that the switch dropped, each under one reason.", drops)
}

/// What isn't in the balance, as the switch has never had it.
fn devices(to: &mut Families<'_>, numbers: &Numbers) -> Result {
    let losses = numbers.ports.iter().flat_map(|port| {
        let stats = port.device.unwrap_or_default();
        let losses = [
            ("missed", stats.rx_missed),
            ("rx_errors", stats.rx_errors),
            ("no_mbuf", stats.rx_no_mbuf),
            ("tx_errors", stats.tx_errors),
        ];
        let told = losses.into_iter().filter(|_| port.device.is_some());
        told.map(|(loss, frames)| ([("port", &*port.name), ("loss", loss)], frames))
    });
    let help = "Frames that the device lost before the switch had them or after, which are no drops: for want of \
                descriptors, with errors, for want of mbufs, or that failed to go out.";
    to.counter("port_device_losses", help, losses)
}

fn resets(to: &mut Families<'_>, numbers: &Numbers) -> Result {
    let resets = numbers.ports.iter().map(|port| ([("port", &*port.name)], port.resets));
    let help = "How often the port was reset because its device took no frame any more.";
    to.counter("port_resets", help, resets)
}

fn links(to: &mut Families<'_>, numbers: &Numbers) -> Result {
    let ports = || numbers.ports.iter().map(|port| ([("port", &*port.name)], port));
    let up = ports().map(|(labels, port)| (labels, u64::from(port.link.up)));
    to.gauge("port_link_up", "Whether the port has a link: a VM's port, whether a VM is connected.", up)?;
    let speed = |link: dpdk::Link| link.mbps.filter(|_| link.up).map_or(0, |mbps| u64::from(mbps) * 125_000);
    let speeds = ports().map(|(labels, port)| (labels, speed(port.link)));
    let help = "Octets a second that the link carries; 0 without a link, or if the device can't tell.";
    to.gauge("port_link_speed_bytes_per_second", help, speeds)?;
    let mtus = ports().map(|(labels, port)| (labels, u64::from(port.mtu)));
    to.gauge("port_mtu_bytes", "The MTU: octets of payload that a frame may have.", mtus)?;
    let addresses = ports().map(|(labels, port)| (labels, port.addresses as u64));
    to.gauge("port_fdb_entries", "Addresses behind the port, static ones included.", addresses)
}

fn vms(to: &mut Families<'_>, numbers: &Numbers) -> Result {
    let vms = || numbers.ports.iter().filter_map(|port| Some(([("port", &*port.name)], port.vm?)));
    let connected = vms().map(|(labels, vm)| (labels, u64::from(vm.connected.is_some())));
    to.gauge("vhost_connected", "Whether a VM is connected.", connected)?;
    let time = |vm: VmNumbers| vm.connected.map_or(0.0, |time| time.as_secs_f64());
    let times = vms().map(|(labels, vm)| (labels, time(vm)));
    to.gauge("vhost_connected_seconds", "For how long it has been connected; 0 while none is.", times)?;
    let reconnects = vms().map(|(labels, vm)| (labels, vm.reconnects));
    to.counter("vhost_reconnects", "How often a VM came back after it was gone.", reconnects)?;
    let outage = |vm: VmNumbers| vm.last_outage.map_or(0.0, |time| time.as_secs_f64());
    let outages = vms().map(|(labels, vm)| (labels, outage(vm)));
    let help = "How long none was there before the last time that one came back; 0 if none ever did.";
    to.gauge("vhost_last_outage_seconds", help, outages)
}
