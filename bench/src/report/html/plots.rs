//! Which plots a report has.

use std::collections::BTreeSet;

use super::plot::{EXPECTED, Plot, Point, Scale, Series, Shape, look_of, micro, numbers, over};
use crate::report::model::{Axis, Curve, Figure, Measurement, Report, Unit};
use crate::report::summary::{self, Board, Cell, Row};
use crate::report::text::{
    capital, count, figure_title, line_bits, listed, percent, quantity, size_name, size_order, size_title,
    test_title, whole,
};

/// Points of a line at most: what is beyond can't be seen.
const POINTS: usize = 400;
/// Plots of a kind at most; the rest is in the tables and the file.
const MOST: usize = 24;

/// Plots about the same.
pub(super) struct Chapter {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) plots: Vec<Plot>,
    /// What comes on demand.
    pub(super) more: Vec<Plot>,
}

/// All plots of a report, in the order to show them.
pub(super) fn chapters(report: &Report) -> Vec<Chapter> {
    let boards = summary::boards(report);
    let groups = summary::by_name(report);
    let mut used = BTreeSet::new();
    let mut chapters = vec![
        chapter("throughput", "Throughput by frame size", throughput(report, &boards)),
        chapter("peers", "Peers side by side", peers(report, &boards)),
        chapter("fdb", "FDB scaling", scaling(report, &boards)),
    ];
    chapters.push(first_open(
        "loss",
        "Frame loss",
        curves(report, &groups, &mut used, |curve| curve.name == "loss"),
    ));
    let mut latency = percentiles(report, &groups);
    latency.extend(curves(report, &groups, &mut used, |curve| curve.name.starts_with("latency")));
    chapters.push(first_open("latency", "Latency", latency));
    chapters.push(chapter("shares", "Queue shares", shares(report, &groups, &mut used)));
    let outages = curves(report, &groups, &mut used, |curve| curve.x.unit == Unit::Seconds);
    chapters.push(chapter("time", "Over time", outages));
    chapters.push(chapter("other", "More curves", curves(report, &groups, &mut used, |_| true)));
    chapters.retain(|chapter| !chapter.plots.is_empty());
    chapters
}

fn chapter(id: &'static str, title: &'static str, plots: Vec<(String, Plot)>) -> Chapter {
    let plots = plots.into_iter().take(MOST).map(|(_, plot)| plot).collect();
    Chapter { id, title, plots, more: Vec::new() }
}

/// Shows plots of the first size at once, and of other sizes on demand.
fn first_open(id: &'static str, title: &'static str, plots: Vec<(String, Plot)>) -> Chapter {
    let first =
        plots.iter().map(|(size, _)| size.clone()).min_by_key(|size| size_order(size)).unwrap_or_default();
    let (plots, more): (Vec<_>, Vec<_>) = plots.into_iter().partition(|(size, _)| *size == first);
    let mut chapter = chapter(id, title, plots);
    chapter.more = more.into_iter().take(MOST).map(|(_, plot)| plot).collect();
    chapter
}

/// Part of an element's id.
fn slug(parts: &[&str]) -> String {
    let text = parts.join("-").to_lowercase();
    text.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}

fn point(x: f64, cell: &Cell, of: impl Fn(f64) -> f64) -> Point {
    let range = (cell.value.rounds > 1).then(|| (of(cell.value.low), of(cell.value.high)));
    Point { x, y: of(cell.value.median), range }
}

/// What the rates of a board are called, whichever of them was measured.
fn best_rate(board: &Board) -> Option<&'static str> {
    ["ndr", "throughput", "forwarding_rate", "pdr"].into_iter().find(|figure| !board.of(figure).is_empty())
}

/// Of how many rounds plotted medians are.
fn medians_of(rounds: usize) -> String {
    match rounds {
        0 | 1 => "One round.".to_owned(),
        _ => format!("Medians of {}; strokes span lowest to highest.", count(rounds, "round")),
    }
}

/// Of how many rounds medians are, and of whom the tester was the limit.
fn rounds_sentence(report: &Report, rows: &[&Row]) -> String {
    let cells = || rows.iter().flat_map(|row| row.cells.iter().flatten());
    let (least, most) =
        cells().fold((usize::MAX, 0), |(least, most), cell| (least.min(cell.rounds), most.max(cell.rounds)));
    let mut text = match (least, most) {
        (_, 0) => String::new(),
        (least, most) if least == most => medians_of(most),
        (least, most) => format!("Medians of {least} to {most} rounds; strokes span lowest to highest."),
    };
    let mut limited = Vec::new();
    for (place, system) in report.systems.iter().enumerate() {
        let sizes: Vec<String> = rows
            .iter()
            .filter(|row| row.cells[place].as_ref().is_some_and(|cell| cell.tester_limited))
            .map(|row| size_title(&row.size))
            .collect();
        if !sizes.is_empty() {
            limited.push(format!("{} at {}", system.name, listed(&sizes)));
        }
    }
    if !limited.is_empty() {
        text.push_str(&format!(" The tester was the limit of {}: at least that.", limited.join("; ")));
    }
    text
}

fn standard_of<'a>(report: &'a Report, row: &Row) -> &'a str {
    let measured = report.measurements.iter().find(|measurement| measurement.name == row.name);
    measured.map_or("", |measurement| measurement.standard.as_str())
}

/// The clause, in brackets, where there is one.
fn by(standard: &str) -> String {
    match standard {
        "" | "none" | "-" => String::new(),
        _ => format!(" ({standard})"),
    }
}

/// A series for each system that has any of these rows, by what `point` makes of it.
fn series_of(
    report: &Report,
    rows: &[&Row],
    shape: Shape,
    point: impl Fn(usize, &Row, &Cell) -> Option<Point>,
) -> Vec<Series> {
    let mut all = Vec::new();
    for (place, system) in report.systems.iter().enumerate() {
        let points =
            rows.iter().enumerate().filter_map(|(at, row)| point(at, row, row.cells[place].as_ref()?));
        let points: Vec<Point> = points.filter(|point| point.y.is_finite()).collect();
        if !points.is_empty() {
            all.push(Series { name: system.name.clone(), look: look_of(&system.id, place), shape, points });
        }
    }
    let of = all.len();
    for (number, series) in all.iter_mut().enumerate() {
        if let Shape::Bars { .. } = series.shape {
            series.shape = Shape::Bars { place: number, of };
        }
    }
    all
}

fn highest(series: &[Series]) -> f64 {
    let values = series.iter().flat_map(|one| one.points.iter());
    values.map(|point| point.range.map_or(point.y, |(_, high)| high)).fold(0.0, f64::max)
}

fn x_ends(series: &[Series]) -> (f64, f64) {
    let xs = series.iter().flat_map(|one| one.points.iter().map(|point| point.x));
    xs.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
}

/// Where along the sizes mixes of them begin.
fn mixes_from(sizes: &[&str]) -> Option<f64> {
    sizes.iter().position(|size| !size.ends_with('B')).map(|place| place as f64)
}

fn throughput(report: &Report, boards: &[Board]) -> Vec<(String, Plot)> {
    let mut plots = Vec::new();
    for board in boards {
        let Some(figure) = best_rate(board) else { continue };
        let rows = board.of(figure);
        if rows.len() < 2 {
            continue;
        }
        let sizes: Vec<&str> = rows.iter().map(|row| row.size.as_str()).collect();
        let size_text = |x: f64| size_title(sizes[x as usize]);
        let what = figure_title(figure);
        let standard = by(standard_of(report, rows[0]));
        let rounds = rounds_sentence(report, &rows);
        let flows = board.flows.to_string();
        let cores = board.cores.to_string();
        let id = |kind| slug(&["plot", kind, &board.topology, &board.function, &flows, &cores]);

        let frames =
            series_of(report, &rows, Shape::Marked, |at, _, cell| Some(point(at as f64, cell, |rate| rate)));
        plots.push((
            String::new(),
            Plot {
                id: id("frames"),
                title: format!("{what} by frame size: {}", board.title()),
                caption: format!("Millions of frames a second, over all directions{standard}. {rounds}"),
                apart: mixes_from(&sizes),
                x: Scale::sizes(&sizes),
                y: Scale::plain("Mpps", 1e6, highest(&frames)),
                table: numbers("octets", size_text, over(1e6), &frames),
                series: frames,
            },
        ));
        let bits = series_of(report, &rows, Shape::Marked, |at, row, cell| {
            row.octets.map(|octets| point(at as f64, cell, |rate| line_bits(octets, rate)))
        });
        plots.push((String::new(), Plot {
            id: id("bits"),
            title: format!("{what} on the line: {}", board.title()),
            caption: format!(
                "The same in gigabits a second on the line: frames with preamble and gap, 20 octets each{standard}. \
                 {rounds}"
            ),
            apart: mixes_from(&sizes),
                x: Scale::sizes(&sizes),
            y: Scale::plain("Gbit/s on the line", 1e9, highest(&bits)),
            table: numbers("octets", size_text, over(1e9), &bits),
            series: bits,
        }));
    }
    plots
}

/// Each peer's rate as a share of ours, by size.
fn peers(report: &Report, boards: &[Board]) -> Vec<(String, Plot)> {
    let mut plots = Vec::new();
    for board in boards {
        let figures = ["ndr", "throughput", "forwarding_rate"].into_iter();
        for figure in figures.filter(|figure| board.of(figure).len() > 1) {
            let rows = board.of(figure);
            let sizes: Vec<&str> = rows.iter().map(|row| row.size.as_str()).collect();
            let series = series_of(report, &rows, Shape::Bars { place: 0, of: 1 }, |at, _, cell| {
                let ratio = cell.ours_to_this?.ok()?;
                (ratio.low > 0.0).then(|| Point {
                    x: at as f64,
                    y: 1.0 / ratio.median,
                    range: (ratio.rounds > 1).then_some((1.0 / ratio.high, 1.0 / ratio.low)),
                })
            });
            if series.is_empty() {
                continue;
            }
            let (flows, cores) = (board.flows.to_string(), board.cores.to_string());
            plots.push((String::new(), Plot {
                id: slug(&["plot-peers", figure, &board.topology, &board.function, &flows, &cores]),
                title: format!("{} beside Pollux: {}", figure_title(figure), board.title()),
                caption: format!(
                    "Each peer's {} as a percentage of Pollux's in the same round{}; below 100, Pollux is ahead. \
                     Medians over rounds, strokes span lowest to highest. Where the tester was the limit there is \
                     no bar.",
                    figure_title(figure).to_lowercase(),
                    by(standard_of(report, rows[0]))
                ),
                apart: mixes_from(&sizes),
                x: Scale::sizes(&sizes),
                y: Scale::plain("% of Pollux's rate", 0.01, highest(&series).max(1.0)),
                table: numbers("octets", |x| size_title(sizes[x as usize]), percent, &series),
                series,
            }));
        }
    }
    plots
}

/// Rates by the number of stations.
fn scaling(report: &Report, boards: &[Board]) -> Vec<(String, Plot)> {
    let situation = |board: &Board| (board.topology.clone(), board.function.clone(), board.cores);
    let situations: BTreeSet<_> = boards.iter().map(situation).collect();
    let mut plots = Vec::new();
    for wanted in situations {
        let same: Vec<&Board> = boards.iter().filter(|board| situation(board) == wanted).collect();
        let (topology, function, cores) = wanted;
        let path = summary::path(&topology, &function);
        let Some(figure) = same.iter().find_map(|board| best_rate(board)) else { continue };
        let rows: Vec<&Row> = same.iter().flat_map(|board| board.of(figure)).collect();
        let sizes: BTreeSet<_> = rows.iter().map(|row| size_order(&row.size)).collect();
        for (_, _, size) in sizes {
            let mut rows: Vec<&Row> = rows.iter().copied().filter(|row| row.size == size).collect();
            rows.sort_by_key(|row| row.flows);
            if rows.len() < 2 {
                continue;
            }
            let series = series_of(report, &rows, Shape::Marked, |_, row, cell| {
                Some(point(f64::from(2 * row.flows), cell, |rate| rate))
            });
            let (low, high) = x_ends(&series);
            plots.push((
                size.clone(),
                Plot {
                    id: slug(&["plot-fdb", &topology, &function, &size, &cores.to_string()]),
                    title: format!(
                        "{} by stations: {path}, {}, {}",
                        figure_title(figure),
                        size_name(&size),
                        count(cores as usize, "core")
                    ),
                    caption: format!(
                        "Millions of frames a second while so many stations talk, two of each flow{}. {}",
                        by(standard_of(report, rows[0])),
                        rounds_sentence(report, &rows)
                    ),
                    apart: None,
                    x: Scale::logarithmic("stations", Unit::Addresses, low, high),
                    y: Scale::plain("Mpps", 1e6, highest(&series)),
                    table: numbers("stations", whole, over(1e6), &series),
                    series,
                },
            ));
        }
    }
    plots
}

/// Percentiles in the order of how rare, with how they are written.
const PERCENTILES: [(&str, &str); 5] =
    [("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p99_9", "p99.9"), ("p99_99", "p99.99")];

/// Which of the percentiles a figure is.
fn percentile_of(name: &str) -> Option<usize> {
    let name = name.strip_prefix("latency_")?;
    let name = name.split_once("_at_").map_or(name, |(percentile, _)| percentile);
    PERCENTILES.iter().position(|(percentile, _)| *percentile == name)
}

/// Latency percentiles: a plot for each load, on the same scale.
fn percentiles(report: &Report, groups: &[Vec<&Measurement>]) -> Vec<(String, Plot)> {
    let mut plots = Vec::new();
    for group in groups {
        let times = group.iter().flat_map(|measurement| &measurement.figures);
        let times = times.filter(|figure| percentile_of(&figure.name).is_some()).flat_map(Figure::sorted);
        let (lowest, highest) = times
            .filter(|time| *time > 0.0)
            .fold((f64::INFINITY, 0.0f64), |(low, high), time| (low.min(time), high.max(time)));
        let mut loads: Vec<&str> = Vec::new();
        for figure in group.iter().flat_map(|measurement| &measurement.figures) {
            let load = figure.name.strip_prefix("latency_p50").filter(|load| !loads.contains(load));
            loads.extend(load);
        }
        for load in loads {
            let mut series = Vec::new();
            for (place, system) in report.systems.iter().enumerate() {
                let Some(measured) = group.iter().find(|measurement| measurement.system == system.id) else {
                    continue;
                };
                let points = PERCENTILES.iter().enumerate().filter_map(|(at, (percentile, _))| {
                    let values = measured.figure(&format!("latency_{percentile}{load}"))?.sorted();
                    let spread = summary::Spread::of(values)?;
                    let range = (spread.rounds > 1).then_some((spread.low, spread.high));
                    Some(Point { x: at as f64, y: spread.median, range })
                });
                let points: Vec<Point> = points.filter(|point| point.y > 0.0).collect();
                if points.len() > 1 {
                    let look = look_of(&system.id, place);
                    series.push(Series { name: system.name.clone(), look, shape: Shape::Marked, points });
                }
            }
            if series.is_empty() {
                continue;
            }
            let first = group[0];
            let rounds = group.iter().flat_map(|it| &it.figures).map(|figure| figure.rounds.len()).max();
            let names: Vec<&str> = PERCENTILES.iter().map(|(_, name)| *name).collect();
            plots.push((first.size.clone(), Plot {
                id: slug(&["plot-percentiles", &first.name, load]),
                title: format!("Latency {}: {}", load_title(load), case_title(first)),
                caption: format!(
                    "So many of a hundred frames took no longer than this{}; the scale is logarithmic. {}",
                    by(&first.standard),
                    medians_of(rounds.unwrap_or(0)),
                ),
                apart: None,
                x: Scale::categories("percentile of frames", &names),
                y: Scale::logarithmic("latency", Unit::Nanoseconds, lowest, highest),
                table: numbers("percentile", |x| names[x as usize].to_owned(), time_text, &series),
                series,
            }));
        }
    }
    plots
}

/// "_at_50" as "at 50 % of the throughput".
fn load_title(load: &str) -> String {
    match load.strip_prefix("_at_") {
        Some("100") => "at the throughput".to_owned(),
        Some(share) if share.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("at {share} % of the throughput")
        }
        Some(other) => format!("at {}", other.replace('_', " ")),
        None => load.trim_start_matches('_').replace('_', " "),
    }
}

fn time_text(nanoseconds: f64) -> String {
    text_of(Unit::Nanoseconds, nanoseconds)
}

fn text_of(unit: Unit, value: f64) -> String {
    let quantity = quantity(unit, value);
    format!("{} {}", quantity.number, micro(quantity.unit))
}

fn case_title(measurement: &Measurement) -> String {
    let situation = summary::situation(&measurement.topology, measurement.flows, measurement.cores);
    format!("{}, {situation}", size_name(&measurement.size))
}

/// Curves that a filter takes and that no plot has yet: one plot for each name of a measurement and of a curve.
fn curves(
    report: &Report,
    groups: &[Vec<&Measurement>],
    used: &mut BTreeSet<(String, String)>,
    wanted: impl Fn(&Curve) -> bool,
) -> Vec<(String, Plot)> {
    let mut plots = Vec::new();
    for group in groups {
        for curve in group.iter().flat_map(|measurement| &measurement.curves).filter(|curve| wanted(curve)) {
            if !used.insert((group[0].name.clone(), curve.name.clone())) {
                continue;
            }
            plots.extend(curve_plot(report, group, curve).map(|plot| (group[0].size.clone(), plot)));
        }
    }
    plots
}

fn curve_plot(report: &Report, group: &[&Measurement], curve: &Curve) -> Option<Plot> {
    let is_time_line = curve.x.unit == Unit::Seconds;
    let is_distribution = curve.name.starts_with("latency");
    let mut series = Vec::new();
    let mut rounds = 0;
    for (place, system) in report.systems.iter().enumerate() {
        let Some(measured) = group.iter().find(|measurement| measurement.system == system.id) else {
            continue;
        };
        let same: Vec<&Curve> = measured.curves.iter().filter(|one| one.name == curve.name).collect();
        rounds = rounds.max(same.len());
        // The middle of several rounds would hide when something happened, or how rare it was.
        let points = match is_time_line || is_distribution {
            true => same.first().map(|one| single(one)).unwrap_or_default(),
            false => middle(&same),
        };
        let points = thinned(points, is_time_line);
        if !points.is_empty() {
            let shape = if points.len() > 30 { Shape::Line } else { Shape::Marked };
            series.push(Series {
                name: system.name.clone(),
                look: look_of(&system.id, place),
                shape,
                points,
            });
        }
    }
    if series.is_empty() {
        return None;
    }
    let first = group[0];
    let told = match (rounds, is_time_line || is_distribution) {
        (2.., true) => format!("The first of {}.", count(rounds, "round")),
        _ => medians_of(rounds),
    };
    let (low, high) = x_ends(&series);
    let what = format!("{} over {}", capital(&curve.y.label), curve.x.label);
    let title = match curve.name.strip_prefix("latency") {
        Some(load) => format!("Latency distribution {}: {}", load_title(load), case_title(first)),
        None if is_time_line => {
            format!("{}: {}", time_line_title(&first.test, &curve.name), case_title(first))
        }
        None => format!("{what}: {}", case_title(first)),
    };
    let (x_unit, y_unit) = (curve.x.unit, curve.y.unit);
    let table = match is_distribution {
        true => quantiles(&series, x_unit),
        false => {
            let head = curve.x.label.clone();
            let few: Vec<Series> = series.iter().map(few).collect();
            numbers(&head, |x| text_of(x_unit, x), |y| text_of(y_unit, y), &few)
        }
    };
    Some(Plot {
        id: slug(&["plot", &curve.name, &first.name]),
        title,
        caption: format!("{what}{}. {told}", by(&first.standard)),
        apart: None,
        x: match curve.x.logarithmic {
            true => scale(&curve.x, low, high),
            false => Scale::wide(&curve.x.label, x_unit, high),
        },
        y: match y_unit {
            Unit::Share if !curve.y.logarithmic && highest(&series) > 0.2 => {
                Scale::linear(&curve.y.label, y_unit, 1.0)
            }
            _ => scale(&curve.y, lowest_positive(&series), highest(&series)),
        },
        series,
        table,
    })
}

/// "reset" and "received_crash" as "Reset, crash".
fn time_line_title(test: &str, curve: &str) -> String {
    match curve.strip_prefix("received").map(|of| of.trim_start_matches('_').replace('_', " ")) {
        Some(of) if of.is_empty() => test_title(test),
        Some(of) => format!("{}, {of}", test_title(test)),
        None => format!("{}, {}", test_title(test), curve.replace('_', " ")),
    }
}

fn scale(axis: &Axis, low: f64, high: f64) -> Scale {
    match axis.logarithmic && high > 0.0 {
        true => Scale::logarithmic(&axis.label, axis.unit, low, high),
        false => Scale::linear(&axis.label, axis.unit, high),
    }
}

fn lowest_positive(series: &[Series]) -> f64 {
    let values = series.iter().flat_map(|one| one.points.iter().map(|point| point.y));
    values.filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min)
}

fn single(curve: &Curve) -> Vec<Point> {
    let points = curve.points.iter().map(|(x, y)| Point { x: *x, y: *y, range: None });
    points.filter(|point| point.x.is_finite() && point.y.is_finite()).collect()
}

/// The middle of rounds that have as many points each; otherwise the first of them.
fn middle(curves: &[&Curve]) -> Vec<Point> {
    let Some(first) = curves.first() else { return Vec::new() };
    let count = first.points.len();
    if curves.len() == 1 || curves.iter().any(|curve| curve.points.len() != count) {
        return single(first);
    }
    let at = |place: usize, part: fn(&(f64, f64)) -> f64| {
        summary::Spread::of(curves.iter().map(|curve| part(&curve.points[place])).collect())
    };
    let points = (0..count).filter_map(|place| {
        let (x, y) = (at(place, |point| point.0)?, at(place, |point| point.1)?);
        Some(Point { x: x.median, y: y.median, range: Some((y.low, y.high)) })
    });
    points.filter(|point| point.x.is_finite() && point.y.is_finite()).collect()
}

/// As many points as can be seen: of a time line the lowest of those that fall together, which are what it is about,
/// else the first of them; and the last.
fn thinned(points: Vec<Point>, lowest: bool) -> Vec<Point> {
    let Some(last) = points.last().copied() else { return points };
    if points.len() <= POINTS {
        return points;
    }
    let step = points.len().div_ceil(POINTS);
    let kept = points.chunks(step).filter_map(|chunk| match lowest {
        true => chunk.iter().min_by(|one, other| one.y.total_cmp(&other.y)).copied(),
        false => chunk.first().copied(),
    });
    let mut kept: Vec<Point> = kept.collect();
    if kept.last() != Some(&last) {
        kept.push(last);
    }
    kept
}

/// Points for a table: not more than a person reads.
fn few(series: &Series) -> Series {
    let step = series.points.len().div_ceil(40).max(1);
    Series { points: series.points.iter().copied().step_by(step).collect(), ..series.clone() }
}

/// A distribution as a table: what so many frames stay below.
fn quantiles(series: &[Series], unit: Unit) -> (Vec<String>, Vec<Vec<String>>) {
    let header =
        std::iter::once("share of frames".to_owned()).chain(series.iter().map(|one| one.name.clone()));
    let rows = [0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999].map(|share| {
        let values = series.iter().map(|one| {
            let reached = one.points.iter().find(|point| point.y >= share);
            reached.map(|point| text_of(unit, point.x)).unwrap_or_default()
        });
        std::iter::once(format!("{} %", percent(share))).chain(values).collect()
    });
    (header.collect(), rows.to_vec())
}

/// What queues were promised, and what they got.
fn shares(
    report: &Report,
    groups: &[Vec<&Measurement>],
    used: &mut BTreeSet<(String, String)>,
) -> Vec<(String, Plot)> {
    let mut plots = Vec::new();
    for measured in groups.iter().flatten() {
        let is_share = |figure: &&Figure| {
            figure.unit == Unit::Share && figure.expected.is_some() && figure.name.contains("share")
        };
        let shares: Vec<&Figure> = measured.figures.iter().filter(is_share).collect();
        if shares.len() < 2 {
            continue;
        }
        used.insert((measured.name.clone(), "queue_shares".to_owned()));
        let names: Vec<String> = shares.iter().map(|figure| share_name(&figure.name)).collect();
        let place = report.systems.iter().position(|system| system.id == measured.system).unwrap_or(0);
        let name = report.systems.get(place).map_or(measured.system.as_str(), |system| system.name.as_str());
        let series = |name: &str, look, place, value: &dyn Fn(&Figure) -> Option<Point>| Series {
            name: name.to_owned(),
            look,
            shape: Shape::Bars { place, of: 2 },
            points: shares
                .iter()
                .enumerate()
                .filter_map(|(at, figure)| Some(Point { x: at as f64, ..value(figure)? }))
                .collect(),
        };
        let configured = |figure: &Figure| figure.expected.map(|y| Point { x: 0.0, y, range: None });
        let found = |figure: &Figure| {
            let spread = summary::Spread::of(figure.sorted())?;
            Some(Point {
                x: 0.0,
                y: spread.median,
                range: (spread.rounds > 1).then_some((spread.low, spread.high)),
            })
        };
        let series = vec![
            series("Configured", EXPECTED, 0, &configured),
            series("Measured", look_of(&measured.system, place), 1, &found),
        ];
        let rounds = shares.iter().map(|figure| figure.rounds.len()).max().unwrap_or(0);
        plots.push((
            measured.size.clone(),
            Plot {
                id: slug(&["plot-shares", &measured.system, &measured.name]),
                title: format!("Shares of {name}: {}", case_title(measured)),
                caption: format!(
                    "Each class's share of what was sent, beside what its weight promises{}. {}",
                    by(&measured.standard),
                    medians_of(rounds)
                ),
                apart: None,
                x: Scale::categories("", &names),
                y: Scale::linear("share", Unit::Share, highest(&series)),
                table: numbers("class", |x| names[x as usize].clone(), |y| text_of(Unit::Share, y), &series),
                series,
            },
        ));
    }
    plots
}

/// "share_class_5" as "class 5".
fn share_name(name: &str) -> String {
    let words: Vec<&str> = name.split('_').filter(|word| *word != "share").collect();
    figure_title(&words.join("_")).to_lowercase()
}
