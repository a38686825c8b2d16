//! The switch's numbers over HTTP, for Prometheus: `/metrics`, `/healthz`, `/readyz`.
//!
//! One thread answers, and knows no switch: it asks the thread that owns it for [`Numbers`] (`desk.rs`) and
//! makes text of them (`exposition.rs`). Nothing that a client does or leaves undone costs the switch more than
//! taking these numbers now and then.
//!
//! [`Numbers`]: crate::control::Numbers

mod class;
mod desk;
mod exposition;
mod families;
mod format;
mod port;
#[cfg(test)]
mod sample;
mod server;
mod service;
mod whole;
mod worker;

pub use desk::Desk;
pub use service::{Service, Unservable};
