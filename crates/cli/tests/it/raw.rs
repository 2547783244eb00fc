//! HTTP on a bare socket: nothing between a test and the server repeats or repairs anything.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tidings_frame::sse_decode::Decoder;

use crate::server::Server;

/// How long anything may take before a test gives up; nothing is measured against it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One request on a connection of its own: status and body; none if the server is not there.
pub(crate) fn ask(address: &str, method: &str, target: &str, body: &str) -> Option<(u16, String)> {
    let mut connection = Connection::open(address)?;
    let length = body.len();
    connection.send(&format!(
        "{method} {target} HTTP/1.1\r\nHost: h\r\nAccept: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    ))?;
    connection.answer()
}

/// A connection that is kept for several requests.
pub(crate) struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// None if the server is not there.
    pub(crate) fn open(address: &str) -> Option<Self> {
        let socket = TcpStream::connect(address).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Some(Self { reader: BufReader::new(socket) })
    }

    /// Sends one request, or several at once.
    pub(crate) fn send(&mut self, requests: &str) -> Option<()> {
        self.reader.get_mut().write_all(requests.as_bytes()).ok()
    }

    /// The next answer: status and body; none if the connection has ended.
    pub(crate) fn answer(&mut self) -> Option<(u16, String)> {
        let mut line = String::new();
        self.reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        let status = line.split(' ').nth(1)?.parse().ok()?;
        let mut length = 0;
        loop {
            line.clear();
            self.reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body).ok()?;
        Some((status, String::from_utf8(body).unwrap()))
    }
}

/// Publishes; the id if it was acknowledged.
pub(crate) fn publish(address: &str, topic: &str, data: &str) -> Option<String> {
    let (status, body) = ask(address, "POST", &format!("/topics/{topic}"), data)?;
    assert_eq!(status, 200, "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    Some(answer["id"].as_str().unwrap().to_owned())
}

pub(crate) fn address(server: &Server) -> String {
    server.url.trim_start_matches("http://").to_owned()
}

/// A subscription that is read until it ends or is told to stop.
pub(crate) struct Follower {
    socket: TcpStream,
    decoder: Decoder,
    head: Vec<u8>,
    pub(crate) in_body: bool,
}

impl Follower {
    pub(crate) fn connect(address: &str, target: &str, after: &str) -> Option<Self> {
        let mut socket = TcpStream::connect(address).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let id = match after {
            "" => String::new(),
            after => format!("Last-Event-ID: {after}\r\n"),
        };
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n{id}\r\n");
        socket.write_all(request.as_bytes()).ok()?;
        Some(Self { socket, decoder: Decoder::default(), head: Vec::new(), in_body: false })
    }

    /// Reads once, and calls back for each event with id, type and data. `false` at the end.
    pub(crate) fn read(&mut self, mut each: impl FnMut(&str, &str, &str)) -> bool {
        let mut chunk = [0; 16 << 10];
        let Ok(count) = self.socket.read(&mut chunk) else { return false };
        let mut bytes = &chunk[..count];
        if !self.in_body {
            self.head.extend_from_slice(bytes);
            let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else {
                return count > 0;
            };
            let rest = self.head.len() - end - 4;
            self.in_body = true;
            bytes = &chunk[count - rest..count];
        }
        let each = |event: tidings_frame::sse_decode::EventRef<'_>| {
            each(event.last_event_id, event.event_type, event.data);
        };
        self.decoder.feed(bytes, each).unwrap();
        count > 0
    }
}

/// Waits until so many are counted.
pub(crate) fn wait_for(count: &AtomicU64, least: u64) {
    let deadline = Instant::now() + PATIENCE;
    while count.load(Ordering::Relaxed) < least {
        assert!(Instant::now() < deadline, "only {} events", count.load(Ordering::Relaxed));
        std::thread::sleep(Duration::from_millis(2));
    }
}
