//! End to end: the binary as people run it, over real ports.
//!
//! Run these with cargo-nextest as root, as `make test` does: each test has a process, and namespaces
//! and DPDK need the rights. What a test makes bears its process's number and goes with it.
#![forbid(unsafe_code)]
#![allow(missing_docs, unreachable_pub)]

mod harness;

mod ageing;
mod capture;
mod check;
mod console;
mod console_cli;
mod console_lines;
mod control;
mod coupling;
mod front_end;
mod hotplug;
mod hugepages;
mod lab;
mod live;
mod metrics;
mod mirrors;
mod namespaces;
mod qos;
mod restarts;
mod rings;
mod signals;
mod sockets;
mod stopped;
mod supervised;
mod tester;
mod top;
mod vectors;
mod vhost;
mod work;
mod workers;
