//! The tester alone: `bench peers …` as `pollux bench peers …`, with `--pollux FILE` for the switch.

use std::process::ExitCode;

use clap::Parser;
use pollux_bench::BenchCommand;

#[derive(Parser)]
enum Cli {
    /// The tester
    #[command(subcommand)]
    Bench(BenchCommand),
}

fn main() -> ExitCode {
    let Cli::Bench(command) = Cli::parse();
    match command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
