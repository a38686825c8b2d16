//! What the control plane has a worker change about its own devices, between two bursts.
//!
//! A worker looks for orders only when it takes up a new snapshot, and says that it has taken it up when
//! it has carried them out. So whoever publishes a snapshot after giving orders knows, once every worker
//! has adopted it, that all have been followed. Queues that a worker gives up travel back by a channel:
//! what is dropped with them is for the control plane to drop.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use dpdk::Mbuf;
use pollux_engine::qos::{PortQueues, Storage};
use pollux_net::{MAX_PORTS, PortId};

use super::platform::{DpdkPlatform, Sink, Source};

/// Orders that a worker may be behind with: every queue of every port at once.
const WAITING: usize = MAX_PORTS * MAX_PORTS;

/// One change.
pub(crate) enum Order {
    /// Poll this queue too.
    Poll(Source),
    /// Send frames for this port here.
    Send(PortId, Sink),
    /// Give up everything of this port.
    GiveUp(PortId),
    /// Take so many frames from a queue at once.
    Burst(u16),
    /// Give these queues more room.
    Enlarge(Arc<PortQueues<Mbuf>>, Storage<Mbuf>),
}

/// What a worker gave up.
#[expect(dead_code, reason = "it is only ever dropped, where dropping it may take its time")]
pub(crate) enum GivenUp {
    Source(Source),
    Sink(Sink),
    Storage(Arc<PortQueues<Mbuf>>, Storage<Mbuf>),
}

/// A worker's end.
pub(crate) struct Orders {
    orders: Receiver<Order>,
    given_up: SyncSender<GivenUp>,
}

/// The control plane's end, for one worker.
pub(crate) struct Commander {
    orders: SyncSender<Order>,
    given_up: Receiver<GivenUp>,
}

/// Both ends.
pub(crate) fn orders() -> (Commander, Orders) {
    let (give, take) = sync_channel(WAITING);
    let (give_back, take_back) = sync_channel(WAITING);
    (Commander { orders: give, given_up: take_back }, Orders { orders: take, given_up: give_back })
}

impl Commander {
    /// Gives an order. It is followed when the worker takes up the next snapshot.
    pub(crate) fn give(&self, order: Order) {
        // A worker that is gone needs none.
        let _ = self.orders.send(order);
    }

    /// Drops what the worker has given up.
    pub(crate) fn clear(&self) {
        self.given_up.try_iter().for_each(drop);
    }
}

impl Orders {
    /// Follows all that wait. Neither waits nor frees: the channels have room for more than there is.
    pub(super) fn follow(&self, platform: &mut DpdkPlatform) {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Poll(source) => platform.add_source(source),
                Order::Send(port, sink) => self.give_back(GivenUp::Sink(platform.set_sink(port, sink))),
                Order::Burst(frames) => platform.set_burst(frames),
                Order::Enlarge(queues, storage) => {
                    let storage = queues.enlarge(storage);
                    self.give_back(GivenUp::Storage(queues, storage));
                }
                Order::GiveUp(port) => {
                    while let Some(source) = platform.remove_source(port) {
                        self.give_back(GivenUp::Source(source));
                    }
                    self.give_back(GivenUp::Sink(platform.set_sink(port, Sink::None)));
                }
            }
        }
    }

    fn give_back(&self, given_up: GivenUp) {
        // Refused only if nobody is there any more to drop it in better time.
        let _ = self.given_up.try_send(given_up);
    }
}
