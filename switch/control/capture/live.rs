//! A capture that was started: what it has come to, and its thread's end.

use std::io::PipeWriter;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dpdk::PacketFilter;
use pollux_config::Directions;
use pollux_engine::tap::Capture;
use pollux_net::PortId;

use super::{CaptureRequest, CaptureState};

/// Between two looks whether a thread has ended.
const PAUSE: Duration = Duration::from_millis(5);

/// Why a capture ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Stopped,
    MaxFrames,
    MaxBytes,
    MaxSeconds,
    ReaderGone,
    Failed(String),
}

impl End {
    pub(super) fn of(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset => Self::ReaderGone,
            _ => Self::Failed(format!("it can't be written: {error}")),
        }
    }

    fn words(&self) -> &str {
        match self {
            Self::Stopped => "stopped",
            Self::MaxFrames => "max_frames",
            Self::MaxBytes => "max_bytes",
            Self::MaxSeconds => "max_seconds",
            Self::ReaderGone => "reader_gone",
            Self::Failed(why) => why,
        }
    }
}

/// How far a capture's thread is. It writes, anybody reads.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) frames: AtomicU64,
    pub(super) bytes: AtomicU64,
    /// Frames that were captured and couldn't be written.
    pub(super) dropped: AtomicU64,
    end: OnceLock<(End, Instant)>,
}

impl Progress {
    pub(super) fn set_end(&self, end: End) {
        let _ = self.end.set((end, Instant::now()));
    }
}

/// A capture that was started.
pub(super) struct LiveCapture {
    pub(super) name: String,
    pub(super) request: CaptureRequest,
    /// Where frames wait. `None` once it has ended and no worker sees it.
    pub(super) capture: Option<Arc<Capture<Arc<PacketFilter>>>>,
    pub(super) progress: Arc<Progress>,
    pub(super) started: Instant,
    /// Closing it tells the thread to end.
    pub(super) stop: Option<PipeWriter>,
    pub(super) thread: Option<JoinHandle<()>>,
    /// Whether workers still see it.
    pub(super) seen: bool,
    /// Frames that there was no room for, once `capture` is gone.
    pub(super) lost: u64,
}

impl LiveCapture {
    /// Whether it goes on.
    pub(super) fn runs(&self) -> bool {
        self.progress.end.get().is_none()
    }

    /// Hides it from the workers if it has ended, and gives its memory back once they don't see it. Returns
    /// whether it is to be hidden.
    pub(super) fn look(&mut self) -> bool {
        let Some(capture) = &self.capture else { return false };
        if self.seen {
            self.seen = !capture.has_ended();
            return !self.seen;
        }
        if !self.runs() {
            self.lost = lost(capture);
            self.capture = None;
        }
        false
    }

    pub(super) fn state(&self) -> CaptureState {
        let Self { name, request, progress, .. } = self;
        let lost = self.capture.as_ref().map_or(self.lost, |capture| lost(capture));
        let end = progress.end.get();
        let until = end.map_or_else(Instant::now, |(_, when)| *when);
        CaptureState {
            name: name.clone(),
            ports: (!request.ports.is_empty()).then(|| request.ports.clone()),
            direction: Directions { rx: request.rx, tx: request.tx }.word(),
            dropped: request.dropped,
            filter: request.filter.clone(),
            snap_length: request.snap_length,
            max_frames: request.max_frames,
            max_bytes: request.max_bytes,
            max_seconds: request.max_seconds.map(|time| time.as_secs_f64()),
            frames: progress.frames.load(Relaxed),
            bytes: progress.bytes.load(Relaxed),
            lost: lost + progress.dropped.load(Relaxed),
            seconds: until.saturating_duration_since(self.started).as_secs_f64(),
            state: if end.is_some() { "ended" } else { "running" },
            ended: end.map(|(end, _)| end.words().to_owned()),
        }
    }

    /// Tells it to end.
    pub(super) fn tell(&mut self) {
        if let Some(capture) = &self.capture {
            capture.end();
        }
        self.stop.take();
    }

    /// Tells it to end, and waits for its thread until `deadline`. A write that hangs, as on a file server that
    /// doesn't answer, can't be broken off: then the thread is left to itself.
    pub(super) fn finish(&mut self, deadline: Instant) {
        self.tell();
        let Some(thread) = self.thread.take() else { return };
        while !thread.is_finished() {
            if Instant::now() >= deadline {
                tracing::warn!(
                    "capture {}: its file takes nothing and holds whoever writes; what is left isn't written",
                    self.name
                );
                self.progress.set_end(End::Failed("its file takes nothing".to_owned()));
                return;
            }
            std::thread::sleep(PAUSE);
        }
        // A thread that panicked has said so.
        let _ = thread.join();
    }
}

/// Nobody waits for one that is only dropped.
impl Drop for LiveCapture {
    fn drop(&mut self) {
        self.tell();
    }
}

fn lost(capture: &Capture<Arc<PacketFilter>>) -> u64 {
    PortId::all().flat_map(|port| capture.lost(port)).sum()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use pollux_engine::tap::CaptureSpec;
    use pollux_net::PortSet;
    use std::sync::mpsc::channel;

    /// Everything, in short.
    pub(in crate::control::capture) fn request() -> CaptureRequest {
        CaptureRequest {
            name: None,
            ports: Vec::new(),
            rx: true,
            tx: true,
            dropped: false,
            filter: None,
            snap_length: 64,
            max_frames: None,
            max_bytes: None,
            max_seconds: None,
        }
    }

    fn live(thread: JoinHandle<()>, progress: Arc<Progress>) -> LiveCapture {
        let spec = CaptureSpec { rx: true, tx: true, drops: false, snap_length: 64 };
        LiveCapture {
            name: "one".to_owned(),
            request: request(),
            capture: Some(Arc::new(Capture::new(spec, PortSet::ALL, None, 1, 1 << 10))),
            progress,
            started: Instant::now(),
            stop: None,
            thread: Some(thread),
            seen: true,
            lost: 0,
        }
    }

    #[test]
    fn a_thread_that_hangs_in_a_write_is_left_to_itself() {
        let (go_on, held) = channel::<()>();
        let (ended, end) = channel();
        let thread = std::thread::spawn(move || {
            let _ = held.recv();
            let _ = ended.send(());
        });
        let mut live = live(thread, Arc::default());
        live.finish(Instant::now() + 2 * PAUSE);
        let state = live.state();
        assert_eq!((state.state, state.ended.as_deref()), ("ended", Some("its file takes nothing")));
        // It is still there, and nobody waits for it.
        drop(live);
        assert!(end.try_recv().is_err());
        drop(go_on);
        end.recv().unwrap();
    }

    #[test]
    fn what_has_ended_gives_its_memory_back_and_keeps_its_counts() {
        let progress = Arc::<Progress>::default();
        let mut live = live(std::thread::spawn(|| ()), progress.clone());
        let rings = Arc::downgrade(live.capture.as_ref().unwrap());
        assert!(!live.look() && live.seen);
        live.capture.as_ref().unwrap().end();
        progress.frames.store(7, Relaxed);
        assert!(live.look() && !live.seen);
        assert!(!live.look() && rings.upgrade().is_some(), "its thread may still write");
        progress.set_end(End::MaxFrames);
        assert!(!live.look() && rings.upgrade().is_none());
        let state = live.state();
        assert_eq!((state.frames, state.ended.as_deref()), (7, Some("max_frames")));
    }
}
