//! What happens, told to those who want to know.
//!
//! Each subscriber has a queue of its own and a thread that writes it out. Whoever publishes never waits: what
//! finds a full queue is counted, and the subscriber is told how many once it reads again.

use std::collections::BTreeSet;
use std::io::{Result, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Value, json};

use super::protocol::{Code, Failure};
use crate::control::Happening;

/// Events that may wait for a subscriber: some hundred octets each.
const WAITING: usize = 1024;

/// Those who want to know.
#[derive(Default)]
pub(super) struct Hub {
    subscribers: Mutex<Vec<Subscriber>>,
    /// Events so far.
    published: AtomicU64,
    /// Subscriptions so far.
    subscribed: AtomicU64,
}

/// Somebody's subscription, which ends when this is dropped.
pub(super) struct Subscription {
    hub: Arc<Hub>,
    id: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.subscribers().retain(|subscriber| subscriber.id != self.id);
    }
}

struct Subscriber {
    id: u64,
    wish: Wish,
    queue: SyncSender<Arc<[u8]>>,
    lost: Arc<AtomicU64>,
}

/// What a subscriber wants to know. `None`: everything.
pub(super) struct Wish(Option<BTreeSet<String>>);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    kinds: Option<BTreeSet<String>>,
}

impl Wish {
    /// What the parameters of a call say.
    pub(super) fn of(params: Value) -> std::result::Result<Self, Failure> {
        let asked: Option<Asked> = serde_json::from_value(params)
            .map_err(|error| Failure::new(Code::Params, format!("parameters: {error}")))?;
        let kinds = asked.unwrap_or_default().kinds;
        let unknown = kinds.iter().flatten().find(|kind| !Happening::KINDS.contains(&kind.as_str()));
        match unknown {
            Some(kind) => {
                let what = format!(
                    "there are no events of kind {kind:?}: there are {}",
                    Happening::KINDS.join(", ")
                );
                Err(Failure::new(Code::Input, what))
            }
            None => Ok(Self(kinds)),
        }
    }

    /// The kinds, as the answer to the call has them.
    pub(super) fn kinds(&self) -> Value {
        match &self.0 {
            Some(kinds) => json!({ "kinds": kinds }),
            None => json!({ "kinds": Happening::KINDS }),
        }
    }

    fn includes(&self, kind: &str) -> bool {
        self.0.as_ref().is_none_or(|kinds| kinds.contains(kind))
    }
}

impl Hub {
    /// Has `writer` be told of events from now on. One that fails is shut down.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        wish: Wish,
        writer: &Arc<Mutex<UnixStream>>,
    ) -> Result<Subscription> {
        let (queue, events) = sync_channel(WAITING);
        let lost = Arc::<AtomicU64>::default();
        let (writer, missed) = (writer.clone(), lost.clone());
        let body = move || {
            // A subscriber that doesn't read, or is gone, is no fault of ours.
            if write_out(&events, &missed, &writer).is_err() {
                let writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = writer.shutdown(std::net::Shutdown::Both);
            }
        };
        std::thread::Builder::new().name("pollux-events".to_owned()).spawn(body)?;
        let id = self.subscribed.fetch_add(1, Ordering::Relaxed);
        self.subscribers().push(Subscriber { id, wish, queue, lost });
        Ok(Subscription { hub: self.clone(), id })
    }

    /// Tells all who want to know.
    pub(super) fn publish(&self, happened: &Happening) {
        let number = self.published.fetch_add(1, Ordering::Relaxed) + 1;
        let subscribers = self.subscribers();
        let kind = happened.kind();
        let mut wanting = subscribers.iter().filter(|subscriber| subscriber.wish.includes(kind)).peekable();
        if wanting.peek().is_none() {
            return;
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut fields = happened.fields();
        fields["kind"] = kind.into();
        fields["number"] = number.into();
        fields["time_ms"] = (now.as_millis() as u64).into();
        let line = line(&fields);
        for subscriber in wanting {
            if let Err(TrySendError::Full(_)) = subscriber.queue.try_send(line.clone()) {
                subscriber.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn subscribers(&self) -> std::sync::MutexGuard<'_, Vec<Subscriber>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(fields: &Value) -> Arc<[u8]> {
    let mut line = json!({ "jsonrpc": "2.0", "method": "event", "params": fields }).to_string().into_bytes();
    line.push(b'\n');
    line.into()
}

fn write_out(events: &Receiver<Arc<[u8]>>, lost: &AtomicU64, writer: &Mutex<UnixStream>) -> Result<()> {
    while let Ok(event) = events.recv() {
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(&event)?;
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            writer.write_all(&line(&json!({ "kind": "lost", "events": lost })))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::LinkChange;
    use std::io::{BufRead, BufReader};
    use std::time::Duration;

    fn subscribed(hub: &Arc<Hub>, params: Value) -> (BufReader<UnixStream>, Subscription) {
        patiently(hub, params, Duration::from_secs(30))
    }

    /// As [`subscribed`], with a writer that has this much patience.
    fn patiently(hub: &Arc<Hub>, params: Value, patience: Duration) -> (BufReader<UnixStream>, Subscription) {
        let (near, far) = UnixStream::pair().unwrap();
        far.set_write_timeout(Some(patience)).unwrap();
        let subscription = hub.subscribe(Wish::of(params).unwrap(), &Arc::new(Mutex::new(far))).unwrap();
        near.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        (BufReader::new(near), subscription)
    }

    fn changed(summary: &str) -> Happening {
        Happening::Config { by: "edit", summary: summary.to_owned() }
    }

    fn link(up: bool) -> Happening {
        let link = dpdk::Link { up, ..dpdk::Link::default() };
        Happening::Link(LinkChange { port: "a".to_owned(), link })
    }

    fn next(reader: &mut BufReader<UnixStream>) -> Value {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))["params"]
            .take()
    }

    #[test]
    fn subscribers_hear_of_what_they_wished_for_in_order() {
        let hub = Arc::new(Hub::default());
        let (mut all, _all) = subscribed(&hub, Value::Null);
        let (mut links, _links) = subscribed(&hub, json!({ "kinds": ["link"] }));
        hub.publish(&changed("a"));
        hub.publish(&link(true));
        hub.publish(&link(false));
        let heard: Vec<_> = (0..3).map(|_| next(&mut all)["number"].as_u64().unwrap()).collect();
        assert_eq!(heard, [1, 2, 3]);
        let link = next(&mut links);
        assert_eq!((&link["kind"], &link["number"], &link["up"]), (&json!("link"), &json!(2), &json!(true)));
        assert_eq!(next(&mut links)["number"], 3);
    }

    #[test]
    fn who_reads_late_is_told_how_much_was_lost_and_who_never_does_is_let_go() {
        let hub = Arc::new(Hub::default());
        let (mut late, _late) = subscribed(&hub, Value::Null);
        let filler = "x".repeat(10_000);
        for _ in 0..2 * WAITING {
            hub.publish(&changed(&filler));
        }
        let mut heard = 0;
        let lost = loop {
            let event = next(&mut late);
            if event["kind"] == "lost" {
                break event["events"].as_u64().unwrap();
            }
            heard += 1;
        };
        assert!(heard > 0 && lost > 0 && heard as u64 + lost <= 2 * WAITING as u64, "{heard} {lost}");

        let (mut never, _never) = patiently(&hub, Value::Null, Duration::from_millis(50));
        // Its writer's patience ends, and with it the connection: what was sent before can still be read.
        for _ in 0..WAITING {
            hub.publish(&changed(&filler));
        }
        std::io::copy(&mut never, &mut std::io::sink()).unwrap();
    }

    #[test]
    fn a_subscription_that_ends_leaves_nothing() {
        let hub = Arc::new(Hub::default());
        let (mut reader, subscription) = subscribed(&hub, Value::Null);
        drop(subscription);
        assert!(hub.subscribers().is_empty());
        let mut line = String::new();
        assert_eq!(reader.read_line(&mut line).unwrap(), 0, "its thread has let the connection go: {line}");
    }

    #[test]
    fn unknown_kinds_are_refused_with_those_that_there_are() {
        let refusal = |params| Wish::of(params).err().unwrap().message;
        assert!(refusal(json!({ "kinds": ["lnk"] })).contains("there are link, vm"));
        assert!(refusal(json!({ "kinds": "link" })).starts_with("parameters"));
        assert!(Wish::of(json!({})).is_ok());
    }
}
