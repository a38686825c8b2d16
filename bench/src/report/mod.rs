//! What a run found, as a file, a page and a few lines on a terminal.

mod compare;
mod file;
mod html;
pub(crate) mod model;
#[cfg(test)]
mod sample;
mod summary;
pub(crate) mod terminal;
mod text;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub(crate) use file::{load, save};

use self::compare::{Comparison, Judgement};
use self::model::Report;
use self::summary::{Board, Headroom, Row};
use crate::{BenchError, Result};

/// Arguments of `pollux bench report`.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// A report of `pollux bench lab`, and a later one to set beside it
    #[arg(value_name = "FILE", num_args = 1..=2, required_unless_present = "schema")]
    files: Vec<PathBuf>,
    /// Writes a page that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Prints what it comes to as JSON
    #[arg(long)]
    json: bool,
    /// With two reports: exit code 1 if a figure of the second is worse beyond noise
    #[arg(long)]
    check: bool,
    /// Prints the JSON schema of reports
    #[arg(long, hide = true)]
    schema: bool,
}

/// What a report comes to, for programs.
#[derive(Serialize)]
struct Digest<'a> {
    title: &'a str,
    complete: bool,
    headroom: Vec<Headroom>,
    boards: Vec<Board>,
    figures: Vec<Row>,
}

/// Reads one report or two, and says what is in them.
pub(crate) fn run(args: &ReportArgs) -> Result<()> {
    if args.schema {
        print!("{}", file::schema());
        return Ok(());
    }
    match args.files.as_slice() {
        [one] if !args.check => show(args, &load(one)?),
        [_] => Err(BenchError::Input("--check compares: give two reports, the earlier one first".to_owned())),
        [a, b] => compare(args, &load(a)?, &load(b)?),
        _ => Err(BenchError::Input("give one report, or two to compare".to_owned())),
    }
}

fn show(args: &ReportArgs, report: &Report) -> Result<()> {
    if let Some(path) = &args.html {
        save_page(report, path)?;
    }
    if args.json {
        return print_json(&Digest {
            title: &report.title,
            complete: report.complete,
            headroom: summary::headroom(report),
            boards: summary::boards(report),
            figures: summary::rows(report),
        });
    }
    print!("{}", terminal::summary(report));
    Ok(())
}

/// Writes a report's page.
pub(crate) fn save_page(report: &Report, path: &Path) -> Result<()> {
    file::replace(path, html::page(report)?.as_bytes())
}

fn compare(args: &ReportArgs, a: &Report, b: &Report) -> Result<()> {
    let comparison = Comparison::of(a, b);
    if let Some(path) = &args.html {
        file::replace(path, html::comparison_page(&comparison)?.as_bytes())?;
    }
    match args.json {
        true => print_json(&comparison)?,
        false => print!("{}", terminal::comparison(&comparison)),
    }
    match comparison.count(Judgement::Regression) {
        regressions @ 1.. if args.check => Err(BenchError::Regressed(regressions)),
        _ => Ok(()),
    }
}

fn print_json(value: &impl Serialize) -> Result<()> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| BenchError::process("the report", error))?;
    println!("{text}");
    Ok(())
}
