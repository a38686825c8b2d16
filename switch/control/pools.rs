//! Mbuf pools: one for each NUMA socket that has a port, so that a NIC and the workers next to it keep
//! to their own memory.

use dpdk::{Eal, Mempool, PoolOptions};
use hashbrown::HashMap;

use super::plan::{DATA_ROOM, POOL_CACHE};
use super::{PoolNumbers, StartError};

/// The pools, by NUMA socket.
pub(super) struct Pools {
    by_socket: HashMap<u32, Mempool>,
    /// Where what is on no socket gets its mbufs.
    home: u32,
}

impl Pools {
    /// Shares `mbufs` out over the sockets of the ports, each given with what it can hold at once. Ports
    /// on no socket, and what isn't any port's, go to `home`.
    pub(super) fn create(
        eal: &Eal,
        mbufs: u32,
        home: u32,
        ports: impl Iterator<Item = (Option<u32>, u32)>,
    ) -> Result<Self, StartError> {
        let mut wanted = HashMap::from([(home, 0)]);
        for (socket, held) in ports {
            *wanted.entry(socket.unwrap_or(home)).or_insert(0) += held;
        }
        let by_socket = shares(mbufs, wanted).into_iter().map(|(socket, mbufs)| {
            let options = PoolOptions {
                purpose: format!("frames of NUMA socket {socket}"),
                mbufs,
                data_room: DATA_ROOM,
                cache: POOL_CACHE,
                // Without hugepages DPDK knows no sockets, so the home takes any memory.
                socket: (socket != home).then_some(socket),
            };
            Ok((socket, Mempool::create(eal, &options).map_err(StartError::Pool)?))
        });
        Ok(Self { by_socket: by_socket.collect::<Result<_, StartError>>()?, home })
    }

    /// The pool of a socket; the home's where there is none.
    pub(super) fn of(&self, socket: Option<u32>) -> &Mempool {
        let near = socket.and_then(|socket| self.by_socket.get(&socket));
        near.unwrap_or_else(|| &self.by_socket[&self.home])
    }

    /// The pools, by socket.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Mempool> {
        let mut sockets: Vec<_> = self.by_socket.keys().collect();
        sockets.sort_unstable();
        sockets.into_iter().map(|socket| &self.by_socket[socket])
    }

    /// Mbufs of all pools.
    pub(super) fn size(&self) -> u32 {
        self.by_socket.values().map(Mempool::size).sum()
    }

    /// The size of each and how much of it is out, by socket.
    pub(super) fn numbers(&self) -> Vec<PoolNumbers> {
        let of = |(&socket, pool): (&u32, &Mempool)| PoolNumbers {
            socket,
            mbufs: pool.size(),
            in_use: pool.in_use(),
        };
        let mut numbers: Vec<_> = self.by_socket.iter().map(of).collect();
        numbers.sort_unstable_by_key(|pool| pool.socket);
        numbers
    }

    /// Mbufs that are out.
    pub(super) fn in_use(&self) -> u32 {
        self.by_socket.values().map(Mempool::in_use).sum()
    }
}

/// Each socket's share of `mbufs`: what its ports hold, and an equal part of the rest.
fn shares(mbufs: u32, held: HashMap<u32, u32>) -> HashMap<u32, u32> {
    let total: u32 = held.values().sum();
    let rest = mbufs.saturating_sub(total) / held.len().max(1) as u32;
    let scale = |held: u32| u64::from(held) * u64::from(mbufs.min(total)) / u64::from(total.max(1));
    held.into_iter().map(|(socket, held)| (socket, scale(held) as u32 + rest)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_share_what_there_is() {
        let shared = shares(1000, HashMap::from([(0, 500), (1, 300)]));
        assert_eq!((shared[&0], shared[&1]), (600, 400));
        let scarce = shares(400, HashMap::from([(0, 600), (1, 200)]));
        assert_eq!((scarce[&0], scarce[&1]), (300, 100));
        assert_eq!(shares(100, HashMap::from([(0, 0)]))[&0], 100);
    }
}
