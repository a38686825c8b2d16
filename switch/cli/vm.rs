use std::fmt::Write;
use std::path::{Path, PathBuf};

use pollux_config::{Config, Port, PortKind, VhostRole, VhostUser, limits};
use pollux_net::Mac;

use super::{DEFAULT_CONFIG, Outcome, file};

/// Descriptors of the rings to ask for: the most that QEMU's vhost-user takes.
const RING: u16 = 1024;

/// The name of the channel of a guest's agent under libvirt.
const AGENT: &str = "org.pollux.guest_agent.0";

#[derive(Debug, clap::Args)]
pub(super) struct VmArguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Prints libvirt's XML instead of QEMU's arguments
    #[arg(long)]
    libvirt: bool,
    /// A vhost-user port of the file
    port: String,
}

/// Prints what a VM needs to be on a port.
pub(super) fn vm(arguments: &VmArguments) -> Outcome {
    let config = match file::load(&arguments.config) {
        Ok(config) => config,
        Err(outcome) => return outcome,
    };
    match find(&config, &arguments.port) {
        Ok((port, vhost)) if arguments.libvirt => print!("{}", libvirt(port, vhost, config.switch.hugepages)),
        Ok((port, vhost)) => print!("{}", qemu(port, vhost, config.switch.hugepages)),
        Err(what) => {
            eprintln!("{}: {what}", arguments.config.display());
            return Outcome::BadInput;
        }
    }
    Outcome::Done
}

fn find<'c>(config: &'c Config, name: &str) -> Result<(&'c Port, &'c VhostUser), String> {
    let vhost = |port: &'c Port| match &port.kind {
        PortKind::VhostUser(vhost) => Some((port, vhost)),
        PortKind::Device(_) => None,
    };
    let found = config.ports.iter().filter_map(vhost).find(|(port, _)| port.name == name);
    found.ok_or_else(|| {
        let names = config.ports.iter().filter_map(vhost).map(|(port, _)| port.name.as_str());
        let names: Vec<_> = names.collect();
        if names.is_empty() {
            return "it has no vhost-user port: add one with `vhost_user = { socket = \"/run/pollux/vm1.sock\" }`"
                .to_owned();
        }
        format!("it has no vhost-user port {name}: name one of {}", names.join(", "))
    })
}

/// The same address for a port's name every time, from those that QEMU and libvirt give out.
fn mac(name: &str) -> Mac {
    // FNV-1a, 64 bits: short and spread well enough that the VMs of a host differ.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let [.., a, b, c] = hash.to_be_bytes();
    Mac::new([0x52, 0x54, 0x00, a, b, c])
}

fn qemu(port: &Port, vhost: &VhostUser, hugepages: bool) -> String {
    let (name, socket, queues) = (&port.name, vhost.socket.display(), vhost.queues);
    let memory = if hugepages { ",hugetlb=on,hugetlbsize=2M" } else { "" };
    let side = match vhost.role {
        VhostRole::Client => "server=on,wait=off",
        VhostRole::Server => "reconnect=1",
    };
    let mut device = format!("virtio-net-pci,netdev={name},mac={}", mac(name));
    if queues > 1 {
        // An interrupt for each queue, one for changes and one for the control queue.
        let _ = write!(device, ",mq=on,vectors={}", 2 * queues + 2);
    }
    let _ = write!(device, ",rx_queue_size={RING},tx_queue_size={RING}");
    if port.mtu != limits::DEFAULT_MTU {
        let _ = write!(device, ",host_mtu={}", port.mtu);
    }
    let agent = match &vhost.guest_agent {
        None => String::new(),
        // A port's name has no dot, so that no other port has this one.
        Some(socket) => format!(
            " \\\n-chardev socket,id={name}.agent,path={},server=on,wait=off \\\n\
             -device virtio-serial-pci,id={name}.serial \\\n\
             -device virtserialport,bus={name}.serial.0,chardev={name}.agent,name=org.qemu.guest_agent.0",
            socket.display()
        ),
    };
    format!(
        "-object memory-backend-memfd,id=memory,size=2G,share=on{memory} -machine memory-backend=memory \\\n\
         -chardev socket,id={name},path={socket},{side} \\\n\
         -netdev vhost-user,id={name},chardev={name},queues={queues} \\\n\
         -device {device}{agent}\n"
    )
}

fn libvirt(port: &Port, vhost: &VhostUser, hugepages: bool) -> String {
    let socket = vhost.socket.display();
    let pages = if hugepages { "\n  <hugepages/>" } else { "" };
    let source = match vhost.role {
        VhostRole::Client => format!("<source type='unix' path='{socket}' mode='server'/>"),
        VhostRole::Server => format!(
            "<source type='unix' path='{socket}' mode='client'>\n    <reconnect enabled='yes' timeout='1'/>\n  </source>"
        ),
    };
    let mtu = match port.mtu {
        limits::DEFAULT_MTU => String::new(),
        mtu => format!("\n  <mtu size='{mtu}'/>"),
    };
    format!(
        "<!-- in <domain> -->\n\
         <memoryBacking>{pages}\n  <source type='memfd'/>\n  <access mode='shared'/>\n</memoryBacking>\n\
         <!-- in <devices> -->\n\
         <interface type='vhostuser'>\n  <mac address='{mac}'/>\n  {source}\n  <model type='virtio'/>\n  \
         <driver queues='{queues}' rx_queue_size='{RING}' tx_queue_size='{RING}'/>{mtu}\n</interface>\n{agent}",
        mac = mac(&port.name),
        queues = vhost.queues,
        agent = vhost.guest_agent.as_deref().map(libvirts_channel).unwrap_or_default(),
    )
}

/// The channel of a guest agent. libvirt itself holds the one with QEMU's name for it.
fn libvirts_channel(socket: &Path) -> String {
    format!(
        "<!-- libvirt talks to org.qemu.guest_agent.0 itself, and an agent to one client: this is one more.\n     \
         In the guest: mkdir /run/{AGENT}; qemu-ga -d -p /dev/virtio-ports/{AGENT} -f /run/{AGENT}.pid -t /run/{AGENT} -->\n\
         <channel type='unix'>\n  <source mode='bind' path='{}'/>\n  <target type='virtio' name='{AGENT}'/>\n\
         </channel>\n",
        socket.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[ports.vm1]\nvhost_user = { socket = \"/run/vm1.sock\", queues = 2 }\nmtu = 9000\n\
                        [ports.vm2]\nvhost_user = { socket = \"/run/vm2.sock\", role = \"server\" }\n\
                        [ports.vm3]\nvhost_user = { socket = \"/run/vm3.sock\", guest_agent = \"/run/ga.sock\" }\n\
                        [ports.nic]\ndevice = \"net_null0\"\n";

    fn shown(name: &str, show: impl Fn(&Port, &VhostUser, bool) -> String) -> String {
        let config = pollux_config::parse("pollux.toml", FILE).unwrap();
        let (port, vhost) = find(&config, name).unwrap();
        show(port, vhost, config.switch.hugepages)
    }

    #[test]
    fn qemu_listens_where_we_connect() {
        let text = shown("vm1", qemu);
        for part in [
            "memory-backend-memfd,id=memory,size=2G,share=on,hugetlb=on",
            "path=/run/vm1.sock,server=on,wait=off",
            "queues=2",
            "mq=on,vectors=6",
            "host_mtu=9000",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        let text = shown("vm2", qemu);
        assert!(text.contains("path=/run/vm2.sock,reconnect=1"), "{text}");
        assert!(!text.contains("mq=on") && !text.contains("host_mtu"), "{text}");
    }

    #[test]
    fn libvirts_mode_is_the_vms_side() {
        assert!(shown("vm1", libvirt).contains("path='/run/vm1.sock' mode='server'/>"));
        let text = shown("vm2", libvirt);
        assert!(text.contains("mode='client'>") && text.contains("<reconnect enabled='yes'"), "{text}");
    }

    #[test]
    fn a_guest_agent_has_a_channel() {
        let text = shown("vm3", qemu);
        for part in [
            "\n-chardev socket,id=vm3.agent,path=/run/ga.sock,server=on,wait=off \\\n",
            "\n-device virtserialport,bus=vm3.serial.0,chardev=vm3.agent,name=org.qemu.guest_agent.0\n",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        let text = shown("vm3", libvirt);
        assert!(text.contains("<source mode='bind' path='/run/ga.sock'/>"), "{text}");
        assert!(!shown("vm1", qemu).contains("agent") && !shown("vm1", libvirt).contains("channel"));
    }

    #[test]
    fn each_name_has_an_address_of_its_own() {
        assert_eq!(mac("vm1"), mac("vm1"));
        let all: std::collections::BTreeSet<_> = (0..1000).map(|n| mac(&format!("vm{n}"))).collect();
        assert_eq!(all.len(), 1000);
        assert!(all.iter().all(|mac| mac.is_valid_source()));
    }

    #[test]
    fn a_port_that_is_no_vms_is_refused_with_those_that_are() {
        let config = pollux_config::parse("pollux.toml", FILE).unwrap();
        let refusal = |name: &str| find(&config, name).unwrap_err();
        assert_eq!(refusal("nic"), "it has no vhost-user port nic: name one of vm1, vm2, vm3");
        assert_eq!(refusal("vm4"), "it has no vhost-user port vm4: name one of vm1, vm2, vm3");
    }
}
