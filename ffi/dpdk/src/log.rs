//! What DPDK says, line by line.

use std::ffi::c_char;
use std::io::Write;
use std::sync::OnceLock;

use dpdk_sys as sys;

/// How much a line matters; DPDK's own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// The system is unusable.
    Emergency = 1,
    /// Something must be done at once.
    Alert = 2,
    /// A critical condition.
    Critical = 3,
    /// An error.
    Error = 4,
    /// A warning.
    Warning = 5,
    /// Normal, but worth noting.
    Notice = 6,
    /// Information.
    Info = 7,
    /// Details for developers.
    Debug = 8,
}

/// Takes a line, without its end.
pub type LogSink = fn(LogLevel, &str);

/// Writes lines to the standard error stream.
pub fn to_stderr(_level: LogLevel, line: &str) {
    // A closed stream is no reason to end the process.
    let _ = writeln!(std::io::stderr().lock(), "dpdk: {line}");
}

static SINK: OnceLock<LogSink> = OnceLock::new();

/// Sends what DPDK says from now on to `sink`. Without a stream to do so, DPDK keeps its own.
pub(crate) fn install(sink: LogSink, level: LogLevel) {
    let first = SINK.set(sink).is_ok();
    if first {
        // SAFETY: both may be called before rte_eal_init. The callback is a plain function and may be
        // called at any time from any thread: it uses nothing but SINK, which is set.
        unsafe {
            sys::rte_log_set_global_level(level as u32);
            sys::shim_log_to(Some(write_line));
        }
    }
}

extern "C" fn write_line(level: u32, text: *const c_char, len: usize) {
    let level = match level {
        1 => LogLevel::Emergency,
        2 => LogLevel::Alert,
        3 => LogLevel::Critical,
        4 => LogLevel::Error,
        5 => LogLevel::Warning,
        6 => LogLevel::Notice,
        7 => LogLevel::Info,
        _ => LogLevel::Debug,
    };
    // SAFETY: the shim passes `len` octets that it was given to write, and that stay during the call.
    let octets = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), len) };
    if let Some(sink) = SINK.get() {
        for line in String::from_utf8_lossy(octets).lines() {
            sink(level, line);
        }
    }
}
