//! How a started port spreads frames over its rx queues.

use dpdk_sys as sys;

use super::{Port, Started};
use crate::error::{Error, Result, check};
use crate::rss::RssTypes;

impl Port<Started> {
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
