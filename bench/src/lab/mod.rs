//! The standards' tests: what is planned, carried out, and told meanwhile.

pub(crate) mod bed;
mod clock;
mod command;
mod environment;
pub(crate) mod name;
mod plan;
mod progress;
mod record;
mod run;
mod search;
mod self_test;
pub(crate) mod tests;
mod workshop;

pub use command::LabArgs;
pub(crate) use command::run;
pub use self_test::SelfTestArgs;
pub(crate) use self_test::run as run_self_test;
