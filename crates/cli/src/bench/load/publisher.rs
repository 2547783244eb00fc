//! One keep-alive connection that publishes and reads the answers.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::LoadError;
use super::stamp::Stamp;
use crate::bench::clock::now_ns;
use crate::bench::histogram::Histogram;
use crate::bench::http;
use crate::bench::socket::{self, Received};

/// Bytes taken from the socket at once.
const READ_BYTES: usize = 16 * 1024;
/// An answer longer than this is an error, bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// A publisher; requests may be in flight one after the other.
pub(crate) struct Publisher {
    socket: OwnedFd,
    host: String,
    out: Vec<u8>,
    /// Bytes of `out` that are sent.
    sent: usize,
    answers: Vec<u8>,
    /// When each request in flight was made, oldest first.
    in_flight: VecDeque<u64>,
    /// From request to answer, nanoseconds.
    pub(crate) latency: Histogram,
    pub(crate) answered: u64,
    /// The body of the last answer.
    pub(crate) last_answer: Vec<u8>,
}

impl Publisher {
    pub(crate) fn connect(
        source: Option<Ipv4Addr>,
        target: SocketAddrV4,
    ) -> Result<Publisher, LoadError> {
        let socket = socket::connect(source, target);
        let socket = socket.map_err(|error| LoadError::Socket("connect", error))?;
        let set = socket::undelayed(&socket).and_then(|()| socket::reset_on_close(&socket));
        set.map_err(|error| LoadError::Socket("setsockopt", error))?;
        Ok(Publisher {
            socket,
            host: target.to_string(),
            out: Vec::new(),
            sent: 0,
            answers: Vec::new(),
            in_flight: VecDeque::new(),
            latency: Histogram::default(),
            answered: 0,
            last_answer: Vec::new(),
        })
    }

    /// Requests that have no answer yet.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// True when part of a request waits for room in the socket.
    pub(crate) fn blocked(&self) -> bool {
        self.sent < self.out.len()
    }

    /// Publishes one stamp as a payload of `bytes` to `path`.
    pub(crate) fn publish(
        &mut self,
        path: &str,
        stamp: Stamp,
        bytes: usize,
    ) -> Result<(), LoadError> {
        self.head(path, "text/plain", bytes);
        stamp.write(bytes, &mut self.out);
        self.flush()
    }

    /// Posts any body.
    pub(crate) fn post(
        &mut self,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<(), LoadError> {
        self.head(path, content_type, body.len());
        self.out.extend_from_slice(body);
        self.flush()
    }

    fn head(&mut self, path: &str, content_type: &str, length: usize) {
        use std::io::Write as _;
        // Writing to a Vec cannot fail.
        let _ = write!(
            self.out,
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {content_type}\r\n\
             Content-Length: {length}\r\n\r\n",
            self.host
        );
        self.in_flight.push_back(now_ns());
    }

    /// Sends what has not been sent.
    pub(crate) fn flush(&mut self) -> Result<(), LoadError> {
        match socket::send(&self.socket, &self.out[self.sent..]) {
            Ok(sent) => self.sent += sent,
            Err(Errno::NOTCONN) => {}
            Err(error) => return Err(LoadError::Socket("publish", error)),
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
        Ok(())
    }

    /// Takes the answers that have come; fails on a refused publish.
    pub(crate) fn read(&mut self) -> Result<(), LoadError> {
        let mut buffer = [0; READ_BYTES];
        loop {
            let received = socket::receive(&self.socket, &mut buffer);
            match received.map_err(|error| LoadError::Socket("answer", error))? {
                Received::Nothing => return Ok(()),
                Received::Closed => {
                    return Err(LoadError::Protocol("the server closed a publisher"));
                }
                Received::Bytes(length) => {
                    self.answers.extend_from_slice(&buffer[..length]);
                    self.take_answers()?;
                    if length < buffer.len() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn take_answers(&mut self) -> Result<(), LoadError> {
        let mut taken = 0;
        loop {
            let rest = &self.answers[taken..];
            let Some(head) = http::response_head(rest).map_err(LoadError::Head)? else {
                break;
            };
            let Some(length) = head.content_length.or((head.status == 204).then_some(0)) else {
                return Err(LoadError::Protocol("an answer without Content-Length"));
            };
            if length > ANSWER_BYTES_MAX {
                return Err(LoadError::Protocol("an answer that is too long"));
            }
            let Some(body) = rest.get(head.length..head.length + length) else {
                break;
            };
            if !(200..300).contains(&head.status) {
                let text = String::from_utf8_lossy(body).into_owned();
                return Err(LoadError::Refused(head.status, text));
            }
            let Some(made) = self.in_flight.pop_front() else {
                return Err(LoadError::Protocol("an answer to no request"));
            };
            self.latency.record(now_ns().saturating_sub(made));
            self.answered += 1;
            self.last_answer.clear();
            self.last_answer.extend_from_slice(body);
            taken += head.length + length;
        }
        self.answers.drain(..taken);
        Ok(())
    }
}

impl AsFd for Publisher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
