use crate::control::{Host, Plan, preflight};

use super::{FileArguments, Outcome, file};

/// Reports every fault of the file, then everything that the host lacks for it.
pub(super) fn check(arguments: &FileArguments) -> Outcome {
    let config = match file::load(&arguments.config) {
        Ok(config) => config,
        Err(outcome) => return outcome,
    };
    let host = Host::default();
    let plan = Plan::new(&config, &host);
    let lacking = preflight(&config, &plan, &host);
    if !lacking.is_empty() {
        file::show(lacking);
        return Outcome::BadInput;
    }
    let cpus: Vec<_> = plan.cpus.iter().map(usize::to_string).collect();
    let kind = if plan.memory.hugepages { "hugepages" } else { "ordinary memory" };
    println!(
        "{}: good: {} ports, workers on CPU {}, {} MiB of {kind}",
        arguments.config.display(),
        config.ports.len(),
        cpus.join(", "),
        plan.memory.mib(),
    );
    Outcome::Done
}
