//! Console commands: what a person types, the calls that it becomes, and how the answers read.
//!
//! [`commands`] is the table of all of them. [`Command::parse`] reads a line by it, [`Command::run`] does what the line
//! says, [`next`] tells what could come next in one. What of testpmd means nothing to a switch is in [`absent`], with
//! why.

pub mod absent;
pub mod commands;
#[cfg(test)]
mod fake;
pub mod grammar;
pub mod help;
#[cfg(test)]
mod manual;
mod render;
mod run;
pub mod script;
mod streams;

pub use grammar::argument::Named;
pub use grammar::words::{quote, split};
pub use grammar::{Args, Command, InputError, Next, Values, next};
pub use run::{Caller, Failed, Local, Screen, Streams};
pub use streams::STANDARD_OUTPUT;
