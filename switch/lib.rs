//! Pollux: a poll-mode Ethernet switch.
//!
//! [`control`] starts, watches and stops a switch; its workers take frames through
//! [`pollux_engine`]'s data path over DPDK devices; [`cli`] is what a person types; [`demo`]
//! shows it at work.
#![forbid(unsafe_code)]

pub mod cli;
pub mod control;
pub mod demo;
mod worker;
