use std::path::PathBuf;

/// What the name of everything that a demo makes begins with; its process's number follows.
const STEM: &str = "plxdemo";

/// The names of what one process's demo makes.
pub(super) struct Names(u32);

impl Names {
    pub(super) fn of(process: u32) -> Self {
        Self(process)
    }

    /// A host's namespace, and the switch's end of its cable: at most 15 characters, as an interface's
    /// name must have.
    pub(super) fn host(&self, number: u8) -> String {
        format!("{STEM}{}{}", self.0, char::from(b'a' - 1 + number))
    }

    /// The number of the switch's end of a host's cable. DPDK's packet sockets join a group, one for all
    /// of the machine, whose 16 bits are the exclusive or of the process's and the interface's numbers,
    /// and which refuses sockets of another interface. With the kernel's own numbers, demos that start
    /// together meet in one; with these each socket has its own.
    pub(super) fn interface_number(&self, host: u8) -> u32 {
        let process = self.0;
        let group = 2 * process + u32::from(host);
        let high = 1 + process % 0x7ffe;
        high << 16 | (group ^ process) & 0xffff
    }

    /// The folder for sockets and DPDK's files.
    pub(super) fn folder(&self) -> PathBuf {
        std::env::temp_dir().join(format!("{STEM}{}", self.0))
    }
}

/// The process whose demo gave this name, if one did.
pub(super) fn owner(name: &str) -> Option<u32> {
    let rest = name.strip_prefix(STEM)?;
    rest.strip_suffix(['a', 'b']).unwrap_or(rest).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_sockets_have_groups_of_their_own() {
        let group = |process, host| (Names::of(process).interface_number(host) ^ process) & 0xffff;
        let processes = 4_190_000..4_194_304;
        let groups: std::collections::HashSet<_> =
            processes.clone().flat_map(|process| [group(process, 1), group(process, 2)]).collect();
        assert_eq!(groups.len(), 2 * processes.len());
        assert!(i32::try_from(Names::of(4_194_304).interface_number(2)).is_ok());
    }

    #[test]
    fn names_fit_and_tell_their_owner() {
        // The kernel's highest process number.
        let names = Names::of(4_194_304);
        assert!(names.host(2).len() <= 15, "{}", names.host(2));
        assert_eq!(owner(&names.host(1)), Some(4_194_304));
        assert_eq!(owner(names.folder().file_name().unwrap().to_str().unwrap()), Some(4_194_304));
        assert_eq!([owner("plxdemo"), owner("plxdemo1x"), owner("eth0")], [None; 3]);
    }
}
