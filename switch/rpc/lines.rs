//! Lines from a socket, with the files that are passed along.

use std::io::{ErrorKind, IoSliceMut, Result};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

/// Octets that are read at once.
const CHUNK: usize = 16 << 10;

/// What came.
pub(super) enum Line<'a> {
    /// A line without its end, and a file that came with it or with the octets before it.
    Whole(&'a [u8], Option<OwnedFd>),
    /// More octets than a line may have.
    TooLong,
    /// Nobody is at the other end any more.
    End,
}

/// A socket, read line by line.
pub(super) struct Lines {
    stream: UnixStream,
    most: usize,
    /// What was read.
    buffer: Vec<u8>,
    /// Octets of it that were given out.
    taken: usize,
    /// The last file that came.
    file: Option<OwnedFd>,
}

impl Lines {
    /// Lines of up to `most` octets.
    pub(super) fn new(stream: UnixStream, most: usize) -> Self {
        Self { stream, most, buffer: Vec::new(), taken: 0, file: None }
    }

    /// The socket.
    pub(super) fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Waits for a line.
    ///
    /// # Errors
    ///
    /// The socket's, its read timeout among them.
    pub(super) fn next(&mut self) -> Result<Line<'_>> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let mut searched = 0;
        loop {
            if let Some(end) = self.buffer[searched..].iter().position(|&octet| octet == b'\n') {
                let end = searched + end;
                self.taken = end + 1;
                return Ok(Line::Whole(&self.buffer[..end], self.file.take()));
            }
            searched = self.buffer.len();
            if searched >= self.most {
                return Ok(Line::TooLong);
            }
            if self.receive()? == 0 {
                // What has no end is a line all the same, as for anybody who reads lines.
                self.taken = searched;
                return Ok(match searched {
                    0 => Line::End,
                    _ => Line::Whole(&self.buffer[..searched], self.file.take()),
                });
            }
        }
    }

    fn receive(&mut self) -> Result<usize> {
        let mut chunk = [0; CHUNK];
        let room = CHUNK.min(self.most - self.buffer.len());
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut parts = [IoSliceMut::new(&mut chunk[..room])];
            match recvmsg(&self.stream, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => break received?.bytes,
            }
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(files) = message {
                // One that nobody asked for is closed here.
                self.file = files.last();
            }
        }
        self.buffer.extend_from_slice(&chunk[..received]);
        Ok(received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn text(line: Line<'_>) -> String {
        match line {
            Line::Whole(line, _) => String::from_utf8_lossy(line).into_owned(),
            Line::TooLong => "(too long)".to_owned(),
            Line::End => "(end)".to_owned(),
        }
    }

    #[test]
    fn lines_come_apart_however_they_were_sent() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let mut lines = Lines::new(far, 100);
        near.write_all(b"one\ntwo\nthr").unwrap();
        assert_eq!(text(lines.next().unwrap()), "one");
        assert_eq!(text(lines.next().unwrap()), "two");
        near.write_all(b"ee\n\nrest").unwrap();
        drop(near);
        for wanted in ["three", "", "rest", "(end)", "(end)"] {
            assert_eq!(text(lines.next().unwrap()), wanted);
        }
    }

    #[test]
    fn a_line_without_end_is_not_kept_for_ever() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let mut lines = Lines::new(far, 100);
        near.write_all(&[b'x'; 99]).unwrap();
        near.write_all(b"\n").unwrap();
        assert_eq!(text(lines.next().unwrap()).len(), 99);
        near.write_all(&[b'x'; 150]).unwrap();
        assert_eq!(text(lines.next().unwrap()), "(too long)");
    }
}
