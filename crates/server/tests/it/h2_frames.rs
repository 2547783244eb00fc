//! HTTP/2 frame by frame (RFC 9113), for what no proper client sends.

use crate::support::{Conn, Server};

/// Types of frames (RFC 9113, section 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags.
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// Errors (RFC 9113, section 7).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// `SETTINGS_INITIAL_WINDOW_SIZE`.
const INITIAL_WINDOW_SIZE: u16 = 4;

/// A frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error of a reset or a goodbye.
    pub(crate) fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field as HPACK writes it that remembers nothing (RFC 7541, section 6.2.2).
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        let mut out = Vec::new();
        if text.len() < 127 {
            out.push(u8::try_from(text.len()).unwrap());
        } else {
            out.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                out.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            out.push(u8::try_from(rest).unwrap());
        }
        out.extend_from_slice(text.as_bytes());
        out
    };
    [vec![0], text(name), text(value)].concat()
}

/// The head of a request.
pub(crate) fn head(method: &str, target: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let own = [(":method", method), (":scheme", "http"), (":path", target), (":authority", "h")];
    own.iter().chain(more).flat_map(|(name, value)| field(name, value)).collect()
}

/// A connection.
pub(crate) struct Raw {
    pub(crate) conn: Conn,
    input: Vec<u8>,
}

impl Raw {
    /// Says the preface and the settings.
    pub(crate) fn open(server: &Server) -> Self {
        Self::with_window(server, 65_535)
    }

    /// As `open`, with so large a window for each stream.
    pub(crate) fn with_window(server: &Server, window: u32) -> Self {
        let mut conn = Conn::to(server.address());
        conn.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let setting = [&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &window.to_be_bytes()].concat();
        conn.send(&frame(SETTINGS, 0, 0, &setting));
        Self { conn, input: Vec::new() }
    }

    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.conn.send(&frame(kind, flags, stream, payload));
    }

    pub(crate) fn request(&mut self, stream: u32, method: &str, target: &str) {
        let head = head(method, target, &[("accept", "text/event-stream")]);
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, &head);
    }

    /// The next frame; none at the end of the connection. Settings and pings are answered.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(length) = self.input.get(..3) {
                let length = u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize;
                if self.input.len() >= 9 + length {
                    let bytes: Vec<u8> = self.input.drain(..9 + length).collect();
                    let stream = u32::from_be_bytes(bytes[5..9].try_into().unwrap());
                    let payload = bytes[9..].to_vec();
                    let next = Frame { kind: bytes[3], flags: bytes[4], stream, payload };
                    if matches!(next.kind, SETTINGS | PING) && next.flags & ACK == 0 {
                        let payload = if next.kind == PING { &next.payload[..] } else { &[] };
                        self.send(next.kind, ACK, 0, payload);
                    }
                    return Some(next);
                }
            }
            if !self.conn.read_more() {
                return None;
            }
            self.input.extend(self.conn.take_input());
        }
    }

    /// The next frame of this kind and stream.
    #[track_caller]
    pub(crate) fn wait(&mut self, kind: u8, stream: u32) -> Frame {
        loop {
            let next = self.next().expect("a frame, not the end of the connection");
            assert!(next.kind != GOAWAY || kind == GOAWAY, "goodbye: {}", next.error());
            if (next.kind, next.stream) == (kind, stream) {
                return next;
            }
        }
    }

    /// How the connection ends: the error of its goodbye.
    #[track_caller]
    pub(crate) fn goodbye(mut self) -> u32 {
        let error = self.wait(GOAWAY, 0).error();
        while self.next().is_some() {}
        error
    }
}
