//! What runs inside a host's namespace, each a process of its own: the ends of the TCP transfer, and the
//! look at a counter.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::DemoError;

/// What the receiver says when it can be connected to.
pub(super) const LISTENING: &str = "listening";

/// Octets that are written, read and summed up at once.
const BLOCK: usize = 64 << 10;

/// How long an end waits for the other, however little of the processor either gets. None outlives a
/// demo that was killed by more.
const PATIENCE: Duration = Duration::from_secs(15);

/// What to do inside a host's namespace.
#[derive(Debug, clap::Subcommand)]
pub enum EndArguments {
    /// Takes one connection, and what comes on it
    Receive {
        /// Where to listen
        address: SocketAddr,
    },
    /// Sends as fast as it can
    Send {
        /// Where to connect
        address: SocketAddr,
        /// For how long, in seconds
        seconds: f64,
    },
    /// Prints how many echo replies the host has received
    EchoReplies,
}

/// What one end counted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Counted {
    pub(super) bytes: u64,
    /// Of all octets, in their order.
    pub(super) checksum: u64,
    pub(super) seconds: f64,
    /// Segments that the host sent more than once.
    pub(super) sent_again: u64,
}

/// Does the work, and prints what was counted as a line of JSON.
pub(super) fn run(arguments: &EndArguments) -> Result<(), DemoError> {
    let counted = match arguments {
        EndArguments::EchoReplies => {
            let replies = kernel_counter("Icmp:", "InEchoReps");
            return writeln!(io::stdout(), "{replies}").map_err(DemoError::Output);
        }
        EndArguments::Receive { address } => receive(*address),
        EndArguments::Send { address, seconds } => {
            let duration = Duration::try_from_secs_f64(*seconds);
            duration.map_err(io::Error::other).and_then(|duration| send(*address, duration))
        }
    };
    let counted = counted.map_err(|error| DemoError::Failed(format!("{arguments:?}: {error}")))?;
    let line = serde_json::to_string(&counted).map_err(|error| DemoError::Failed(error.to_string()))?;
    writeln!(io::stdout(), "{line}").map_err(DemoError::Output)
}

fn receive(address: SocketAddr) -> io::Result<Counted> {
    let listener = TcpListener::bind(address)?;
    writeln!(io::stdout(), "{LISTENING}")?;
    let mut stream = accept(&listener)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut block = vec![0; BLOCK];
    let mut tally = Tally::default();
    let start = Instant::now();
    loop {
        let length = read_block(&mut stream, &mut block)?;
        tally.add(&block[..length]);
        if length < BLOCK {
            return Ok(tally.counted(start));
        }
    }
}

/// Waits for a connection, but not for ever.
fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let end = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < end => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Fills the block, or as much of it as comes before the end.
fn read_block(stream: &mut TcpStream, block: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < block.len() {
        match stream.read(&mut block[length..])? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

fn send(address: SocketAddr, duration: Duration) -> io::Result<Counted> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut block = vec![0; BLOCK];
    let mut tally = Tally::default();
    let start = Instant::now();
    let mut number = 0;
    while start.elapsed() < duration {
        fill(&mut block, number);
        stream.write_all(&block)?;
        tally.add(&block);
        number += 1;
    }
    stream.shutdown(Shutdown::Write)?;
    // The receiver closes when it has read everything.
    stream.set_read_timeout(Some(PATIENCE))?;
    while stream.read(&mut block)? > 0 {}
    Ok(tally.counted(start))
}

/// Octets that differ from block to block and from place to place (SplitMix64's).
fn fill(block: &mut [u8], number: u64) {
    let mut state = number.wrapping_mul(BLOCK as u64);
    for word in block.chunks_exact_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word.copy_from_slice(&(mixed ^ mixed >> 27).to_le_bytes());
    }
}

/// The octets so far: how many, and two sums (Fletcher's, over words of 64 bits) of which the second
/// depends on their order.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    bytes: u64,
    sum: u64,
    sum_of_sums: u64,
}

impl Tally {
    fn add(&mut self, octets: &[u8]) {
        self.bytes += octets.len() as u64;
        for word in octets.chunks(8) {
            let mut padded = [0; 8];
            padded[..word.len()].copy_from_slice(word);
            self.sum = self.sum.wrapping_add(u64::from_le_bytes(padded));
            self.sum_of_sums = self.sum_of_sums.wrapping_add(self.sum);
        }
    }

    fn counted(self, start: Instant) -> Counted {
        Counted {
            bytes: self.bytes,
            checksum: self.sum.rotate_left(32) ^ self.sum_of_sums,
            seconds: start.elapsed().as_secs_f64(),
            sent_again: kernel_counter("Tcp:", "RetransSegs"),
        }
    }
}

/// A counter of this namespace's kernel.
fn kernel_counter(protocol: &str, name: &str) -> u64 {
    counter(&fs::read_to_string("/proc/net/snmp").unwrap_or_default(), protocol, name)
}

/// Reads a counter from the kernel's table: for each protocol a line of names, then a line of numbers.
fn counter(table: &str, protocol: &str, name: &str) -> u64 {
    let mut lines = table.lines().filter_map(|line| line.strip_prefix(protocol));
    let (Some(names), Some(numbers)) = (lines.next(), lines.next()) else { return 0 };
    let mut pairs = names.split_whitespace().zip(numbers.split_whitespace());
    let found = pairs.find(|(other, _)| *other == name);
    found.and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_count_the_same() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let receiver = thread::spawn(move || receive(address));
        let sent = loop {
            match send(address, Duration::from_millis(50)) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => thread::yield_now(),
                other => break other.unwrap(),
            }
        };
        let received = receiver.join().unwrap().unwrap();
        assert!(sent.bytes > 0);
        assert_eq!((sent.bytes, sent.checksum), (received.bytes, received.checksum));
    }

    #[test]
    fn order_and_content_matter() {
        let sum = |blocks: &[&[u8]]| {
            let mut tally = Tally::default();
            blocks.iter().for_each(|block| tally.add(block));
            tally.counted(Instant::now()).checksum
        };
        let (mut a, mut b) = ([0; 64], [0; 64]);
        fill(&mut a, 1);
        fill(&mut b, 2);
        assert_ne!(sum(&[&a, &b]), sum(&[&b, &a]));
        let whole = sum(&[&a]);
        a[13] ^= 1;
        assert_ne!(sum(&[&a]), whole);
    }

    #[test]
    fn the_kernels_table_is_read() {
        let table = "Ip: Forwarding\nIp: 1\nTcp: InSegs OutSegs RetransSegs InErrs\nTcp: 10 12 3 0\n";
        assert_eq!(counter(table, "Tcp:", "RetransSegs"), 3);
        assert_eq!([counter(table, "Tcp:", "Nonsense"), counter("", "Tcp:", "RetransSegs")], [0; 2]);
    }
}
