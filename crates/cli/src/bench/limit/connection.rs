//! The limit server's connections: a socket and, for a subscriber, a position. Nothing else.

use std::os::fd::OwnedFd;

use crate::bench::http::{self, HeadError};

/// A publish body longer than this closes the connection, bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// The answer to a subscription: the head and the first comment in one write.
pub(super) const SUBSCRIBED: &[u8] = b"HTTP/1.1 200 OK\r\n\
    content-type: text/event-stream\r\ncache-control: no-cache, no-transform\r\n\
    connection: close\r\n\r\n:\n";

/// One accepted connection.
pub(super) struct Connection {
    pub(super) socket: OwnedFd,
    pub(super) role: Role,
}

/// What a connection is at present.
pub(super) enum Role {
    /// Sends requests; `pending` is the part of one that has come.
    Request { pending: Vec<u8> },
    /// Receives `topic` from the byte position `cursor` on.
    Subscriber { topic: u32, cursor: u64 },
}

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> Connection {
        Connection { socket, role: Role::Request { pending: Vec::new() } }
    }
}

/// Connections by slot; slots are used again.
#[derive(Default)]
pub(super) struct Connections {
    slots: Vec<Option<Connection>>,
    free: Vec<usize>,
}

impl Connections {
    /// A slot to [`fill`](Connections::fill).
    pub(super) fn vacant(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        })
    }

    pub(super) fn fill(&mut self, slot: usize, connection: Connection) {
        self.slots[slot] = Some(connection);
    }

    pub(super) fn get(&self, slot: usize) -> Option<&Connection> {
        self.slots.get(slot)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut Connection> {
        self.slots.get_mut(slot)?.as_mut()
    }

    /// Gives the connection out and its slot back.
    pub(super) fn take(&mut self, slot: usize) -> Option<Connection> {
        let connection = self.slots.get_mut(slot)?.take();
        if connection.is_some() {
            self.free.push(slot);
        }
        connection
    }
}

/// One whole request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    pub(super) method: &'a [u8],
    /// `None` for every target outside `/topics/`.
    pub(super) topic: Option<&'a [u8]>,
    /// The `Last-Event-ID`.
    pub(super) resume: Option<&'a [u8]>,
    pub(super) body: &'a [u8],
    /// Bytes of head and body.
    pub(super) length: usize,
}

/// The request at the start of `bytes`; `None` while it is incomplete.
pub(super) fn next_request(bytes: &[u8]) -> Result<Option<Request<'_>>, HeadError> {
    let Some(head) = http::request_head(bytes)? else {
        return Ok(None);
    };
    if head.content_length > BODY_BYTES_MAX {
        return Err(HeadError::TooLong);
    }
    let length = head.length + head.content_length;
    let Some(body) = bytes.get(head.length..length) else {
        return Ok(None);
    };
    let path = head.target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let topic = path.strip_prefix(b"/topics/");
    Ok(Some(Request { method: head.method, topic, resume: head.last_event_id, body, length }))
}

/// Appends the answer to a readiness check.
pub(super) fn ready(out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
}

/// Appends the answer to a publish, about what Tidings answers, so that both write as much.
pub(super) fn published(out: &mut Vec<u8>, sequence: u64) {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 56\r\n\r\n";
    out.extend_from_slice(head);
    let start = out.len();
    out.extend_from_slice(br#"{"id":"limit000-"#);
    push_decimal(out, sequence);
    out.extend_from_slice(br#"","duplicate":false}"#);
    // Blanks after the JSON make the length a constant.
    out.resize(start + 56, b' ');
}

/// Appends `number` in decimal, without the formatting machinery.
pub(super) fn push_decimal(out: &mut Vec<u8>, number: u64) {
    let mut digits = [b'0'; 20];
    let mut rest = number;
    let mut start = digits.len();
    while rest > 0 || start == digits.len() {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_announced_length_of_an_answer_is_its_length() {
        let mut out = Vec::new();
        published(&mut out, u64::MAX);
        let head = http::response_head(&out).unwrap().unwrap();
        assert_eq!(head.content_length, Some(out.len() - head.length));
    }

    #[test]
    fn requests_come_one_after_the_other() {
        let bytes =
            b"POST /topics/a/b?x HTTP/1.1\r\ncontent-length: 2\r\n\r\nhiGET /readyz HTTP/1.1";
        let first = next_request(bytes).unwrap().unwrap();
        assert_eq!(first.topic, Some(&b"a/b"[..]));
        assert_eq!(first.body, b"hi");
        assert_eq!(next_request(&bytes[first.length..]), Ok(None));
    }

    #[test]
    fn decimals_are_never_cut() {
        let mut out = Vec::new();
        push_decimal(&mut out, 42);
        push_decimal(&mut out, u64::MAX);
        push_decimal(&mut out, 0);
        assert_eq!(out, b"42184467440737095516150");
    }
}
