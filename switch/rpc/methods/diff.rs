//! Another configuration beside the one that runs.

use std::time::Duration;

use serde_json::{Value, json};
use similar::TextDiff;

/// How long the shortest way from one text to the other is looked for; a longer one is as true.
const PATIENCE: Duration = Duration::from_millis(500);

/// Two texts to be compared, and what is known of them.
#[derive(Debug)]
pub struct Diff {
    /// What the other text is called.
    pub name: String,
    /// The other text.
    pub text: String,
    /// What runs.
    pub running: String,
    /// What applying the text would change.
    pub changes: Value,
    /// Why it can't be applied.
    pub refused: Value,
}

impl Diff {
    /// The answer.
    pub(super) fn finish(self) -> Value {
        let Self { name, text, running, changes, refused } = self;
        let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(text.as_str(), running.as_str());
        let diff = diff.unified_diff().context_radius(3).header(&name, "running").to_string();
        let same = diff.is_empty();
        json!({ "diff": diff, "same": same, "changes": changes, "refused": refused })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_everywhere_is_told_soon() {
        let text =
            |start: u32| (start..start + 60_000).map(|n| format!("# {}\n", n * 7919 % 60_013)).collect();
        let other: String = text(1);
        let diff = |running| Diff {
            name: "other".to_owned(),
            text: other.clone(),
            running,
            changes: Value::Null,
            refused: Value::Null,
        };
        assert_eq!(diff(other.clone()).finish()["same"], true);
        let told = diff(text(30_000)).finish();
        assert_eq!(told["same"], false);
        assert!(told["diff"].as_str().unwrap().starts_with("--- other\n+++ running\n"));
    }
}
