//! Drawing.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Clear, Gauge, Paragraph, Row, Sparkline, Table, TableState, Wrap};

use pollux_engine::Reason;

use super::keys::State;
use super::model::{Model, Port};
use crate::text::grouped;

/// What a reason means, in words.
fn about(reason: &str) -> &'static str {
    match reason {
        "device: missed" => "No descriptor was free when they came.",
        "device: rx_errors" => "They came with errors.",
        "device: no_mbuf" => "No buffer was free when they came.",
        "device: tx_errors" => "The device failed to send them.",
        _ => Reason::ALL.iter().find(|known| known.name() == reason).map_or("", |known| known.about()),
    }
}

/// Frames a second as blocks, for a table's cell.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Columns of a curve in the table.
const CURVE: usize = 16;

const KEYS: &str = "q quit  s sort  r reverse  / filter  ↑↓ choose  Enter open  ? help";

const HELP: &str = "\
q, ctrl-C   leave
s           sort by the next column: number, name, received, sent, dropped
r           turn the order round
/           show only ports whose names contain what is typed; Esc shows all
↑ ↓, j k    choose a port
Enter       open it; Esc goes back
?           this

Rates are of frames and of their octets, without check sequences, preambles and gaps.
What is dropped now is red. Counters are as `show port stats` has them.";

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, state: &mut State) {
    let workers = model.last.as_ref().map_or(0, |last| last.workers.len());
    let [head, body, drops, load, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(5),
        Constraint::Length(7),
        Constraint::Length((workers as u16 + 1).min(9)),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(header(model), head);
    let opened =
        state.selected.as_ref().filter(|_| state.open).and_then(|name| model.ports.get_key_value(name));
    match opened {
        Some((name, port)) => alone(frame, name, port, body),
        None => table(frame, model, state, body),
    }
    frame.render_widget(moving(model), drops);
    load_bars(frame, model, load);
    frame.render_widget(footer(state), foot);
    if state.help {
        help(frame);
    }
}

fn header(model: &Model) -> Paragraph<'_> {
    let Some(last) = &model.last else { return Paragraph::new("") };
    let uptime = last.uptime_seconds as u64;
    let (days, hours, minutes) = (uptime / 86400, uptime / 3600 % 24, uptime / 60 % 60);
    let ports = model.ports.values();
    let vms = ports.clone().filter(|port| port.now.is_vm);
    let (vms, there) = (vms.clone().count(), vms.filter(|port| port.now.up).count());
    let sum = |rate: fn(&Port) -> f64| ports.clone().map(rate).sum::<f64>();
    let first = Line::from(vec![
        last.version.as_str().bold(),
        Span::raw(format!(
            "   up {days} d {hours} h {minutes} min   {} ports, {there} of {vms} VMs there   in {}pps, out {}pps",
            model.ports.len(),
            scaled(sum(|port| port.rates.rx_frames)),
            scaled(sum(|port| port.rates.tx_frames)),
        )),
    ]);
    let second = match &model.lost {
        Some(why) => Line::from(format!("no answer, trying again: {why}")).red().bold(),
        None => {
            let [rx, replicated, tx, dropped, queued] = last.accounting.map(grouped);
            Line::from(format!(
                "rx {rx} + replicated {replicated} = tx {tx} + dropped {dropped} + queued {queued}"
            ))
        }
    };
    Paragraph::new(vec![first, second])
}

fn table(frame: &mut Frame<'_>, model: &Model, state: &State, area: Rect) {
    let ports = state.ports(model);
    let header =
        ["#", "port", "link", "in pps", "in bit/s", "out pps", "out bit/s", "drops/s", "last minute"];
    let rows = ports.iter().map(|(name, port)| row(name, port));
    let widths = [
        Constraint::Length(3),
        Constraint::Min(10),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(CURVE as u16),
    ];
    let order =
        format!(" ports by {}{} ", state.order.name(), if state.reversed { ", reversed" } else { "" });
    let table = Table::new(rows, widths)
        .header(Row::new(header).style(Style::new().add_modifier(Modifier::BOLD)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .block(Block::bordered().title(order));
    let mut place = TableState::new().with_selected(state.selected.as_ref().map(|_| state.cursor(&ports)));
    frame.render_stateful_widget(table, area, &mut place);
}

fn row(name: &str, port: &Port) -> Row<'static> {
    let rates = &port.rates;
    let dropped = Cell::from(scaled(rates.dropped));
    Row::new([
        Cell::from(port.now.number.to_string()),
        Cell::from(name.to_owned()),
        link(port),
        Cell::from(scaled(rates.rx_frames)),
        Cell::from(scaled(rates.rx_bits)),
        Cell::from(scaled(rates.tx_frames)),
        Cell::from(scaled(rates.tx_bits)),
        if rates.dropped > 0.0 { dropped.red().bold() } else { dropped },
        Cell::from(curve(port)),
    ])
}

fn link(port: &Port) -> Cell<'static> {
    match (port.now.enabled, port.now.up, port.now.is_vm, port.now.mbps) {
        (false, ..) => Cell::from("stopped").yellow(),
        (_, false, true, _) => Cell::from("no VM").red(),
        (_, false, false, _) => Cell::from("down").red(),
        (_, true, true, _) => Cell::from("VM").green(),
        (_, true, false, Some(mbps)) => Cell::from(format!("{}bit", scaled(mbps as f64 * 1e6))).green(),
        (_, true, false, None) => Cell::from("up").green(),
    }
}

/// The latest rates as blocks, the highest of them a whole one.
fn curve(port: &Port) -> String {
    let latest = port.curve.iter().skip(port.curve.len().saturating_sub(CURVE));
    let most = latest.clone().copied().max().unwrap_or_default().max(1);
    latest.map(|&rate| BLOCKS[(rate * (BLOCKS.len() as u64 - 1)).div_ceil(most) as usize]).collect()
}

/// One port, with all that is known of it.
fn alone(frame: &mut Frame<'_>, name: &str, port: &Port, area: Rect) {
    let block = Block::bordered().title(format!(" port {name} "));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [words, curve] = Layout::vertical([Constraint::Min(4), Constraint::Length(4)]).areas(inner);
    let (now, rates) = (&port.now, &port.rates);
    let profile = if now.profile.is_empty() { "none" } else { &now.profile };
    let mut lines = vec![
        Line::from(format!(
            "{} ({})   mtu {}   vlan {}   profile {profile}",
            now.device, now.driver, now.mtu, now.vlan
        )),
        Line::from(format!(
            "in   {} frames, {} octets   {}pps, {}bit/s",
            grouped(now.rx_frames),
            grouped(now.rx_bytes),
            scaled(rates.rx_frames),
            scaled(rates.rx_bits)
        )),
        Line::from(format!(
            "out  {} frames, {} octets   {}pps, {}bit/s",
            grouped(now.tx_frames),
            grouped(now.tx_bytes),
            scaled(rates.tx_frames),
            scaled(rates.tx_bits)
        )),
    ];
    lines.extend(now.drops.iter().map(|(reason, frames)| {
        let line = format!("dropped {} {reason}  {}", grouped(*frames), about(reason));
        if port.moving.contains_key(reason) { Line::from(line).red().bold() } else { Line::from(line) }
    }));
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }), words);
    let rates: Vec<_> = port.curve.iter().copied().collect();
    let shown = &rates[rates.len().saturating_sub(curve.width.into())..];
    frame.render_widget(Sparkline::default().data(shown).style(Style::new().fg(Color::Cyan)), curve);
}

/// What is dropped now, the most first.
fn moving(model: &Model) -> Table<'static> {
    let mut drops: Vec<_> = model
        .ports
        .iter()
        .flat_map(|(name, port)| port.moving.iter().map(move |(reason, rate)| (*rate, name, port, reason)))
        .collect();
    drops.sort_by(|a, b| b.0.total_cmp(&a.0));
    let title = if drops.is_empty() { " nothing is dropped now " } else { " dropped now " };
    let rows = drops.into_iter().map(|(rate, name, port, reason)| {
        let cells = [
            name.clone(),
            reason.clone(),
            format!("{}/s", scaled(rate)),
            grouped(port.now.drops.get(reason).copied().unwrap_or_default()),
            about(reason).to_owned(),
        ];
        Row::new(cells).style(Style::new().fg(Color::Red))
    });
    let widths = [
        Constraint::Min(10),
        Constraint::Length(18),
        Constraint::Length(9),
        Constraint::Length(15),
        Constraint::Fill(3),
    ];
    Table::new(rows.collect::<Vec<_>>(), widths).block(Block::bordered().title(title))
}

fn load_bars(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let Some(last) = &model.last else { return };
    let lines = Layout::vertical(vec![Constraint::Length(1); area.height.into()]).split(area);
    if let Some(&first) = lines.first() {
        frame.render_widget(Line::from("workers").bold(), first);
    }
    for ((worker, rate), &line) in last.workers.iter().zip(&model.worker_rates).zip(lines.iter().skip(1)) {
        let label = format!(
            "{} on CPU {}: {:.0} %, {}pps, {:.1} frames a burst, {} queues{}",
            worker.worker,
            worker.cpu,
            100.0 * worker.load,
            scaled(*rate),
            worker.frames_per_burst,
            worker.queues,
            if worker.stuck { ", STUCK" } else { "" },
        );
        let color = if worker.stuck || worker.load > 0.9 { Color::Red } else { Color::Green };
        let gauge = Gauge::default().ratio(worker.load.clamp(0.0, 1.0)).label(label);
        frame.render_widget(gauge.gauge_style(Style::new().fg(color)), line);
    }
}

fn footer(state: &State) -> Line<'_> {
    match (state.typing, state.filter.is_empty()) {
        (true, _) => Line::from(format!("/{}_   Enter keeps it, Esc shows all", state.filter)).bold(),
        (false, false) => Line::from(format!("{KEYS}   only /{}", state.filter)).dim(),
        (false, true) => Line::from(KEYS).dim(),
    }
}

fn help(frame: &mut Frame<'_>) {
    let area = frame.area().centered(Constraint::Max(90), Constraint::Max(13));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title(" keys ")), area);
}

/// A number in four figures at most, with its thousands as a letter.
fn scaled(number: f64) -> String {
    let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    match units.iter().find(|(unit, _)| number >= *unit) {
        Some((unit, letter)) if number / unit < 99.95 => format!("{:.1} {letter}", number / unit),
        Some((unit, letter)) => format!("{:.0} {letter}", number / unit),
        None => format!("{number:.0} "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::model::tests::sample;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use std::time::Instant;

    fn drawn(width: u16, height: u16, state: &mut State) -> String {
        let (mut model, start) = (Model::default(), Instant::now());
        (1..4).for_each(|seconds| model.take(sample(start, seconds)));
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &model, state)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn everything_has_its_place() {
        let text = drawn(120, 30, &mut State::default());
        for part in [
            "2 ports, 0 of 1 VMs there",
            "in 1.0 Mpps, out 1000 kpps",
            "rx 3,000,000 + replicated 0 = tx 2,998,500 + dropped 1,500 + queued 0",
            "nic0",
            "10.0 Gbit",
            "512 M",
            "no VM",
            "dropped now",
            "tx_full",
            "0 on CPU 2: 25 %, 1.0 Mpps, 12.5 frames a burst, 2 queues",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_port_alone_says_why_it_dropped() {
        let mut state = State { selected: Some("vm1".to_owned()), open: true, ..State::default() };
        let text = drawn(120, 30, &mut state);
        assert!(text.contains("dropped 3 runt  Shorter than an Ethernet header"), "{text}");
        state.help = true;
        assert!(drawn(120, 30, &mut state).contains("turn the order round"));
    }

    #[test]
    fn no_terminal_is_too_small_to_draw_on() {
        for (width, height) in [(1, 1), (10, 3), (40, 10), (200, 5)] {
            for open in [false, true] {
                drawn(
                    width,
                    height,
                    &mut State { selected: Some("vm1".to_owned()), open, ..State::default() },
                );
            }
        }
    }

    #[test]
    fn numbers_have_four_figures_at_most() {
        for (number, text) in [
            (0.0, "0 "),
            (999.0, "999 "),
            (1000.0, "1.0 k"),
            (99_940.0, "99.9 k"),
            (14.88e6, "14.9 M"),
            (1e11, "100 G"),
        ] {
            assert_eq!(scaled(number), text);
        }
    }
}
