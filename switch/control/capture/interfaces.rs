//! The interfaces of a capture's file: one for each port and kind of point, from the first frame on.

use std::sync::Arc;

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use pollux_net::PortId;

use super::CaptureRequest;
use super::pcapng::{Blocks, STATISTICS_LEN};

pub(super) const RX: &str = "rx";
pub(super) const TX: &str = "tx";
pub(super) const DROPPED: &str = "dropped";

/// The names of the ports that there are, replaced whole when they change.
pub(super) type Names = Arc<ArcSwap<Vec<(PortId, String)>>>;

/// What was added, by its number.
#[derive(Default)]
pub(super) struct Interfaces {
    names: Names,
    /// The names that `places` go by.
    known: Arc<Vec<(PortId, String)>>,
    places: HashMap<(PortId, &'static str), usize>,
    all: Vec<Interface>,
}

struct Interface {
    port: String,
    kind: &'static str,
    kept: u64,
}

impl Interfaces {
    pub(super) fn new(names: Names) -> Self {
        Self { names, ..Self::default() }
    }

    /// Takes up which ports there are: a number may be another's now.
    pub(super) fn follow(&mut self) {
        let names = self.names.load();
        if !Arc::ptr_eq(&names, &self.known) {
            self.known = Arc::clone(&names);
            self.places.clear();
        }
    }

    /// The number of an interface, which is added to `file` if it isn't there yet.
    pub(super) fn number(
        &mut self,
        port: PortId,
        kind: &'static str,
        request: &CaptureRequest,
        file: &mut Vec<u8>,
    ) -> usize {
        if let Some(&number) = self.places.get(&(port, kind)) {
            return number;
        }
        let name = self.known.iter().find(|(id, _)| *id == port);
        // A port that is gone, whose frames are still here.
        let name = name.map_or_else(|| format!("port {port}"), |(_, name)| name.clone());
        let known = self.all.iter().position(|of| of.kind == kind && of.port == name);
        let number = known.unwrap_or_else(|| {
            add(&name, kind, request, file);
            self.all.push(Interface { port: name, kind, kept: 0 });
            self.all.len() - 1
        });
        self.places.insert((port, kind), number);
        number
    }

    /// Counts a frame.
    pub(super) fn count(&mut self, number: usize) {
        self.all[number].kept += 1;
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Forgets those from the number `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        self.all.truncate(len);
        self.places.retain(|_, number| *number < len);
    }

    /// Frames of each, by number.
    pub(super) fn kept(&self) -> impl Iterator<Item = u64> {
        self.all.iter().map(|interface| interface.kept)
    }

    /// Octets that their statistics take.
    pub(super) fn statistics_len(&self) -> usize {
        self.all.len() * STATISTICS_LEN
    }
}

fn add(port: &str, kind: &str, request: &CaptureRequest, file: &mut Vec<u8>) {
    let description = match kind {
        RX => format!("frames that port {port} received"),
        TX => format!("frames that port {port} sent"),
        _ => format!("frames dropped and counted on port {port}"),
    };
    let CaptureRequest { snap_length, filter, .. } = request;
    Blocks(file).interface(&format!("{port}/{kind}"), &description, *snap_length, filter.as_deref());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::capture::live::tests::request;

    #[test]
    fn a_number_that_goes_to_another_port_gets_an_interface_of_its_own() {
        let names = |names: &[(u64, &str)]| {
            let named = names.iter().map(|&(id, name)| (PortId::from_low_bits(id), name.to_owned()));
            Arc::new(named.collect::<Vec<_>>())
        };
        let shared = Names::default();
        shared.store(names(&[(0, "a"), (1, "b")]));
        let (mut interfaces, mut file) = (Interfaces::new(shared.clone()), Vec::new());
        let number = |interfaces: &mut Interfaces, id, file: &mut Vec<u8>| {
            interfaces.follow();
            interfaces.number(PortId::from_low_bits(id), RX, &request(), file)
        };
        assert_eq!([0, 1, 0].map(|id| number(&mut interfaces, id, &mut file)), [0, 1, 0]);
        shared.store(names(&[(0, "c"), (3, "a")]));
        assert_eq!([0, 3, 1].map(|id| number(&mut interfaces, id, &mut file)), [2, 0, 3]);
        assert!(String::from_utf8_lossy(&file).contains("c/rx"));
        interfaces.truncate(2);
        let before = file.len();
        assert_eq!([3, 0].map(|id| number(&mut interfaces, id, &mut file)), [0, 2]);
        assert!(file.len() > before, "it was forgotten, and is added again");
    }
}
