//! What the person at the keys wants to see.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::model::{Model, Port};

/// By what ports are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// Their numbers.
    #[default]
    Number,
    Name,
    Received,
    Sent,
    Dropped,
}

impl Order {
    const ALL: [Self; 5] = [Self::Number, Self::Name, Self::Received, Self::Sent, Self::Dropped];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Name => "name",
            Self::Received => "received",
            Self::Sent => "sent",
            Self::Dropped => "dropped",
        }
    }

    fn next(self) -> Self {
        let place = Self::ALL.iter().position(|order| *order == self).unwrap_or_default();
        Self::ALL[(place + 1) % Self::ALL.len()]
    }
}

/// What comes after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Stay,
    Leave,
}

/// What is shown of the model.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) order: Order,
    pub(super) reversed: bool,
    /// Only ports whose names contain this.
    pub(super) filter: String,
    /// Whether keys go into the filter.
    pub(super) typing: bool,
    /// The name of the port that the cursor is on.
    pub(super) selected: Option<String>,
    /// Whether that port is shown alone.
    pub(super) open: bool,
    pub(super) help: bool,
}

impl State {
    /// The ports to be shown, in their order.
    pub(super) fn ports<'a>(&self, model: &'a Model) -> Vec<(&'a str, &'a Port)> {
        let ports = model.ports.iter().map(|(name, port)| (name.as_str(), port));
        let mut ports: Vec<_> = ports.filter(|(name, _)| name.contains(&self.filter)).collect();
        match self.order {
            Order::Number => ports.sort_by_key(|(_, port)| port.now.number),
            Order::Name => {}
            Order::Received => ports.sort_by(|a, b| b.1.rates.rx_bits.total_cmp(&a.1.rates.rx_bits)),
            Order::Sent => ports.sort_by(|a, b| b.1.rates.tx_bits.total_cmp(&a.1.rates.tx_bits)),
            Order::Dropped => ports.sort_by(|a, b| b.1.rates.dropped.total_cmp(&a.1.rates.dropped)),
        }
        if self.reversed {
            ports.reverse();
        }
        ports
    }

    /// The place of the cursor among `ports`.
    pub(super) fn cursor(&self, ports: &[(&str, &Port)]) -> usize {
        let selected = self.selected.as_deref();
        ports.iter().position(|(name, _)| Some(*name) == selected).unwrap_or_default()
    }

    /// Does what a key is for.
    pub(super) fn press(&mut self, key: KeyEvent, model: &Model) -> Then {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Then::Leave;
        }
        if self.typing {
            self.type_filter(key.code);
            return Then::Stay;
        }
        if std::mem::take(&mut self.help) {
            return Then::Stay;
        }
        match key.code {
            KeyCode::Char('q') => return Then::Leave,
            KeyCode::Char('?' | 'h') => self.help = true,
            KeyCode::Char('s') => self.order = self.order.next(),
            KeyCode::Char('r') => self.reversed = !self.reversed,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Up | KeyCode::Char('k') => self.go(-1, model),
            KeyCode::Down | KeyCode::Char('j') => self.go(1, model),
            KeyCode::Enter => {
                self.go(0, model);
                self.open = self.selected.is_some();
            }
            KeyCode::Esc if self.open => self.open = false,
            KeyCode::Esc => self.filter.clear(),
            _ => {}
        }
        Then::Stay
    }

    fn type_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Char(letter) => self.filter.push(letter),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            _ => {}
        }
    }

    fn go(&mut self, by: isize, model: &Model) {
        let ports = self.ports(model);
        let place = self.cursor(&ports).saturating_add_signed(by).min(ports.len().saturating_sub(1));
        let selected = ports.get(place).map(|(name, _)| (*name).to_owned());
        self.selected = selected;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::model::tests::sample;
    use std::time::Instant;

    fn model() -> Model {
        let (mut model, start) = (Model::default(), Instant::now());
        model.take(sample(start, 1));
        model.take(sample(start, 2));
        model
    }

    fn pressed(state: &mut State, model: &Model, keys: &str) -> Then {
        let mut then = Then::Stay;
        for key in keys.chars() {
            let code = match key {
                '\n' => KeyCode::Enter,
                '\x1b' => KeyCode::Esc,
                '\x08' => KeyCode::Backspace,
                key => KeyCode::Char(key),
            };
            then = state.press(KeyEvent::new(code, KeyModifiers::NONE), model);
        }
        then
    }

    fn names(state: &State, model: &Model) -> Vec<String> {
        state.ports(model).iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    #[test]
    fn ports_are_sorted_and_filtered() {
        let (model, mut state) = (model(), State::default());
        assert_eq!(names(&state, &model), ["nic0", "vm1"]);
        pressed(&mut state, &model, "r");
        assert_eq!(names(&state, &model), ["vm1", "nic0"]);
        pressed(&mut state, &model, "rssss");
        assert_eq!((state.order, names(&state, &model)), (Order::Dropped, vec!["vm1".into(), "nic0".into()]));
        pressed(&mut state, &model, "/vmx\x08\n");
        assert_eq!(names(&state, &model), ["vm1"]);
        pressed(&mut state, &model, "\x1b");
        assert_eq!(names(&state, &model).len(), 2);
    }

    #[test]
    fn the_cursor_stays_on_its_port_and_opens_it() {
        let (model, mut state) = (model(), State::default());
        pressed(&mut state, &model, "jjj");
        assert_eq!(state.selected.as_deref(), Some("vm1"));
        pressed(&mut state, &model, "r\n");
        assert_eq!((state.cursor(&state.ports(&model)), state.open), (0, true));
        pressed(&mut state, &model, "\x1bk");
        assert!(!state.open);
        assert_eq!(pressed(&mut state, &model, "?q"), Then::Stay, "any key ends the help");
        assert_eq!(pressed(&mut state, &model, "q"), Then::Leave);
        pressed(&mut state, &Model::default(), "j\n");
        assert!(!state.open, "there is no port");
    }
}
