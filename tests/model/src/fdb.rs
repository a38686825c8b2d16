//! Who was last seen where.

use std::collections::HashMap;

use pollux_net::{PortId, Vid};

#[derive(Clone, Copy, Debug)]
enum Entry {
    Static(PortId),
    Learned { port: PortId, last_seen: u32 },
}

#[derive(Clone, Debug)]
pub(crate) struct Fdb {
    entries: HashMap<(Vid, [u8; 6]), Entry>,
    ageing_seconds: u32,
    capacity: usize,
}

impl Fdb {
    pub(crate) fn new(ageing_seconds: u32, capacity: usize) -> Self {
        Self { entries: HashMap::new(), ageing_seconds, capacity }
    }

    pub(crate) fn add_static(&mut self, vid: Vid, address: [u8; 6], port: PortId) {
        self.entries.insert((vid, address), Entry::Static(port));
        self.check_capacity();
    }

    pub(crate) fn learn(&mut self, vid: Vid, address: [u8; 6], port: PortId, now: u32) {
        let fixed = matches!(self.entries.get(&(vid, address)), Some(Entry::Static(_)));
        if !fixed {
            let entry = Entry::Learned { port, last_seen: now };
            self.entries.insert((vid, address), entry);
            self.check_capacity();
        }
    }

    pub(crate) fn lookup(&self, vid: Vid, address: [u8; 6], now: u32) -> Option<PortId> {
        match self.entries.get(&(vid, address)) {
            Some(Entry::Static(port)) => Some(*port),
            Some(Entry::Learned { port, last_seen }) if now - last_seen < self.ageing_seconds => Some(*port),
            _ => None,
        }
    }

    /// Forgets learned entries that `gone` picks.
    pub(crate) fn forget(&mut self, gone: impl Fn(Vid, PortId) -> bool) {
        self.entries.retain(|(vid, _), entry| match entry {
            Entry::Static(_) => true,
            Entry::Learned { port, .. } => !gone(*vid, *port),
        });
    }

    fn check_capacity(&self) {
        assert!(
            self.entries.len() <= self.capacity,
            "the model doesn't evict: give it more than {} entries",
            self.capacity
        );
    }
}
