//! One reader's connection, of which every byte is counted.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::sockopt;

use super::decode::{Brought, Decoder, Event, Way};
use crate::bench::BenchError;
use crate::bench::load::{LoadError, Wire, frames, wire};

/// How long opening may take, usually.
pub(super) const OPEN_MAX: Duration = Duration::from_secs(10);
/// Bytes taken from the socket at once.
const READ_BYTES: usize = 64 * 1024;
/// What a poll waits for at most, seconds: less than the patience of the proxy in `proxy`.
const POLL_SECONDS: u32 = 1;

/// How a connection is made.
#[derive(Clone, Debug)]
pub(super) struct Opening<'a> {
    pub(super) way: Way,
    pub(super) address: SocketAddrV4,
    pub(super) topic: &'a str,
    /// The event to go on after.
    pub(super) after: Option<&'a str>,
    /// Headers that could be left out are.
    pub(super) least: bool,
    /// Looks without sleeping: what a sleeping process takes to wake is not the transport's.
    pub(super) spin: bool,
    /// How long that may take.
    pub(super) patience: Duration,
}

/// Bytes and turns of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) up: u64,
    pub(super) down: u64,
    /// Writes and reads: packets, on a line where little happens.
    pub(super) writes: u64,
    pub(super) reads: u64,
}

/// A connection that follows a topic.
#[derive(Debug)]
pub(super) struct Line {
    stream: TcpStream,
    way: Way,
    host: String,
    topic: String,
    decoder: Decoder,
    spin: bool,
    buffer: Vec<u8>,
    queue: VecDeque<Event>,
    pub(super) counts: Counts,
    /// What was counted until the subscription stood.
    pub(super) opening: Counts,
    /// Everything that was flushed by itself, in order.
    pub(super) messages: Vec<Vec<u8>>,
}

impl Line {
    /// Connects, and returns when what is published from now on comes.
    pub(super) fn open(how: &Opening<'_>) -> Result<Line, BenchError> {
        let io = |error| BenchError::Io("connecting a reader", error);
        let stream = TcpStream::connect_timeout(&how.address.into(), how.patience).map_err(io)?;
        stream.set_nodelay(true).map_err(io)?;
        stream.set_nonblocking(how.spin).map_err(io)?;
        let mut line = Line {
            stream,
            way: how.way,
            host: how.address.to_string(),
            topic: how.topic.to_owned(),
            decoder: Decoder::new(how.way),
            spin: how.spin,
            buffer: vec![0; READ_BYTES],
            queue: VecDeque::new(),
            counts: Counts::default(),
            opening: Counts::default(),
            messages: Vec::new(),
        };
        let deadline = Instant::now() + how.patience;
        match how.way {
            Way::Poll => line.ask(how.after)?,
            Way::Sse => line.upgrade(Wire::Sse, how)?,
            Way::WebSocket => {
                line.upgrade(Wire::WebSocket, how)?;
                line.until(deadline, |line| line.decoder.answered())?;
                line.send(&wire::subscribe(how.topic, how.after))?;
            }
        }
        line.until(deadline, |line| line.decoder.opened())?;
        line.opening = line.counts;
        Ok(line)
    }

    fn upgrade(&mut self, wire: Wire, how: &Opening<'_>) -> Result<(), BenchError> {
        let request = match how.least {
            true => wire.least_request(&self.host, how.topic),
            false => wire.request(&self.host, how.topic, how.after),
        };
        self.send(&request)
    }

    /// The request of a poll; `None`: for what comes from now on.
    fn ask(&mut self, after: Option<&str>) -> Result<(), BenchError> {
        let after = after.map(|id| format!("&after={id}")).unwrap_or_default();
        let request = format!(
            "GET /topics/{}?poll={POLL_SECONDS}{after} HTTP/1.1\r\nHost: {}\r\n\
             Accept: application/json\r\n\r\n",
            self.topic, self.host
        );
        self.send(request.as_bytes())
    }

    /// Publishes over a WebSocket.
    pub(super) fn publish(&mut self, data: &str) -> Result<(), BenchError> {
        let message = serde_json::json!({"op": "publish", "topic": self.topic, "data": data});
        self.send(&frames::text(message.to_string().as_bytes()))
    }

    /// The next event; `None` when none came until `deadline` or the connection has ended.
    pub(super) fn next(&mut self, deadline: Instant) -> Result<Option<Event>, BenchError> {
        while self.queue.is_empty() {
            if !self.read(deadline)? {
                return Ok(None);
            }
        }
        Ok(self.queue.pop_front())
    }

    fn until(&mut self, deadline: Instant, done: impl Fn(&Line) -> bool) -> Result<(), BenchError> {
        while !done(self) {
            if !self.read(deadline)? {
                return Err(BenchError::Never("an answer to a subscription"));
            }
        }
        Ok(())
    }

    /// Takes what comes next; false when nothing did until `deadline`, or never will.
    pub(super) fn read(&mut self, deadline: Instant) -> Result<bool, BenchError> {
        let io = |error| BenchError::Io("reading events", error);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            if !self.spin {
                self.stream.set_read_timeout(Some(left)).map_err(io)?;
            }
            let length = match self.stream.read(&mut self.buffer) {
                Ok(0) => return Ok(false),
                Ok(length) => length,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {
                        continue;
                    }
                    ErrorKind::ConnectionReset => return Ok(false),
                    _ => return Err(io(error)),
                },
            };
            self.counts.down += length as u64;
            self.counts.reads += 1;
            let brought = self.decoder.feed(&self.buffer[..length]).map_err(LoadError::Scan)?;
            self.take(brought)?;
            return Ok(true);
        }
    }

    fn take(&mut self, brought: Brought) -> Result<(), BenchError> {
        self.queue.extend(brought.events);
        self.messages.extend(brought.messages);
        if !brought.reply.is_empty() {
            self.send(&brought.reply)?;
        }
        match brought.next {
            Some(next) if self.way == Way::Poll => self.ask(Some(&next)),
            _ => Ok(()),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), BenchError> {
        // A request is far smaller than what a fresh socket takes, also when it does not block.
        let sent = self.stream.write_all(bytes);
        sent.map_err(|error| BenchError::Io("writing to the server", error))?;
        self.counts.up += bytes.len() as u64;
        self.counts.writes += 1;
        Ok(())
    }

    /// Bytes of WebSocket frame headers so far.
    pub(super) fn header_bytes(&self) -> u64 {
        match &self.decoder {
            Decoder::WebSocket { frames, .. } => frames.header_bytes,
            _ => 0,
        }
    }

    /// Ends the connection as a network does: without a word, and with what is under way lost.
    pub(super) fn cut(self) {
        // If it fails the connection ends in order, and what is measured is the same.
        let _ = sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
    }
}
