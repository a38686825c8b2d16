//! Finding devices, plugging them in and out.

use std::ffi::{CStr, c_char};
use std::sync::PoisonError;

use dpdk_sys as sys;

use crate::Eal;
use crate::error::{Error, Result, c_string, check};
use crate::port::{Port, Stopped};
use crate::vhost::Origin;

/// A device that DPDK can drive, as a PCI address (`0000:03:00.0`) or a vdev's name with its arguments
/// (`net_tap0,iface=lab0`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Device(String);

impl Device {
    /// The device of these arguments. Whether there is one, attaching shows.
    pub fn new(devargs: impl Into<String>) -> Self {
        Self(devargs.into())
    }

    /// The device's address or name, without its arguments.
    pub fn name(&self) -> &str {
        self.0.split(',').next().unwrap_or_default()
    }

    /// Plugs the device in. It goes out again with its port.
    ///
    /// # Errors
    ///
    /// There is no such device or driver; it has a port already; it refuses its arguments.
    pub fn attach(&self, eal: &Eal) -> Result<Port<Stopped>> {
        attach(eal, &self.0, None)
    }
}

pub(crate) fn attach(eal: &Eal, devargs: &str, vhost: Option<Origin>) -> Result<Port<Stopped>> {
    const CALL: &str = "rte_dev_probe";
    let text = c_string(CALL, devargs)?;
    let name = devargs.split(',').next().unwrap_or_default();
    // One at a time: between looking and taking, nobody else shall take.
    let mut claimed = eal.inner().claimed.lock().unwrap_or_else(PoisonError::into_inner);
    // EAL probes the PCI devices on its list when it starts.
    let mut found = matching(&text);
    if found.is_empty() {
        // SAFETY: the text ends, and is copied.
        let probed = check(CALL, devargs, unsafe { sys::rte_dev_probe(text.as_ptr()) });
        probed.map_err(|error| match error.errno() {
            // What EAL says to a name that begins like no driver's.
            libc::EFAULT => Error::refused(CALL, devargs, libc::ENODEV, "no driver knows such a device"),
            _ => error,
        })?;
        found = matching(&text);
    } else if found.iter().all(|&port| is_claimed(&claimed, port)) {
        let message = "the device belongs to another port already";
        return Err(Error::refused(CALL, name, libc::EEXIST, message));
    }
    let Some(number) = found.into_iter().find(|&port| !is_claimed(&claimed, port)) else {
        return Err(Error::refused(CALL, name, libc::ENODEV, "the device came up without a port"));
    };
    let device = crate::info::raw(number, name)?.device;
    claimed.push(Claim { port: number, device: device.addr() });
    drop(claimed);
    Ok(Port::new(eal, number, vhost))
}

/// Closes a port and unplugs its device. The port must be stopped, with no queue out.
pub(crate) fn close(eal: &Eal, number: u16, name: &str) {
    let mut claimed = eal.inner().claimed.lock().unwrap_or_else(PoisonError::into_inner);
    let device = crate::info::raw(number, name).map_or(std::ptr::null_mut(), |info| info.device);
    // SAFETY: takes any port number; the port is stopped and nobody polls it.
    unsafe { sys::rte_eth_dev_close(number) };
    // The number stays claimed until the device is gone, so that no new port is taken for it.
    let last = claimed.iter().all(|claim| claim.port == number || claim.device != device.addr());
    if last && !device.is_null() {
        // SAFETY: the device is the one the port was of. It outlives its ports, and nobody else unplugs
        // it: that is left to its last port, and only a port's one owner closes it.
        unsafe { sys::rte_dev_remove(device) };
    }
    claimed.retain(|claim| claim.port != number);
}

/// A port that a `Port` stands for.
pub(crate) struct Claim {
    port: u16,
    /// The address of its device, to tell which ports share one.
    device: usize,
}

fn is_claimed(claimed: &[Claim], port: u16) -> bool {
    claimed.iter().any(|claim| claim.port == port)
}

/// The name of a port that is there.
pub(crate) fn name(number: u16) -> String {
    // RTE_ETH_NAME_MAX_LEN of DPDK is 64; the call doesn't ask how long the buffer is.
    let mut text = [0 as c_char; 256];
    // SAFETY: takes any port number, and writes a name of at most 64 octets, its end included.
    let ret = unsafe { sys::rte_eth_dev_get_name_by_port(number, text.as_mut_ptr()) };
    if ret != 0 {
        return format!("port {number}");
    }
    // SAFETY: the buffer was zero and is longer than any name, so the text ends.
    unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned()
}

/// The ports of the device that `devargs` describe.
fn matching(devargs: &CStr) -> Vec<u16> {
    let mut ports = vec![0; sys::SHIM_MAX_PORTS as usize];
    // SAFETY: the text ends; at most as many numbers are written as there is room for.
    let count = unsafe { sys::shim_ports_matching(devargs.as_ptr(), ports.as_mut_ptr(), ports.len() as u32) };
    ports.truncate(usize::try_from(count).unwrap_or(0));
    ports
}
