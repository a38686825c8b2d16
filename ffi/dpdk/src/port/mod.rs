//! A port, from attaching to closing.

mod addresses;
mod capabilities;
mod operations;
mod rss;
mod start;

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dpdk_sys as sys;

use crate::device;
pub use capabilities::Offload;

use crate::error::{Error, Result, check};
use crate::events::Subscription;
use crate::interrupt;
use crate::plan::{Plan, PortConfig};
use crate::queue::{RxQueue, TxQueue};
use crate::vhost::{self, Vhost};
use crate::vhost_ring::VhostRing;
use crate::{Eal, Mempool};

/// The state of a [`Port`] that moves no frames.
#[derive(Debug)]
pub struct Stopped(());

/// The state of a [`Port`] whose queues can be taken.
#[derive(Debug)]
pub struct Started {
    plan: Plan,
    taken: bool,
}

/// A device that DPDK drives. `S` is [`Stopped`] or [`Started`].
///
/// Dropping it closes the device, unless queues are still out: then the last of them does. A port can be
/// given to another thread, but not be used by two at once; its [`events`](Port::events), its
/// [`vhost`](Port::vhost) side and its queues have lives of their own.
pub struct Port<S> {
    inner: Arc<Inner>,
    state: S,
    /// DPDK's functions on a port may be called from any thread, but not from two at once.
    _not_sync: PhantomData<Cell<()>>,
}

/// A started port's queues.
#[derive(Debug)]
pub struct Queues {
    /// To receive from, in order.
    pub rx: Vec<RxQueue>,
    /// To transmit on, in order.
    pub tx: Vec<TxQueue>,
}

/// A port that wouldn't change its state, as it was, and why.
pub struct Refused<S> {
    /// The port, in the state that it was in.
    pub port: Port<S>,
    /// Why.
    pub error: Error,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    Rx,
    Tx,
}

/// What a port and its queues share.
pub(crate) struct Inner {
    number: u16,
    name: String,
    vhost: Option<Vhost>,
    started: AtomicBool,
    /// Whether it was started with interrupts for its rx queues.
    rx_interrupts: AtomicBool,
    queues_out: Mutex<Vec<(Direction, u16)>>,
    /// The pools that rx queues take from, for as long as the device may.
    pools: Mutex<Vec<Mempool>>,
    events: Option<Subscription>,
    eal: Eal,
}

impl Inner {
    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether rx queues may interrupt.
    pub(crate) fn rx_interrupts(&self) -> bool {
        self.rx_interrupts.load(Ordering::Acquire)
    }

    /// Whether the port is a VM's.
    pub(crate) fn is_vms(&self) -> bool {
        self.vhost.is_some()
    }

    /// The VM's ring behind a queue, where the port is a VM's.
    pub(crate) fn vhost_ring(&self, direction: Direction, queue: u16) -> Option<Arc<VhostRing>> {
        self.events.as_ref()?.events().vhost()?.ring(direction, queue)
    }

    pub(crate) fn queue_returned(&self, direction: Direction, queue: u16) {
        let mut out = self.queues_out.lock().unwrap_or_else(PoisonError::into_inner);
        out.retain(|&other| other != (direction, queue));
    }

    fn stop(&self) -> Result<()> {
        // SAFETY: no queue is out (stop and drop, the callers, made sure), so no thread polls one.
        let ret = unsafe { sys::rte_eth_dev_stop(self.number) };
        check("rte_eth_dev_stop", &self.name, ret)?;
        self.started.store(false, Ordering::Release);
        Ok(())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Every queue held this, so none is out.
        if *self.started.get_mut() {
            // Whatever it says, the device is closed next.
            let _ = self.stop();
        }
        // The calls end while DPDK still knows the port.
        self.events = None;
        device::close(&self.eal, self.number, &self.name);
        self.pools.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        self.eal.reclaim();
    }
}

impl<S> Port<S> {
    fn change<T>(self, state: T) -> Port<T> {
        Port { inner: self.inner, state, _not_sync: PhantomData }
    }
}

impl Port<Stopped> {
    pub(crate) fn new(eal: &Eal, number: u16, vhost: Option<vhost::Origin>) -> Self {
        let queues = vhost.as_ref().map(|origin| origin.queues);
        let events = Subscription::new(eal, number, queues);
        let vhost = vhost.map(|origin| Vhost::new(origin, events.events().clone()));
        Self {
            inner: Arc::new(Inner {
                number,
                name: device::name(number),
                vhost,
                started: AtomicBool::new(false),
                rx_interrupts: AtomicBool::new(false),
                queues_out: Mutex::default(),
                pools: Mutex::default(),
                events: Some(events),
                eal: eal.clone(),
            }),
            state: Stopped(()),
            _not_sync: PhantomData,
        }
    }

    /// What the device would make of `config` with rx buffers of `data_room` octets. Changes nothing.
    ///
    /// # Errors
    ///
    /// The device is gone.
    pub fn plan(&self, config: &PortConfig, data_room: u16) -> Result<Plan> {
        Ok(Plan::new(&self.info()?, config, data_room))
    }

    /// Configures the device as far as it can do what `config` asks (see [`setup`](Port::setup) for what it
    /// became), and starts it. Rx queue `i` takes its mbufs from `pools[i % pools.len()]`.
    ///
    /// # Errors
    ///
    /// No pool; a device that refuses, for want of memory or descriptors. The port comes back stopped.
    pub fn start(
        self,
        config: &PortConfig,
        pools: &[Mempool],
    ) -> Result<Port<Started>, Box<Refused<Stopped>>> {
        match self.configure_and_start(config, pools) {
            Ok(plan) => {
                self.inner.started.store(true, Ordering::Release);
                let interrupts = plan.config.rx_interrupts
                    && self.inner.vhost.is_none()
                    && interrupt::is_each_told_apart(self.inner.number, plan.config.rx_queues);
                self.inner.rx_interrupts.store(interrupts, Ordering::Release);
                let port = self.change(Started { plan, taken: false });
                let events = port.events();
                events.note_link();
                if let Some(vhost) = events.vhost() {
                    vhost.port_started(port.number());
                }
                Ok(port)
            }
            Err(error) => Err(Box::new(Refused { port: self, error })),
        }
    }

    /// Closes the device and detaches it. The same as dropping the port, but for the name.
    pub fn close(self) {}
}

impl Port<Started> {
    /// What the port became, and what a person should know about it.
    pub fn setup(&self) -> &Plan {
        &self.state.plan
    }

    /// Hands out the port's queues, once between start and stop.
    ///
    /// # Errors
    ///
    /// They were taken before.
    pub fn take_queues(&mut self) -> Result<Queues> {
        if self.state.taken {
            let message = "the port's queues were taken before; each has one owner";
            return Err(Error::refused("take_queues", &self.inner.name, libc::EBUSY, message));
        }
        self.state.taken = true;
        let config = &self.state.plan.config;
        let mut out = self.inner.queues_out.lock().unwrap_or_else(PoisonError::into_inner);
        out.extend((0..config.rx_queues).map(|queue| (Direction::Rx, queue)));
        out.extend((0..config.tx_queues).map(|queue| (Direction::Tx, queue)));
        drop(out);
        let port = &self.inner;
        Ok(Queues {
            rx: (0..config.rx_queues).map(|queue| RxQueue::new(port.clone(), queue)).collect(),
            tx: (0..config.tx_queues).map(|queue| TxQueue::new(port.clone(), queue)).collect(),
        })
    }

    /// Stops the device. Frames in its rings are freed.
    ///
    /// # Errors
    ///
    /// Queues that are still out, by name; a device that fails. The port comes back started.
    pub fn stop(self) -> Result<Port<Stopped>, Box<Refused<Started>>> {
        let out = self.inner.queues_out.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let result = if out.is_empty() {
            self.inner.stop()
        } else {
            let names: Vec<_> = out.iter().map(|(direction, queue)| format!("{direction} {queue}")).collect();
            let message = format!("queues are still in use: {}", names.join(", "));
            Err(Error::refused("rte_eth_dev_stop", &self.inner.name, libc::EBUSY, message))
        };
        match result {
            Ok(()) => Ok(self.change(Stopped(()))),
            Err(error) => Err(Box::new(Refused { port: self, error })),
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rx => "rx",
            Self::Tx => "tx",
        })
    }
}

impl<S: fmt::Debug> fmt::Debug for Port<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port")
            .field("number", &self.inner.number)
            .field("name", &self.inner.name)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Refused<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl<S> fmt::Display for Refused<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl<S> std::error::Error for Refused<S> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
