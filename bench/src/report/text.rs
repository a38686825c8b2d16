//! Numbers and names as people read them.

use crate::host::table::mpps;

use super::model::Unit;

/// Octets on the line that belong to no frame: preamble, start delimiter and the gap (IEEE 802.3, 4.4.2).
const LINE_OVERHEAD: f64 = 20.0;

/// A number in as many digits as mean something, and its unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quantity {
    pub(super) number: String,
    pub(super) unit: &'static str,
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.unit {
            "" => formatter.write_str(&self.number),
            unit => write!(formatter, "{} {unit}", self.number),
        }
    }
}

/// A value in the multiple of its unit that fits.
pub(super) fn quantity(unit: Unit, value: f64) -> Quantity {
    let scaled = |by: f64, unit| Quantity { number: three_digits(value / by), unit };
    let size = value.abs();
    match unit {
        Unit::FramesPerSecond => match size {
            100_000.0.. => Quantity { number: mpps(value), unit: "Mpps" },
            1000.0.. => scaled(1e3, "kpps"),
            _ => scaled(1.0, "pps"),
        },
        Unit::BitsPerSecond => match size {
            1e9.. => scaled(1e9, "Gbit/s"),
            1e6.. => scaled(1e6, "Mbit/s"),
            1e3.. => scaled(1e3, "kbit/s"),
            _ => scaled(1.0, "bit/s"),
        },
        Unit::Nanoseconds => time(value),
        Unit::Seconds => time(value * 1e9),
        Unit::Share => Quantity { number: percent(value), unit: "%" },
        Unit::Frames => Quantity { number: whole(value), unit: "frames" },
        Unit::Addresses => Quantity { number: whole(value), unit: "addresses" },
        Unit::AddressesPerSecond => Quantity { number: whole(value), unit: "addresses/s" },
        Unit::ChangesPerSecond => Quantity { number: whole(value), unit: "changes/s" },
    }
}

fn time(nanoseconds: f64) -> Quantity {
    let scaled = |by: f64, unit| Quantity { number: three_digits(nanoseconds / by), unit };
    match nanoseconds.abs() {
        1e9.. => scaled(1e9, "s"),
        1e6.. => scaled(1e6, "ms"),
        1e3.. => scaled(1e3, "us"),
        0.0 => scaled(1.0, "s"),
        _ => scaled(1.0, "ns"),
    }
}

/// Three digits that count, all before the point.
pub(super) fn three_digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        100_000.0.. => whole(value),
        99.95.. => format!("{value:.0}"),
        9.995.. => format!("{value:.1}"),
        0.9995.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A share as a percentage; shares that are small keep two digits.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent.abs() {
        0.0 => "0".to_owned(),
        0.01.. => three_digits(percent),
        size => {
            let digits = (1.0 - size.log10().floor()).clamp(0.0, 12.0) as usize;
            format!("{percent:.digits$}")
        }
    }
}

/// A whole number, its thousands apart.
pub(super) fn whole(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    match value <= -0.5 {
        true => format!("-{text}"),
        false => text,
    }
}

/// A ratio, as what it is times another.
pub(super) fn times(ratio: f64) -> String {
    match ratio.abs() {
        99.5.. => whole(ratio),
        9.995.. => format!("{ratio:.1}"),
        _ => format!("{ratio:.2}"),
    }
}

/// "1 round", "3 rounds".
pub(super) fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{} {what}s", whole(number as f64)),
    }
}

/// Bits a second on the line, preamble and gap included, of so many frames of this size a second.
pub(super) fn line_bits(octets: f64, rate: f64) -> f64 {
    (octets + LINE_OVERHEAD) * 8.0 * rate
}

/// Sorts sizes by their octets; mixes come last.
pub(super) fn size_order(size: &str) -> (bool, u64, String) {
    let octets = size.strip_suffix('B').and_then(|digits| digits.parse().ok());
    (octets.is_none(), octets.unwrap_or(0), size.to_owned())
}

/// A size without its letter, for tables that say what it is.
pub(super) fn size_title(size: &str) -> String {
    match size {
        "imix" => "IMIX".to_owned(),
        _ => size.strip_suffix('B').unwrap_or(size).to_owned(),
    }
}

/// A size in words.
pub(super) fn size_name(size: &str) -> String {
    match size.strip_suffix('B') {
        Some(octets) => format!("{octets} octets"),
        None => size_title(size),
    }
}

/// A figure's name in words: `latency_p99_at_50` as "Latency p99 at 50 %".
pub(super) fn figure_title(name: &str) -> String {
    let known = match name {
        "ndr" => "No-drop rate",
        "pdr" => "Partial-drop rate",
        "throughput" => "Throughput",
        "forwarding_rate" => "Forwarding rate",
        "plr" => "Packet loss ratio",
        _ => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    let mut after_at = false;
    for word in name.split('_') {
        let is_number = word.chars().all(|letter| letter.is_ascii_digit()) && !word.is_empty();
        match words.last_mut() {
            // p99_9: what has a point is written with an underscore.
            Some(last) if is_number && is_percentile(last) => *last = format!("{last}.{word}"),
            _ if is_number && after_at => words.push(format!("{word} %")),
            _ => words.push(word.to_owned()),
        }
        after_at = word == "at";
    }
    capital(&words.iter().map(|word| abbreviation(word)).collect::<Vec<_>>().join(" "))
}

/// A test's id in words: `back-to-back` as "Back to back", `ndr` as "NDR".
pub(super) fn test_title(id: &str) -> String {
    let words: Vec<&str> = id.split(['-', '_']).map(abbreviation).collect();
    capital(&words.join(" "))
}

/// Words that are written in capitals.
fn abbreviation(word: &str) -> &str {
    match word {
        "ndr" => "NDR",
        "pdr" => "PDR",
        "pdv" => "PDV",
        "mfr" => "MFR",
        "mol" => "MOL",
        "fdb" => "FDB",
        "vid" => "VID",
        _ => word,
    }
}

fn is_percentile(word: &str) -> bool {
    word.strip_prefix('p').is_some_and(|digits| !digits.is_empty() && digits.parse::<f64>().is_ok())
}

/// With a capital letter first.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// "a, b and c".
pub(super) fn listed<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<&str> = items.iter().map(AsRef::as_ref).collect();
    match items.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_the_multiple_that_fits() {
        let cases = [
            (Unit::FramesPerSecond, 14_880_952.0, "14.9 Mpps"),
            (Unit::FramesPerSecond, 999_000.0, "0.999 Mpps"),
            (Unit::FramesPerSecond, 1500.0, "1.50 kpps"),
            (Unit::FramesPerSecond, 12.0, "12.0 pps"),
            (Unit::Nanoseconds, 850.0, "850 ns"),
            (Unit::Nanoseconds, 12_340.0, "12.3 us"),
            (Unit::Seconds, 0.25, "250 ms"),
            (Unit::Seconds, 0.0, "0 s"),
            (Unit::Seconds, 61.0, "61.0 s"),
            (Unit::Share, 0.000001, "0.00010 %"),
            (Unit::Share, 0.5, "50.0 %"),
            (Unit::Share, 0.0, "0 %"),
            (Unit::Addresses, 131_072.0, "131,072 addresses"),
            (Unit::BitsPerSecond, 10e9, "10.0 Gbit/s"),
        ];
        for (unit, value, text) in cases {
            assert_eq!(quantity(unit, value).to_string(), text, "{unit:?} {value}");
        }
    }

    #[test]
    fn whole_numbers_have_their_thousands_apart() {
        assert_eq!(whole(0.0), "0");
        assert_eq!(whole(999.0), "999");
        assert_eq!(whole(-1_234_567.0), "-1,234,567");
    }

    #[test]
    fn the_line_carries_twenty_octets_more() {
        assert_eq!(line_bits(64.0, 14_880_952.0), 9_999_999_744.0);
    }

    #[test]
    fn sizes_go_by_their_number() {
        let mut sizes = ["imix", "1518B", "64B", "9000B", "128B"];
        sizes.sort_by_key(|size| size_order(size));
        assert_eq!(sizes, ["64B", "128B", "1518B", "9000B", "imix"]);
    }

    #[test]
    fn names_become_words() {
        assert_eq!(figure_title("ndr"), "No-drop rate");
        assert_eq!(figure_title("latency_p99_9_at_50"), "Latency p99.9 at 50 %");
        assert_eq!(figure_title("latency_p50_at_100"), "Latency p50 at 100 %");
        assert_eq!(figure_title("recovery_time"), "Recovery time");
        assert_eq!(figure_title("pdv_p99_at_10"), "PDV p99 at 10 %");
        assert_eq!(test_title("back-to-back"), "Back to back");
        assert_eq!(test_title("mfr"), "MFR");
        assert_eq!(figure_title(""), "");
    }

    #[test]
    fn lists_read_as_sentences() {
        assert_eq!(listed::<&str>(&[]), "");
        assert_eq!(listed(&["a"]), "a");
        assert_eq!(listed(&["a", "b", "c"]), "a, b and c");
    }
}
