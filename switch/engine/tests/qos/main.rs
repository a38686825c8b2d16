//! Classes, rules, policers, queues and rates, over ports in memory and a clock of its own.
#![forbid(unsafe_code)]

mod queues;
mod rig;
mod tables;
mod taps;
