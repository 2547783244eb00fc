//! A WebSocket client that hides nothing: frames are written and read by hand, so that wrong ones
//! can be sent and every byte that comes is looked at.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::support::{Conn, PATIENCE, Reply, Server};

/// Opcodes (RFC 6455, section 5.2).
pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

/// The bit of a final frame.
pub(crate) const FIN: u8 = 0x80;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// The key of RFC 6455, section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// What came in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

/// A connection after its handshake.
pub(crate) struct Ws {
    conn: Conn,
    input: Vec<u8>,
    /// Events that came in one message and were not taken.
    events: VecDeque<(String, Value)>,
}

/// Header lines that ask for a WebSocket.
pub(crate) fn asking(more: &str) -> String {
    format!(
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n{more}"
    )
}

pub(crate) const PROTOCOL: &str = "Sec-WebSocket-Protocol: tidings.v1.json\r\n";

/// A masked frame with this first byte.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | u8::try_from(short).unwrap()),
        middle @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(middle).unwrap().to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

impl Ws {
    #[track_caller]
    pub(crate) fn open(server: &Server) -> Self {
        Self::over(server.connect_http1())
    }

    #[track_caller]
    pub(crate) fn over(mut conn: Conn) -> Self {
        conn.ask("GET", "/ws", &asking(PROTOCOL), b"");
        Self::answered(conn)
    }

    /// A connection that has asked.
    #[track_caller]
    pub(crate) fn answered(mut conn: Conn) -> Self {
        let head = conn.head().expect("an answer");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let input = conn.take_input();
        Self { conn, input, events: VecDeque::new() }
    }

    /// Asks for one; the answer, if it is another.
    pub(crate) fn refused(server: &Server, headers: &str) -> Reply {
        server.request("GET", "/ws", headers, b"")
    }

    pub(crate) fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.conn.send(bytes);
    }

    pub(crate) fn send(&mut self, message: &Value) {
        self.send_text(&message.to_string());
    }

    pub(crate) fn send_text(&mut self, text: &str) {
        self.send_bytes(&frame(FIN | TEXT, text.as_bytes()));
    }

    /// The next frame; none at the end of the connection.
    #[track_caller]
    pub(crate) fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = whole_frame(&self.input) {
                self.input.drain(..length);
                return Some(frame);
            }
            let more = self.conn.read_more();
            self.input.extend(self.conn.take_input());
            if !more && whole_frame(&self.input).is_none() {
                assert!(self.input.is_empty(), "a frame that ends in the middle");
                return None;
            }
        }
    }

    /// The next message, whatever it says. Pings are answered.
    #[track_caller]
    pub(crate) fn message(&mut self) -> Value {
        let begun = std::time::Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "no message came");
            let frame = self.next_frame().expect("a message, not the end of the connection");
            match frame.opcode {
                TEXT => return serde_json::from_slice(&frame.payload).unwrap(),
                PING => self.send_bytes(&self::frame(FIN | PONG, &frame.payload)),
                PONG => {}
                _ => panic!("neither text nor ping: {frame:?}"),
            }
        }
    }

    /// The next message that is no list of events; those are kept.
    #[track_caller]
    pub(crate) fn said(&mut self) -> Value {
        loop {
            let message = self.message();
            if message["op"] != "events" {
                return message;
            }
            self.keep(&message);
        }
    }

    fn keep(&mut self, message: &Value) {
        let sub = message["sub"].as_str().unwrap();
        let events = message["events"].as_array().unwrap();
        assert!(!events.is_empty());
        self.events.extend(events.iter().map(|event| (sub.to_owned(), event.clone())));
    }

    /// The next event, with the subscription that it is of.
    #[track_caller]
    pub(crate) fn next_of(&mut self) -> (String, Value) {
        while self.events.is_empty() {
            let message = self.message();
            assert_eq!(message["op"], "events", "{message}");
            self.keep(&message);
        }
        self.events.pop_front().unwrap()
    }

    #[track_caller]
    pub(crate) fn next(&mut self) -> Value {
        self.next_of().1
    }

    #[track_caller]
    pub(crate) fn data(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.next()["data"].as_str().unwrap().to_owned()).collect()
    }

    /// The data of the next events, whatever is said between them.
    #[track_caller]
    pub(crate) fn data_past_answers(&mut self, count: usize) -> Vec<String> {
        while self.events.len() < count {
            let message = self.message();
            if message["op"] == "events" {
                self.keep(&message);
            }
        }
        self.data(count)
    }

    /// Whether events came that were not taken.
    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Asks, and returns the answer to just that.
    #[track_caller]
    pub(crate) fn ask(&mut self, mut message: Value) -> Value {
        message["ref"] = json!("asked");
        self.send(&message);
        loop {
            let answer = self.said();
            if answer["ref"] == "asked" {
                return answer;
            }
        }
    }

    /// Subscribes; returns the answer.
    #[track_caller]
    pub(crate) fn subscribe(&mut self, sub: &str, more: Value) -> Value {
        let mut message = json!({"op": "subscribe", "sub": sub});
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.ask(message);
        assert_eq!(answer["op"], "subscribed", "{answer}");
        assert_eq!(answer["sub"], sub);
        answer
    }

    /// The code that the server closes with; what comes before it is passed over.
    #[track_caller]
    pub(crate) fn close_code(&mut self) -> Option<u16> {
        while let Some(frame) = self.next_frame() {
            if frame.opcode == CLOSE {
                let code = frame.payload.get(..2)?;
                return Some(u16::from_be_bytes([code[0], code[1]]));
            }
        }
        None
    }
}

/// The frame at the front, if it is whole, and its length.
fn whole_frame(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    assert_eq!(second & 0x80, 0, "servers do not mask");
    assert_eq!(first & 0xf0, FIN, "servers send whole messages here, and no reserved bits");
    let (length, head) = match second {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap())), 4),
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap());
            (usize::try_from(length).unwrap(), 10)
        }
        length => (usize::from(length), 2),
    };
    let payload = bytes.get(head..head + length)?.to_vec();
    Some((Frame { opcode: first & 0x0f, payload }, head + length))
}

/// The messages of events in what came, as far as they are whole. A head may be before them.
pub(crate) fn whole_messages(bytes: &[u8]) -> Vec<Value> {
    let mut rest = bytes;
    let mut all = Vec::new();
    while let Some((frame, length)) = whole_frame(rest) {
        all.push(serde_json::from_slice(&frame.payload).unwrap());
        rest = &rest[length..];
    }
    all
}
