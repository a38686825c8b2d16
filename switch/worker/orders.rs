//! What the control plane has a worker change about its own devices, between two bursts.
//!
//! A worker looks for orders only when it takes up a new snapshot, and says that it has taken it up when
//! it has carried them out. So whoever publishes a snapshot after giving orders knows, once every worker
//! has adopted it, that all have been followed. Queues that a worker gives up travel back by a channel:
//! what is dropped with them is for the control plane to drop. A queue that another worker is to have goes to
//! it directly, so that its frames wait for 50 us and not for the control plane.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};

use dpdk::Mbuf;
use pollux_engine::qos::{PortQueues, Storage};
use pollux_net::{MAX_PORTS, PortId};

use super::platform::{DpdkPlatform, Sink, Source};

/// Orders that a worker may be behind with: every queue of every port at once.
const WAITING: usize = MAX_PORTS * MAX_PORTS;

/// Queues that a worker may expect at once: more than are ever handed over in one go.
const MAX_EXPECTED: usize = 64;

/// One change.
pub(crate) enum Order {
    /// Poll this queue too.
    Poll(Source),
    /// Send frames for this port here.
    Send(PortId, Sink),
    /// Give up everything of this port.
    GiveUp(PortId),
    /// Receive from queues, or from none.
    Receive(bool),
    /// Take so many frames from a queue at once.
    Burst(u16),
    /// Give this queue of the port to another worker, who [expects](Self::Expect) it.
    HandOver(PortId, u16, SyncSender<HandedOver>),
    /// Poll the queue that comes here too.
    Expect(Receiver<HandedOver>),
    /// Give these queues more room.
    Enlarge(Arc<PortQueues<Mbuf>>, Storage<Mbuf>),
}

/// What a worker gave up.
#[expect(dead_code, reason = "it is only ever dropped, where dropping it may take its time")]
pub(crate) enum GivenUp {
    Source(Source),
    Sink(Sink),
    Storage(Arc<PortQueues<Mbuf>>, Storage<Mbuf>),
    From(Receiver<HandedOver>),
    To(SyncSender<HandedOver>),
}

/// A queue on its way from one worker to another.
pub(crate) struct HandedOver {
    source: Source,
    /// When it is to be polled, in cycles: what the worker that had it sent before has then left its tx
    /// queues, if they aren't congested, and isn't overtaken.
    at: u64,
}

impl HandedOver {
    /// A queue that nobody had before.
    pub(crate) fn at_once(source: Source) -> Self {
        Self { source, at: 0 }
    }
}

/// For how long a queue that is handed over isn't polled, in cycles. Frames that come meanwhile wait in its
/// ring, so it is far less than fills one.
pub(crate) const fn hand_over_cycles(hz: u64) -> u64 {
    hz / 20_000
}

/// A worker's end.
pub(crate) struct Orders {
    orders: Receiver<Order>,
    given_up: SyncSender<GivenUp>,
    /// Queues that come from other workers, those that have come among them. Never more than there is room for
    /// from the start.
    expected: Vec<(Receiver<HandedOver>, Option<HandedOver>)>,
    hand_over: u64,
}

/// The control plane's end, for one worker.
pub(crate) struct Commander {
    orders: SyncSender<Order>,
    given_up: Receiver<GivenUp>,
}

/// Both ends, for a time stamp counter of so many cycles a second.
pub(crate) fn orders(hz: u64) -> (Commander, Orders) {
    let (give, take) = sync_channel(WAITING);
    let (give_back, take_back) = sync_channel(WAITING);
    let expected = Vec::with_capacity(MAX_EXPECTED);
    let orders = Orders { orders: take, given_up: give_back, expected, hand_over: hand_over_cycles(hz) };
    (Commander { orders: give, given_up: take_back }, orders)
}

impl Commander {
    /// Gives an order. It is followed when the worker takes up the next snapshot.
    pub(crate) fn give(&self, order: Order) {
        // A worker that is gone needs none. One that has followed none for so long stands still: whoever waits for
        // it finds out, and must not be held here instead.
        if let Err(TrySendError::Full(_)) = self.orders.try_send(order) {
            tracing::error!("a worker follows no orders, and gets no more: it stands still");
        }
    }

    /// Drops what the worker has given up.
    pub(crate) fn clear(&self) {
        self.given_up.try_iter().for_each(drop);
    }
}

impl Orders {
    /// Follows all that wait. Neither waits nor frees: the channels have room for more than there is.
    pub(super) fn follow(&mut self, platform: &mut DpdkPlatform) {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Poll(source) => platform.add_source(source),
                Order::Send(port, sink) => self.give_back(GivenUp::Sink(platform.set_sink(port, sink))),
                Order::Receive(receives) => platform.set_receiving(receives),
                Order::Burst(frames) => platform.set_burst(frames),
                Order::Enlarge(queues, storage) => {
                    let storage = queues.enlarge(storage);
                    self.give_back(GivenUp::Storage(queues, storage));
                }
                Order::HandOver(port, queue, to) => {
                    self.take_over(platform, u64::MAX);
                    if let Some(source) = platform.remove_queue(port, queue) {
                        let at = pollux_cpu::cycles() + self.hand_over;
                        // There is room for one, and nobody else sends. If it isn't expected any more, it goes
                        // where all goes that is given up.
                        if let Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) =
                            to.try_send(HandedOver { source, at })
                        {
                            self.give_back(GivenUp::Source(back.source));
                        }
                    }
                    self.give_back(GivenUp::To(to));
                }
                Order::Expect(from) => {
                    debug_assert!(self.expected.len() < MAX_EXPECTED);
                    self.expected.push((from, None));
                }
                Order::GiveUp(port) => {
                    // What was handed over before this order was given is there, and it may be about that.
                    self.take_over(platform, u64::MAX);
                    while let Some(source) = platform.remove_source(port) {
                        self.give_back(GivenUp::Source(source));
                    }
                    self.give_back(GivenUp::Sink(platform.set_sink(port, Sink::None)));
                }
            }
        }
    }

    /// Whether a queue is to come.
    #[inline(always)]
    pub(super) fn expects(&self) -> bool {
        !self.expected.is_empty()
    }

    /// Polls from now on what has come and whose time it is.
    #[cold]
    pub(super) fn take_over(&mut self, platform: &mut DpdkPlatform, now: u64) {
        for place in (0..self.expected.len()).rev() {
            let (from, held) = &mut self.expected[place];
            let over = match held.take().map_or_else(|| from.try_recv(), Ok) {
                Ok(handed_over) if handed_over.at <= now => {
                    platform.add_source(handed_over.source);
                    true
                }
                Ok(early) => {
                    *held = Some(early);
                    false
                }
                Err(TryRecvError::Empty) => false,
                // Whoever had it has none to give.
                Err(TryRecvError::Disconnected) => true,
            };
            if over {
                let (from, _) = self.expected.swap_remove(place);
                self.give_back(GivenUp::From(from));
            }
        }
    }

    fn give_back(&self, given_up: GivenUp) {
        // Refused only if nobody is there any more to drop it in better time.
        let _ = self.given_up.try_send(given_up);
    }
}
