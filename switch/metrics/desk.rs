//! Where the thread that serves numbers asks for them, and the thread that owns the switch gives them out.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, oneshot};

use crate::control::Numbers;

/// How long the switch may take. It answers at once, unless a worker keeps it waiting in a change.
const PATIENCE: Duration = Duration::from_secs(5);

/// Questions that may wait; those that were given up are thrown away when the switch gets to them.
const WAITING: usize = 4;

/// Somebody wants the numbers.
type Question = oneshot::Sender<Numbers>;

/// The end of the thread that owns the switch.
pub struct Desk(Receiver<Question>);

/// The end of those who ask.
pub(super) struct Asker {
    questions: SyncSender<Question>,
    wake: Box<dyn Fn() + Send + Sync>,
    /// The latest numbers, and when they were asked for.
    latest: Mutex<Option<(Instant, Arc<Numbers>)>>,
}

impl Desk {
    /// A desk, and who asks at it; `wake` makes the thread that owns the switch look at it.
    pub(super) fn new(wake: impl Fn() + Send + Sync + 'static) -> (Self, Asker) {
        let (questions, asked) = sync_channel(WAITING);
        (Self(asked), Asker { questions, wake: Box::new(wake), latest: Mutex::default() })
    }

    /// Answers those who wait. `numbers` is called for each, but for who has gone.
    pub fn answer(&self, numbers: impl Fn() -> Numbers) {
        for question in self.0.try_iter().take(WAITING).filter(|question| !question.is_closed()) {
            // Who asked may have lost patience just now.
            let _ = question.send(numbers());
        }
    }
}

impl Asker {
    /// Numbers that are no older than this call; those who call meanwhile share them. `None`: the switch
    /// hasn't answered in time.
    pub(super) async fn numbers(&self) -> Option<Arc<Numbers>> {
        let came = Instant::now();
        tokio::time::timeout(PATIENCE, self.ask(came)).await.ok().flatten()
    }

    async fn ask(&self, came: Instant) -> Option<Arc<Numbers>> {
        let mut latest = self.latest.lock().await;
        if let Some((asked, numbers)) = &*latest
            && *asked >= came
        {
            return Some(numbers.clone());
        }
        let asked = Instant::now();
        let (question, answer) = oneshot::channel();
        self.questions.try_send(question).ok()?;
        (self.wake)();
        let numbers = Arc::new(answer.await.ok()?);
        *latest = Some((asked, numbers.clone()));
        Some(numbers)
    }
}
