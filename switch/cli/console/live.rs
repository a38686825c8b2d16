//! What the switch has names for, asked for while a line is written.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::Value;

use crate::console::{Named, Values, commands};
use crate::rpc::Client;

/// Answers of a switch, kept for as long as one line is written.
pub(super) struct Live {
    socket: PathBuf,
    answers: Mutex<Vec<(&'static str, Value)>>,
}

impl Live {
    pub(super) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), answers: Mutex::default() }
    }

    /// Asks anew from now on.
    pub(super) fn forget(&self) {
        self.answers.lock().expect("no thread panics with it").clear();
    }

    /// What a method answers, or nothing.
    fn ask(&self, method: &'static str) -> Value {
        let mut answers = self.answers.lock().expect("no thread panics with it");
        if let Some((_, answer)) = answers.iter().find(|(asked, _)| *asked == method) {
            return answer.clone();
        }
        let answer = Client::connect(&self.socket).and_then(|mut client| client.call(method, Value::Null));
        let answer = answer.unwrap_or_default();
        answers.push((method, answer.clone()));
        answer
    }

    /// Keys of the table that these lead to in the configuration.
    fn keys(&self, path: &[&str]) -> Vec<String> {
        let text = self.ask("config.running");
        let config: Value = toml::from_str(text["text"].as_str().unwrap_or_default()).unwrap_or_default();
        let table = path.iter().fold(&config, |table, key| &table[key]);
        table.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
    }

    /// A field of each that is listed.
    fn listed(&self, method: &'static str, list: &str, field: &str) -> Vec<String> {
        let answer = self.ask(method);
        let rows = answer[list].as_array().into_iter().flatten();
        rows.filter_map(|row| row[field].as_str().map(str::to_owned)).collect()
    }
}

impl Values for Live {
    fn ports(&self) -> Vec<String> {
        self.listed("port.list", "ports", "port")
    }

    fn names(&self, of: Named) -> Vec<String> {
        match of {
            Named::New => Vec::new(),
            Named::Profile => self.keys(&["qos", "profiles"]),
            Named::Mirror => self.keys(&["mirrors"]),
            Named::Capture => self.listed("capture.list", "captures", "name"),
            Named::Event => commands::event_names().iter().map(|&name| name.to_owned()).collect(),
        }
    }

    fn vlans(&self) -> Vec<String> {
        // Of a range, the first: who knows that it is one knows the rest.
        let first = |range: &str| range.split('-').next().unwrap_or_default().to_owned();
        let vids = self.listed("vlan.list", "vlans", "vids");
        vids.iter().flat_map(|vids| vids.split(',').map(first)).collect()
    }
}
