//! Serving where the file says, also after it says something else.

use std::cell::RefCell;
use std::io::{Error, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;

use pollux_config::{Config, Fault, Faults};

use super::desk::{Asker, Desk};
use super::server::Server;
use crate::control::{Follower, Then};

/// Where metrics are served, while it is kept.
pub struct Service {
    asker: Arc<Asker>,
    server: Rc<RefCell<Option<Server>>>,
}

/// Metrics can't be served where they should.
#[derive(Debug, thiserror::Error)]
#[error("metrics can't be served on {listen}: {error}; {}", self.cure())]
pub struct Unservable {
    listen: SocketAddr,
    error: Error,
}

impl Unservable {
    fn cure(&self) -> &'static str {
        match self.error.kind() {
            ErrorKind::AddrInUse => "stop who listens there (`ss -ltnp` tells), or choose another TCP port",
            ErrorKind::AddrNotAvailable => "choose an address that this host has, as in \"127.0.0.1:9475\"",
            ErrorKind::PermissionDenied => "choose a TCP port from 1024 on",
            _ => "choose another address, as in \"127.0.0.1:9475\"",
        }
    }
}

impl Service {
    /// Serves as `config` says, or not at all; `wake` makes the thread that owns the switch look at the desk.
    ///
    /// # Errors
    ///
    /// The address isn't this host's, or somebody has the port.
    pub fn start(
        config: &Config,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<(Self, Desk), Unservable> {
        let (desk, asker) = Desk::new(wake);
        let asker = Arc::new(asker);
        let server = match config.metrics {
            Some(metrics) => Some(serve(metrics.listen, &asker)?),
            None => None,
        };
        Ok((Self { asker, server: Rc::new(RefCell::new(server)) }, desk))
    }
}

fn serve(listen: SocketAddr, asker: &Arc<Asker>) -> Result<Server, Unservable> {
    let server = TcpListener::bind(listen).and_then(|listener| Server::start(listener, asker.clone()));
    server.map_err(|error| Unservable { listen, error })
}

impl Follower for Service {
    fn prepare(&self, old: &Config, new: &Config) -> Result<Then, Faults> {
        if old.metrics == new.metrics {
            return Ok(Box::new(|| ()));
        }
        let fresh = new.metrics.map(|metrics| serve(metrics.listen, &self.asker)).transpose();
        let fresh = fresh.map_err(|Unservable { listen, error }| {
            let own = old.metrics.is_some_and(|old| old.listen.port() == listen.port());
            let unservable = Unservable { listen, error };
            let cure = if own && unservable.error.kind() == ErrorKind::AddrInUse {
                "change the TCP port as well, or restart the switch: it listens on this one already"
            } else {
                unservable.cure()
            };
            let what = format!("metrics can't be served here: {}", unservable.error);
            Faults::from_iter([Fault::at(&new.locate("metrics.listen"), what, cure)])
        })?;
        let server = self.server.clone();
        Ok(Box::new(move || drop(server.replace(fresh))))
    }
}
