//! Configuring a device and starting it.

use std::sync::PoisonError;

use dpdk_sys as sys;

use super::operations::{set_mtu, set_promiscuous};
use super::{Port, Stopped};
use crate::Mempool;
use crate::error::{Error, Result, check};
use crate::plan::{Note, Plan, PortConfig};

impl Port<Stopped> {
    pub(super) fn configure_and_start(&self, config: &PortConfig, pools: &[Mempool]) -> Result<Plan> {
        let (number, name) = (self.inner.number, self.inner.name.as_str());
        let Some(smallest) = pools.iter().map(Mempool::data_room).min() else {
            let message = "rx queues need a pool to take mbufs from";
            return Err(Error::refused("rte_eth_rx_queue_setup", name, libc::EINVAL, message));
        };
        let info = self.info()?;
        let mut config = config.clone();
        if self.inner.vhost.is_some() {
            // Else the driver computes what VMs left, for ports that would take it uncomputed too.
            config.offloads.0 |= sys::SHIM_RX_OFFLOAD_TCP_CKSUM | sys::SHIM_RX_OFFLOAD_UDP_CKSUM;
        }
        let mut plan = Plan::new(&info, &config, smallest);
        let config = &plan.config;
        let mut conf = sys::shim_port_conf {
            rx_queues: config.rx_queues,
            tx_queues: config.tx_queues,
            mtu: config.mtu.into(),
            mq_mode: if config.rss.is_empty() { sys::SHIM_MQ_RX_NONE } else { sys::SHIM_MQ_RX_RSS },
            rx_offloads: plan.rx_offloads,
            tx_offloads: plan.tx_offloads,
            rss_types: config.rss.bits(),
            link_interrupt: info.link_events.into(),
            removal_interrupt: info.removal_events.into(),
            rx_interrupts: (config.rx_interrupts && self.inner.vhost.is_none()).into(),
        };
        // SAFETY: takes any port number and reads `conf` only. The port is stopped and no queue is out.
        let configure = |conf: &sys::shim_port_conf| unsafe { sys::shim_port_configure(number, conf) };
        let mut ret = configure(&conf);
        if ret != 0 && conf.rx_interrupts != 0 {
            // Some refuse to be configured with interrupts that they haven't got, as virtio without vectors does.
            conf.rx_interrupts = 0;
            ret = configure(&conf);
            plan.config.rx_interrupts = false;
            plan.notes.push(Note::NO_RX_INTERRUPTS);
        }
        check("rte_eth_dev_configure", name, ret)?;
        let config = &plan.config;
        if let Some(vhost) = &self.inner.vhost {
            vhost.restrict()?;
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
}
