//! Where a capture is written: a file that a client has opened.

use std::fs::{File, OpenOptions};
use std::io::{self, Error, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};

/// Octets that a pipe takes at once when it says that it takes some (`PIPE_BUF`).
const AT_ONCE: usize = 4096;

/// An open file. Writing to it never waits, but for a disk.
#[derive(Debug)]
pub(super) struct Output {
    file: File,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Always ready.
    File,
    /// A pipe that was opened anew: whether it waits is then nobody else's business.
    Pipe,
    Socket,
    /// Something that only says when it is ready.
    Other,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The time is over.
    Timeout,
    /// The output takes octets.
    Ready,
    /// Nobody will ever read what is written.
    ReaderGone,
    /// Somebody wants an end.
    Stop,
}

impl Output {
    /// # Errors
    ///
    /// It isn't open for writing.
    pub(super) fn new(file: OwnedFd) -> io::Result<Self> {
        let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
        if flags & OFlag::O_ACCMODE == OFlag::O_RDONLY {
            return Err(Error::new(ErrorKind::InvalidInput, "it is open for reading only"));
        }
        let file = File::from(file);
        let kind = file.metadata()?.file_type();
        if kind.is_fifo() {
            // The flag would be the client's as well, and whoever else has the file.
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            let again = OpenOptions::new().write(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
            return Ok(match again {
                Ok(file) => Self { file, kind: Kind::Pipe },
                Err(_) => Self { file, kind: Kind::Other },
            });
        }
        let kind = match kind {
            kind if kind.is_socket() => Kind::Socket,
            kind if kind.is_file() => Kind::File,
            _ => Kind::Other,
        };
        Ok(Self { file, kind })
    }

    /// Waits for `stop` to be closed, and, with `ready`, until the output takes octets.
    pub(super) fn wait(&self, stop: &impl AsFd, ready: bool, timeout: PollTimeout) -> Event {
        let wanted = if ready { PollFlags::POLLOUT } else { PollFlags::empty() };
        let mut files =
            [PollFd::new(stop.as_fd(), PollFlags::empty()), PollFd::new(self.file.as_fd(), wanted)];
        if poll(&mut files, timeout).is_err() {
            return Event::Timeout;
        }
        let [stopped, output] = files.map(|file| file.revents().unwrap_or(PollFlags::empty()));
        // A file on a disk has nobody at its other end.
        let gone = PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL;
        if !stopped.is_empty() {
            Event::Stop
        } else if output.intersects(gone) && self.kind != Kind::File {
            Event::ReaderGone
        } else if output.contains(PollFlags::POLLOUT) {
            Event::Ready
        } else {
            Event::Timeout
        }
    }

    /// Writes some of `octets`, and says how many; none where it would have to wait.
    pub(super) fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = match self.kind {
            Kind::File | Kind::Pipe => self.file.write(octets),
            Kind::Socket => {
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                send(self.file.as_raw_fd(), octets, flags).map_err(Error::from)
            }
            Kind::Other => match self.is_ready() {
                true => self.file.write(&octets[..octets.len().min(AT_ONCE)]),
                false => Ok(0),
            },
        };
        match written {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
            other => other,
        }
    }

    fn is_ready(&self) -> bool {
        let mut file = [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
        poll(&mut file, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    fn fill(output: &mut Output) -> usize {
        let octets = vec![7; 1 << 20];
        std::iter::repeat_with(|| output.write(&octets).unwrap()).take_while(|&written| written > 0).sum()
    }

    #[test]
    fn what_nobody_reads_is_not_waited_for() {
        let (mut reader, writer) = io::pipe().unwrap();
        let (stop, stopper) = io::pipe().unwrap();
        let (stream, other) = UnixStream::pair().unwrap();
        let shared = File::from(OwnedFd::from(writer.try_clone().unwrap()));
        let mut output = Output::new(writer.into()).unwrap();
        assert!(fill(&mut output) >= AT_ONCE);
        assert_eq!(output.wait(&stop, true, PollTimeout::ZERO), Event::Timeout);
        // Whoever else has the pipe still waits as before.
        let flags = OFlag::from_bits_retain(fcntl(&shared, FcntlArg::F_GETFL).unwrap());
        assert!(!flags.contains(OFlag::O_NONBLOCK));
        reader.read_exact(&mut [0; 8192]).unwrap();
        assert_eq!(output.wait(&stop, true, PollTimeout::ZERO), Event::Ready);
        drop((reader, shared));
        assert_eq!(output.wait(&stop, false, PollTimeout::ZERO), Event::ReaderGone);
        assert_eq!(output.write(&[1]).unwrap_err().kind(), ErrorKind::BrokenPipe);

        let mut output = Output::new(stream.into()).unwrap();
        assert!(fill(&mut output) > 0);
        assert_eq!(output.wait(&stop, true, PollTimeout::ZERO), Event::Timeout);
        drop(other);
        assert_eq!(output.wait(&stop, false, PollTimeout::ZERO), Event::ReaderGone);
        drop(stopper);
        assert_eq!(output.wait(&stop, true, PollTimeout::NONE), Event::Stop);
    }

    #[test]
    fn a_file_must_be_open_for_writing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refused = Output::new(File::open(file.path()).unwrap().into()).unwrap_err();
        assert!(refused.to_string().contains("reading only"));
        let mut output = Output::new(File::create(file.path()).unwrap().into()).unwrap();
        assert_eq!(output.write(b"octets").unwrap(), 6);
        let (stop, _stopper) = io::pipe().unwrap();
        assert_eq!(output.wait(&stop, true, PollTimeout::ZERO), Event::Ready);
        assert_eq!(output.wait(&stop, false, PollTimeout::ZERO), Event::Timeout);
    }
}
