use std::net::{Ipv4Addr, SocketAddr};

use crate::limits;
use crate::tree::Node;

/// Where the switch's numbers are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// The address and TCP port to listen on.
    pub listen: SocketAddr,
}

pub(crate) fn read(node: &Node<'_>) -> Option<Metrics> {
    node.table(|table| {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, limits::DEFAULT_METRICS_PORT));
        Some(Metrics { listen: table.get("listen", listen).unwrap_or(loopback) })
    })
}

fn listen(node: &Node<'_>) -> Option<SocketAddr> {
    let cure = "write an IP address and a TCP port, as in \"127.0.0.1:9475\" or \"[::1]:9475\"";
    let address: Option<SocketAddr> = node.text(cure)?.parse().ok();
    // Port 0 would be another one at each start.
    let fixed = address.filter(|address| address.port() != 0);
    fixed.or_else(|| node.refuse(format!("`{}` is no address to listen on", node.path()), cure))
}
