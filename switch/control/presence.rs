use std::time::{Duration, Instant};

/// Since when a port has its link, and how often it lost it: for a VM's port, when the VM was connected.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Presence {
    /// Set while the link is up.
    up_since: Option<Instant>,
    /// Set while it is down after it was up.
    down_since: Option<Instant>,
    /// How often it came back.
    returns: u64,
    last_outage: Option<Duration>,
}

impl Presence {
    pub(super) fn new(up: bool) -> Self {
        Self { up_since: up.then(Instant::now), ..Self::default() }
    }

    /// Takes note of the link as it is now.
    pub(super) fn note(&mut self, up: bool) {
        self.note_at(up, Instant::now());
    }

    fn note_at(&mut self, up: bool, now: Instant) {
        match (up, self.up_since) {
            (true, None) => {
                self.up_since = Some(now);
                if let Some(down_since) = self.down_since.take() {
                    self.returns += 1;
                    self.last_outage = Some(now.duration_since(down_since));
                }
            }
            (false, Some(_)) => {
                self.up_since = None;
                self.down_since = Some(now);
            }
            _ => {}
        }
    }

    /// How long the link has been up; `None` while it is down.
    pub(super) fn up_for(&self) -> Option<Duration> {
        self.up_since.map(|since| since.elapsed())
    }

    /// How often the link came back after a loss.
    pub(super) fn returns(&self) -> u64 {
        self.returns
    }

    /// How long it was gone the last time that it came back.
    pub(super) fn last_outage(&self) -> Option<Duration> {
        self.last_outage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_loss_makes_a_return() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut presence = Presence::new(false);
        presence.note_at(false, at(1));
        presence.note_at(true, at(2));
        assert_eq!((presence.returns(), presence.last_outage()), (0, None));
        presence.note_at(false, at(10));
        presence.note_at(false, at(15));
        assert_eq!(presence.up_for(), None);
        presence.note_at(true, at(22));
        presence.note_at(true, at(30));
        assert_eq!((presence.returns(), presence.last_outage()), (1, Some(Duration::from_millis(12))));
        assert!(presence.up_for().is_some());
    }
}
