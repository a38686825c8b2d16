//! A port, from attaching to closing.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dpdk_sys as sys;

use crate::device;
use crate::error::{Error, Result, check, text_of};
use crate::events::{PortEvents, Subscription};
use crate::info::DeviceInfo;
use crate::link::Link;
use crate::plan::{Note, Plan, PortConfig};
use crate::queue::{RxQueue, TxQueue};
use crate::rss::RssTypes;
use crate::stats::{self, PortStats};
use crate::vhost::{self, Vhost};
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

/// What is true of a port in either state.
impl<S> Port<S> {
    /// The port's number in DPDK.
    pub fn number(&self) -> u16 {
        self.inner.number
    }

    /// The port's name in DPDK: a PCI address, or a vdev's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// What the device is and can do.
    ///
    /// # Errors
    ///
    /// The device is gone.
    pub fn info(&self) -> Result<DeviceInfo> {
        DeviceInfo::of(self.inner.number, &self.inner.name)
    }

    /// The link as the device sees it now. [`PortEvents::is_link_up`] knows of it from then on.
    pub fn link(&self) -> Link {
        self.events().note_link()
    }

    /// What happens to the port.
    pub fn events(&self) -> Arc<PortEvents> {
        let events = self.inner.events.as_ref().expect("events end with the port only");
        events.events().clone()
    }

    /// A vhost port's own side; `None` for other devices.
    pub fn vhost(&self) -> Option<&Vhost> {
        self.inner.vhost.as_ref()
    }

    /// The device's totals.
    ///
    /// # Errors
    ///
    /// The device keeps none, or is gone.
    pub fn stats(&self) -> Result<PortStats> {
        stats::read(self.inner.number, &self.inner.name)
    }

    /// Everything that the device counts, by name.
    ///
    /// # Errors
    ///
    /// The device is gone.
    pub fn extended_stats(&self) -> Result<Vec<(String, u64)>> {
        stats::read_extended(self.inner.number, &self.inner.name)
    }

    /// Sets the device's totals to zero.
    ///
    /// # Errors
    ///
    /// The device can't, or is gone.
    pub fn reset_stats(&self) -> Result<()> {
        stats::reset(self.inner.number, &self.inner.name)
    }

    /// The MTU in octets.
    ///
    /// # Errors
    ///
    /// The device is gone.
    pub fn mtu(&self) -> Result<u16> {
        let mut mtu = 0;
        // SAFETY: takes any port number, and writes the MTU only.
        let ret = unsafe { sys::rte_eth_dev_get_mtu(self.inner.number, &mut mtu) };
        check("rte_eth_dev_get_mtu", &self.inner.name, ret)?;
        Ok(mtu)
    }

    /// Changes the MTU. Returns whether the device knows of it: many virtual devices have no such
    /// operation, and take any length.
    ///
    /// # Errors
    ///
    /// Out of the device's range; a device that must be stopped first; one that was never started.
    pub fn set_mtu(&mut self, mtu: u16) -> Result<bool> {
        set_mtu(self.inner.number, &self.inner.name, mtu)
    }

    /// Whether the port takes frames for any address.
    pub fn is_promiscuous(&self) -> bool {
        // SAFETY: takes any port number.
        unsafe { sys::rte_eth_promiscuous_get(self.inner.number) == 1 }
    }

    /// Makes the port take frames for any address, or for its own only. Returns whether the device has
    /// such an operation.
    ///
    /// # Errors
    ///
    /// The device failed, or is gone.
    pub fn set_promiscuous(&mut self, on: bool) -> Result<bool> {
        set_promiscuous(self.inner.number, &self.inner.name, on)
    }

    /// Raises or drops the link, where the device can. Returns whether it can.
    ///
    /// # Errors
    ///
    /// The device failed, or is gone.
    pub fn set_link(&mut self, up: bool) -> Result<bool> {
        let number = self.inner.number;
        let (call, ret) = if up {
            // SAFETY: takes any port number.
            ("rte_eth_dev_set_link_up", unsafe { sys::rte_eth_dev_set_link_up(number) })
        } else {
            // SAFETY: takes any port number.
            ("rte_eth_dev_set_link_down", unsafe { sys::rte_eth_dev_set_link_down(number) })
        };
        where_supported(check(call, &self.inner.name, ret))
    }

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

    fn configure_and_start(&self, config: &PortConfig, pools: &[Mempool]) -> Result<Plan> {
        let (number, name) = (self.inner.number, self.inner.name.as_str());
        let Some(smallest) = pools.iter().map(Mempool::data_room).min() else {
            let message = "rx queues need a pool to take mbufs from";
            return Err(Error::refused("rte_eth_rx_queue_setup", name, libc::EINVAL, message));
        };
        let info = self.info()?;
        let mut plan = Plan::new(&info, config, smallest);
        let config = &plan.config;
        let conf = sys::shim_port_conf {
            rx_queues: config.rx_queues,
            tx_queues: config.tx_queues,
            mtu: config.mtu.into(),
            mq_mode: if config.rss.is_empty() { sys::SHIM_MQ_RX_NONE } else { sys::SHIM_MQ_RX_RSS },
            rx_offloads: plan.rx_offloads,
            tx_offloads: plan.tx_offloads,
            rss_types: config.rss.bits(),
            link_interrupt: info.link_events.into(),
            removal_interrupt: info.removal_events.into(),
        };
        // SAFETY: takes any port number and reads `conf` only. The port is stopped and no queue is out.
        let ret = unsafe { sys::shim_port_configure(number, &conf) };
        check("rte_eth_dev_configure", name, ret)?;
        if let Some(vhost) = &self.inner.vhost {
            vhost::harden(vhost.socket())?;
        }

        let socket = info.socket.unwrap_or(u32::MAX);
        // The device takes from these pools until it is closed or set up anew.
        let mut held = self.inner.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *held, pools.to_vec());
        for queue in 0..config.rx_queues {
            let pool = &pools[usize::from(queue) % pools.len()];
            // SAFETY: takes any numbers; the pool stays as long as the device, held just above.
            let ret = unsafe {
                let drop_en = plan.drop_when_full.into();
                sys::shim_rx_queue_setup(
                    number,
                    queue,
                    config.rx_ring,
                    socket,
                    drop_en,
                    plan.rx_offloads,
                    pool.raw(),
                )
            };
            check("rte_eth_rx_queue_setup", &format!("{name} rx queue {queue}"), ret).inspect_err(|_| {
                held.extend(before.iter().cloned());
            })?;
        }
        drop(held);
        for queue in 0..config.tx_queues {
            // SAFETY: takes any numbers.
            let ret =
                unsafe { sys::shim_tx_queue_setup(number, queue, config.tx_ring, socket, plan.tx_offloads) };
            check("rte_eth_tx_queue_setup", &format!("{name} tx queue {queue}"), ret)?;
        }
        drop(before);
        if !set_mtu(number, name, config.mtu)? {
            plan.notes.push(Note::Unsupported("set an MTU; frames of any length may come"));
        }
        // SAFETY: takes any port number; the port is configured.
        check("rte_eth_dev_start", name, unsafe { sys::rte_eth_dev_start(number) })?;
        if plan.config.promiscuous && !set_promiscuous(number, name, true).unwrap_or(false) {
            plan.notes
                .push(Note::Unsupported("be made promiscuous; frames for other addresses may not come"));
        }
        Ok(plan)
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

    /// How the device receives on a queue, in its own words (`Vector AVX2`); empty if it doesn't say.
    pub fn rx_burst_mode(&self, queue: u16) -> String {
        let mut mode = sys::rte_eth_burst_mode::default();
        // SAFETY: takes any numbers, and writes `mode` only.
        let ret = unsafe { sys::rte_eth_rx_burst_mode_get(self.inner.number, queue, &mut mode) };
        burst_mode(ret, &mode)
    }

    /// How the device transmits on a queue, in its own words; empty if it doesn't say.
    pub fn tx_burst_mode(&self, queue: u16) -> String {
        let mut mode = sys::rte_eth_burst_mode::default();
        // SAFETY: takes any numbers, and writes `mode` only.
        let ret = unsafe { sys::rte_eth_tx_burst_mode_get(self.inner.number, queue, &mut mode) };
        burst_mode(ret, &mode)
    }

    /// What the device hashes, as it says itself; `None` if it can't say.
    pub fn rss(&self) -> Option<RssTypes> {
        let mut conf = sys::rte_eth_rss_conf::default();
        // SAFETY: takes any port number, and writes `conf`; without a key buffer it leaves the key out.
        let ret = unsafe { sys::rte_eth_dev_rss_hash_conf_get(self.inner.number, &mut conf) };
        (ret == 0).then(|| RssTypes::from_bits(conf.rss_hf))
    }

    /// The key that the device hashes with; `None` if it can't say.
    pub fn rss_key(&self) -> Option<Vec<u8>> {
        let len = Some(self.info().ok()?.rss_key_len).filter(|&len| len > 0)?;
        // Some drivers write 40 octets whatever length they are told; none has a key of 255.
        let mut key = vec![0; u8::MAX.into()];
        let mut conf =
            sys::rte_eth_rss_conf { rss_key: key.as_mut_ptr(), rss_key_len: u8::MAX, ..Default::default() };
        // SAFETY: takes any port number; the key has room for more octets than any driver writes.
        let ret = unsafe { sys::rte_eth_dev_rss_hash_conf_get(self.inner.number, &mut conf) };
        key.truncate(len.into());
        (ret == 0).then_some(key)
    }

    /// The redirection table: the rx queue of each hash, modulo its length. Empty without one.
    ///
    /// # Errors
    ///
    /// The device failed, or is gone.
    pub fn reta(&self) -> Result<Vec<u16>> {
        let size = self.info()?.reta_size;
        let mut groups = reta_groups(size);
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        // SAFETY: there is a group for every 64 entries of the `size` that are asked for.
        let ret = unsafe { sys::rte_eth_dev_rss_reta_query(self.inner.number, groups.as_mut_ptr(), size) };
        check("rte_eth_dev_rss_reta_query", &self.inner.name, ret)?;
        let entries = groups.iter().flat_map(|group| group.reta);
        Ok(entries.take(size.into()).collect())
    }

    /// Changes the redirection table.
    ///
    /// # Errors
    ///
    /// A table of another length, a queue that isn't there, a device that can't.
    pub fn set_reta(&mut self, table: &[u16]) -> Result<()> {
        const CALL: &str = "rte_eth_dev_rss_reta_update";
        let size = self.info()?.reta_size;
        let queues = self.state.plan.config.rx_queues;
        if table.len() != usize::from(size) || table.iter().any(|&queue| queue >= queues) {
            let message = format!("the table has {size} entries below {queues}");
            return Err(Error::refused(CALL, &self.inner.name, libc::EINVAL, message));
        }
        let mut groups = reta_groups(size);
        for (group, entries) in groups.iter_mut().zip(table.chunks(sys::SHIM_RETA_GROUP as usize)) {
            group.reta[..entries.len()].copy_from_slice(entries);
        }
        // SAFETY: there is a group for every 64 entries of the table.
        let ret = unsafe { sys::rte_eth_dev_rss_reta_update(self.inner.number, groups.as_mut_ptr(), size) };
        check(CALL, &self.inner.name, ret)?;
        Ok(())
    }
}

/// Groups for a table of `size` entries, all of them selected.
fn reta_groups(size: u16) -> Vec<sys::rte_eth_rss_reta_entry64> {
    let group = sys::SHIM_RETA_GROUP as u16;
    (0..size.div_ceil(group))
        .map(|i| {
            let entries = (size - i * group).min(group);
            sys::rte_eth_rss_reta_entry64 { mask: u64::MAX >> (group - entries), ..Default::default() }
        })
        .collect()
}

fn burst_mode(ret: i32, mode: &sys::rte_eth_burst_mode) -> String {
    match ret {
        // SAFETY: the text is an array that the driver ended with a zero; it was all zeros before.
        0 => unsafe { text_of(mode.info.as_ptr()) },
        _ => String::new(),
    }
}

fn set_mtu(number: u16, name: &str, mtu: u16) -> Result<bool> {
    // SAFETY: takes any numbers.
    where_supported(check("rte_eth_dev_set_mtu", name, unsafe { sys::rte_eth_dev_set_mtu(number, mtu) }))
}

fn set_promiscuous(number: u16, name: &str, on: bool) -> Result<bool> {
    let (call, ret) = if on {
        // SAFETY: takes any port number.
        ("rte_eth_promiscuous_enable", unsafe { sys::rte_eth_promiscuous_enable(number) })
    } else {
        // SAFETY: takes any port number.
        ("rte_eth_promiscuous_disable", unsafe { sys::rte_eth_promiscuous_disable(number) })
    };
    where_supported(check(call, name, ret))
}

/// Whether it worked, where "the device has no such operation" is an answer and no error.
fn where_supported(result: Result<u32>) -> Result<bool> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.is_unsupported() => Ok(false),
        Err(error) => Err(error),
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
