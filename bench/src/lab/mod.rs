//! The standards' tests: what is planned, carried out, and told meanwhile.

pub(crate) mod bed;
mod clock;
mod command;
mod environment;
pub(crate) mod name;
mod plan;
mod run;
mod search;
pub(crate) mod tests;
mod workshop;

pub use command::LabArgs;
pub(crate) use command::run;
