//! The two ways to follow a topic, spoken by a subscriber: server-sent events and the WebSocket.
//!
//! Both are asked with the headers that a browser sends, since parsing them is part of the work.

use memchr::memmem;
use serde::{Deserialize, Serialize};

use super::frames::{self, Frame, Frames};
use super::lines::ScanError;
use super::scanner::{Found, Scanner};
use super::stamp::Stamp;

/// What a browser adds to every request of a page.
pub(crate) const BROWSER: &str = concat!(
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) ",
    "Chrome/140.0.0.0 Safari/537.36\r\n",
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n",
);
/// 16 bytes in base64; which ones does not matter to a server (RFC 6455, section 4.1).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// What a message with events begins with, what stands before the text of each, and what is in
/// the answer to `subscribe`.
const EVENTS: &[u8] = br#"{"op":"events""#;
const DATA: &[u8] = br#""data":""#;
const SUBSCRIBED: &[u8] = br#""op":"subscribed""#;
/// The name of the one subscription of a connection.
const SUB: &str = "s";

/// A way to follow a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Wire {
    #[default]
    Sse,
    WebSocket,
}

impl Wire {
    /// The request that opens a connection, as a browser makes it.
    pub(crate) fn request(self, host: &str, topic: &str, after: Option<&str>) -> Vec<u8> {
        match self {
            Wire::Sse => {
                let resume = after.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
                format!(
                    "GET /topics/{topic} HTTP/1.1\r\nHost: {host}\r\n{resume}\
                     Accept: text/event-stream\r\nCache-Control: no-cache\r\n{BROWSER}\
                     Accept-Encoding: identity\r\nReferer: http://{host}/\r\n\
                     Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\n\
                     Sec-Fetch-Site: same-origin\r\nConnection: keep-alive\r\n\r\n"
                )
            }
            Wire::WebSocket => format!(
                "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nPragma: no-cache\r\n\
                 Cache-Control: no-cache\r\n{BROWSER}Upgrade: websocket\r\n\
                 Origin: http://{host}\r\nSec-WebSocket-Version: 13\r\n\
                 Accept-Encoding: identity\r\nSec-WebSocket-Key: {KEY}\r\n\
                 Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
                 Sec-WebSocket-Protocol: tidings.v1.json\r\n\r\n"
            ),
        }
        .into_bytes()
    }

    /// The same with nothing that could be left out.
    pub(crate) fn least_request(self, host: &str, topic: &str) -> Vec<u8> {
        match self {
            Wire::Sse => format!(
                "GET /topics/{topic} HTTP/1.1\r\nHost: {host}\r\n\
                 Accept: text/event-stream\r\n\r\n"
            ),
            Wire::WebSocket => format!(
                "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
            ),
        }
        .into_bytes()
    }
}

/// The message that begins to follow a topic over a WebSocket, as a frame.
pub(crate) fn subscribe(topic: &str, after: Option<&str>) -> Vec<u8> {
    let mut message = serde_json::json!({"op": "subscribe", "sub": SUB, "topics": [topic]});
    if let Some(id) = after {
        message["lastEventId"] = id.into();
    }
    frames::text(message.to_string().as_bytes())
}

/// Reads what one subscriber is sent, and says what it has to send back.
#[derive(Debug)]
pub(crate) enum Reader {
    Sse(Scanner),
    WebSocket { frames: Frames, subscribed: bool },
}

impl Reader {
    pub(crate) fn new(wire: Wire) -> Reader {
        match wire {
            Wire::Sse => Reader::Sse(Scanner::default()),
            Wire::WebSocket => Reader::WebSocket { frames: Frames::default(), subscribed: false },
        }
    }

    /// True once the subscription stands: what is published from now on comes.
    pub(crate) fn opened(&self) -> bool {
        match self {
            Reader::Sse(scanner) => scanner.opened(),
            Reader::WebSocket { subscribed, .. } => *subscribed,
        }
    }

    /// Takes the next bytes, reports each event that they complete, and returns what is to be
    /// sent: after the handshake of a WebSocket `subscribe`, and answers to pings.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        subscribe: impl FnOnce() -> Vec<u8>,
        found: &mut impl FnMut(Found),
    ) -> Result<Vec<u8>, ScanError> {
        let (frames, subscribed) = match self {
            Reader::Sse(scanner) => {
                scanner.feed(bytes, found)?;
                return Ok(Vec::new());
            }
            Reader::WebSocket { frames, subscribed } => (frames, subscribed),
        };
        let mut send = Vec::new();
        let switched = frames.switched();
        frames.feed(bytes, &mut |frame| match frame {
            Frame::Text(message) if message.starts_with(EVENTS) => stamps(message, found),
            // The members of all other messages come in any order.
            Frame::Text(message) if memmem::find(message, SUBSCRIBED).is_some() => {
                *subscribed = true;
            }
            Frame::Text(_) => found(Found::Foreign),
            Frame::Ping(payload) => send.extend(frames::pong(payload)),
            Frame::Pong => {}
            Frame::Close => found(Found::Foreign),
        })?;
        if !switched && frames.switched() {
            send.extend(subscribe());
        }
        Ok(send)
    }
}

/// The stamps of a message's events. Not a JSON parser: it must cost less than what it measures,
/// and stamps hold nothing that JSON would escape.
fn stamps(message: &[u8], found: &mut impl FnMut(Found)) {
    for at in memmem::find_iter(message, DATA) {
        let stamp = Stamp::parse(&message[at + DATA.len()..]);
        found(stamp.map_or(Found::Foreign, Found::Stamp));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_whole_heads_as_long_as_a_browsers() {
        for wire in [Wire::Sse, Wire::WebSocket] {
            let request = wire.request("127.0.0.1:80", "t0", Some("a-1"));
            assert!((400..700).contains(&request.len()), "{}", request.len());
            let head = crate::bench::http::request_head(&request).unwrap().unwrap();
            assert_eq!(head.length, request.len());
            let least = wire.least_request("127.0.0.1:80", "t0");
            let head = crate::bench::http::request_head(&least).unwrap().unwrap();
            assert_eq!(head.length, least.len());
            assert!(least.len() < request.len() / 2);
        }
        let request = Wire::Sse.request("h", "t0", Some("a-1"));
        let head = crate::bench::http::request_head(&request).unwrap().unwrap();
        assert_eq!((head.target, head.last_event_id), (&b"/topics/t0"[..], Some(&b"a-1"[..])));
    }

    /// A server's text frame.
    fn frame(message: &str) -> Vec<u8> {
        let length = message.len();
        let head = match length {
            0..=125 => vec![0x81, length as u8],
            _ => vec![0x81, 126, (length >> 8) as u8, length as u8],
        };
        [head, message.into()].concat()
    }

    #[test]
    fn a_websocket_subscribes_answers_pings_and_finds_every_event_of_a_list() {
        let mut reader = Reader::new(Wire::WebSocket);
        let mut all = Vec::new();
        let mut feed = |reader: &mut Reader, bytes: &[u8]| {
            reader.feed(bytes, || b"SUBSCRIBE".to_vec(), &mut |found| all.push(found)).unwrap()
        };
        let head = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";
        assert_eq!(feed(&mut reader, head), b"SUBSCRIBE");
        assert!(!reader.opened());
        assert!(feed(&mut reader, &frame(r#"{"after":"a-0","op":"subscribed"}"#)).is_empty());
        assert!(reader.opened());
        assert_eq!(feed(&mut reader, &[0x89, 1, b'p']), frames::pong(b"p"));
        let event = |sequence| {
            let mut data = Vec::new();
            Stamp { sequence, sent_ns: 5 }.write(40, &mut data);
            format!(r#"{{"id":"x","data":"{}"}}"#, String::from_utf8(data).unwrap())
        };
        let list = format!(r#"{{"op":"events","events":[{},{}]}}"#, event(1), event(2));
        feed(&mut reader, &frame(&list));
        feed(&mut reader, &frame(r#"{"op":"gap"}"#));
        let stamp = |sequence| Found::Stamp(Stamp { sequence, sent_ns: 5 });
        assert_eq!(all, [stamp(1), stamp(2), Found::Foreign]);
    }

    #[test]
    fn a_subscription_says_where_it_goes_on() {
        let plain = subscribe("t0", None);
        let resumed = subscribe("t0", Some("a-1"));
        let more = r#""lastEventId":"a-1","#.len();
        assert_eq!(resumed.len(), plain.len() + more);
    }
}
