//! What happens to ports without being asked: the link, a VM's queues, a device pulled out.
//!
//! DPDK calls back from threads of its own, the vhost library's while it holds a device's locks. So a
//! callback notes what it finds in atomics and goes; whoever manages the ports is woken and looks.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use dpdk_sys as sys;

use crate::Eal;
use crate::link::Link;
use crate::vhost_state::VhostState;

/// Wake-ups that can wait; more are not needed, as the bits say what happened.
const WAITING: usize = 256;

/// Something to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Something happened to the port of this number; what, its [`PortEvents::take`] says.
    Port(u16),
    /// A [`Waker`] was used.
    Woken,
}

/// Wakes whoever waits for events, from any thread.
#[derive(Clone, Debug)]
pub struct Waker(SyncSender<Event>);

impl Waker {
    /// Sends [`Event::Woken`], unless so many events wait already that nobody can be asleep.
    pub fn wake(&self) {
        let _ = self.0.try_send(Event::Woken);
    }
}

/// Where callbacks leave word.
pub(crate) struct EventHub {
    sender: SyncSender<Event>,
    receiver: Mutex<Option<Receiver<Event>>>,
}

impl EventHub {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = sync_channel(WAITING);
        Self { sender, receiver: Mutex::new(Some(receiver)) }
    }
}

impl Eal {
    /// Receives what happens to ports. Events may be merged when many wait. `None` if taken already.
    pub fn take_event_receiver(&self) -> Option<Receiver<Event>> {
        let receiver = &self.inner().events.receiver;
        receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// For threads that want whoever receives the events to look up.
    pub fn waker(&self) -> Waker {
        Waker(self.inner().events.sender.clone())
    }
}

/// What happened to a port since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Happened {
    /// The link went up or down, maybe both.
    pub link: bool,
    /// A VM enabled or disabled queues.
    pub queues: bool,
    /// The device was pulled out.
    pub removed: bool,
}

impl Happened {
    /// Whether anything happened.
    pub fn any(self) -> bool {
        self.link || self.queues || self.removed
    }
}

/// A port's events. Readable from every thread at any time, the port's end included.
pub struct PortEvents {
    port: u16,
    pending: AtomicU32,
    link_up: AtomicBool,
    vhost: Option<VhostState>,
    wake: SyncSender<Event>,
}

const LINK: u32 = 1;
const QUEUES: u32 = 2;
const REMOVED: u32 = 4;
const KINDS: [(u32, u32); 3] =
    [(sys::SHIM_EVENT_LINK, LINK), (sys::SHIM_EVENT_QUEUE, QUEUES), (sys::SHIM_EVENT_REMOVED, REMOVED)];

impl PortEvents {
    /// Whether the link is up, as far as events told. For devices without link events, as it was when
    /// [`Port::link`](crate::Port::link) was last asked.
    #[inline]
    pub fn is_link_up(&self) -> bool {
        self.link_up.load(Ordering::Acquire)
    }

    /// Takes what happened since the last call.
    pub fn take(&self) -> Happened {
        let bits = self.pending.swap(0, Ordering::AcqRel);
        Happened { link: bits & LINK != 0, queues: bits & QUEUES != 0, removed: bits & REMOVED != 0 }
    }

    pub(crate) fn vhost(&self) -> Option<&VhostState> {
        self.vhost.as_ref()
    }

    /// Asks the device for its link, and notes it. The port must be there.
    pub(crate) fn note_link(&self) -> Link {
        // Two threads may do this at once: whoever stores last has looked again since.
        loop {
            let link = Link::of(self.port);
            self.link_up.store(link.up, Ordering::Release);
            if Link::of(self.port).up == link.up {
                return link;
            }
        }
    }

    fn happened(&self, bit: u32) {
        if bit == LINK {
            let link = self.note_link();
            if let Some(vhost) = &self.vhost {
                vhost.link_changed(self.port, link.up);
            }
        }
        if bit == QUEUES
            && let Some(vhost) = &self.vhost
        {
            vhost.queues_changed(self.port);
        }
        self.pending.fetch_or(bit, Ordering::AcqRel);
        // Full or nobody there: the bit stays, for whoever looks at the port the next time.
        let _ = self.wake.try_send(Event::Port(self.port));
    }
}

/// A port's events while DPDK calls back for them.
pub(crate) struct Subscription(Arc<PortEvents>);

impl Subscription {
    /// Starts the calls for `port`. A kind of event that the device doesn't have is simply never told.
    pub(crate) fn new(eal: &Eal, port: u16, vhost_queues: Option<u16>) -> Self {
        let events = Arc::new(PortEvents {
            port,
            pending: AtomicU32::new(0),
            link_up: AtomicBool::new(false),
            vhost: vhost_queues.map(VhostState::new),
            wake: eal.inner().events.sender.clone(),
        });
        let argument = Arc::as_ptr(&events).cast_mut().cast();
        for (event, _) in KINDS {
            // SAFETY: `told` casts its argument back to the PortEvents that this is, and only reads
            // it; `self.0` keeps it where it is until `drop` has ended the calls.
            unsafe { sys::rte_eth_dev_callback_register(port, event, Some(told), argument) };
        }
        Self(events)
    }
}

impl Subscription {
    pub(crate) fn events(&self) -> &Arc<PortEvents> {
        &self.0
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let argument = Arc::as_ptr(&self.0).cast_mut().cast();
        for (event, _) in KINDS {
            loop {
                // SAFETY: the very values of the registration.
                let ret =
                    unsafe { sys::rte_eth_dev_callback_unregister(self.0.port, event, Some(told), argument) };
                // -EAGAIN: it is being called right now, and returns soon as it never waits.
                if ret != -libc::EAGAIN {
                    break;
                }
                std::thread::yield_now();
            }
        }
    }
}

extern "C" fn told(_port: u16, event: u32, argument: *mut c_void, _: *mut c_void) -> c_int {
    // SAFETY: the argument is the PortEvents of the registration, which lives until the calls have
    // ended; every field that changes is atomic.
    let events = unsafe { &*argument.cast::<PortEvents>() };
    if let Some((_, bit)) = KINDS.iter().find(|(kind, _)| *kind == event) {
        events.happened(*bit);
    }
    0
}
