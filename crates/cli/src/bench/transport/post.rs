//! A warm connection that publishes by POST.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use crate::bench::BenchError;
use crate::bench::http;
use crate::bench::load::{LoadError, wire};

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The type of data that is no text.
const BINARY: &str = "application/octet-stream";

/// A publisher.
pub(super) struct Poster {
    stream: TcpStream,
    host: String,
    topic: String,
    spin: bool,
    answer: Vec<u8>,
    /// Bytes of the last request, and what of them a page's browser adds.
    pub(super) up: usize,
    pub(super) of_browser: usize,
}

impl Poster {
    /// Connects to publish to `topic`; `spin` as for a [`Line`](super::line::Line).
    pub(super) fn connect(
        address: SocketAddrV4,
        topic: &str,
        spin: bool,
    ) -> Result<Poster, BenchError> {
        let io = |error| BenchError::Io("connecting a publisher", error);
        let stream = TcpStream::connect_timeout(&address.into(), ANSWER_MAX).map_err(io)?;
        stream.set_nodelay(true).map_err(io)?;
        stream.set_nonblocking(spin).map_err(io)?;
        stream.set_read_timeout(Some(ANSWER_MAX)).map_err(io)?;
        Ok(Poster {
            stream,
            host: address.to_string(),
            topic: topic.to_owned(),
            spin,
            answer: Vec::new(),
            up: 0,
            of_browser: 0,
        })
    }

    /// Publishes and waits for the receipt.
    pub(super) fn publish(&mut self, data: &str) -> Result<(), BenchError> {
        self.send("text/plain", data.as_bytes())?;
        self.receipt()
    }

    /// Publishes all of them in one request.
    pub(super) fn publish_all(&mut self, all: &[String]) -> Result<(), BenchError> {
        let lines: String =
            all.iter().map(|data| serde_json::json!({ "data": data }).to_string() + "\n").collect();
        self.send("application/x-ndjson", lines.as_bytes())?;
        self.receipt()
    }

    /// Lets the topic carry any bytes.
    pub(super) fn make_binary(&mut self) -> Result<(), BenchError> {
        let policy = format!(r#"{{"content_type":"{BINARY}"}}"#);
        self.request("PUT", "application/json", policy.as_bytes())?;
        self.receipt()
    }

    /// Publishes bytes.
    pub(super) fn publish_bytes(&mut self, bytes: &[u8]) -> Result<(), BenchError> {
        self.send(BINARY, bytes)?;
        self.receipt()
    }

    /// Publishes without waiting, as a page does: with the headers that its browser adds.
    pub(super) fn send(&mut self, kind: &str, body: &[u8]) -> Result<(), BenchError> {
        self.request("POST", kind, body)
    }

    fn request(&mut self, method: &str, kind: &str, body: &[u8]) -> Result<(), BenchError> {
        let browser = format!(
            "{}Accept: */*\r\nAccept-Encoding: identity\r\nOrigin: http://{host}\r\n\
             Referer: http://{host}/\r\nSec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\n\
             Sec-Fetch-Site: same-origin\r\nConnection: keep-alive\r\n",
            wire::BROWSER,
            host = self.host,
        );
        let mut request = format!(
            "{method} /topics/{} HTTP/1.1\r\nHost: {}\r\n{browser}Content-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n",
            self.topic,
            self.host,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        (self.up, self.of_browser) = (request.len(), browser.len());
        let sent = self.stream.write_all(&request);
        sent.map_err(|error| BenchError::Io("publishing", error))
    }

    /// Waits for the receipt of the oldest publish that has none; fails if it was refused.
    pub(super) fn receipt(&mut self) -> Result<(), BenchError> {
        let deadline = Instant::now() + ANSWER_MAX;
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some(head) = http::response_head(&self.answer).map_err(LoadError::Head)? {
                let end = head.length + head.content_length.unwrap_or(0);
                if !(200..300).contains(&head.status) {
                    let text = String::from_utf8_lossy(&self.answer).into_owned();
                    return Err(LoadError::Refused(head.status, text).into());
                }
                if self.answer.len() >= end {
                    self.answer.drain(..end);
                    return Ok(());
                }
            }
            if Instant::now() >= deadline {
                return Err(BenchError::Never("the receipt of a publish"));
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(BenchError::Never("the receipt of a publish")),
                Ok(length) => self.answer.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock && self.spin => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(BenchError::Io("reading a receipt", error)),
            }
        }
    }
}
