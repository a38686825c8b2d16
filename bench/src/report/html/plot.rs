//! Plots as inline SVG: what is drawn, and in which colours and marks.
//!
//! Colours are written as attributes, and a style sheet made from the same [`PALETTE`] sets them anew by variables
//! where the page is dark. Coordinates are four to a pixel, since the backend rounds them.

use std::fmt::Write;
use std::iter::once;
use std::ops::Range;

use maud::{Markup, PreEscaped, html};
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::model::Unit;
use crate::report::text::{quantity, size_title, three_digits};
use crate::{BenchError, Result};

/// Of the drawing, in its own units.
const WIDTH: u32 = 2240;
const HEIGHT: u32 = 1340;
const FONT: i32 = 62;
const LINE: u32 = 9;
const HAIR: u32 = 4;
const MARK: i32 = 19;

const INK: RGBColor = RGBColor(0x5B, 0x64, 0x70);
const GRID: RGBColor = RGBColor(0xE4, 0xE7, 0xEB);
const AXIS: RGBColor = RGBColor(0x9A, 0xA4, 0xAF);

/// What a series looks like: told apart by colour (the colour-blind too: the palette is Okabe and Ito's), by its
/// mark and by its dashes.
struct Look {
    light: RGBColor,
    dark: &'static str,
    dashes: &'static str,
    mark: Mark,
}

#[derive(Clone, Copy)]
enum Mark {
    Circle,
    Square,
    Up,
    Down,
    Diamond,
    Ring,
}

const PALETTE: [Look; 7] = [
    Look { light: RGBColor(0x00, 0x72, 0xB2), dark: "#4DA8E0", dashes: "none", mark: Mark::Circle },
    Look { light: RGBColor(0xE6, 0x9F, 0x00), dark: "#F0B43C", dashes: "44 18", mark: Mark::Square },
    Look { light: RGBColor(0xD5, 0x5E, 0x00), dark: "#F08344", dashes: "20 14", mark: Mark::Up },
    Look { light: RGBColor(0x00, 0x9E, 0x73), dark: "#2FC79B", dashes: "60 16 12 16", mark: Mark::Diamond },
    Look { light: RGBColor(0xCC, 0x79, 0xA7), dark: "#E09CC2", dashes: "10 14", mark: Mark::Down },
    Look {
        light: RGBColor(0x56, 0xB4, 0xE9),
        dark: "#8FD0F5",
        dashes: "44 14 10 14 10 14",
        mark: Mark::Ring,
    },
    // What isn't a system: what was to be found.
    Look { light: RGBColor(0xA8, 0xB0, 0xBA), dark: "#6B7683", dashes: "none", mark: Mark::Square },
];

/// The look of what was to be found.
pub(super) const EXPECTED: usize = PALETTE.len() - 1;

/// The look of a system: the same in every report. Those that nobody knows take turns.
pub(super) fn look_of(system: &str, place: usize) -> usize {
    match system {
        "pollux" => 0,
        "testpmd-io" => 1,
        "testpmd-mac" => 2,
        "ovs" => 3,
        "bridge" => 4,
        "external" => 5,
        _ => place % EXPECTED,
    }
}

fn look(slot: usize) -> &'static Look {
    &PALETTE[slot % PALETTE.len()]
}

fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// Rules that have the attributes' colours follow the page's.
pub(super) fn style() -> String {
    let mut variables = String::new();
    let mut dark = String::new();
    let mut rules = String::new();
    for (slot, look) in PALETTE.iter().enumerate() {
        let light = hex(look.light);
        // Writing to a string doesn't fail.
        let _ = write!(variables, "--s{slot}:{light};");
        let _ = write!(dark, "--s{slot}:{};", look.dark);
        let _ = writeln!(
            rules,
            "svg [stroke=\"{light}\"]{{stroke:var(--s{slot})}}svg [fill=\"{light}\"]{{fill:var(--s{slot})}}\
             svg polyline[stroke=\"{light}\"][stroke-width=\"{LINE}\"]{{stroke-dasharray:{}}}",
            look.dashes
        );
    }
    let (grid, axis) = (hex(GRID), hex(AXIS));
    let _ = writeln!(
        rules,
        "svg [stroke=\"{grid}\"]{{stroke:var(--grid)}}svg [stroke=\"{axis}\"]{{stroke:var(--axis)}}"
    );
    format!(":root{{{variables}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n{rules}")
}

/// An axis: where it begins and ends, and what is written along it.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    label: String,
    low: f64,
    high: f64,
    logarithmic: bool,
    ticks: Vec<(f64, String)>,
}

impl Scale {
    /// From zero to at least `high`, in the multiple of the unit that fits.
    pub(super) fn linear(what: &str, unit: Unit, high: f64) -> Self {
        let (by, name) = multiple(unit, high);
        Self::plain(&format!("{what}, {name}"), by, high)
    }

    /// The same with a unit of its own: values are told over `by`.
    pub(super) fn plain(label: &str, by: f64, high: f64) -> Self {
        Self::in_parts(label, by, high, 5.0)
    }

    /// The same along the foot of a plot, where there is room for more.
    pub(super) fn wide(what: &str, unit: Unit, high: f64) -> Self {
        let (by, name) = multiple(unit, high);
        Self::in_parts(&format!("{what}, {name}"), by, high, 8.0)
    }

    fn in_parts(label: &str, by: f64, high: f64, parts: f64) -> Self {
        let high = if high > 0.0 && high.is_finite() { high } else { by };
        let step = nice_step(high / by, parts);
        let top = (high / by / step - 1e-9).ceil().max(1.0);
        let ticks = (0..=top as u32).map(|number| {
            let value = f64::from(number) * step;
            (value * by, trimmed(value))
        });
        Self {
            label: label.to_owned(),
            low: 0.0,
            high: top * step * by,
            logarithmic: false,
            ticks: ticks.collect(),
        }
    }

    /// Between powers of ten around these.
    pub(super) fn logarithmic(what: &str, unit: Unit, low: f64, high: f64) -> Self {
        let low = if low > 0.0 && low.is_finite() { low } else { 1.0 };
        let high = if high > low && high.is_finite() { high } else { low * 10.0 };
        let wide = (high / low).log10() > 2.5;
        let steps: &[f64] = if wide { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let all = (first..=last).flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
        let all: Vec<f64> = all.collect();
        let start = all.iter().rposition(|tick| *tick <= low * 1.001).unwrap_or(0);
        let end = all.iter().position(|tick| *tick >= high * 0.999).unwrap_or(all.len() - 1);
        let ticks: Vec<(f64, String)> =
            all[start..=end].iter().map(|tick| (*tick, tick_text(unit, *tick))).collect();
        Self { label: what.to_owned(), low: all[start], high: all[end], logarithmic: true, ticks }
    }

    /// Things in a row, at 0, 1, 2 …
    pub(super) fn categories<T: AsRef<str>>(label: &str, names: &[T]) -> Self {
        let ticks = names.iter().enumerate().map(|(place, name)| (place as f64, name.as_ref().to_owned()));
        Self {
            label: label.to_owned(),
            low: -0.5,
            high: names.len().max(1) as f64 - 0.5,
            logarithmic: false,
            ticks: ticks.collect(),
        }
    }

    /// Sizes of frames in a row.
    pub(super) fn sizes(sizes: &[&str]) -> Self {
        let names: Vec<String> = sizes.iter().map(|size| size_title(size)).collect();
        Self::categories("frame size, octets", &names)
    }

    /// Where a value is between the ends, as a share.
    fn place(&self, value: f64) -> f64 {
        match self.logarithmic {
            true => (value.max(self.low) / self.low).log10() / (self.high / self.low).log10(),
            false => (value - self.low) / (self.high - self.low),
        }
    }
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        from + (f64::from(to - from) * self.place(*value)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight().allow_light_points() {
            true => Vec::new(),
            false => self.ticks.iter().map(|(tick, _)| *tick).collect(),
        }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, value: &f64) -> String {
        let tick = self.ticks.iter().find(|(tick, _)| tick == value);
        tick.map(|(_, text)| text.clone()).unwrap_or_default()
    }
}

/// The multiple of a unit in which values up to this are told.
fn multiple(unit: Unit, high: f64) -> (f64, &'static str) {
    let name = quantity(unit, high).unit;
    let by = match name {
        "Mpps" | "Mbit/s" => 1e6,
        "kpps" | "kbit/s" => 1e3,
        "Gbit/s" => 1e9,
        "%" => 0.01,
        "us" | "ms" | "s" | "ns" => {
            let own = if unit == Unit::Seconds { 1e9 } else { 1.0 };
            let nanoseconds = match name {
                "s" => 1e9,
                "ms" => 1e6,
                "us" => 1e3,
                _ => 1.0,
            };
            nanoseconds / own
        }
        _ => 1.0,
    };
    (by, micro(name))
}

/// The name of a unit with its letter.
pub(super) fn micro(name: &'static str) -> &'static str {
    if name == "us" { "µs" } else { name }
}

fn tick_text(unit: Unit, value: f64) -> String {
    let quantity = quantity(unit, value);
    let number = match quantity.number.parse::<f64>() {
        Ok(number) => trimmed(number),
        Err(_) => quantity.number,
    };
    match unit {
        Unit::Addresses | Unit::Frames => number,
        _ => format!("{number} {}", micro(quantity.unit)),
    }
}

/// A number without zeros at its end.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A step of 1, 2 or 5 times a power of ten that divides a length in about so many parts.
fn nice_step(length: f64, parts: f64) -> f64 {
    let rough = length / parts;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| step * power >= rough * 0.999);
    step.unwrap_or(10.0) * power
}

/// Values of one thing.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) look: usize,
    pub(super) shape: Shape,
    pub(super) points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    /// A line with marks.
    Marked,
    /// A line of many points.
    Line,
    /// Bars side by side: which of how many.
    Bars { place: usize, of: usize },
}

/// A value, and how far its rounds go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) range: Option<(f64, f64)>,
}

/// A plot with everything that is said about it.
pub(super) struct Plot {
    pub(super) id: String,
    pub(super) title: String,
    /// In sentences: what, unit, rounds, the standard's clause.
    pub(super) caption: String,
    pub(super) x: Scale,
    pub(super) y: Scale,
    /// From where on points are things of their own, not joined to those before.
    pub(super) apart: Option<f64>,
    pub(super) series: Vec<Series>,
    /// The numbers: a header, and rows that begin with their name.
    pub(super) table: (Vec<String>, Vec<Vec<String>>),
}

impl Plot {
    /// The figure, whole.
    pub(super) fn markup(&self) -> Result<Markup> {
        let title_id = format!("{}-title", self.id);
        let description_id = format!("{}-description", self.id);
        let (header, rows) = &self.table;
        Ok(html! {
            figure id=(self.id) {
                h4 { (self.title) }
                (legend(&self.series)?)
                svg class="plot" viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img"
                    aria-labelledby={ (title_id) " " (description_id) } {
                    title id=(title_id) { (self.title) }
                    desc id=(description_id) { (self.caption) " The numbers are in the table below it." }
                    (PreEscaped(self.drawing()?))
                }
                figcaption { (self.caption) }
                details class="numbers" {
                    summary { "Numbers" }
                    div class="scroll" {
                        table {
                            thead { tr { @for cell in header { th scope="col" { (cell) } } } }
                            tbody {
                                @for row in rows {
                                    tr {
                                        @for (place, cell) in row.iter().enumerate() {
                                            @if place == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        })
    }

    fn drawing(&self) -> Result<String> {
        draw((WIDTH, HEIGHT), |root| self.draw_on(root))
    }

    fn draw_on(&self, root: &Area<'_>) -> Drawn {
        let text = ("sans-serif", FONT).into_font().color(&INK);
        let mut chart = ChartBuilder::on(root)
            .margin_top(110)
            .margin_right(self.right())
            .margin_bottom(10)
            .set_label_area_size(LabelAreaPosition::Left, self.left())
            .set_label_area_size(LabelAreaPosition::Bottom, if self.x.label.is_empty() { 100 } else { 180 })
            .build_cartesian_2d(self.x.clone(), self.y.clone())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(self.x.ticks.len())
            .y_labels(self.y.ticks.len())
            .bold_line_style(GRID.stroke_width(HAIR))
            .light_line_style(TRANSPARENT)
            .axis_style(AXIS.stroke_width(HAIR))
            .set_all_tick_mark_size(14)
            .label_style(text.clone())
            .x_desc(self.x.label.as_str())
            .draw()?;
        let top_left = text.pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(self.y.label.clone(), (10, 40), top_left))?;

        for series in &self.series {
            let color = look(series.look).light;
            let place = |point: &Point| (point.x, point.y);
            if let Shape::Bars { place: bar, of } = series.shape {
                let width = 0.8 / of as f64;
                let bars = series.points.iter().map(|point| {
                    let left = point.x - 0.4 + bar as f64 * width;
                    let corners = [(left + width * 0.06, self.y.low), (left + width * 0.94, point.y)];
                    Rectangle::new(corners, color.filled())
                });
                chart.draw_series(bars)?;
            } else {
                let joined = |part: &[Point]| {
                    LineSeries::new(part.iter().map(place).collect::<Vec<_>>(), color.stroke_width(LINE))
                };
                let end =
                    series.points.iter().position(|point| self.apart.is_some_and(|apart| point.x >= apart));
                chart.draw_series(joined(&series.points[..end.unwrap_or(series.points.len())]))?;
            }
            let ranges = series.points.iter().filter_map(|point| {
                let (low, high) = point.range?;
                let shift = match series.shape {
                    Shape::Bars { place, of } => (place as f64 + 0.5) * 0.8 / of as f64 - 0.4,
                    _ => 0.0,
                };
                let x = point.x + shift;
                let color = if shift == 0.0 { color } else { INK };
                Some(PathElement::new([(x, low), (x, high)], color.stroke_width(HAIR + 2)))
            });
            chart.draw_series(ranges)?;
            if series.shape == Shape::Marked {
                for point in &series.points {
                    let center = chart.backend_coord(&place(point));
                    draw_mark(root, look(series.look), center)?;
                }
            }
        }
        Ok(())
    }

    /// Room for the half of what is written at the foot's end.
    fn right(&self) -> u32 {
        let last = self.x.ticks.last().map_or(0, |(_, text)| text.chars().count()) as u32;
        60 + 12 * last
    }

    /// Room for what is written along the left.
    fn left(&self) -> u32 {
        let longest = self.y.ticks.iter().map(|(_, text)| text.chars().count()).max().unwrap_or(0) as u32;
        70 + 34 * longest.max(3)
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Drawn = std::result::Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// What a closure draws, without the element around it.
fn draw(size: (u32, u32), with: impl FnOnce(&Area<'_>) -> Drawn) -> Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let drawn = with(&root).and_then(|()| root.present());
        drawn.map_err(|error| BenchError::process("a plot", error))?;
    }
    let start = svg.find('>').map_or(0, |end| end + 1);
    let end = svg.rfind("</svg>").unwrap_or(svg.len());
    Ok(svg[start..end].replace("opacity=\"1\" ", "").replace(" \"/>", "\"/>").trim().to_owned())
}

fn draw_mark(root: &Area<'_>, look: &Look, (x, y): (i32, i32)) -> Drawn {
    let filled = look.light.filled();
    let corners = |offsets: &[(i32, i32)]| -> Vec<(i32, i32)> {
        offsets.iter().map(|(right, down)| (x + right, y + down)).collect()
    };
    let small = MARK * 4 / 5;
    match look.mark {
        Mark::Circle => root.draw(&Circle::new((x, y), MARK, filled)),
        Mark::Ring => root.draw(&Circle::new((x, y), MARK, look.light.stroke_width(LINE - 2))),
        Mark::Square => root.draw(&Polygon::new(
            corners(&[(-small, -small), (small, -small), (small, small), (-small, small)]),
            filled,
        )),
        Mark::Up => {
            root.draw(&Polygon::new(corners(&[(0, -MARK - 3), (MARK + 2, MARK), (-MARK - 2, MARK)]), filled))
        }
        Mark::Down => {
            root.draw(&Polygon::new(corners(&[(0, MARK + 3), (MARK + 2, -MARK), (-MARK - 2, -MARK)]), filled))
        }
        Mark::Diamond => root.draw(&Polygon::new(
            corners(&[(0, -MARK - 5), (MARK + 5, 0), (0, MARK + 5), (-MARK - 5, 0)]),
            filled,
        )),
    }
}

/// Which look is whose.
fn legend(series: &[Series]) -> Result<Markup> {
    let mut keys = Vec::new();
    for one in series {
        keys.push((one.name.as_str(), key(one)?));
    }
    Ok(html! {
        ul class="legend" {
            @for (name, key) in keys {
                li { (key) (name) }
            }
        }
    })
}

fn key(series: &Series) -> Result<Markup> {
    let look = look(series.look);
    let drawing = draw((140, 60), |root| match series.shape {
        Shape::Bars { .. } => root.draw(&Rectangle::new([(40, 6), (100, 54)], look.light.filled())),
        shape => {
            root.draw(&PathElement::new([(0, 30), (140, 30)], look.light.stroke_width(LINE)))?;
            if shape == Shape::Marked { draw_mark(root, look, (70, 30)) } else { Ok(()) }
        }
    })?;
    Ok(html! { svg class="key" viewBox="0 0 140 60" aria-hidden="true" { (PreEscaped(drawing)) } })
}

/// The numbers of series that share their x values, as a table.
pub(super) fn numbers(
    first: &str,
    x_text: impl Fn(f64) -> String,
    y_text: impl Fn(f64) -> String,
    series: &[Series],
) -> (Vec<String>, Vec<Vec<String>>) {
    let mut xs: Vec<f64> = series.iter().flat_map(|one| one.points.iter().map(|point| point.x)).collect();
    xs.sort_by(f64::total_cmp);
    xs.dedup();
    let header = once(first.to_owned()).chain(series.iter().map(|one| one.name.clone())).collect();
    let rows = xs.into_iter().map(|x| {
        let values = series.iter().map(|one| {
            one.points.iter().find(|point| point.x == x).map(|point| y_text(point.y)).unwrap_or_default()
        });
        once(x_text(x)).chain(values).collect()
    });
    (header, rows.collect())
}

/// A number in thousandths of what `by` says.
pub(super) fn over(by: f64) -> impl Fn(f64) -> String {
    move |value| three_digits(value / by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_scales_end_at_a_tick_beyond_the_highest() {
        let scale = Scale::linear("rate", Unit::FramesPerSecond, 12_600_000.0);
        let ticks: Vec<&str> = scale.ticks.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(ticks, ["0", "5", "10", "15"]);
        assert_eq!((scale.high, scale.label.as_str()), (15e6, "rate, Mpps"));
        let scale = Scale::linear("lost", Unit::Share, 1.0);
        assert_eq!(scale.ticks.last().unwrap(), &(1.0, "100".to_owned()));
    }

    #[test]
    fn logarithmic_scales_have_ticks_with_their_units() {
        let scale = Scale::logarithmic("latency", Unit::Nanoseconds, 850.0, 2.2e6);
        let ticks: Vec<&str> = scale.ticks.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(ticks, ["100 ns", "1 µs", "10 µs", "100 µs", "1 ms", "10 ms"]);
        let scale = Scale::logarithmic("latency", Unit::Nanoseconds, 4000.0, 30_000.0);
        let ticks: Vec<&str> = scale.ticks.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(ticks, ["2 µs", "5 µs", "10 µs", "20 µs", "50 µs"]);
    }

    #[test]
    fn no_scale_is_empty_whatever_the_values() {
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300] {
            for scale in [
                Scale::linear("x", Unit::Seconds, value),
                Scale::logarithmic("x", Unit::Seconds, value, value),
                Scale::categories::<&str>("x", &[]),
            ] {
                assert!(scale.place(scale.low) < scale.place(scale.high), "{value}: {scale:?}");
            }
        }
    }

    #[test]
    fn a_plot_has_a_line_for_each_series_and_its_numbers() {
        let series = |look, y| Series {
            name: format!("number {look}"),
            look,
            shape: Shape::Marked,
            points: vec![
                Point { x: 0.0, y, range: None },
                Point { x: 1.0, y: y * 2.0, range: Some((y, y * 3.0)) },
            ],
        };
        let series = vec![series(0, 1.0), series(1, 2.0)];
        let table = numbers("x", trimmed, trimmed, &series);
        assert_eq!(table.1, [["0", "1", "2"], ["1", "2", "4"]]);
        let plot = Plot {
            id: "p".to_owned(),
            title: "A & B".to_owned(),
            caption: "Both.".to_owned(),
            x: Scale::categories("x", &["a", "b"]),
            y: Scale::plain("y", 1.0, 4.0),
            apart: None,
            series,
            table,
        };
        let page = plot.markup().unwrap().into_string();
        for look in &PALETTE[..2] {
            let line = format!("stroke=\"{}\" stroke-width=\"{LINE}\" points", hex(look.light));
            // Once in the plot, once in the legend.
            assert_eq!(page.matches(&line).count(), 2, "{page}");
        }
        assert!(page.contains("A &amp; B") && !page.contains("A & B"));
    }
}
