//! The command line: `pollux run`, `check`, `exec`, `cli`, `top`, `vm`, `demo`, `bench`.

mod check;
mod console;
mod demo;
mod exec;
mod file;
mod generate;
mod log;
mod run;
mod signals;
mod supervisor;
mod top;
mod vm;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Where the file is unless told otherwise.
const DEFAULT_CONFIG: &str = "/etc/pollux/pollux.toml";

/// A poll-mode Ethernet switch for hosts that run virtual machines.
#[derive(Debug, Parser)]
#[command(name = "pollux", version = env!("POLLUX_VERSION"), arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed at run time, 2 the input is wrong, 3 the host lacks something."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the switch until SIGINT or SIGTERM; a second one ends it at once. SIGHUP has it read its file
    /// again
    Run(run::RunArguments),
    /// Validates a file and the host, touching neither: every fault at once
    Check(FileArguments),
    /// Runs console commands: from the arguments, a file or the standard input
    Exec(exec::ExecArguments),
    /// The console: commands one by one, with history, completion and help
    Cli(console::ConsoleArguments),
    /// Live rates, drops and workers' load, in the terminal
    Top(top::TopArguments),
    /// Prints what QEMU or libvirt needs for a VM on a port
    Vm(vm::VmArguments),
    /// Shows the switch at work on this machine: no NIC, no hugepages, no file
    Demo,
    /// What the demo does inside a host's namespace, for its own use
    #[command(hide = true, subcommand)]
    DemoEnd(crate::demo::EndArguments),
    /// Writes what packages carry beside the binary
    #[command(hide = true, subcommand)]
    Generate(generate::GenerateCommand),
    /// Measures a switch
    #[command(subcommand)]
    Bench(pollux_bench::BenchCommand),
}

/// Which file.
#[derive(Debug, clap::Args)]
struct FileArguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

/// How a command ended. The numbers are the process's exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Outcome {
    Done = 0,
    Failed = 1,
    BadInput = 2,
    HostLacks = 3,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome as u8)
    }
}

/// Runs the command that the process's arguments name.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log = log::Log::start();
    let outcome = match arguments.command {
        Command::Run(arguments) => run::run(&arguments, log),
        Command::Check(arguments) => check::check(&arguments),
        Command::Exec(arguments) => exec::exec(&arguments),
        Command::Cli(arguments) => console::console(&arguments),
        Command::Top(arguments) => top::top(&arguments),
        Command::Vm(arguments) => vm::vm(&arguments),
        Command::Demo => demo::demo(),
        Command::DemoEnd(arguments) => demo::end(&arguments),
        Command::Generate(command) => generate::generate(&command),
        Command::Bench(command) => return bench(&command),
    };
    outcome.into()
}

fn bench(command: &pollux_bench::BenchCommand) -> ExitCode {
    let Err(error) = command.run() else { return ExitCode::SUCCESS };
    eprintln!("{error}");
    error.exit_code().into()
}

/// Seconds between two looks.
fn parse_interval(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds, as in 1 or 0.5".to_owned())?;
    if (0.1..=3600.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("write 0.1 to 3600 seconds".to_owned())
    }
}
