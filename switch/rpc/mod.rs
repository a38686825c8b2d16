//! The control socket: JSON-RPC 2.0, one message a line, over a Unix socket.
//!
//! [`Server`] takes connections and lines on threads of its own and hands [`Request`]s to the thread that
//! owns the switch, which answers them with [`methods::answer`] when it gets to it: no client ever waits
//! on a worker, and no worker on a client. What the switch doesn't know itself, as what VMs' guest agents
//! tell, the client's thread adds ([`methods::Reply`]). What happens goes to subscribers by queues that
//! lose rather than wait. [`Client`] is the other end. `docs/control.md` is the protocol.

mod client;
mod events;
mod lines;
pub mod methods;
mod protocol;
mod server;

pub use client::{CallError, Client};
pub use protocol::{Code, Failure, VERSION};
pub use server::{Request, Server};

/// Where the socket is unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/pollux/control.sock";

/// The kinds of events that there are.
pub const EVENT_KINDS: &[&str] = &crate::control::Happening::KINDS;
