//! Ports that take no part for a while: they keep their device and their VM, but no worker has their rx queues,
//! and to the data path they have no link.

use std::sync::mpsc::{Receiver, sync_channel};

use super::ports::LivePort;
use super::{ReconfigureError, Switch};
use crate::worker::{HandedOver, Order, Source};

/// A port's rx queues that no worker polls, by their numbers.
pub(super) type Parked = Vec<(u16, Receiver<HandedOver>)>;

/// A queue that no worker has met.
pub(super) fn park(source: Source) -> (u16, Receiver<HandedOver>) {
    let queue = source.queue.index();
    let (to, from) = sync_channel(1);
    // There is room for one.
    let _ = to.try_send(HandedOver::at_once(source));
    (queue, from)
}

impl Switch {
    /// Whether workers receive.
    pub fn forwards(&self) -> bool {
        self.forwards
    }

    /// Has workers receive, or not. What waits for ports goes on leaving.
    ///
    /// # Errors
    ///
    /// A worker doesn't answer.
    pub fn set_forwarding(&mut self, forwards: bool) -> Result<(), ReconfigureError> {
        self.forwards = forwards;
        self.order_all(|_| Order::Receive(forwards));
        self.publish()
    }

    /// Has ports take part, or none, as the configuration says. Frames that wait for a port that no longer does
    /// are dropped and counted.
    pub(super) fn enable_ports(&mut self) -> Result<(), ReconfigureError> {
        for place in 0..self.ports.len() {
            let name = &self.ports[place].name;
            let wanted = self.config.ports.iter().any(|port| port.name == *name && port.enabled);
            match (wanted, self.ports[place].enabled) {
                (true, false) => self.unpark(place)?,
                (false, true) => self.park(place)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn park(&mut self, place: usize) -> Result<(), ReconfigureError> {
        let live = &mut self.ports[place];
        live.enabled = false;
        self.shared.set_link(live.id, false);
        for (queue, &poller) in (0..).zip(&live.pollers) {
            let (to, from) = sync_channel(1);
            live.parked.push((queue, from));
            self.commanders[poller].give(Order::HandOver(live.id, queue, to));
        }
        self.publish()
    }

    fn unpark(&mut self, place: usize) -> Result<(), ReconfigureError> {
        let live = &mut self.ports[place];
        live.enabled = true;
        for (queue, from) in live.parked.drain(..) {
            if let Some(&poller) = live.pollers.get(usize::from(queue)) {
                self.commanders[poller].give(Order::Expect(from));
            }
        }
        let published = self.publish();
        let live = &self.ports[place];
        self.shared.set_link(live.id, live.passes());
        published
    }
}

impl LivePort {
    /// Whether frames can pass.
    pub(super) fn passes(&self) -> bool {
        self.enabled && self.link.up
    }
}
