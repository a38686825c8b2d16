//! A switch with the text that it was made from: what people and programs change while it runs.

use std::path::{Path, PathBuf};

use pollux_config::{Changes, Config, Faults};
use toml_edit::{DocumentMut, InlineTable, Item, Table};

use super::{ReconfigureError, Switch};

/// A switch, its file, and the configuration that it runs as text, which isn't the file's any more once a
/// port was attached or detached.
pub struct Running {
    /// The switch.
    pub switch: Switch,
    file: PathBuf,
    text: String,
}

/// A change was refused. The switch runs as before, but for what [`ReconfigureError`] says.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The file can't be read.
    #[error("{file}: can't be read: {1}; make it readable for the switch", file = .0.display())]
    Unreadable(PathBuf, std::io::Error),
    /// The text has faults.
    #[error("{}", .0.lines())]
    Faults(Faults),
    /// There is no such port.
    #[error("there is no port {0}: `show vhost` and `show port stats all` list them")]
    NoPort(String),
    /// There is one already.
    #[error("there is a port {0} already: detach it first, or choose another name")]
    PortThere(String),
    /// It couldn't be done.
    #[error(transparent)]
    Failed(ReconfigureError),
}

impl From<Faults> for ChangeError {
    fn from(faults: Faults) -> Self {
        Self::Faults(faults)
    }
}

impl Running {
    /// `switch`, which was started from `text`, read from `file`.
    pub fn new(switch: Switch, file: impl Into<PathBuf>, text: String) -> Self {
        Self { switch, file: file.into(), text }
    }

    /// The file that [`reload`](Self::reload) reads.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The configuration that runs, as text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Reads the file again, and makes the switch what it says now.
    ///
    /// # Errors
    ///
    /// What is wrong with the file or the host; see [`Switch::reconfigure`].
    pub fn reload(&mut self) -> Result<Changes, ChangeError> {
        let unreadable = |error| ChangeError::Unreadable(self.file.clone(), error);
        let octets = std::fs::read(&self.file).map_err(unreadable)?;
        let config = pollux_config::parse_bytes(&self.file.display().to_string(), &octets)?;
        for notice in config.notices() {
            tracing::warn!("{}", notice.line());
        }
        self.become_what_is_in(String::from_utf8_lossy(&octets).into_owned(), config)
    }

    /// Adds a port. `keys` are those below `[ports.NAME]` in the file.
    ///
    /// # Errors
    ///
    /// What is wrong with it; see [`Switch::reconfigure`].
    pub fn attach(&mut self, name: &str, keys: InlineTable) -> Result<Changes, ChangeError> {
        let mut document = self.document();
        let ports = document.entry("ports").or_insert_with(|| Item::Table(Table::new()));
        let Some(ports) = ports.as_table_like_mut().filter(|ports| !ports.contains_key(name)) else {
            return Err(ChangeError::PortThere(name.to_owned()));
        };
        ports.insert(name, Item::Table(keys.into_table()));
        self.change(document)
    }

    /// Takes a port away, and the static entries that name it.
    ///
    /// # Errors
    ///
    /// There is none; it is the last one.
    pub fn detach(&mut self, name: &str) -> Result<Changes, ChangeError> {
        let mut document = self.document();
        let ports = document.get_mut("ports").and_then(Item::as_table_like_mut);
        if ports.and_then(|ports| ports.remove(name)).is_none() {
            return Err(ChangeError::NoPort(name.to_owned()));
        }
        let statics = document.get_mut("fdb").and_then(|fdb| fdb.get_mut("static"));
        match statics {
            Some(Item::ArrayOfTables(entries)) => {
                entries.retain(|entry| entry.get("port").and_then(Item::as_str) != Some(name));
            }
            Some(Item::Value(toml_edit::Value::Array(entries))) => entries.retain(|entry| {
                let port = entry.as_inline_table().and_then(|entry| entry.get("port"));
                port.and_then(toml_edit::Value::as_str) != Some(name)
            }),
            _ => {}
        }
        self.change(document)
    }

    /// Adds `keys` to a table of a port, such as `flow_control`, in place of those of the same names.
    ///
    /// # Errors
    ///
    /// There is no such port; what is wrong with the keys; see [`Switch::reconfigure`].
    pub fn tune(&mut self, name: &str, table: &str, keys: InlineTable) -> Result<Changes, ChangeError> {
        let mut document = self.document();
        let port = document.get_mut("ports").and_then(|ports| ports.get_mut(name));
        let Some(port) = port.and_then(Item::as_table_like_mut) else {
            return Err(ChangeError::NoPort(name.to_owned()));
        };
        let entry = port.entry(table).or_insert_with(|| Item::Value(InlineTable::new().into()));
        match entry.as_table_like_mut() {
            Some(present) => {
                for (key, value) in keys {
                    present.insert(&key, Item::Value(value));
                }
            }
            // What isn't a table the text wouldn't have been read with.
            None => *entry = Item::Value(keys.into()),
        }
        self.change(document)
    }

    fn document(&self) -> DocumentMut {
        self.text.parse().expect("the text was parsed before")
    }

    fn change(&mut self, document: DocumentMut) -> Result<Changes, ChangeError> {
        let text = document.to_string();
        let config = pollux_config::parse("running configuration", &text)?;
        self.become_what_is_in(text, config)
    }

    fn become_what_is_in(&mut self, text: String, config: Config) -> Result<Changes, ChangeError> {
        match self.switch.reconfigure(config) {
            Ok(changes) => {
                self.text = text;
                Ok(changes)
            }
            Err(ReconfigureError::Faults(faults)) => Err(ChangeError::Faults(faults)),
            Err(error) => {
                if matches!(error, ReconfigureError::Stuck(_)) {
                    self.text = text;
                }
                Err(ChangeError::Failed(error))
            }
        }
    }
}
