#[cfg(loom)]
mod loom;
#[cfg(not(loom))]
mod single;

use super::*;
use pollux_net::{Mac, PortId, Vid};

fn key(vid: u16, mac: u64) -> FdbKey {
    FdbKey::new(Vid::new(vid).unwrap(), Mac::from_u64(mac))
}

fn port(number: usize) -> PortId {
    PortId::new(number).unwrap()
}
