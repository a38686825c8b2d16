//! The relay.
#![forbid(unsafe_code)]

pub mod fdb;
