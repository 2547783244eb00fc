//! A server of the test's own, and the smallest HTTP client that hides nothing.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tidings_server::config::Config;
use tidings_server::testing;

use crate::stream::Stream;
use crate::tls;
use crate::wires::{self, Wire};

/// How long anything may take before a test gives up; nothing is measured against it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// The two ways a request can take through the server. Both must say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// The loop that holds the sockets reads the request itself.
    Fast,
    /// The request goes through hyper.
    General,
}

pub(crate) const DOORS: [Door; 2] = [Door::Fast, Door::General];

impl Door {
    /// Header lines that send a request this way.
    pub(crate) fn headers(self) -> &'static str {
        match self {
            Self::Fast => "",
            Self::General => "Connection: close\r\n",
        }
    }
}

/// A running server with a folder of its own.
pub(crate) struct Server {
    inner: Option<testing::Server>,
    folder: TempDir,
    config: Config,
    wire: Wire,
}

impl Server {
    /// As `tidings dev`, without a drain that would hold the test up.
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::dev();
        config.listen = "127.0.0.1:0".parse().unwrap();
        config.data_dir = folder.path().to_owned();
        config.drain.jitter = Duration::ZERO;
        let wire = wires::present();
        if wire != Wire::Plain {
            config.tls = Some(tls::files(folder.path()));
        }
        change(&mut config);
        let inner = Some(testing::Server::start(config.clone()).unwrap());
        Self { inner, folder, config, wire }
    }

    /// Stops it in order and starts it again over the same folder.
    pub(crate) fn restart(self) -> Self {
        self.restart_with(|_| {})
    }

    /// As [`restart`](Self::restart), with another configuration.
    pub(crate) fn restart_with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        self.inner.take().unwrap().stop().unwrap();
        change(&mut self.config);
        self.inner = Some(testing::Server::start(self.config.clone()).unwrap());
        self
    }

    /// Stops it in order and starts another one over an empty folder, on the same port.
    pub(crate) fn replace(mut self) -> Self {
        let listen = self.address();
        self.inner.take().unwrap().stop().unwrap();
        self.folder = tempfile::tempdir().unwrap();
        self.config.data_dir = self.folder.path().to_owned();
        self.config.listen = listen;
        self.inner = Some(testing::Server::start(self.config.clone()).unwrap());
        self
    }

    pub(crate) fn ask_to_stop(&mut self) {
        self.inner.as_mut().unwrap().ask_to_stop();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.inner.as_ref().unwrap().address()
    }

    pub(crate) fn connect(&self) -> Conn {
        match self.wire {
            Wire::Plain => Conn::to(self.address()),
            Wire::Tls => self.connect_tls(),
            Wire::Http2 => Conn::over(wires::translated(self.tls())),
        }
    }

    /// As [`connect`](Self::connect), for what HTTP/2 does not have.
    pub(crate) fn connect_http1(&self) -> Conn {
        if self.wire == Wire::Http2 { self.connect_tls() } else { self.connect() }
    }

    /// A connection over TLS.
    pub(crate) fn connect_tls(&self) -> Conn {
        let address = self.inner.as_ref().unwrap().tls();
        Conn::over_tls(tls::connect(address, &["http/1.1"]))
    }

    /// The address of the listener that speaks TLS.
    pub(crate) fn tls(&self) -> SocketAddr {
        self.inner.as_ref().unwrap().tls()
    }

    /// The address of the operator's listener.
    pub(crate) fn operator(&self) -> SocketAddr {
        self.inner.as_ref().unwrap().operator()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// One request on a connection of its own. `headers` are lines, each with its end.
    #[track_caller]
    pub(crate) fn request(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> Reply {
        let mut conn = self.connect();
        conn.ask(method, target, headers, body);
        conn.reply()
    }

    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Reply {
        self.request("GET", target, "", b"")
    }

    /// A page of history.
    #[track_caller]
    pub(crate) fn page(&self, target: &str) -> Value {
        let reply = self.request("GET", target, "Accept: application/json\r\n", b"");
        assert_eq!(reply.status, 200, "{target}: {}", reply.text());
        reply.json()
    }

    /// The data of everything that is kept in a topic.
    #[track_caller]
    pub(crate) fn kept(&self, topic: &str) -> Vec<String> {
        let page = self.page(&format!("/topics/{topic}?earliest&limit=1000"));
        texts(&page, "data")
    }

    /// As [`kept`](Self::kept), of a topic that may not be there yet.
    pub(crate) fn kept_or_none(&self, topic: &str) -> Vec<String> {
        let target = format!("/topics/{topic}?earliest&limit=1000");
        let reply = self.request("GET", &target, "Accept: application/json\r\n", b"");
        if reply.status == 404 {
            return Vec::new();
        }
        texts(&reply.json(), "data")
    }

    /// Publishes; returns the event's id.
    #[track_caller]
    pub(crate) fn publish(&self, target: &str, data: &str) -> String {
        let reply = self.request("POST", target, "", data.as_bytes());
        assert_eq!(reply.status, 200, "{target}: {}", reply.text());
        reply.json()["id"].as_str().unwrap().to_owned()
    }

    /// Publishes `1`, `2`, … and returns the ids.
    #[track_caller]
    pub(crate) fn publish_numbers(
        &self,
        topic: &str,
        numbers: std::ops::Range<u64>,
    ) -> Vec<String> {
        let mut conn = self.connect();
        let mut ids = Vec::new();
        for number in numbers {
            let data = number.to_string();
            conn.ask("POST", &format!("/topics/{topic}"), "", data.as_bytes());
            let reply = conn.reply();
            assert_eq!(reply.status, 200, "{}", reply.text());
            ids.push(reply.json()["id"].as_str().unwrap().to_owned());
        }
        ids
    }

    #[track_caller]
    pub(crate) fn put(&self, topic: &str, policy: &Value) -> Reply {
        let target = format!("/topics/{topic}");
        let reply = self.request("PUT", &target, "", policy.to_string().as_bytes());
        assert!(matches!(reply.status, 200 | 201), "{}", reply.text());
        reply
    }

    #[track_caller]
    pub(crate) fn subscribe(&self, target: &str) -> Stream {
        self.subscribe_with(target, "")
    }

    #[track_caller]
    pub(crate) fn subscribe_with(&self, target: &str, headers: &str) -> Stream {
        let mut conn = self.connect();
        let headers = format!("Accept: text/event-stream\r\n{headers}");
        conn.ask("GET", target, &headers, b"");
        Stream::open(conn)
    }

    /// What a bad request must not change: the topics with their newest events.
    #[track_caller]
    pub(crate) fn state(&self) -> Value {
        self.get("/topics?limit=1000").json()["topics"].clone()
    }

    /// Every byte of every file in its folder.
    pub(crate) fn files(&self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    all.extend(std::fs::read(path).unwrap());
                }
            }
        }
        all
    }

    /// The value of a metric.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("no metric {name} in:\n{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // In order, so that its folder is not removed under it.
        if let Some(inner) = self.inner.take() {
            let _ = inner.stop();
        }
    }
}

/// The members of this name of a page's events.
#[track_caller]
pub(crate) fn texts(page: &Value, member: &str) -> Vec<String> {
    let text = |event: &Value| event[member].as_str().unwrap_or("").to_owned();
    page["events"].as_array().unwrap().iter().map(text).collect()
}

/// Waits until `done` says so.
#[track_caller]
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited too long for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether nothing but this test runs in this process, so that its memory is that of the test. If
/// not, the test is run in a process of its own, and is over when this returns.
///
/// `test` is its whole name.
#[track_caller]
pub(crate) fn is_alone(test: &str) -> bool {
    const ALONE: &str = "RUN_ALONE";
    if std::env::var_os(ALONE).is_some_and(|alone| alone == test) {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let ran = command.args(["--exact", test]).env(ALONE, test).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains(" 1 passed;"), "{test}: {said}");
    false
}

/// Memory in use by this process, in bytes. For a test that [`is_alone`].
pub(crate) fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

/// The sequence of an id.
#[track_caller]
pub(crate) fn sequence(id: &str) -> u64 {
    id.split_once('-').unwrap().1.parse().unwrap()
}

/// The id of another sequence in the same epoch.
pub(crate) fn with_sequence(id: &str, sequence: u64) -> String {
    format!("{}-{sequence}", id.split_once('-').unwrap().0)
}

/// What a connection is written to and read from.
trait Bytes: Read + Write + Send {}

impl<T: Read + Write + Send> Bytes for T {}

/// A connection that is spoken to in bytes.
pub(crate) struct Conn {
    socket: TcpStream,
    wire: Box<dyn Bytes>,
    input: Vec<u8>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The head as it came, with the empty line.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Conn {
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn over(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let wire = Box::new(socket.try_clone().unwrap());
        Self { socket, wire, input: Vec::new() }
    }

    pub(crate) fn over_tls(tls: tls::Stream) -> Self {
        let plain = Self::over(tls.sock.try_clone().unwrap());
        Self { wire: Box::new(tls), ..plain }
    }

    /// Sends bytes; a peer that has hung up meanwhile is told by the next read.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.wire.write_all(bytes);
    }

    pub(crate) fn ask(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) {
        let request = request(method, target, headers, body);
        self.send(&request);
    }

    pub(crate) fn half_close(&self) {
        // The server may have hung up already.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Reads more; `false` at the end of the stream, however it ends.
    pub(crate) fn read_more(&mut self) -> bool {
        let mut chunk = [0; 64 << 10];
        loop {
            match self.wire.read(&mut chunk) {
                Ok(0) => return false,
                Ok(count) => {
                    self.input.extend_from_slice(&chunk[..count]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::ConnectionReset
                            | ErrorKind::UnexpectedEof
                            | ErrorKind::BrokenPipe
                    ) =>
                {
                    return false;
                }
                Err(error) => panic!("nothing came: {error}; so far: {:?}", self.peek()),
            }
        }
    }

    fn peek(&self) -> String {
        String::from_utf8_lossy(&self.input[..self.input.len().min(400)]).into_owned()
    }

    /// What has come and was not taken.
    pub(crate) fn take_input(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.input)
    }

    /// Bytes that have come and were not taken.
    pub(crate) fn buffered(&self) -> usize {
        self.input.len()
    }

    /// Everything up to the end of the connection.
    pub(crate) fn rest(mut self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while self.read_more() {
            assert!(Instant::now() < deadline, "no end came: {:?}", self.peek());
        }
        self.input
    }

    /// The head of an answer, with its empty line; none if the connection ends first.
    pub(crate) fn head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.input.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.input.drain(..at + 4).collect();
                return Some(String::from_utf8(head).expect("a head is text"));
            }
            if !self.read_more() {
                return None;
            }
        }
    }

    #[track_caller]
    pub(crate) fn reply(&mut self) -> Reply {
        self.try_reply().expect("an answer, not the end of the connection")
    }

    /// The next whole answer; none if the connection ends before it begins.
    #[track_caller]
    pub(crate) fn try_reply(&mut self) -> Option<Reply> {
        let head = self.head()?;
        let mut reply = Reply { status: status(&head), head, body: Vec::new() };
        if reply.header("transfer-encoding").is_some() {
            panic!("answers have a length: {}", reply.head);
        }
        let length = reply.header("content-length");
        if !matches!(reply.status, 100..=199 | 204 | 304) {
            let length = length.unwrap_or_else(|| panic!("no length: {}", reply.head));
            let length: usize = length.parse().unwrap();
            while self.input.len() < length {
                assert!(self.read_more(), "cut in the body: {}", reply.head);
            }
            reply.body = self.input.drain(..length).collect();
        }
        Some(reply)
    }

    /// The head of the answer to a HEAD request.
    #[track_caller]
    pub(crate) fn reply_without_body(&mut self) -> Reply {
        let head = self.head().expect("an answer");
        Reply { status: status(&head), head, body: Vec::new() }
    }
}

/// A request as bytes: with a host, and a length if it has a body or must have one.
pub(crate) fn request(method: &str, target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{headers}").into_bytes();
    if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
        request.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    request.extend_from_slice(body);
    request
}

#[track_caller]
fn status(head: &str) -> u16 {
    let rest = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 "));
    let rest = rest.unwrap_or_else(|| panic!("not an answer: {head:?}"));
    rest[..3].parse().unwrap()
}

impl Reply {
    /// The only header of this name.
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.head.split("\r\n").skip(1).filter_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then_some(value.trim())
        });
        let value = found.next();
        assert_eq!(found.next(), None, "{name} twice in {}", self.head);
        value
    }

    /// All values of a header that may be repeated, joined.
    pub(crate) fn list(&self, name: &str) -> String {
        let lines = self.head.split("\r\n").skip(1);
        let values = lines.filter_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then_some(value.trim())
        });
        values.collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.head, self.text()))
    }

    /// Asserts that this is a problem document, complete and of this code; returns it.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        let said = || format!("wanted {status} {code}: {}{}", self.head, self.text());
        assert_eq!(self.status, status, "{}", said());
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", said());
        let problem = self.json();
        assert_eq!(problem["code"], code, "{}", said());
        assert_eq!(problem["status"], status, "{}", said());
        assert_eq!(problem["type"], format!("urn:tidings:problem:{code}"), "{}", said());
        assert!(problem["retryable"].is_boolean(), "{}", said());
        for member in ["title", "detail"] {
            let text = problem[member].as_str().unwrap_or_default();
            assert!(!text.is_empty() && !text.contains('\n'), "{member}: {}", said());
        }
        problem
    }
}
