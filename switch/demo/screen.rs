use std::io::{self, IsTerminal, Write};

use super::DemoError;

/// Begins the line anew, and cuts off what doesn't fit instead of going on in the next.
const REWRITE: &str = "\r\x1b[K\x1b[?7l";

/// Lets long lines go on in the next again.
const WRAP: &str = "\x1b[?7h";

/// Standard output: text that stays, and one line that is rewritten while things move.
#[derive(Debug)]
pub struct Screen {
    output: io::Stdout,
    is_terminal: bool,
    /// Whether the cursor is behind a line that may be rewritten.
    is_live: bool,
}

impl Default for Screen {
    fn default() -> Self {
        let output = io::stdout();
        let is_terminal = output.is_terminal();
        Self { output, is_terminal, is_live: false }
    }
}

impl Screen {
    /// Prints text that stays, beginning on a new line and ending with one.
    pub(super) fn text(&mut self, text: &str) -> Result<(), DemoError> {
        let before = if std::mem::take(&mut self.is_live) { "\n" } else { "" };
        let after = if text.ends_with('\n') { "" } else { "\n" };
        self.write(&format!("{before}{text}{after}"))
    }

    /// Prints what is true now, in the place of what was true before if this is a terminal.
    pub(super) fn live(&mut self, line: &str) -> Result<(), DemoError> {
        if self.is_terminal {
            self.is_live = true;
            self.write(&format!("{REWRITE}{line}{WRAP}"))
        } else {
            self.write(&format!("{line}\n"))
        }
    }

    fn write(&mut self, text: &str) -> Result<(), DemoError> {
        let written = self.output.write_all(text.as_bytes()).and_then(|()| self.output.flush());
        written.map_err(DemoError::Output)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.is_live {
            // What comes next on the terminal begins on a line of its own, if there is a terminal still.
            let _ = self.write("\n");
        }
    }
}
