//! Turns what C returns into errors. Nothing else in this crate interprets a return value.

use std::ffi::{CStr, c_int};
use std::fmt;

use dpdk_sys as sys;

/// A call to DPDK that didn't succeed, or one that this crate refused to make.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {subject}: {message}{}", Cure(self.cure()))]
pub struct Error {
    call: &'static str,
    subject: String,
    errno: i32,
    message: String,
}

/// What succeeds, or fails with an [`Error`](struct@Error).
pub type Result<T, E = Error> = std::result::Result<T, E>;

struct Cure(Option<&'static str>);

impl fmt::Display for Cure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |cure| write!(f, " ({cure})"))
    }
}

impl Error {
    /// The DPDK function that failed, or the one that would have been called.
    pub fn call(&self) -> &'static str {
        self.call
    }

    /// The thing it was called for: a device, a port, a pool.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What is wrong, without the call and its subject.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The errno, positive; 0 where DPDK gave none.
    pub fn errno(&self) -> i32 {
        self.errno
    }

    /// What would cure it, where that is known.
    pub fn cure(&self) -> Option<&'static str> {
        known_cure(self.call, self.errno)
    }

    /// Whether the device simply has no such operation, which is normal for many virtual devices.
    pub fn is_unsupported(&self) -> bool {
        self.errno == libc::ENOTSUP || self.errno == libc::ENOSYS
    }

    pub(crate) fn from_errno(call: &'static str, subject: impl Into<String>, errno: i32) -> Self {
        let message = match errno {
            0 => "failed without saying why".to_owned(),
            _ => error_text(errno),
        };
        Self { call, subject: subject.into(), errno, message }
    }

    pub(crate) fn refused(
        call: &'static str,
        subject: impl Into<String>,
        errno: i32,
        message: impl Into<String>,
    ) -> Self {
        Self { call, subject: subject.into(), errno, message: message.into() }
    }
}

/// What helps against a failure, for those a user meets.
fn known_cure(call: &str, errno: i32) -> Option<&'static str> {
    Some(match (call, errno) {
        ("rte_eal_init", libc::EACCES | libc::EPERM) => {
            "run as root, or give the process the hugepage and VFIO rights it needs"
        }
        ("rte_eal_init", libc::ENOMEM) => "reserve more hugepages, or run without them",
        ("rte_pktmbuf_pool_create", libc::ENOMEM) => {
            "reserve more memory for DPDK, or use fewer or smaller rings"
        }
        ("rte_acl_create" | "rte_acl_build", libc::ENOMEM | libc::ERANGE) => {
            "reserve more memory for DPDK, or use fewer rules"
        }
        ("rte_dev_probe", libc::ENODEV | libc::ENOENT) => {
            "check the address or the driver's name; a PCI device must be bound to vfio-pci"
        }
        ("rte_dev_probe", libc::EEXIST) => "give each device to one port only",
        ("rte_eth_dev_configure", libc::EINVAL) => "ask for fewer queues or a smaller MTU",
        ("rte_eth_dev_flow_ctrl_set" | "rte_eth_dev_priority_flow_ctrl_set", libc::EINVAL) => {
            "keep the low water mark below the high one, and both within the device's buffer"
        }
        ("rte_eth_dev_set_mtu", libc::EBUSY) => "stop the port first",
        ("rte_eth_dev_stop", libc::EBUSY) => "drop the port's queues first",
        ("rte_meter_srtcm_profile_config", libc::EINVAL) => "give a rate, and a burst",
        ("rte_meter_trtcm_profile_config", libc::EINVAL) => {
            "give two rates and two bursts, and a peak rate that is at least the committed one"
        }
        ("rte_meter_trtcm_rfc4115_profile_config", libc::EINVAL) => "give each rate a burst",
        ("rte_thread_register", libc::ENOMEM) => "start fewer threads",
        _ => return None,
    })
}

/// Zero or more is success, less is a negated errno.
pub(crate) fn check(call: &'static str, subject: &str, ret: c_int) -> Result<u32> {
    u32::try_from(ret).map_err(|_| {
        // Some functions return -1 and leave the reason in rte_errno.
        let errno = if ret == -1 { last_errno().max(1) } else { -ret };
        Error::from_errno(call, subject, errno)
    })
}

/// The calling thread's rte_errno.
pub(crate) fn last_errno() -> i32 {
    // SAFETY: reads a variable of the calling thread; nothing is required.
    unsafe { sys::shim_errno() }
}

fn error_text(errno: i32) -> String {
    // SAFETY: rte_strerror takes any number and returns a string that lives until the calling
    // thread's next call of it; it is copied at once.
    unsafe { CStr::from_ptr(sys::rte_strerror(errno)) }.to_string_lossy().into_owned()
}

/// Copies a C string that may be null.
///
/// # Safety
///
/// `text` is null or points to a string that ends and that nobody changes during the call.
pub(crate) unsafe fn text_of(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        String::new()
    } else {
        // SAFETY: not null, and a string by the caller's promise.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }
}

/// `text` for C; an octet of zero within it is an error, as DPDK would see only what is in front of it.
pub(crate) fn c_string(call: &'static str, text: &str) -> Result<std::ffi::CString> {
    std::ffi::CString::new(text).map_err(|_| {
        Error::refused(call, text.replace('\0', "\\0"), libc::EINVAL, "the text contains a zero octet")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_call_thing_reason_and_cure() {
        let error = check("rte_dev_probe", "net_nul0", -libc::ENODEV).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("rte_dev_probe: net_nul0: No such device ("), "{text}");
        assert!(text.contains("vfio-pci"), "{text}");
        assert_eq!(check("rte_eth_dev_start", "port 0", 3), Ok(3));
    }
}
