use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// What a process has written to a pipe so far, line by line.
#[derive(Clone)]
pub struct Lines(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Reads `pipe` to its end on a thread of its own.
    pub fn of(pipe: impl Read + Send + 'static) -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), more: Condvar::new() });
        let lines = Self(shared.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                shared.state.lock().unwrap().lines.push(line);
                shared.more.notify_all();
            }
            shared.state.lock().unwrap().ended = true;
            shared.more.notify_all();
        });
        lines
    }

    /// Waits until `look` finds something in what was written; `None` if the writer ended, or took too
    /// long.
    pub fn find<T>(&self, look: impl FnMut(&[String]) -> Option<T>) -> Option<T> {
        self.find_within(PATIENCE, look)
    }

    pub fn find_within<T>(
        &self,
        patience: Duration,
        mut look: impl FnMut(&[String]) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + patience;
        let mut state = self.0.state.lock().unwrap();
        loop {
            if let Some(found) = look(&state.lines) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                return None;
            }
            state = self.0.more.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits for a line that contains `text`, from line `from` on, and returns the number of the next.
    pub fn await_line(&self, from: usize, text: &str) -> usize {
        let place = |lines: &[String]| {
            let found = lines.iter().skip(from).position(|line| line.contains(text))?;
            Some(from + found + 1)
        };
        self.find(place).unwrap_or_else(|| panic!("waited in vain for `{text}` in:\n{}", self.text()))
    }

    pub fn count(&self) -> usize {
        self.0.state.lock().unwrap().lines.len()
    }

    /// The lines from number `from` on.
    pub fn since(&self, from: usize) -> Vec<String> {
        self.0.state.lock().unwrap().lines[from..].to_vec()
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        self.0.state.lock().unwrap().lines.join("\n")
    }

    /// Everything, once the writer has ended.
    pub fn to_end(&self) -> String {
        let mut state = self.0.state.lock().unwrap();
        while !state.ended {
            state = self.0.more.wait(state).unwrap();
        }
        state.lines.join("\n")
    }
}
