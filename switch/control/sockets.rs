//! The sockets that we listen on: a dead one must not be in the way, a live one not be taken from whoever
//! listens.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen, socket};
use nix::unistd::Group;
use pollux_config::{VhostRole, VhostUser};

/// Removes the socket of a process that is gone, where we are going to listen.
pub(super) fn clear(vhost: &VhostUser) -> Result<()> {
    match vhost.role {
        VhostRole::Server => remove_stale(&vhost.socket),
        VhostRole::Client => Ok(()),
    }
}

/// Removes a socket that nobody listens on. Anything else that has the name is an error.
pub(crate) fn remove_stale(path: &Path) -> Result<()> {
    let about = |error: Error| Error::new(error.kind(), format!("{}: {error}", path.display()));
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(about(error)),
    };
    if !kind.is_socket() {
        let what = format!("{} is there and no socket: remove it, or name another path", path.display());
        return Err(Error::new(ErrorKind::AlreadyExists, what));
    }
    match connect_at_once(path) {
        Err(Errno::ECONNREFUSED) => fs::remove_file(path).map_err(about),
        Err(Errno::ENOENT) => Ok(()),
        // Among others EAGAIN: somebody listens, and has too many waiting.
        Ok(_) | Err(_) => {
            let what =
                format!("another process listens on {}: stop it, or name another path", path.display());
            Err(Error::new(ErrorKind::AddrInUse, what))
        }
    }
}

/// Listens on `path`, where only the process's own user may come in until [`open_up`] lets others.
pub(crate) fn listen_alone(path: &Path) -> Result<UnixListener> {
    let listener = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(listener.as_raw_fd(), &UnixAddr::new(path)?)?;
    // Nobody can come before it listens.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    listen(&listener, Backlog::MAXCONN)?;
    Ok(listener.into())
}

/// Connects without waiting; nor does the stream wait. `EAGAIN`: too many wait there already.
pub(super) fn connect_at_once(path: &Path) -> nix::Result<UnixStream> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(socket.into())
}

/// The number of a group, by its name or number.
pub(super) fn group_id(group: &str) -> Option<u32> {
    let number = group.parse().ok();
    number.or_else(|| Some(Group::from_name(group).ok()??.gid.as_raw()))
}

/// Gives a socket that we listen on the mode and the group that the file asks for.
pub(super) fn open_up(path: &Path, mode: Option<u32>, group: Option<&str>) -> Result<()> {
    let about = |what: String| move |error: Error| Error::new(error.kind(), format!("{what}: {error}"));
    if let Some(group) = group {
        let failed = about(format!("giving {} to group {group}", path.display()));
        let id = group_id(group).ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such group"));
        id.and_then(|id| std::os::unix::fs::chown(path, None, Some(id))).map_err(failed)?;
    }
    if let Some(mode) = mode {
        let failed = about(format!("setting the mode of {}", path.display()));
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_comes_in_before_he_may() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let listener = listen_alone(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let _client = UnixStream::connect(&path).unwrap();
        listener.accept().unwrap();
        assert_eq!(listen_alone(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
    }

    #[test]
    fn a_dead_socket_goes_and_a_live_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vm.sock");
        remove_stale(&path).unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(remove_stale(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        assert!(path.exists());
        drop(listener);
        remove_stale(&path).unwrap();
        assert!(!path.exists());
        fs::write(&path, "mine").unwrap();
        assert_eq!(remove_stale(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert!(path.exists());
    }
}
