//! What the host lacks for a file, told before anything is touched.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use pollux_config::{Config, DeviceSpec, Fault, Faults, Mirror, Port, PortKind, VhostRole, VhostUser};

use super::host::Host;
use super::plan::{MemoryPlan, Plan};
use super::sockets;

/// Kernel drivers that leave a NIC to DPDK, or share it with DPDK.
const DPDK_DRIVERS: [&str; 6] = ["vfio-pci", "uio_pci_generic", "igb_uio", "mlx5_core", "mlx4_core", "mana"];

/// Everything that `host` lacks to run `config`.
pub fn preflight(config: &Config, plan: &Plan, host: &Host) -> Faults {
    let ports = ports(config, config.ports.iter(), host);
    let filters = filters(config, &[]);
    core_faults(config, host)
        .into_iter()
        .chain(memory_fault(config, plan, host))
        .chain(control_fault(config))
        .chain(ports)
        .chain(filters)
        .collect()
}

/// Filters that libpcap can't compile. Those of `known` mirrors were compiled before.
pub(super) fn filters(config: &Config, known: &[Mirror]) -> Vec<Fault> {
    let is_new = |mirror: &&Mirror| !known.iter().any(|known| known.filter == mirror.filter);
    let faults = config.mirrors.iter().filter(is_new).filter_map(|mirror| {
        let error = dpdk::PacketFilter::check(mirror.filter.as_deref()?).err()?;
        let what = format!("this is no filter: {}", error.message());
        Some(Fault::at(
            &config.locate(&mirror.path("filter")),
            what,
            "write it as for tcpdump, as in \"tcp port 80\"",
        ))
    });
    faults.collect()
}

/// What `host` lacks for some of the ports of `config`.
pub(super) fn ports<'c>(config: &Config, ports: impl Iterator<Item = &'c Port>, host: &Host) -> Vec<Fault> {
    let faults = ports.flat_map(|port| match &port.kind {
        PortKind::Device(device) => [device_fault(config, port, &device.spec, host), None],
        PortKind::VhostUser(vhost) => {
            let group = group_fault(config, &port.path("vhost_user.group"), vhost.group.as_deref());
            [socket_fault(config, port, vhost), group]
        }
    });
    faults.flatten().collect()
}

fn core_faults(config: &Config, host: &Host) -> Vec<Fault> {
    let online = host.cpus();
    let listed = config.switch.cores.iter().flatten().enumerate();
    let missing = listed.filter(|(_, cpu)| !online.contains(cpu));
    let cpus: Vec<_> = online.iter().map(usize::to_string).collect();
    missing
        .map(|(place, cpu)| {
            let place = config.locate(&format!("switch.cores[{place}]"));
            let cure = format!("this host has CPUs {}", cpus.join(", "));
            Fault::at(&place, format!("there is no CPU {cpu}"), cure)
        })
        .collect()
}

fn memory_fault(config: &Config, plan: &Plan, host: &Host) -> Option<Fault> {
    let needed = MemoryPlan::needed(config, plan.cpus.len());
    if let Some(memory) = config.switch.memory
        && plan.memory.mbufs < needed.mbufs
    {
        let what = format!("{memory} are too little for these ports, rings and workers");
        let cure = format!("write at least {}MiB, or leave `memory` out", needed.mib());
        return Some(Fault::at(&config.locate("switch.memory"), what, cure));
    }
    let mib = plan.memory.mib();
    if !plan.memory.hugepages {
        let available = host.available_bytes() >> 20;
        let what = || format!("{mib} MiB of packet memory are needed, and {available} MiB are free");
        return (u64::from(mib) > available).then(|| {
            let cure = "free memory, or make rings smaller";
            Fault::at(&config.locate("switch.hugepages"), what(), cure)
        });
    }
    let free = host.free_huge_bytes() >> 20;
    (u64::from(mib) > free).then(|| {
        let what = format!("{mib} MiB of hugepages are needed, and {free} MiB are free");
        let size = host.huge_pages().first().map_or(2 << 20, |pages| pages.page_bytes);
        let pages = plan.memory.total_bytes.div_ceil(size);
        let cure = format!(
            "reserve them with `echo {pages} > /sys/kernel/mm/hugepages/hugepages-{}kB/nr_hugepages`, \
             or write `hugepages = false` for a trial",
            size / 1024
        );
        Fault::at(&config.locate("switch.hugepages"), what, cure)
    })
}

fn device_fault(config: &Config, port: &Port, spec: &DeviceSpec, host: &Host) -> Option<Fault> {
    let place = || config.locate(&port.path("device"));
    match spec {
        DeviceSpec::Pci(address) => {
            let address = address.to_string();
            if !host.has_pci_device(&address) {
                let cure = "list the NICs with `dpdk-devbind.py --status-dev net`";
                return Some(Fault::at(&place(), "there is no such PCI device", cure));
            }
            let driver = host.pci_driver(&address);
            if driver.as_deref().is_some_and(|driver| DPDK_DRIVERS.contains(&driver)) {
                return None;
            }
            let what = match driver {
                Some(driver) => format!("the kernel's driver {driver} holds this NIC"),
                None => "this NIC has no driver".to_owned(),
            };
            let cure = format!("bind it with `dpdk-devbind.py --bind=vfio-pci {address}`");
            Some(Fault::at(&place(), what, cure))
        }
        DeviceSpec::Vdev(vdev) => interface_fault(vdev, host).map(|name| {
            let what = format!("there is no network interface {name}");
            Fault::at(&place(), what, "list them with `ip link`")
        }),
    }
}

/// The kernel interface that a vdev needs and the host doesn't have.
fn interface_fault<'a>(vdev: &'a str, host: &Host) -> Option<&'a str> {
    let needs_interface = ["net_af_packet", "net_af_xdp"].iter().any(|driver| vdev.starts_with(driver));
    let interface = vdev.split(',').find_map(|argument| argument.strip_prefix("iface="))?;
    (needs_interface && !host.has_interface(interface)).then_some(interface)
}

/// What the host lacks for the control socket.
pub(super) fn control_fault(config: &Config) -> Option<Fault> {
    group_fault(config, "control.group", config.control.group.as_deref())
}

fn group_fault(config: &Config, path: &str, group: Option<&str>) -> Option<Fault> {
    let group = group?;
    sockets::group_id(group).is_none().then(|| {
        let place = config.locate(path);
        Fault::at(&place, format!("there is no group {group}"), format!("add it with `groupadd {group}`"))
    })
}

fn socket_fault(config: &Config, port: &Port, vhost: &VhostUser) -> Option<Fault> {
    let socket: &Path = &vhost.socket;
    let place = config.locate(&port.path("vhost_user.socket"));
    let folder = socket.parent().unwrap_or(Path::new("/"));
    if !folder.is_dir() {
        let cure = format!("make it with `mkdir -p {}`", folder.display());
        return Some(Fault::at(&place, format!("there is no folder {}", folder.display()), cure));
    }
    let kind = socket.symlink_metadata().ok()?.file_type();
    (!kind.is_socket()).then(|| {
        let verb = match vhost.role {
            VhostRole::Client => "connect to",
            VhostRole::Server => "replace",
        };
        let what = format!("{} is no socket, so there is nothing to {verb}", socket.display());
        Fault::at(&place, what, "remove it, or name another path")
    })
}
