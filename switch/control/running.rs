//! A switch with the text that it was made from: what people and programs change while it runs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pollux_config::{Changes, Config, Faults};
use pollux_net::{Mac, Vid};
use toml_edit::{DocumentMut, InlineTable, Item, Table, TableLike};

use super::edit::{self, Edit};
use super::follower::Follower;
use super::{Happening, ReconfigureError, Switch};

/// A switch, its file, and the configuration that it runs as text, which isn't the file's any more once
/// something was changed otherwise.
pub struct Running {
    /// The switch.
    pub switch: Switch,
    file: PathBuf,
    text: String,
    /// What ran before the last change.
    before: Option<String>,
    /// When what runs is taken back, unless somebody confirms it, and what ran before.
    pending: Option<(Instant, String)>,
    /// What hasn't been told yet.
    news: Vec<Happening>,
    /// Whether somebody has asked for the end.
    quits: bool,
    followers: Vec<Box<dyn Follower>>,
}

/// A change was refused. The switch runs as before, but for what [`ReconfigureError`] says.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The file can't be read.
    #[error("{file}: can't be read: {1}; make it readable for the switch", file = .0.display())]
    Unreadable(PathBuf, std::io::Error),
    /// The file can't be written.
    #[error("{file}: can't be written: {1}; what runs is in `show config running`", file = .0.display())]
    Unwritable(PathBuf, std::io::Error),
    /// The text has faults.
    #[error("{}", .0.lines())]
    Faults(Faults),
    /// There is no such port.
    #[error("there is no port {0}: `show port summary all` lists them")]
    NoPort(String),
    /// There is one already.
    #[error("there is a port {0} already: detach it first, or choose another name")]
    PortThere(String),
    /// The configuration hasn't it.
    #[error("the configuration has no `{0}` that could be changed: `show config running` shows it")]
    NoKey(String),
    /// A change waits to be confirmed.
    #[error(
        "a change waits to be confirmed for {n} more seconds: `config confirm` or `config rollback` first", n = .0.as_secs()
    )]
    Pending(Duration),
    /// No change waits to be confirmed.
    #[error("no change waits to be confirmed; `config rollback` takes the last one back")]
    NothingPending,
    /// Nothing was changed.
    #[error("nothing was changed since the switch started, or it was taken back already")]
    NothingBefore,
    /// It couldn't be done.
    #[error(transparent)]
    Failed(ReconfigureError),
}

impl From<Faults> for ChangeError {
    fn from(faults: Faults) -> Self {
        Self::Faults(faults)
    }
}

/// What a text that is changed while the switch runs is called where it has faults.
const RUNNING: &str = "running configuration";

/// Between two trials of taking back what nobody confirmed.
const TRY_AGAIN: Duration = Duration::from_secs(5);

impl Running {
    /// `switch`, which was started from `text`, read from `file`.
    pub fn new(switch: Switch, file: impl Into<PathBuf>, text: String) -> Self {
        Self {
            switch,
            file: file.into(),
            text,
            before: None,
            pending: None,
            news: Vec::new(),
            quits: false,
            followers: Vec::new(),
        }
    }

    /// Has `follower` follow what changes from now on.
    pub fn follow(&mut self, follower: impl Follower + 'static) {
        self.followers.push(Box::new(follower));
    }

    /// The file that [`reload`](Self::reload) reads.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The configuration that runs, as text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Asks for the switch's end.
    pub fn quit(&mut self) {
        self.quits = true;
    }

    /// Whether somebody has asked for the switch's end.
    pub fn quits(&self) -> bool {
        self.quits
    }

    /// What became of the configuration since this was last asked.
    pub fn news(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.news)
    }

    /// The name of a port that is named, or numbered as [`Switch::port_summaries`] has it.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn resolve(&self, port: &str) -> Result<String, ChangeError> {
        let found = self.switch.port_name(port);
        found.map(str::to_owned).ok_or_else(|| ChangeError::NoPort(port.to_owned()))
    }

    /// As [`resolve`](Self::resolve), with ports among those to be found that the configuration has and that
    /// didn't start again when they were made anew.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn resolve_configured(&self, port: &str) -> Result<String, ChangeError> {
        let lost = self.switch.lost().iter().find(|lost| *lost == port);
        lost.cloned().map_or_else(|| self.resolve(port), Ok)
    }

    /// What the file says.
    ///
    /// # Errors
    ///
    /// It can't be read.
    pub fn saved(&self) -> Result<Vec<u8>, ChangeError> {
        std::fs::read(&self.file).map_err(|error| ChangeError::Unreadable(self.file.clone(), error))
    }

    /// Reads the file again, and makes the switch what it says now.
    ///
    /// # Errors
    ///
    /// What is wrong with the file or the host; see [`Switch::reconfigure`].
    pub fn reload(&mut self) -> Result<Changes, ChangeError> {
        self.refuse_while_pending()?;
        let octets = self.saved()?;
        let config = pollux_config::parse_bytes(&self.file.display().to_string(), &octets)?;
        for notice in config.notices() {
            tracing::warn!(target: "config", "{}", notice.line());
        }
        self.become_what_is_in(String::from_utf8_lossy(&octets).into_owned(), config, "reload")
    }

    /// What [`apply`](Self::apply) would do. Touches nothing.
    ///
    /// # Errors
    ///
    /// What is wrong with the text or the host.
    pub fn check(&self, name: &str, text: &str) -> Result<Changes, ChangeError> {
        let config = pollux_config::parse(name, text)?;
        let changes = self.switch.would_change(&config)?;
        self.followers.iter().try_for_each(|one| one.check(self.switch.config(), &config))?;
        Ok(changes)
    }

    /// Makes the switch what `text` says, which faults call `name`. With a `confirm` time it is taken back
    /// after that long, unless [`confirm`](Self::confirm)ed.
    ///
    /// # Errors
    ///
    /// What is wrong with the text or the host; another change waits to be confirmed.
    pub fn apply(
        &mut self,
        name: &str,
        text: String,
        confirm: Option<Duration>,
    ) -> Result<Changes, ChangeError> {
        self.refuse_while_pending()?;
        let config = pollux_config::parse(name, &text)?;
        let before = self.text.clone();
        let applied = self.become_what_is_in(text, config, "apply");
        // A change that isn't complete is to be taken back as well.
        if applied.is_ok() || self.text != before {
            self.pending = confirm.map(|confirm| (Instant::now() + confirm, before));
        }
        applied
    }

    /// How long there is to confirm what runs; `None`: it needn't be.
    pub fn pending(&self) -> Option<Duration> {
        Some(self.pending.as_ref()?.0.saturating_duration_since(Instant::now()))
    }

    /// Keeps what was applied.
    ///
    /// # Errors
    ///
    /// Nothing waits for it.
    pub fn confirm(&mut self) -> Result<(), ChangeError> {
        self.pending.take().ok_or(ChangeError::NothingPending)?;
        self.tell("confirm", "what runs is kept".to_owned());
        Ok(())
    }

    /// Goes back to what ran before the change that waits to be confirmed, or else before the last one.
    ///
    /// # Errors
    ///
    /// There was none; see [`Switch::reconfigure`].
    pub fn rollback(&mut self) -> Result<Changes, ChangeError> {
        let pending = self.pending.as_ref().map(|(_, text)| text.clone());
        let text = pending.or_else(|| self.before.clone()).ok_or(ChangeError::NothingBefore)?;
        let config = pollux_config::parse(RUNNING, &text)?;
        let undone = self.become_what_is_in(text, config, "rollback")?;
        // Taking back is no change that could be taken back.
        (self.before, self.pending) = (None, None);
        Ok(undone)
    }

    /// Takes back what nobody confirmed, once the time is over. Where it fails, it is tried again.
    pub fn expire(&mut self) {
        let due = self.pending.as_ref().is_some_and(|(deadline, _)| *deadline <= Instant::now());
        if !due {
            return;
        }
        if let (Err(error), Some((deadline, _))) = (self.rollback(), &mut self.pending) {
            *deadline = Instant::now() + TRY_AGAIN;
            let summary = format!("what nobody confirmed can't be taken back, and is tried again: {error}");
            self.tell("rollback", summary);
        }
    }

    /// Makes all of these changes, or none, and with `dry_run` only tells what they would do. Ports can be
    /// named by their numbers.
    ///
    /// # Errors
    ///
    /// They lead nowhere; what is wrong with the outcome; see [`Switch::reconfigure`].
    pub fn edit(&mut self, edits: Vec<Edit>, dry_run: bool) -> Result<Changes, ChangeError> {
        let mut document = self.document();
        for mut edit in edits {
            let in_port = edit.path().len() > 2 || matches!(edit, Edit::Remove(_));
            if let ["ports", port, ..] = edit.path().iter().map(String::as_str).collect::<Vec<_>>()[..]
                && (in_port || port.starts_with(|c: char| c.is_ascii_digit()))
            {
                edit.path_mut()[1] = self.resolve_configured(port)?;
            }
            edit.apply(&mut document)?;
        }
        let text = document.to_string();
        if dry_run {
            return self.check(RUNNING, &text);
        }
        self.change(document)
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

    /// Takes a port away, and the static entries and mirrors that name it. Mirrors of other ports beside go on.
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
        edit::retain_statics(&mut document, |entry| entry.get("port").and_then(Item::as_str) != Some(name));
        edit::forget_mirrored(&mut document, name);
        self.change(document)
    }

    /// Stops a port and starts it anew, as it is. Its VM is disconnected meanwhile.
    ///
    /// # Errors
    ///
    /// There is none; see [`Switch::reconfigure`].
    pub fn reset(&mut self, name: &str) -> Result<Changes, ChangeError> {
        self.refuse_while_pending()?;
        let changes = self.switch.reset(name).map_err(ChangeError::Failed)?;
        self.tell("reset", changes.to_string());
        Ok(changes)
    }

    /// Adds `keys` to a table of a port, such as `flow_control`, in place of those of the same names.
    ///
    /// # Errors
    ///
    /// There is no such port; what is wrong with the keys; see [`Switch::reconfigure`].
    pub fn tune(&mut self, name: &str, table: &str, keys: InlineTable) -> Result<Changes, ChangeError> {
        let path = |key: String| vec!["ports".to_owned(), name.to_owned(), table.to_owned(), key];
        let edits = keys.into_iter().map(|(key, value)| Edit::Set(path(key.to_string()), value));
        self.edit(edits.collect(), false)
    }

    /// Adds a static entry, in place of the one that the station has in this VLAN.
    ///
    /// # Errors
    ///
    /// What is wrong with it; see [`Switch::reconfigure`].
    pub fn add_static(&mut self, vid: Vid, mac: Mac, port: &str) -> Result<Changes, ChangeError> {
        let mut document = self.document();
        edit::retain_statics(&mut document, |entry| !is_station(entry, vid, mac));
        let mut entry = InlineTable::new();
        entry.insert("mac", mac.to_string().into());
        entry.insert("vid", i64::from(vid.value()).into());
        entry.insert("port", port.into());
        edit::add_static(&mut document, entry);
        self.change(document)
    }

    /// Takes a static entry away; `None` if there is none.
    ///
    /// # Errors
    ///
    /// See [`Switch::reconfigure`].
    pub fn remove_static(&mut self, vid: Vid, mac: Mac) -> Result<Option<Changes>, ChangeError> {
        let mut document = self.document();
        match edit::retain_statics(&mut document, |entry| !is_station(entry, vid, mac)) {
            0 => Ok(None),
            _ => self.change(document).map(Some),
        }
    }

    /// Writes what runs into the file, whole or not at all. The file keeps its mode and its owner.
    ///
    /// # Errors
    ///
    /// It can't be written; what runs waits to be confirmed.
    pub fn save(&mut self) -> Result<(), ChangeError> {
        self.refuse_while_pending()?;
        // Behind a link, the file that it leads to.
        let file = std::fs::canonicalize(&self.file).unwrap_or_else(|_| self.file.clone());
        let written = replace(&file, self.text.as_bytes());
        written.map_err(|error| ChangeError::Unwritable(file, error))?;
        self.tell("save", format!("saved to {}", self.file.display()));
        Ok(())
    }

    fn refuse_while_pending(&self) -> Result<(), ChangeError> {
        self.pending().map_or(Ok(()), |left| Err(ChangeError::Pending(left)))
    }

    fn document(&self) -> DocumentMut {
        self.text.parse().expect("the text was parsed before")
    }

    fn change(&mut self, document: DocumentMut) -> Result<Changes, ChangeError> {
        self.refuse_while_pending()?;
        let text = document.to_string();
        let config = pollux_config::parse(RUNNING, &text)?;
        self.become_what_is_in(text, config, "edit")
    }

    fn become_what_is_in(
        &mut self,
        text: String,
        config: Config,
        by: &'static str,
    ) -> Result<Changes, ChangeError> {
        let prepared = self.followers.iter().map(|one| one.prepare(self.switch.config(), &config));
        let prepared = prepared.collect::<Result<Vec<_>, Faults>>()?;
        match self.switch.reconfigure(config) {
            Ok(changes) => {
                self.tell(by, changes.to_string());
                self.note(text);
                prepared.into_iter().for_each(|then| then());
                Ok(changes)
            }
            Err(ReconfigureError::Faults(faults)) => Err(ChangeError::Faults(faults)),
            Err(error) => {
                if matches!(error, ReconfigureError::Stuck(_)) {
                    self.note(text);
                    prepared.into_iter().for_each(|then| then());
                }
                Err(ChangeError::Failed(error))
            }
        }
    }

    fn tell(&mut self, by: &'static str, summary: String) {
        self.news.push(Happening::Config { by, summary });
    }

    fn note(&mut self, text: String) {
        if text != self.text {
            self.before = Some(std::mem::replace(&mut self.text, text));
        }
    }
}

fn is_station(entry: &dyn TableLike, vid: Vid, mac: Mac) -> bool {
    let same_mac = entry.get("mac").and_then(Item::as_str).and_then(|text| text.parse().ok()) == Some(mac);
    same_mac && entry.get("vid").and_then(Item::as_integer) == Some(i64::from(vid.value()))
}

/// Puts a new file in the place of one, so that nobody ever sees a half of it.
fn replace(file: &Path, octets: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(octets)?;
    match std::fs::metadata(file) {
        Ok(old) => {
            use std::os::unix::fs::{MetadataExt, fchown};
            // Whoever gives a file away may not set its mode any more.
            new.as_file().set_permissions(old.permissions())?;
            fchown(new.as_file(), Some(old.uid()), Some(old.gid()))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    new.as_file().sync_all()?;
    new.persist(file)?;
    std::fs::File::open(folder)?.sync_all()
}
