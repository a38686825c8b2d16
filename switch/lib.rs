//! Pollux: a poll-mode Ethernet switch.
//!
//! [`control`] starts, watches, changes and stops a switch; its workers take frames through
//! [`pollux_engine`]'s data path over DPDK devices; [`rpc`] is the socket that it is controlled by,
//! [`console`] what a person says to it, [`top`] what he sees of it, [`cli`] what he types in a shell; [`metrics`]
//! serves its numbers, [`demo`] shows it at work.
#![forbid(unsafe_code)]

pub mod cli;
pub mod console;
pub mod control;
pub mod demo;
pub mod metrics;
pub mod rpc;
pub mod text;
pub mod top;
mod worker;
