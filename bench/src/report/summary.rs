//! What a report's figures come to: systems beside each other, ratios, and the tester's headroom.
//!
//! Ratios are taken within a round, where both systems had the same conditions, and only then is the median taken
//! over the rounds.

use std::collections::BTreeMap;

use serde::Serialize;

use super::model::{Better, Figure, Measurement, Report, Unit};
use super::text;
use crate::lab::name::{Function, Name};

/// The system that others are set beside.
pub(super) const OURS: &str = "pollux";
/// How many times the fastest switch the tester has to be able to do.
pub(super) const HEADROOM: f64 = 1.3;
/// Figures of the verdict, in this order, and in words what they are.
pub(super) const RATES: [(&str, &str); 4] = [
    ("throughput", "Throughput: the highest rate at which no frame was lost (RFC 2544, 26.1)"),
    ("ndr", "No-drop rate: the highest rate at which most trials lost no frame"),
    ("pdr", "Partial-drop rate: the highest rate at which few enough were lost (0.5 % unless set)"),
    ("forwarding_rate", "Forwarding rate: what came out when as much as possible was offered"),
];

/// The middle of some values, and how far they go.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) rounds: usize,
}

impl Spread {
    /// Of these values, in any order; `None` of none.
    pub(super) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        Some(Self { median: median(&values)?, low, high, rounds: values.len() })
    }
}

/// The median of values that are in order.
pub(super) fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// Why two systems aren't compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Refusal {
    /// The tester was the limit of one or the other: its value says "at least".
    TesterLimited,
    /// No round has an undisturbed value of both.
    NoCommonRound,
    /// The other's value is zero.
    Zero,
}

impl Refusal {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::TesterLimited => "tester-limited",
            Self::NoCommonRound => "no calm round of both",
            Self::Zero => "beside zero",
        }
    }
}

/// The ratio of one system's figure to another's: round by round, then the middle.
///
/// # Errors
///
/// If they can't be compared, why not.
pub(crate) fn ratio(one: &Figure, other: &Figure) -> Result<Spread, Refusal> {
    if one.is_tester_limited() || other.is_tester_limited() {
        return Err(Refusal::TesterLimited);
    }
    let counted = |figure: &Figure| -> BTreeMap<u32, f64> {
        let counted = figure.rounds.iter().filter(|sample| !sample.disturbed && !sample.tester_limited);
        counted.map(|sample| (sample.round, sample.value)).collect()
    };
    let (one, other) = (counted(one), counted(other));
    let pairs: Vec<(f64, f64)> =
        one.iter().filter_map(|(round, value)| Some((*value, *other.get(round)?))).collect();
    if pairs.is_empty() {
        return Err(Refusal::NoCommonRound);
    }
    if pairs.iter().any(|(_, other)| *other == 0.0) {
        return Err(Refusal::Zero);
    }
    Spread::of(pairs.into_iter().map(|(one, other)| one / other).collect()).ok_or(Refusal::NoCommonRound)
}

/// How a ratio reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// Better in every round.
    Ahead,
    /// Worse in every round.
    Behind,
    /// Neither: rounds differ about it.
    Level,
}

/// Who is ahead, by a ratio's rounds.
pub(super) fn standing(ratio: Spread, better: Better) -> Standing {
    let above = ratio.low > 1.0;
    let below = ratio.high < 1.0;
    match better {
        Better::Higher if above => Standing::Ahead,
        Better::Higher if below => Standing::Behind,
        Better::Lower if below => Standing::Ahead,
        Better::Lower if above => Standing::Behind,
        _ => Standing::Level,
    }
}

/// A figure of a system.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Cell {
    /// Of the rounds that count.
    pub(crate) value: Spread,
    /// Rounds in which something else took the CPUs' time.
    pub(crate) disturbed: usize,
    /// Rounds in all.
    pub(crate) rounds: usize,
    pub(crate) tester_limited: bool,
    /// Which way the system itself may be better, where the tester was the limit.
    pub(crate) bound: Option<Better>,
    /// Ours to this one's; `None` at our own, or where ours has no such figure.
    pub(crate) ours_to_this: Option<Result<Spread, Refusal>>,
    pub(crate) standing: Option<Standing>,
    pub(crate) expected: Option<f64>,
}

/// A figure of everybody, under one name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    /// By the grammar of names.
    pub(crate) name: String,
    pub(crate) test: String,
    pub(crate) topology: String,
    /// What the system did with frames, as in names: `l2`.
    pub(crate) function: String,
    pub(crate) size: String,
    /// Of frames of this size, in the mean; `None` where the name doesn't tell.
    pub(crate) octets: Option<f64>,
    pub(crate) flows: u32,
    pub(crate) cores: u32,
    pub(crate) figure: String,
    pub(crate) unit: Unit,
    pub(crate) better: Option<Better>,
    /// In the order of the report's systems.
    pub(crate) cells: Vec<Option<Cell>>,
}

/// Rates of everybody in one topology, with so many flows, on so many cores.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Board {
    pub(crate) topology: String,
    pub(crate) function: String,
    pub(crate) flows: u32,
    pub(crate) cores: u32,
    /// By figure in the order of [`RATES`], then by size.
    pub(crate) rows: Vec<Row>,
}

impl Board {
    /// What all of it has in common, in words.
    pub(super) fn title(&self) -> String {
        situation(&path(&self.topology, &self.function), self.flows, self.cores)
    }

    /// The rows of a figure.
    pub(super) fn of(&self, figure: &str) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.figure == figure).collect()
    }
}

/// A topology, and what is done there beyond forwarding by addresses.
pub(super) fn path(topology: &str, function: &str) -> String {
    match function {
        "l2" | "" => topology.to_owned(),
        "l2vlan" => format!("{topology} in VLANs"),
        "l2qos" => format!("{topology} by priorities"),
        other => format!("{topology} {other}"),
    }
}

/// A topology, its flows and cores in words.
pub(super) fn situation(topology: &str, flows: u32, cores: u32) -> String {
    format!("{topology}, {}, {}", text::count(flows as usize, "flow"), text::count(cores as usize, "core"))
}

/// The tester's own rate at a size, and whether it is enough.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Headroom {
    pub(crate) size: String,
    /// Frames a second that the half that measures could do.
    pub(crate) capability: f64,
    /// The fastest system at this size, and its rate.
    pub(crate) fastest: Option<(String, f64)>,
    /// One over the other.
    pub(crate) ratio: Option<f64>,
}

impl Headroom {
    /// Whether the tester is fast enough for what it measured; `None` if nothing was.
    pub(super) fn is_met(&self) -> Option<bool> {
        self.ratio.map(|ratio| ratio >= HEADROOM)
    }
}

/// Measurements of the same name, which can be compared, in the order of the report.
pub(super) fn by_name(report: &Report) -> Vec<Vec<&Measurement>> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut groups: Vec<Vec<&Measurement>> = Vec::new();
    for measurement in &report.measurements {
        let place = *places.entry(&measurement.name).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(measurement),
            None => groups.push(vec![measurement]),
        }
    }
    groups
}

/// Every figure of everybody, one row for each name and figure, in the order of the report.
pub(super) fn rows(report: &Report) -> Vec<Row> {
    by_name(report).iter().flat_map(|same| rows_of(report, same)).collect()
}

/// Rows of measurements of the same name.
pub(super) fn rows_of(report: &Report, same: &[&Measurement]) -> Vec<Row> {
    let mut figures: Vec<&Figure> = Vec::new();
    for figure in same.iter().flat_map(|measurement| &measurement.figures) {
        if !figures.iter().any(|known| known.name == figure.name) {
            figures.push(figure);
        }
    }
    let ours = same.iter().find(|measurement| measurement.system == OURS);
    let name = same[0].name.parse::<Name>().ok();
    let function = name.as_ref().map_or(Function::L2, |name| name.function).to_string();
    let octets = name.map(|name| name.sizes.mean());
    let row = |figure: &Figure| {
        let ours = ours.and_then(|ours| ours.figure(&figure.name));
        let cells = report.systems.iter().map(|system| {
            let measurement = same.iter().find(|measurement| measurement.system == system.id)?;
            cell(measurement.figure(&figure.name)?, ours.filter(|_| system.id != OURS))
        });
        Row {
            name: same[0].name.clone(),
            test: same[0].test.clone(),
            topology: same[0].topology.clone(),
            function: function.clone(),
            size: same[0].size.clone(),
            octets,
            flows: same[0].flows,
            cores: same[0].cores,
            figure: figure.name.clone(),
            unit: figure.unit,
            better: figure.better,
            cells: cells.collect(),
        }
    };
    figures.into_iter().map(row).collect()
}

fn cell(figure: &Figure, ours: Option<&Figure>) -> Option<Cell> {
    let ours_to_this = ours.map(|ours| ratio(ours, figure));
    let standing = match (ours_to_this, figure.better) {
        (Some(Ok(ratio)), Some(better)) => Some(standing(ratio, better)),
        _ => None,
    };
    Some(Cell {
        value: Spread::of(figure.sorted())?,
        disturbed: figure.rounds.iter().filter(|sample| sample.disturbed).count(),
        rounds: figure.rounds.len(),
        tester_limited: figure.is_tester_limited(),
        bound: figure.bound(),
        ours_to_this,
        standing,
        expected: figure.expected,
    })
}

/// The verdict: rates by size, a board for each topology, number of flows and of cores.
pub(super) fn boards(report: &Report) -> Vec<Board> {
    let place = |row: &Row| RATES.iter().position(|(figure, _)| *figure == row.figure);
    let mut boards: Vec<Board> = Vec::new();
    for row in rows(report).into_iter().filter(|row| is_rate_test(&row.test) && place(row).is_some()) {
        let same = |board: &&mut Board| {
            (&board.topology, &board.function, board.flows, board.cores)
                == (&row.topology, &row.function, row.flows, row.cores)
        };
        match boards.iter_mut().find(same) {
            Some(board) => board.rows.push(row),
            None => {
                let (topology, function) = (row.topology.clone(), row.function.clone());
                boards.push(Board {
                    topology,
                    function,
                    flows: row.flows,
                    cores: row.cores,
                    rows: vec![row],
                });
            }
        }
    }
    for board in &mut boards {
        board.rows.sort_by_key(|row| (place(row), text::size_order(&row.size)));
        // A rate that two tests found is shown once.
        board.rows.dedup_by(|next, row| next.figure == row.figure && next.size == row.size);
    }
    boards.sort_by(|one, other| {
        let key = |board: &Board| (board.topology.clone(), board.function.clone(), board.cores, board.flows);
        key(one).cmp(&key(other))
    });
    boards
}

/// Rates as they are shown: of a board by size, or, of boards with one size each, by flows.
pub(super) struct Panel<'a> {
    pub(super) title: String,
    /// What the rows differ in.
    pub(super) by: &'static str,
    /// In the order of [`RATES`], those that were measured.
    pub(super) groups: Vec<PanelGroup<'a>>,
}

/// A figure's rows.
pub(super) struct PanelGroup<'a> {
    pub(super) figure: &'static str,
    /// What the figure is, in words.
    pub(super) what: &'static str,
    /// With what they are called.
    pub(super) rows: Vec<(String, &'a Row)>,
}

impl<'a> Panel<'a> {
    fn new(title: String, by: &'static str, rows: &[&'a Row], label: impl Fn(&Row) -> String) -> Self {
        let groups = RATES.iter().map(|(figure, what)| {
            let rows = rows.iter().filter(|row| row.figure == *figure);
            PanelGroup { figure, what, rows: rows.map(|row| (label(row), *row)).collect() }
        });
        Self { title, by, groups: groups.filter(|group| !group.rows.is_empty()).collect() }
    }
}

/// How to show boards: those with several sizes one by one, the others by their flows.
pub(super) fn panels(boards: &[Board]) -> Vec<Panel<'_>> {
    let mut panels = Vec::new();
    let mut shown = Vec::new();
    for board in boards {
        let Some(size) = board.rows.first().map(|row| &row.size) else { continue };
        if board.rows.iter().any(|row| row.size != *size) {
            let rows: Vec<&Row> = board.rows.iter().collect();
            panels.push(Panel::new(board.title(), "frame size", &rows, |row| text::size_title(&row.size)));
            continue;
        }
        let situation = (&board.topology, &board.function, board.cores);
        if shown.contains(&(situation, size)) {
            continue;
        }
        shown.push((situation, size));
        let same = boards.iter().filter(|other| (&other.topology, &other.function, other.cores) == situation);
        let rows: Vec<&Row> = same.flat_map(|other| &other.rows).filter(|row| row.size == *size).collect();
        let (path, cores) =
            (path(&board.topology, &board.function), text::count(board.cores as usize, "core"));
        let title = format!("{path}, {}, {cores}", text::size_name(size));
        panels.push(Panel::new(title, "flows", &rows, |row| text::whole(f64::from(row.flows))));
    }
    panels
}

/// Whether a test is about how many frames a second pass from port to port.
pub(super) fn is_rate_test(test: &str) -> bool {
    matches!(test, "throughput" | "ndr" | "pdr" | "ndrpdr" | "rate")
}

/// How the tester's own rates stand to what it measured.
pub(super) fn headroom(report: &Report) -> Vec<Headroom> {
    let fastest = |size: &str| {
        let measured = report.measurements.iter().filter(|it| it.size == size && is_rate_test(&it.test));
        let rates = measured.flat_map(|measurement| {
            let rates = measurement.figures.iter().filter(|figure| figure.unit == Unit::FramesPerSecond);
            rates.filter_map(|figure| Some((measurement.system.clone(), figure.median()?)))
        });
        rates.max_by(|(_, one), (_, other)| one.total_cmp(other))
    };
    let of = |test: &super::model::SelfTest| {
        let fastest = fastest(&test.size);
        let ratio = fastest.as_ref().filter(|(_, rate)| *rate > 0.0).map(|(_, rate)| test.capability / rate);
        Headroom { size: test.size.clone(), capability: test.capability, fastest, ratio }
    };
    report.self_test.iter().map(of).collect()
}

/// What a peer's ratios of a figure come to over all sizes of a board.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Tally {
    /// The median over sizes of the medians over rounds, and how far these go.
    pub(crate) ratio: Option<Spread>,
    pub(crate) ahead: usize,
    pub(crate) level: usize,
    pub(crate) behind: usize,
    /// Sizes at which no ratio was taken.
    pub(crate) not_compared: usize,
}

/// How we stand to the system of this place in the report, over these rows.
pub(super) fn tally(rows: &[&Row], system: usize) -> Tally {
    let cells: Vec<&Cell> = rows.iter().filter_map(|row| row.cells.get(system)?.as_ref()).collect();
    let standings = |wanted| cells.iter().filter(|cell| cell.standing == Some(wanted)).count();
    let ratios = cells.iter().filter_map(|cell| cell.ours_to_this?.ok()).map(|ratio| ratio.median);
    Tally {
        ratio: Spread::of(ratios.collect()),
        ahead: standings(Standing::Ahead),
        level: standings(Standing::Level),
        behind: standings(Standing::Behind),
        not_compared: cells.iter().filter(|cell| matches!(cell.ours_to_this, Some(Err(_)))).count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::Sample;
    use crate::report::sample::sample;

    fn figure(values: &[f64]) -> Figure {
        let rounds = values.iter().enumerate().map(|(round, value)| Sample {
            round: round as u32,
            value: *value,
            disturbed: false,
            tester_limited: false,
        });
        Figure {
            name: "ndr".to_owned(),
            unit: Unit::FramesPerSecond,
            better: Some(Better::Higher),
            rounds: rounds.collect(),
            expected: None,
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The host was half as fast in the second round: the ratio doesn't know.
        let found = ratio(&figure(&[8.0, 4.0, 8.4]), &figure(&[4.0, 2.0, 4.0])).unwrap();
        assert_eq!((found.median, found.low, found.high, found.rounds), (2.0, 2.0, 2.1, 3));
    }

    #[test]
    fn disturbed_rounds_of_either_do_not_count() {
        let (mut one, mut other) = (figure(&[8.0, 1.0, 8.4]), figure(&[4.0, 4.0, 1.0]));
        one.rounds[1].disturbed = true;
        other.rounds[2].disturbed = true;
        assert_eq!(ratio(&one, &other).map(|ratio| (ratio.median, ratio.rounds)), Ok((2.0, 1)));
        one.rounds[0].disturbed = true;
        assert_eq!(ratio(&one, &other), Err(Refusal::NoCommonRound));
    }

    #[test]
    fn nobody_is_compared_where_the_tester_was_the_limit() {
        let (mut one, other) = (figure(&[8.0, 8.0, 8.0]), figure(&[4.0, 4.0, 4.0]));
        one.rounds[0].tester_limited = true;
        assert_eq!(ratio(&one, &other).map(|ratio| ratio.rounds), Ok(2));
        one.rounds[1].tester_limited = true;
        assert_eq!(ratio(&one, &other), Err(Refusal::TesterLimited));
        assert_eq!(ratio(&other, &one), Err(Refusal::TesterLimited));
    }

    #[test]
    fn nothing_is_set_beside_zero() {
        assert_eq!(ratio(&figure(&[8.0]), &figure(&[0.0])), Err(Refusal::Zero));
        assert_eq!(ratio(&figure(&[0.0]), &figure(&[8.0])).map(|ratio| ratio.median), Ok(0.0));
    }

    #[test]
    fn ahead_is_better_in_every_round() {
        let spread = |low, high| Spread { median: (low + high) / 2.0, low, high, rounds: 3 };
        assert_eq!(standing(spread(1.1, 1.3), Better::Higher), Standing::Ahead);
        assert_eq!(standing(spread(0.99, 1.3), Better::Higher), Standing::Level);
        assert_eq!(standing(spread(0.7, 0.9), Better::Higher), Standing::Behind);
        assert_eq!(standing(spread(0.7, 0.9), Better::Lower), Standing::Ahead);
        assert_eq!(standing(spread(1.1, 1.3), Better::Lower), Standing::Behind);
    }

    #[test]
    fn a_board_has_each_figure_by_size() {
        let boards = boards(&sample());
        let sizes: Vec<&str> = boards[0].of("ndr").iter().map(|row| row.size.as_str()).collect();
        assert_eq!(sizes, ["64B", "128B", "256B", "512B", "1024B", "1280B", "1518B", "9000B", "imix"]);
        assert!(boards.iter().all(|board| board.rows.iter().all(|row| row.cells.len() == 5)));
    }

    #[test]
    fn boards_of_one_size_are_shown_by_flows() {
        let boards = boards(&sample());
        let panels = panels(&boards);
        assert_eq!(panels.iter().map(|panel| panel.by).collect::<Vec<_>>(), ["frame size", "flows"]);
        let flows: Vec<&str> = panels[1].groups[0].rows.iter().map(|(label, _)| label.as_str()).collect();
        assert_eq!(flows, ["1", "10", "100", "1,000", "10,000", "100,000"]);
        assert_eq!(panels[1].title, "vhost-vhost, 64 octets, 1 core");
    }

    #[test]
    fn headroom_is_over_the_fastest_system_of_the_size() {
        let report = sample();
        let found = headroom(&report);
        assert_eq!(found.len(), report.self_test.len());
        let (system, rate) = found[0].fastest.clone().unwrap();
        let best = report.measurements.iter().filter(|it| it.size == "64B" && is_rate_test(&it.test));
        let best = best.flat_map(|it| &it.figures).filter_map(Figure::median).fold(0.0, f64::max);
        assert_eq!(rate, best, "{system}");
        assert_eq!(found[0].ratio, Some(report.self_test[0].capability / best));
    }

    #[test]
    fn a_tally_counts_sizes_and_those_not_compared() {
        let report = sample();
        let boards = boards(&report);
        let rows = boards[0].of("ndr");
        for system in 1..report.systems.len() {
            let tally = tally(&rows, system);
            let cells = rows.iter().filter(|row| row.cells[system].is_some()).count();
            assert_eq!(tally.ahead + tally.level + tally.behind + tally.not_compared, cells);
        }
    }
}
