use crate::tree::Node;

/// What the log tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Of areas that aren't named.
    pub level: LogLevel,
    /// Of those that are, each once.
    pub areas: Vec<(LogArea, LogLevel)>,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: LogLevel::Info, areas: Vec::new() }
    }
}

/// The least urgent message that the log tells, under its name in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogLevel {
    /// None at all.
    Off,
    /// What failed.
    Error,
    /// What may become a trouble.
    Warn,
    /// What happened.
    Info,
    /// Each call and each scrape as well.
    Debug,
    /// Whatever there is.
    Trace,
}

impl LogLevel {
    /// Every level, under its name in the file.
    pub const WORDS: [(&'static str, Self); 6] = [
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
        ("off", Self::Off),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        let found = Self::WORDS.iter().find(|(_, level)| *level == self);
        found.map_or("off", |(name, _)| name)
    }
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogArea {
    /// The file, and what changes in it.
    Config,
    /// What DPDK says itself.
    Dpdk,
    /// Who scrapes numbers.
    Metrics,
    /// Ports, their links and VMs.
    Ports,
    /// The control socket.
    Rpc,
    /// Workers.
    Workers,
}

impl LogArea {
    /// Every area, under its name in the file.
    pub const ALL: [(&'static str, Self); 6] = [
        ("config", Self::Config),
        ("dpdk", Self::Dpdk),
        ("metrics", Self::Metrics),
        ("ports", Self::Ports),
        ("rpc", Self::Rpc),
        ("workers", Self::Workers),
    ];
}

pub(crate) fn read(node: &Node<'_>) -> Option<Log> {
    node.table(|table| {
        let level = table.get("level", level).unwrap_or(LogLevel::Info);
        let areas = table.get("areas", areas).unwrap_or_default();
        Some(Log { level, areas })
    })
}

fn areas(node: &Node<'_>) -> Option<Vec<(LogArea, LogLevel)>> {
    node.table(|table| {
        let named = LogArea::ALL.iter().filter_map(|(name, area)| Some((*area, table.get(name, level)?)));
        Some(named.collect())
    })
}

fn level(node: &Node<'_>) -> Option<LogLevel> {
    node.choice(&LogLevel::WORDS)
}
