//! The thread that answers HTTP. A connection carries one request, for a bounded time; when there are too many,
//! the one that has waited the longest goes, so that whoever comes is heard.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Result;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::desk::Asker;
use super::exposition::render;
use super::format::Format;

/// Connections at a time.
const MAX_CONNECTIONS: usize = 64;

/// How long a client may take to say what it wants.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);

/// How long all of a connection may take: to ask, to be answered, to read the answer.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(20);

/// Octets of a request.
const MAX_REQUEST: usize = 8 << 10;

const TEXT: &str = "text/plain; charset=utf-8";

/// A thread that serves. Dropping it ends it.
pub(super) struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves on `listener`.
    pub(super) fn start(listener: TcpListener, asker: Arc<Asker>) -> Result<Self> {
        listener.set_nonblocking(true)?;
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = oneshot::channel();
        let body = move || {
            if let Err(error) = serve(&runtime, listener, asker, stopped) {
                tracing::error!("metrics are not served: {error}");
            }
        };
        let thread = std::thread::Builder::new().name("pollux-metrics".to_owned()).spawn(body)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Until `stopped`. What is under way then is broken off with the runtime.
fn serve(
    runtime: &Runtime,
    listener: TcpListener,
    asker: Arc<Asker>,
    stopped: oneshot::Receiver<()>,
) -> Result<()> {
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::spawn(accept(listener, asker));
        // The other end is dropped, never used.
        let _ = stopped.await;
        Ok(())
    })
}

async fn accept(listener: tokio::net::TcpListener, asker: Arc<Asker>) {
    let mut connections = Connections::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => connections.admit(stream, &asker),
            // Out of descriptors, most likely: let some be closed.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Who is connected, the longest first.
#[derive(Default)]
struct Connections(VecDeque<Connection>);

struct Connection {
    task: AbortHandle,
    /// Whether it has said what it wants.
    asked: Arc<AtomicBool>,
}

impl Connections {
    fn admit(&mut self, stream: TcpStream, asker: &Arc<Asker>) {
        self.0.retain(|connection| !connection.task.is_finished());
        if self.0.len() >= MAX_CONNECTIONS {
            let idle = self.0.iter().position(|connection| !connection.asked.load(Ordering::Relaxed));
            if let Some(given_up) = self.0.remove(idle.unwrap_or(0)) {
                given_up.task.abort();
            }
        }
        let asked = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(converse(stream, asker.clone(), asked.clone())).abort_handle();
        self.0.push_back(Connection { task, asked });
    }
}

async fn converse(stream: TcpStream, asker: Arc<Asker>, asked: Arc<AtomicBool>) {
    let service = service_fn(|request| {
        asked.store(true, Ordering::Relaxed);
        let asker = asker.clone();
        async move {
            let response = respond(&request, &asker).await;
            tracing::debug!("{} {}: {}", request.method(), request.uri().path(), response.status());
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_PATIENCE)
        .keep_alive(false)
        .max_buf_size(MAX_REQUEST)
        .serve_connection(TokioIo::new(stream), service);
    // A client that breaks off or takes too long is no fault of ours.
    let _ = tokio::time::timeout(CONNECTION_PATIENCE, connection).await;
}

async fn respond<B>(request: &Request<B>, asker: &Asker) -> Response<String> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = say(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/" => say(
            StatusCode::OK,
            "Pollux: /metrics for Prometheus, /healthz and /readyz for whoever supervises it",
        ),
        path @ ("/metrics" | "/healthz" | "/readyz") => {
            let Some(numbers) = asker.numbers().await else {
                return say(StatusCode::SERVICE_UNAVAILABLE, "the switch doesn't answer");
            };
            match path {
                "/metrics" => {
                    let format = accepted(request.headers());
                    answer(StatusCode::OK, format.content_type(), render(numbers, format))
                }
                "/healthz" if !numbers.is_healthy => say(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "a worker has stopped polling: the switch's log names it",
                ),
                "/readyz" if !numbers.is_ready => say(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "not all ports are started, or a worker doesn't know them yet",
                ),
                _ => say(StatusCode::OK, "ok"),
            }
        }
        _ => say(StatusCode::NOT_FOUND, "there is /metrics, /healthz and /readyz"),
    }
}

fn accepted(headers: &HeaderMap) -> Format {
    let accept = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    Format::accepted(&accept.collect::<Vec<_>>().join(","))
}

fn say(status: StatusCode, words: &str) -> Response<String> {
    answer(status, TEXT, format!("{words}\n"))
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
