//! A VM's end of a vhost-user port, without the VM.

use std::path::Path;

use dpdk::{Device, Eal, EalOptions, Mempool, PortConfig, RxQueue, Started, TxQueue};

use crate::{BenchError, Result};

/// Frames that are sent and received at once.
pub(crate) const BURST: usize = 32;

/// Starts DPDK with memory that back ends can share, this thread on `cpu`: hugepages, or `ordinary_mib` MiB of
/// ordinary memory.
pub(crate) fn environment(cpu: usize, no_huge: bool, ordinary_mib: u32) -> Result<Eal> {
    let started = Eal::init(&EalOptions {
        file_prefix: format!("pollux-load-{}", std::process::id()),
        // Ordinary memory can be shared with the back end only if it is a file's.
        in_memory: !no_huge,
        hugepages: !no_huge,
        memory: no_huge.then_some(ordinary_mib),
        management_cpu: Some(cpu),
        // So that the back end gets a few large pieces of memory, and not one for each hugepage.
        extra: if no_huge { Vec::new() } else { vec!["--single-file-segments".to_owned()] },
        ..EalOptions::default()
    });
    Ok(started?)
}

/// A front end that is connected, or about to be.
pub(crate) struct VirtioUser {
    pub(crate) rx: RxQueue,
    pub(crate) tx: TxQueue,
    /// Keeps the device.
    _port: dpdk::Port<Started>,
}

impl VirtioUser {
    /// Connects to the switch's `socket` with one queue each way; `number` tells front ends of a process
    /// apart. Of the ring to send on, `tx_ring` descriptors are used: with all of them, the driver frees what was
    /// sent a ring at a time; with fewer, frame by frame. `more` are device arguments besides.
    pub(crate) fn connect(
        eal: &Eal,
        pool: &Mempool,
        number: u8,
        socket: &Path,
        queue_size: u16,
        tx_ring: u16,
        more: &str,
    ) -> Result<Self> {
        let mut devargs = format!(
            "net_virtio_user{number},path={},queues=1,queue_size={queue_size},mac=02:ff:ff:ff:ff:{number:02x}",
            socket.display(),
        );
        if !more.is_empty() {
            devargs.push(',');
            devargs.push_str(more);
        }
        let config = PortConfig { rx_ring: queue_size, tx_ring, ..PortConfig::default() };
        let started = Device::new(devargs).attach(eal)?.start(&config, std::slice::from_ref(pool));
        let mut port = started.map_err(|refused| refused.error)?;
        let mut queues = port.take_queues()?;
        let (Some(rx), Some(tx)) = (queues.rx.pop(), queues.tx.pop()) else {
            return Err(BenchError::process("the load", "a front end without queues"));
        };
        Ok(Self { rx, tx, _port: port })
    }
}
