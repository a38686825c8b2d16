//! The two forms of Prometheus's text: OpenMetrics 1.0, and the older one that tools and browsers ask for.

/// A form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    OpenMetrics,
    Classic,
}

impl Format {
    /// What a client takes that sends this `Accept`: OpenMetrics only if it says so.
    pub(super) fn accepted(accept: &str) -> Self {
        let takes = |range: &str| {
            let mut parts = range.split(';').map(str::trim);
            let open =
                parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/openmetrics-text"));
            let refused = |part: &str| part.strip_prefix("q=").and_then(|q| q.parse().ok()) == Some(0.0);
            open && !parts.any(refused)
        };
        if accept.split(',').any(takes) { Self::OpenMetrics } else { Self::Classic }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The older form of OpenMetrics text: there a counter's family has the name of its samples. `# EOF` stays, a
/// comment there.
pub(super) fn classic(open: &str) -> String {
    let mut text = String::with_capacity(open.len() + open.len() / 16);
    let mut lines = open.lines().peekable();
    while let Some(line) = lines.next() {
        // Help comes first, and the type after it.
        let counter = |line: &str| line.starts_with("# TYPE ") && line.ends_with(" counter");
        let of_counter =
            counter(line) || line.starts_with("# HELP ") && lines.peek().is_some_and(|next| counter(next));
        match line.splitn(4, ' ').collect::<Vec<_>>()[..] {
            ["#", keyword, name, rest] if of_counter => {
                for part in ["# ", keyword, " ", name, "_total ", rest] {
                    text.push_str(part);
                }
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_are_for_who_asks_for_them() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        for accept in ["", "*/*", "text/html, */*;q=0.8", "application/openmetrics-text;q=0", ";,;q=", "q=0"]
        {
            assert_eq!(Format::accepted(accept), Format::Classic, "{accept}");
        }
    }

    #[test]
    fn only_counters_are_called_otherwise() {
        let open = "# HELP a_frames Frames.\n# TYPE a_frames counter\na_frames_total{p=\"# TYPE x counter\"} 1\n\
                    # HELP b A gauge.\n# TYPE b gauge\nb 2\n# EOF\n";
        let wanted = "# HELP a_frames_total Frames.\n# TYPE a_frames_total counter\na_frames_total{p=\"# TYPE x counter\"} 1\n\
                      # HELP b A gauge.\n# TYPE b gauge\nb 2\n# EOF\n";
        assert_eq!(classic(open), wanted);
    }
}
