use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pollux_engine::PortTotals;

use crate::control::{Host, Plan, Stopped, Switch, preflight, report};

use super::{DEFAULT_CONFIG, Outcome, file};

/// How soon a signal is seen.
const PATIENCE: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
pub(super) struct RunArguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Prints every port's counters this often, as one line of key=value pairs a port
    #[arg(long, value_name = "SECONDS", value_parser = parse_interval)]
    stats_interval: Option<Duration>,
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds, as in 1 or 0.5".to_owned())?;
    if (0.1..=3600.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("write 0.1 to 3600 seconds".to_owned())
    }
}

/// Runs the switch until it is told to stop.
pub(super) fn run(arguments: &RunArguments) -> Outcome {
    let began = Instant::now();
    let config = match file::load(&arguments.config) {
        Ok(config) => config,
        Err(outcome) => return outcome,
    };
    let host = Host::default();
    let plan = Plan::new(&config, &host);
    let lacking = preflight(&config, &plan, &host);
    if !lacking.is_empty() {
        file::show(lacking);
        return Outcome::HostLacks;
    }
    let stop = match stop_on_signals() {
        Ok(stop) => stop,
        Err(error) => {
            eprintln!("signals can't be handled: {error}");
            return Outcome::Failed;
        }
    };
    let mut switch = match Switch::start(config, plan) {
        Ok(switch) => switch,
        Err(error) => {
            eprintln!("{error}");
            return Outcome::Failed;
        }
    };
    print!("{}", switch.describe());
    println!("ready after {} ms", began.elapsed().as_millis());
    watch(&mut switch, &stop, arguments.stats_interval);
    conclude(&switch.stop())
}

/// The flag that the first SIGINT or SIGTERM raises. The second ends the process.
pub(crate) fn stop_on_signals() -> Result<Arc<AtomicBool>, ctrlc::Error> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = stop.clone();
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::SeqCst) {
            std::process::exit(Outcome::Failed as i32);
        }
    })?;
    Ok(stop)
}

fn watch(switch: &mut Switch, stop: &AtomicBool, stats_interval: Option<Duration>) {
    let began = Instant::now();
    let mut next_stats = stats_interval.map(|interval| began + interval);
    while !stop.load(Ordering::SeqCst) {
        let until = Instant::now() + PATIENCE;
        for change in switch.watch(next_stats.map_or(until, |next| next.min(until))) {
            tracing::info!("port {}: link {}", change.port, change.link);
        }
        if let (Some(next), Some(interval)) = (next_stats, stats_interval)
            && Instant::now() >= next
        {
            print_stats(began.elapsed(), &switch.totals());
            next_stats = Some(next + interval);
        }
    }
}

fn print_stats(since_ready: Duration, totals: &[(String, PortTotals)]) {
    for (name, totals) in totals {
        println!(
            "stats t={:.6} port={name} rx_frames={} rx_bytes={} tx_frames={} tx_bytes={} dropped={}",
            since_ready.as_secs_f64(),
            totals.rx_frames,
            totals.rx_bytes,
            totals.tx_frames,
            totals.tx_bytes,
            totals.dropped(),
        );
    }
}

/// The closing words: totals, drops, what devices lost, the balance.
fn conclude(stopped: &Stopped) -> Outcome {
    println!("{}", report::totals(&stopped.totals));
    for (port, stats) in &stopped.losses {
        println!(
            "port {port}: its device missed {} frames for want of descriptors, {} for want of mbufs; \
             {} came with errors, {} failed to go out",
            stats.rx_missed, stats.rx_no_mbuf, stats.rx_errors, stats.tx_errors,
        );
    }
    println!("{}", report::accounting(&stopped.accounting));
    for failure in &stopped.failures {
        eprintln!("{failure}");
    }
    if stopped.mbufs_out > 0 {
        eprintln!("{} mbufs didn't come home", stopped.mbufs_out);
    }
    let clean = stopped.failures.is_empty() && stopped.mbufs_out == 0 && stopped.accounting.balances();
    if clean { Outcome::Done } else { Outcome::Failed }
}
