use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use super::http::{free_address, get};
use super::{Lines, bound, wait};

/// Prometheus itself, on a port and with a memory of its own. It is killed when this is dropped.
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    said: Lines,
    _folder: TempDir,
}

impl Prometheus {
    /// Scrapes `target` several times a second, under the job `pollux`, and evaluates the rules of this file.
    pub fn watch(target: SocketAddr, rules: &Path) -> Self {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 1s }}\n\
             rule_files: ['{}']\n\
             scrape_configs:\n- job_name: pollux\n  static_configs: [{{ targets: ['{target}'] }}]\n",
            rules.display()
        );
        std::fs::write(&file, text).unwrap();
        let address = free_address();
        let mut child = bound("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("these tests need Debian's prometheus: `scripts/setup.sh test` installs it");
        let said = Lines::of(child.stderr.take().unwrap());
        let prometheus = Self { child, address, said, _folder: folder };
        wait("Prometheus to be ready", || {
            (get(prometheus.address, "/-/ready", "*/*")?.status == 200).then_some(())
        });
        prometheus
    }

    /// What the API answers, whose status is `success`.
    pub fn api(&self, path: &str) -> Value {
        let answer = get(self.address, &format!("/api/v1/{path}"), "*/*");
        let answer = answer.unwrap_or_else(|| panic!("{path}: no answer:\n{}", self.said.text()));
        let json: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(json["status"], "success", "{path}: {json}");
        json["data"].clone()
    }

    /// The samples of an expression, which has no letters that an URL can't hold.
    pub fn query(&self, expression: &str) -> Vec<Value> {
        self.api(&format!("query?query={expression}"))["result"].as_array().unwrap().clone()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            println!("Prometheus said:\n{}", self.said.text());
        }
    }
}

/// Runs promtool to its end; `input` is what it reads.
pub fn promtool(arguments: &[&str], input: &Path) -> Output {
    let input = std::fs::File::open(input).unwrap();
    let output = Command::new("promtool").args(arguments).stdin(input).output();
    output.expect("these tests need Debian's prometheus: `scripts/setup.sh test` installs it")
}
