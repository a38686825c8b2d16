//! Captures: what somebody wants to see of the frames, written to a file that he has opened.
//!
//! Each has a thread that writes ([`writer`]). It ends when it is told to, when a limit is reached, and when
//! nobody reads any more; the control thread takes it out of the workers' sight when it comes by.

mod interfaces;
mod live;
mod output;
mod pcapng;
mod writer;

use std::io::pipe;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dpdk::{Eal, PacketFilter};
use pollux_engine::tap::{Capture, CaptureSpec, MAX_CAPTURES};
use pollux_net::PortSet;
use serde::Serialize;

use super::ports::LivePort;
use interfaces::{Interfaces, Names};
use live::{End, LiveCapture, Progress};
use output::Output;
use writer::{Clock, Writer};

/// Octets of frames that may wait, shared out over the workers: what 25 milliseconds bring at 10 Gbit/s, for a
/// thread that looks every five.
const ROOM: usize = 32 << 20;

/// What a worker gets of that at least.
const LEAST_ROOM: usize = 1 << 20;

/// How long a capture's thread is waited for: longer than it takes to give up, unless a write hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is to be captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureRequest {
    /// What it is called. `None`: something that no other is.
    pub name: Option<String>,
    /// The ports, by name. Empty: all that there are and come.
    pub ports: Vec<String>,
    /// What they receive.
    pub rx: bool,
    /// What they send.
    pub tx: bool,
    /// What is dropped and counted on them.
    pub dropped: bool,
    /// What of that, in libpcap's words. `None`: all.
    pub filter: Option<String>,
    /// Octets of a frame that are kept at most.
    pub snap_length: u32,
    /// Frames after which it ends.
    pub max_frames: Option<u64>,
    /// Octets of the file that it keeps to.
    pub max_bytes: Option<u64>,
    /// The time after which it ends.
    pub max_seconds: Option<Duration>,
}

/// A capture can't be had.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The name is taken.
    #[error("there is a capture {0} already: stop it first, or choose another name")]
    NameTaken(String),
    /// There is none.
    #[error("there is no capture {0}: `capture show` lists them")]
    NoCapture(String),
    /// It isn't clear which.
    #[error("{0} captures run: name one, as in `capture stop NAME`")]
    Several(usize),
    /// None runs.
    #[error("no capture runs")]
    None,
    /// Too many.
    #[error("{MAX_CAPTURES} captures run already: stop one")]
    TooMany,
    /// The filter is none.
    #[error("{0}; write it as for tcpdump, as in `tcp port 80`")]
    Filter(dpdk::Error),
    /// The file can't be written.
    #[error("the file for the capture: {0}; open it for writing")]
    Output(std::io::Error),
    /// The host has no room for what writes.
    #[error("the capture can't be written: {0}; free memory or file descriptors")]
    Host(std::io::Error),
}

/// A capture, as people and programs see it; `docs/capture.md` describes the fields.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the page has them")]
pub struct CaptureState {
    pub name: String,
    pub ports: Option<Vec<String>>,
    pub direction: Option<&'static str>,
    pub dropped: bool,
    pub filter: Option<String>,
    pub snap_length: u32,
    pub max_frames: Option<u64>,
    pub max_bytes: Option<u64>,
    pub max_seconds: Option<f64>,
    pub frames: u64,
    pub bytes: u64,
    pub lost: u64,
    pub seconds: f64,
    pub state: &'static str,
    pub ended: Option<String>,
}

/// A capture that was told to end.
pub struct Ending(LiveCapture);

impl std::fmt::Debug for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ending").field(&self.0.name).finish()
    }
}

impl Ending {
    /// Waits until all is written, or given up, which takes seconds at most, and tells what came of it.
    pub fn finish(mut self) -> CaptureState {
        self.0.finish(Instant::now() + PATIENCE);
        self.0.state()
    }
}

/// All captures that run, and those that have ended since and whose counts nobody has asked for.
#[derive(Default)]
pub(super) struct Captures {
    captures: Vec<LiveCapture>,
    names: Names,
}

impl Captures {
    /// Those that workers are to see.
    pub(super) fn seen(&self) -> Vec<Arc<Capture<Arc<PacketFilter>>>> {
        self.captures.iter().filter(|live| live.seen).filter_map(|live| live.capture.clone()).collect()
    }

    /// Takes up which ports there are.
    pub(super) fn follow(&self, ports: &[LivePort]) {
        let names: Vec<_> = ports.iter().map(|port| (port.id, port.name.clone())).collect();
        if **self.names.load() != names {
            self.names.store(Arc::new(names));
        }
        for LiveCapture { request, capture, .. } in &self.captures {
            if let Some(capture) = capture {
                capture.set_ports(among(&request.ports, ports));
            }
        }
    }

    /// Starts one, which workers are to be shown then. `workers`: how many there are.
    pub(super) fn start(
        &mut self,
        eal: &Eal,
        request: CaptureRequest,
        file: OwnedFd,
        ports: &[LivePort],
        workers: usize,
    ) -> Result<CaptureState, CaptureError> {
        let name = self.name_for(&request)?;
        let filter = request.filter.as_deref().map(|filter| PacketFilter::compile(eal, filter)).transpose();
        let filter = filter.map_err(CaptureError::Filter)?.map(Arc::new);
        let output = Output::new(file).map_err(CaptureError::Output)?;
        let (stopped, stop) = pipe().map_err(CaptureError::Host)?;
        let spec = CaptureSpec {
            rx: request.rx,
            tx: request.tx,
            drops: request.dropped,
            snap_length: request.snap_length as usize,
        };
        let room = (ROOM / workers.max(1)).max(LEAST_ROOM);
        let capture = Arc::new(Capture::new(spec, among(&request.ports, ports), filter, workers, room));
        let progress = Arc::<Progress>::default();
        let writer = Writer {
            capture: capture.clone(),
            request: request.clone(),
            workers,
            progress: progress.clone(),
            output,
            stop: stopped,
            clock: Clock::new(eal.tsc_hz()),
            gathered: Vec::new(),
            interfaces: Interfaces::new(self.names.clone()),
        };
        let thread = std::thread::Builder::new().name("pollux-capture".to_owned()).spawn(|| writer.run());
        self.captures.retain(|capture| capture.name != name);
        self.captures.push(LiveCapture {
            name,
            request,
            capture: Some(capture),
            progress,
            started: Instant::now(),
            stop: Some(stop),
            thread: Some(thread.map_err(CaptureError::Host)?),
            seen: true,
            lost: 0,
        });
        self.follow(ports);
        Ok(self.captures.last().expect("one was added just now").state())
    }

    /// The name that a capture gets, if there is room for it. Those that have ended make room.
    fn name_for(&mut self, request: &CaptureRequest) -> Result<String, CaptureError> {
        if self.captures.iter().filter(|live| live.runs()).count() >= MAX_CAPTURES {
            return Err(CaptureError::TooMany);
        }
        if self.captures.len() >= MAX_CAPTURES {
            let ended = self.captures.iter().position(|live| !live.runs());
            ended.map(|place| self.captures.remove(place));
        }
        match &request.name {
            Some(name) if self.captures.iter().any(|of| of.name == *name && of.runs()) => {
                Err(CaptureError::NameTaken(name.clone()))
            }
            Some(name) => Ok(name.clone()),
            None => {
                let mut names = (1..).map(|number| format!("capture{number}"));
                let free = names.find(|name| self.captures.iter().all(|of| of.name != *name));
                Ok(free.expect("there are more numbers than captures"))
            }
        }
    }

    /// Takes one out, which workers are not to see any more; without a name, the only one.
    pub(super) fn stop(&mut self, name: Option<&str>) -> Result<Ending, CaptureError> {
        let place = match name {
            Some(name) => {
                let found = self.captures.iter().position(|capture| capture.name == name);
                found.ok_or_else(|| CaptureError::NoCapture(name.to_owned()))?
            }
            None => match self.captures.len() {
                0 => return Err(CaptureError::None),
                1 => 0,
                several => return Err(CaptureError::Several(several)),
            },
        };
        Ok(Ending(self.captures.remove(place)))
    }

    /// Hides those from the workers that have ended, and gives the memory of those back that are hidden. Returns
    /// whether there were some that they saw.
    pub(super) fn hide_ended(&mut self) -> bool {
        self.captures.iter_mut().fold(false, |hidden, live| live.look() | hidden)
    }

    /// Ends all, and waits until what they have is written or given up.
    pub(super) fn end(&mut self) {
        // All at once, then one after the other.
        self.captures.iter_mut().for_each(LiveCapture::tell);
        let deadline = Instant::now() + PATIENCE;
        self.captures.drain(..).for_each(|mut live| live.finish(deadline));
    }

    /// All of them.
    pub(super) fn states(&self) -> Vec<CaptureState> {
        self.captures.iter().map(LiveCapture::state).collect()
    }
}

fn among(names: &[String], ports: &[LivePort]) -> PortSet {
    match names {
        [] => PortSet::ALL,
        names => ports.iter().filter(|port| names.contains(&port.name)).map(|port| port.id).collect(),
    }
}
