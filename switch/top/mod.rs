//! `pollux top`: ports, drops and workers as they are now, in a terminal.
//!
//! The model is what was asked of the switch, with the rates between two answers; the state what the person at
//! the keys wants to see of it; the view draws the two. Nothing is asked that costs a worker anything.

mod keys;
mod model;
mod sample;
mod view;

use std::path::Path;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use crate::rpc::{CallError, Client};
use keys::{State, Then};
use model::Model;

/// How long a key is waited for before the screen is drawn anew.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long the switch may take for an answer: keys and signals wait meanwhile.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);

/// Why it ended before somebody asked for that.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    /// No switch answers at the start.
    #[error(transparent)]
    Switch(#[from] CallError),
    /// The terminal failed.
    #[error("the terminal: {0}")]
    Terminal(#[from] std::io::Error),
}

/// Draws the switch whose control socket this is, every `interval`, until `q` is pressed. A switch that
/// ends is waited for.
///
/// # Errors
///
/// No switch answers at the start; the terminal can't be drawn on.
pub fn run(socket: &Path, interval: Duration) -> Result<(), TopError> {
    let mut client = Some(connect(socket)?);
    let mut model = Model::default();
    if let Some(client) = &mut client {
        model.take(sample::ask(client)?);
    }
    // Puts the terminal back, also where something panics.
    let mut terminal = ratatui::try_init()?;
    let ended = watch(&mut terminal, socket, client, model, interval);
    ratatui::restore();
    ended
}

fn connect(socket: &Path) -> Result<Client, CallError> {
    let mut client = Client::connect(socket)?;
    client.set_patience(ANSWER_PATIENCE)?;
    Ok(client)
}

/// Puts the terminal back, for whoever ends the process otherwise.
pub fn leave() {
    ratatui::restore();
}

fn watch(
    terminal: &mut DefaultTerminal,
    socket: &Path,
    mut client: Option<Client>,
    mut model: Model,
    interval: Duration,
) -> Result<(), TopError> {
    let mut state = State::default();
    let mut next = Instant::now() + interval;
    loop {
        terminal.draw(|frame| view::draw(frame, &model, &mut state))?;
        if event::poll(PATIENCE.min(next.saturating_duration_since(Instant::now())))?
            && let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
            && state.press(key, &model) == Then::Leave
        {
            return Ok(());
        }
        if Instant::now() < next {
            continue;
        }
        next = Instant::now() + interval;
        if client.is_none() {
            client = connect(socket).ok();
        }
        match client.as_mut().map(sample::ask) {
            Some(Ok(sample)) => model.take(sample),
            Some(Err(error)) => {
                model.lose(error.to_string());
                client = None;
            }
            None => {}
        }
    }
}
