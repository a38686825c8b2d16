//! The switch's end of the socket.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use dpdk::Waker;
use serde_json::Value;

use super::methods::Reply;
use super::protocol::{Answer, Call, Code, Failure};
use crate::control::guest::Agents;
use crate::control::remove_stale_socket;

/// Clients at a time. One more is told so and let go.
const MAX_CLIENTS: usize = 32;

/// Octets in a line; a port's description is some hundred.
const MAX_LINE: u64 = 64 << 10;

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
    /// Its parameters; null if there are none.
    pub params: Value,
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
    stop: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on `path`, for the process's user and group, and has `waker` tell when a call waits. A
    /// socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    ///
    /// Another process listens there; a folder that isn't there, or may not be written.
    pub fn listen(path: &Path, waker: Waker) -> Result<Self> {
        remove_stale_socket(path)?;
        let about = |error: Error| Error::new(error.kind(), format!("{}: {error}", path.display()));
        let listener = UnixListener::bind(path).map_err(about)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(about)?;
        let (sender, requests) = sync_channel(WAITING);
        let stop = Arc::new(AtomicBool::new(false));
        let body = {
            let stop = stop.clone();
            move || accept(&listener, &stop, &sender, &waker)
        };
        let acceptor = std::thread::Builder::new().name("pollux-control".to_owned()).spawn(body)?;
        Ok(Self { path: path.to_owned(), requests, stop, acceptor: Some(acceptor) })
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.path
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

fn accept(listener: &UnixListener, stop: &AtomicBool, requests: &SyncSender<Request>, waker: &Waker) {
    let clients = Arc::new(AtomicUsize::new(0));
    let agents = Arc::new(Agents::default());
    for client in listener.incoming() {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else {
            // Out of descriptors, most likely: let some be closed.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        let place = Place::take(&clients);
        let (requests, waker, agents) = (requests.clone(), waker.clone(), agents.clone());
        let body = move || {
            // A client that breaks off is no fault of ours.
            let _ = match place {
                Some(_place) => serve(client, &requests, &waker, &agents),
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

/// Answers a client's lines, one after the other, until it goes.
fn serve(client: UnixStream, requests: &SyncSender<Request>, waker: &Waker, agents: &Agents) -> Result<()> {
    client.set_write_timeout(Some(WRITE_PATIENCE))?;
    client.set_read_timeout(Some(READ_PATIENCE))?;
    let mut writer = client.try_clone()?;
    let mut reader = BufReader::new(client);
    let mut line = Vec::new();
    loop {
        line.clear();
        let len = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
        if len == 0 {
            return Ok(());
        }
        if line.last() != Some(&b'\n') && len as u64 == MAX_LINE {
            let what = format!("a line has more than {MAX_LINE} octets");
            writer.write_all(&Answer::new(Value::Null, Err(Failure::new(Code::Invalid, what))).line())?;
            return Err(ErrorKind::InvalidData.into());
        }
        let call = match Call::parse(&line) {
            Ok(call) => call,
            Err(refusal) => {
                writer.write_all(&refusal.line())?;
                continue;
            }
        };
        let (reply, answer) = sync_channel(1);
        let request = Request { method: call.method, params: call.params, reply };
        let gone = || Error::from(ErrorKind::BrokenPipe);
        requests.send(request).map_err(|_| gone())?;
        waker.wake();
        let result = answer.recv().map_err(|_| gone())?.map(|reply| reply.finish(agents));
        if !call.id.is_null() {
            writer.write_all(&Answer::new(call.id, result).line())?;
        }
    }
}
