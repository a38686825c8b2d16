//! The programs that the demo needs, and the rights.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::DemoError;

/// Where administrators' programs are, whether or not PATH says so.
const SYSTEM_FOLDERS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// The capabilities of <linux/capability.h> that the demo needs, with what for.
const CAPABILITIES: [(u32, &str); 3] = [
    (12, "CAP_NET_ADMIN, to make network interfaces"),
    (13, "CAP_NET_RAW, to open packet sockets"),
    (21, "CAP_SYS_ADMIN, to make network namespaces"),
];

/// The programs, by path.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) ip: PathBuf,
    pub(super) ethtool: PathBuf,
    pub(super) ping: PathBuf,
}

impl Tools {
    /// Finds them all, or says which are missing.
    pub(super) fn find() -> Result<Self, DemoError> {
        let mut missing = Vec::new();
        let mut look = |program: &str, package: &'static str| {
            let found = find(program);
            if found.is_none() {
                missing.push((program.to_owned(), package));
            }
            found.unwrap_or_default()
        };
        let tools = Self {
            ip: look("ip", "iproute2"),
            ethtool: look("ethtool", "ethtool"),
            ping: look("ping", "iputils-ping"),
        };
        if missing.is_empty() {
            return Ok(tools);
        }
        let (programs, packages): (Vec<_>, Vec<_>) = missing.into_iter().unzip();
        Err(DemoError::Lacks(format!(
            "this host has no {}: install {}, as with `apt-get install {}`",
            programs.join(", no "),
            if packages.len() == 1 { "the package" } else { "the packages" },
            packages.join(" ")
        )))
    }

    /// Runs `ip` with these words.
    pub(super) fn ip(&self, words: &[&str]) -> Result<(), DemoError> {
        call(Command::new(&self.ip).args(words))
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Runs a short program. It is in a process group of its own: a signal from the terminal is for the
/// demo, which ends in order.
pub(super) fn call(command: &mut Command) -> Result<(), DemoError> {
    let done = command.process_group(0).stdin(Stdio::null()).output();
    let line = || {
        let words = std::iter::once(command_name(command)).chain(command.get_args());
        words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    };
    let done = match done {
        Ok(done) => done,
        Err(error) => return Err(DemoError::Failed(format!("`{}` can't be run: {error}", line()))),
    };
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let said = said.trim();
    let cure = if said.contains("not permitted") || said.contains("denied") {
        "run the demo as root, in a container with --privileged"
    } else if said.contains("nknown device type") || said.contains("not supported") {
        "load the kernel's module with `modprobe veth`, or take a kernel with network namespaces and veth"
    } else {
        "try the command by hand"
    };
    Err(DemoError::Lacks(format!("`{}` ended with {}: {said}; {cure}", line(), done.status)))
}

fn command_name(command: &Command) -> &OsStr {
    let program = Path::new(command.get_program());
    program.file_name().unwrap_or(program.as_os_str())
}

/// An error if this process may not do what the demo does.
pub(super) fn privileges() -> Result<(), DemoError> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let missing = missing_capabilities(&status);
    if missing.is_empty() {
        return Ok(());
    }
    let what = missing.join("; ");
    Err(DemoError::Lacks(format!(
        "the demo needs rights that this process hasn't ({what}): run it as root, as with `sudo pollux demo`, \
         in a container with --privileged"
    )))
}

/// What the effective capabilities lack; nothing where the kernel doesn't tell.
fn missing_capabilities(status: &str) -> Vec<&'static str> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(bits) = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()) else {
        return Vec::new();
    };
    CAPABILITIES.iter().filter(|(bit, _)| bits & 1 << bit == 0).map(|&(_, about)| about).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_rights_are_named() {
        assert!(missing_capabilities("CapEff:\t000001ffffffffff\n").is_empty());
        assert!(missing_capabilities("").is_empty());
        assert_eq!(missing_capabilities("CapPrm:\t0\nCapEff:\t0000000000203000\n"), [""; 0]);
        let missing = missing_capabilities("CapEff:\t0000000000201000\n");
        assert!(matches!(missing[..], [raw] if raw.starts_with("CAP_NET_RAW")), "{missing:?}");
    }

    #[test]
    fn a_failed_command_is_named_with_what_it_said() {
        let error = call(Command::new("/bin/sh").args(["-c", "echo Operation not permitted >&2; exit 4"]));
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("`sh -c") && text.contains("Operation not permitted; run"), "{text}");
        assert!(matches!(call(&mut Command::new("/nowhere/ip")), Err(DemoError::Failed(_))));
    }
}
