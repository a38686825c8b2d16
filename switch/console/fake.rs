//! A switch that takes note of what it is asked, for tests.

use serde_json::{Value, json};

use super::run::Caller;
use crate::rpc::CallError;

pub(super) struct Fake {
    config: String,
    /// What else it answers.
    answers: Vec<(&'static str, Value)>,
    /// The calls that it got.
    pub(super) calls: Vec<(String, Value)>,
}

impl Fake {
    /// One that runs this configuration.
    pub(super) fn new(config: &str) -> Self {
        Self { config: config.to_owned(), answers: Vec::new(), calls: Vec::new() }
    }

    /// Answers `method` so, the first time.
    pub(super) fn answer(mut self, method: &'static str, answer: Value) -> Self {
        self.answers.push((method, answer));
        self
    }

    fn ports(&self, wanted: &Value) -> Value {
        let config: toml::Table = toml::from_str(&self.config).unwrap();
        let ports = config["ports"].as_table().unwrap().keys();
        let ports = ports.filter(|name| wanted.is_null() || wanted == name.as_str());
        ports.map(|name| json!({ "port": name, "kind": "device", "device": format!("net_{name}") })).collect()
    }
}

impl Caller for Fake {
    fn call(&mut self, method: &str, params: Value) -> Result<Value, CallError> {
        self.calls.push((method.to_owned(), params.clone()));
        if let Some(place) = self.answers.iter().position(|(answered, _)| *answered == method) {
            return Ok(self.answers.remove(place).1);
        }
        Ok(match method {
            "port.list" => json!({ "ports": self.ports(&params["port"]) }),
            "config.running" => json!({ "text": self.config }),
            _ => json!({}),
        })
    }
}
