use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pollux_engine::PortTotals;

use crate::control::{
    ChangeError, ControlAccess, Happening, Host, Plan, Running, Stopped, Switch, preflight, report,
};
use crate::metrics;
use crate::rpc::{DEFAULT_SOCKET, Server, methods};

use super::log::Log;
use super::signals::{Hangups, stop_on_signals};
use super::supervisor::Supervisor;
use super::{DEFAULT_CONFIG, Outcome, file};

/// How soon a signal is seen.
const PATIENCE: Duration = Duration::from_millis(50);

/// Calls that are answered before the switch is looked after again, however many wait.
const CALLS_AT_ONCE: usize = 16;

#[derive(Debug, clap::Args)]
pub(super) struct RunArguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// The socket to be controlled by [default: /run/pollux/control.sock, if no other switch has it]
    #[arg(long, value_name = "SOCKET")]
    control: Option<PathBuf>,
    /// Prints every port's counters this often, as one line of key=value pairs a port
    #[arg(long, value_name = "SECONDS", value_parser = super::parse_interval)]
    stats_interval: Option<Duration>,
}

/// Runs the switch until it is told to stop.
pub(super) fn run(arguments: &RunArguments, log: Log) -> Outcome {
    let began = Instant::now();
    let (config, text) = match file::load_with_text(&arguments.config) {
        Ok(loaded) => loaded,
        Err(outcome) => return outcome,
    };
    log.tell(&config.log);
    let host = Host::default();
    let plan = Plan::new(&config, &host);
    let lacking = preflight(&config, &plan, &host);
    if !lacking.is_empty() {
        file::show(lacking);
        return Outcome::HostLacks;
    }
    let unheard = |error: &dyn std::fmt::Display| {
        eprintln!("signals can't be handled: {error}");
        Outcome::Failed
    };
    // Held back before there are other threads that could take it.
    let hangups = match Hangups::hold() {
        Ok(hangups) => hangups,
        Err(error) => return unheard(&error),
    };
    let stop = match stop_on_signals() {
        Ok(stop) => stop,
        Err(error) => return unheard(&error),
    };
    let switch = match Switch::start(config, plan) {
        Ok(switch) => switch,
        Err(error) => {
            eprintln!("{error}");
            return Outcome::Failed;
        }
    };
    let (server, access) = match listen(arguments.control.as_deref(), &switch) {
        Ok(server) => server,
        Err(error) => {
            eprintln!("control socket: {error}");
            drop(switch);
            return Outcome::HostLacks;
        }
    };
    let waker = switch.waker();
    let (service, desk) = match metrics::Service::start(switch.config(), move || waker.wake()) {
        Ok(served) => served,
        Err(error) => {
            eprintln!("{}: {error}", arguments.config.display());
            return Outcome::HostLacks;
        }
    };
    print!("{}", switch.describe());
    if let Some(server) = &server {
        println!("controlled by {}", server.path().display());
    }
    if let Some(metrics) = switch.config().metrics {
        println!("metrics on http://{}/metrics", metrics.listen);
    }
    println!("ready after {} ms", began.elapsed().as_millis());
    let mut running = Running::new(switch, &arguments.config, text);
    running.follow(service);
    running.follow(log);
    if let Some(access) = access {
        running.follow(access);
    }
    let supervisor = Supervisor::of_environment();
    supervisor.ready(&running.switch);
    let session = Session { server, desk, supervisor, hangups, stats_interval: arguments.stats_interval };
    session.watch(&mut running, &stop);
    conclude(&running.switch.stop())
}

/// The socket that was asked for; else the usual one, where it can be had.
fn listen(asked: Option<&Path>, switch: &Switch) -> std::io::Result<(Option<Server>, Option<ControlAccess>)> {
    let listen = |path: &Path| {
        let server = Server::listen(path, switch.waker())?;
        let access = ControlAccess::grant(path, &switch.config().control)?;
        Ok((Some(server), Some(access)))
    };
    if let Some(path) = asked {
        return listen(path);
    }
    let usual = Path::new(DEFAULT_SOCKET);
    let made = usual.parent().map_or(Ok(()), std::fs::create_dir_all);
    match made.and_then(|()| listen(usual)) {
        Ok(listens) => Ok(listens),
        Err(error) => {
            tracing::warn!(target: "rpc", "no control socket: {error}; --control SOCKET names another");
            Ok((None, None))
        }
    }
}

/// Who talks to a switch that runs.
struct Session {
    server: Option<Server>,
    desk: metrics::Desk,
    supervisor: Supervisor,
    hangups: Hangups,
    stats_interval: Option<Duration>,
}

impl Session {
    /// Until `stop` is raised.
    fn watch(mut self, running: &mut Running, stop: &AtomicBool) {
        let began = Instant::now();
        let mut next_stats = self.stats_interval.map(|interval| began + interval);
        let mut more_calls = false;
        while !stop.load(Ordering::SeqCst) && !running.quits() {
            let now = Instant::now();
            let until = if more_calls { now } else { now + PATIENCE };
            self.supervisor.go_on(&running.switch);
            let happened = running.switch.watch(next_stats.map_or(until, |next| next.min(until)));
            if !happened.is_empty() {
                self.supervisor.changed(&running.switch);
            }
            happened.iter().for_each(|happened| self.tell(happened));
            more_calls = self.answer_calls(running) == CALLS_AT_ONCE;
            self.desk.answer(|| running.switch.numbers());
            if self.hangups.take() {
                self.supervisor.reloading();
                reload(running);
                self.supervisor.ready(&running.switch);
            }
            running.expire();
            running.news().iter().for_each(|news| self.tell(news));
            if let (Some(next), Some(interval)) = (next_stats, self.stats_interval)
                && Instant::now() >= next
            {
                print_stats(began.elapsed(), &running.switch.totals());
                next_stats = Some(next + interval);
            }
        }
        self.supervisor.stopping();
    }

    /// Tells of something by the log, and to those who have subscribed to it.
    fn tell(&self, happened: &Happening) {
        happened.log();
        if let Some(server) = &self.server {
            server.publish(happened);
        }
    }

    /// Answers some of the calls that wait. Returns how many there were.
    fn answer_calls(&self, running: &mut Running) -> usize {
        let waiting = std::iter::from_fn(|| self.server.as_ref()?.next()).take(CALLS_AT_ONCE);
        let answered = waiting.map(|mut request| {
            tracing::debug!(target: "rpc", "{}", request.method);
            let arguments = std::mem::take(&mut request.arguments);
            let answer = methods::answer(running, &request.method, arguments);
            request.answer(answer);
        });
        answered.count()
    }
}

/// Reads the file again, and says what came of it.
fn reload(running: &mut Running) {
    let file = running.file().display().to_string();
    match running.reload() {
        Ok(_) => {}
        Err(ChangeError::Faults(faults)) => {
            tracing::error!(target: "config", "{file} is refused whole, and the switch runs as before");
            file::show(faults);
        }
        Err(error) => tracing::error!(target: "config", "{error}"),
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
