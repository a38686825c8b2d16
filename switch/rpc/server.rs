//! The switch's end of the socket.

use std::io::{Error, Result, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use dpdk::Waker;
use serde_json::Value;

use super::events::{Hub, Wish};
use super::lines::{Line, Lines};
use super::methods::{Arguments, Reply};
use super::protocol::{Answer, Call, Code, Failure};
use crate::control::guest::Agents;
use crate::control::{Happening, listen_alone, remove_stale_socket};

/// Clients at a time. One more is told so and let go.
const MAX_CLIENTS: usize = 32;

/// Octets in a line: those of a configuration, with what JSON adds.
const MAX_LINE: usize = 2 << 20;

const _: () = assert!(MAX_LINE >= 2 * pollux_config::limits::MAX_FILE_LEN, "a file fits into a call");

/// How long a client may take to read its answer.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);

/// How long a client may keep its place without a word.
const READ_PATIENCE: Duration = Duration::from_secs(60);

/// Calls that wait for the switch; a client has one at a time.
const WAITING: usize = MAX_CLIENTS;

/// A call that wants its answer.
pub struct Request {
    /// The method's name.
    pub method: String,
    /// What came with it.
    pub arguments: Arguments,
    reply: SyncSender<std::result::Result<Reply, Failure>>,
}

impl Request {
    /// Answers it.
    pub fn answer(self, result: std::result::Result<Reply, Failure>) {
        // The client may be gone.
        let _ = self.reply.try_send(result);
    }
}

/// A socket that listens. It goes when this is dropped.
pub struct Server {
    path: PathBuf,
    requests: Receiver<Request>,
    hub: Arc<Hub>,
    stop: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on `path`, for the process's user alone, and has `waker` tell when a call waits. A
    /// socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    ///
    /// Another process listens there; a folder that isn't there, or may not be written.
    pub fn listen(path: &Path, waker: Waker) -> Result<Self> {
        remove_stale_socket(path)?;
        let about = |error: Error| Error::new(error.kind(), format!("{}: {error}", path.display()));
        let listener = listen_alone(path).map_err(about)?;
        let (sender, requests) = sync_channel(WAITING);
        let stop = Arc::new(AtomicBool::new(false));
        let hub = Arc::new(Hub::default());
        let body = {
            let stop = stop.clone();
            let clients = Clients { requests: sender, waker, agents: Arc::default(), hub: hub.clone() };
            move || accept(&listener, &stop, &clients)
        };
        let acceptor = std::thread::Builder::new().name("pollux-control".to_owned()).spawn(body)?;
        Ok(Self { path: path.to_owned(), requests, hub, stop, acceptor: Some(acceptor) })
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells those who have subscribed to it. Never waits for them.
    pub fn publish(&self, happened: &Happening) {
        self.hub.publish(happened);
    }

    /// A call that waits, if one does.
    pub fn next(&self) -> Option<Request> {
        self.requests.try_recv().ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // The acceptor looks up when somebody comes.
        let came = UnixStream::connect(&self.path);
        let _ = std::fs::remove_file(&self.path);
        if came.is_ok()
            && let Some(acceptor) = self.acceptor.take()
        {
            let _ = acceptor.join();
        }
    }
}

/// What every client's thread has of the switch.
#[derive(Clone)]
struct Clients {
    requests: SyncSender<Request>,
    waker: Waker,
    agents: Arc<Agents>,
    hub: Arc<Hub>,
}

fn accept(listener: &UnixListener, stop: &AtomicBool, clients: &Clients) {
    let places = Arc::new(AtomicUsize::new(0));
    for client in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else {
            // Out of descriptors, most likely: let some be closed.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        let place = Place::take(&places);
        let clients = clients.clone();
        let body = move || {
            // A client that breaks off is no fault of ours.
            let _ = match place {
                Some(_place) => clients.serve(client),
                None => turn_away(client),
            };
        };
        // Without a thread the client is let go, and sees it.
        let _ = std::thread::Builder::new().name("pollux-client".to_owned()).spawn(body);
    }
}

/// One of the places for clients, given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(clients: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(clients.clone());
        (clients.fetch_add(1, Ordering::SeqCst) < MAX_CLIENTS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn turn_away(mut client: UnixStream) -> Result<()> {
    let what = format!("{MAX_CLIENTS} clients are connected already: close one");
    let answer = Answer::new(Value::Null, Err(Failure::new(Code::Failed, what)));
    client.set_write_timeout(Some(WRITE_PATIENCE))?;
    client.write_all(&answer.line())
}

impl Clients {
    /// Answers a client's lines, one after the other, until it goes.
    fn serve(&self, client: UnixStream) -> Result<()> {
        client.set_write_timeout(Some(WRITE_PATIENCE))?;
        client.set_read_timeout(Some(READ_PATIENCE))?;
        let writer = Arc::new(Mutex::new(client.try_clone()?));
        // Whoever sends it events must not outlive it.
        let _ends = Ends(client.try_clone()?);
        let mut lines = Lines::new(client, MAX_LINE);
        let mut subscription = None;
        let write = |answer: &Answer| {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.write_all(&answer.line())
        };
        loop {
            let (line, file) = match lines.next()? {
                Line::End => return Ok(()),
                Line::TooLong => {
                    let what = format!("a line has more than {MAX_LINE} octets");
                    return write(&Answer::new(Value::Null, Err(Failure::new(Code::Invalid, what))));
                }
                Line::Whole(line, file) => (line, file),
            };
            let call = match Call::parse(line) {
                Ok(call) => call,
                Err(refusal) => {
                    write(&refusal)?;
                    continue;
                }
            };
            if call.method == "events.subscribe" {
                let wish = match Wish::of(call.params) {
                    Ok(wish) => wish,
                    Err(failure) => {
                        write(&Answer::new(call.id, Err(failure)))?;
                        continue;
                    }
                };
                lines.stream().set_read_timeout(None)?;
                let answer = Answer::new(call.id, Ok(wish.kinds()));
                // Events come from now on, behind the answer. Another subscription takes the first one's place.
                let mut held = writer.lock().unwrap_or_else(PoisonError::into_inner);
                drop(subscription.replace(self.hub.subscribe(wish, &writer)?));
                held.write_all(&answer.line())?;
                continue;
            }
            let result = self.ask(call.method, Arguments { params: call.params, file })?;
            if !call.id.is_null() {
                write(&Answer::new(call.id, result.map(|reply| reply.finish(&self.agents))))?;
            }
        }
    }

    /// Has the switch's thread answer.
    fn ask(&self, method: String, arguments: Arguments) -> Result<std::result::Result<Reply, Failure>> {
        let (reply, answer) = sync_channel(1);
        let gone = || Error::from(std::io::ErrorKind::BrokenPipe);
        self.requests.send(Request { method, arguments, reply }).map_err(|_| gone())?;
        self.waker.wake();
        answer.recv().map_err(|_| gone())
    }
}

/// Ends a connection for all who have a part in it.
struct Ends(UnixStream);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
