//! What one reader is sent, taken apart: events with their ids, and the messages they came in.
//!
//! Unlike the generator's [`Reader`](crate::bench::load::wire::Reader) it keeps ids, so that it can
//! resume, and the very bytes, so that they can be compressed.

use serde_json::Value;

use crate::bench::http::{self, HeadError};
use crate::bench::load::frames::{self, Frame, Frames};
use crate::bench::load::{Lines, ScanError};

/// A way to follow a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Sse,
    WebSocket,
    /// A request for each answer, which waits until there is one.
    Poll,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) data: String,
}

/// What some bytes brought.
#[derive(Debug, Default)]
pub(super) struct Brought {
    pub(super) events: Vec<Event>,
    /// The units that a server would compress and flush: SSE blocks, WebSocket messages, pages.
    pub(super) messages: Vec<Vec<u8>>,
    /// Where to go on, of an answer to a poll; then the next request is due.
    pub(super) next: Option<String>,
    /// What has to be sent in return, as bytes of the connection.
    pub(super) reply: Vec<u8>,
}

/// The state of one connection.
#[derive(Debug)]
pub(super) enum Decoder {
    Sse { lines: Lines, block: Vec<u8>, id: String, data: Option<String> },
    WebSocket { frames: Frames, subscribed: bool },
    Poll { carry: Vec<u8> },
}

impl Decoder {
    pub(super) fn new(way: Way) -> Decoder {
        match way {
            Way::Sse => Decoder::Sse {
                lines: Lines::default(),
                block: Vec::new(),
                id: String::new(),
                data: None,
            },
            Way::WebSocket => Decoder::WebSocket { frames: Frames::default(), subscribed: false },
            Way::Poll => Decoder::Poll { carry: Vec::new() },
        }
    }

    /// True once the head of the answer is there.
    pub(super) fn answered(&self) -> bool {
        match self {
            Decoder::Sse { lines, .. } => lines.opened(),
            Decoder::WebSocket { frames, .. } => frames.switched(),
            Decoder::Poll { .. } => true,
        }
    }

    /// True once what is published comes.
    pub(super) fn opened(&self) -> bool {
        match self {
            Decoder::WebSocket { subscribed, .. } => *subscribed,
            _ => self.answered(),
        }
    }

    /// Takes the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Brought, ScanError> {
        let mut brought = Brought::default();
        match self {
            Decoder::Sse { lines, block, id, data } => {
                lines.feed(bytes, &mut |line| sse(line, block, id, data, &mut brought))?;
            }
            Decoder::WebSocket { frames, subscribed } => {
                frames.feed(bytes, &mut |frame| match frame {
                    Frame::Text(message) => websocket(message, subscribed, &mut brought),
                    Frame::Ping(payload) => brought.reply.extend(frames::pong(payload)),
                    Frame::Pong | Frame::Close => {}
                })?;
            }
            Decoder::Poll { carry } => {
                carry.extend_from_slice(bytes);
                let Some(head) = http::response_head(carry)? else {
                    return Ok(brought);
                };
                let length = head.content_length.ok_or(HeadError::Malformed)?;
                if head.status != 200 {
                    return Err(ScanError::Refused(head.status));
                }
                if let Some(page) = carry.get(head.length..head.length + length) {
                    poll(page, &mut brought);
                    carry.drain(..head.length + length);
                }
            }
        }
        Ok(brought)
    }
}

fn sse(
    line: &[u8],
    block: &mut Vec<u8>,
    id: &mut String,
    data: &mut Option<String>,
    brought: &mut Brought,
) {
    block.extend_from_slice(line);
    block.push(b'\n');
    let text = String::from_utf8_lossy(line);
    if let Some(value) = text.strip_prefix("id:") {
        value.trim_start().clone_into(id);
    } else if let Some(value) = text.strip_prefix("data:") {
        *data = Some(value.strip_prefix(' ').unwrap_or(value).to_owned());
    } else if line.is_empty() {
        if let Some(data) = data.take() {
            brought.events.push(Event { id: id.clone(), data });
        }
        brought.messages.push(std::mem::take(block));
    }
}

fn websocket(message: &[u8], subscribed: &mut bool, brought: &mut Brought) {
    let Ok(value) = serde_json::from_slice::<Value>(message) else {
        return;
    };
    match value["op"].as_str() {
        Some("subscribed") => *subscribed = true,
        Some("events") => {
            events(&value, brought);
            brought.messages.push(message.to_vec());
        }
        _ => {}
    }
}

fn poll(page: &[u8], brought: &mut Brought) {
    let Ok(value) = serde_json::from_slice::<Value>(page) else {
        return;
    };
    events(&value, brought);
    brought.messages.push(page.to_vec());
    brought.next = Some(value["next"].as_str().unwrap_or_default().to_owned());
}

fn events(value: &Value, brought: &mut Brought) {
    for event in value["events"].as_array().into_iter().flatten() {
        let text = |name: &str| match &event[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        brought.events.push(Event { id: text("id"), data: text("data") });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(message: &str) -> Vec<u8> {
        let length = message.len();
        [vec![0x81, 126, (length >> 8) as u8, length as u8], message.into()].concat()
    }

    fn event(id: &str, data: &str) -> Event {
        Event { id: id.to_owned(), data: data.to_owned() }
    }

    /// What comes of `bytes`, in pieces of `size`.
    fn read(way: Way, bytes: &[u8], size: usize) -> (Vec<Event>, Vec<Vec<u8>>, Option<String>) {
        let (mut decoder, mut all) = (Decoder::new(way), (Vec::new(), Vec::new(), None));
        for piece in bytes.chunks(size) {
            let brought = decoder.feed(piece).unwrap();
            all.0.extend(brought.events);
            all.1.extend(brought.messages);
            all.2 = brought.next.or(all.2);
        }
        assert!(decoder.opened());
        all
    }

    #[test]
    fn the_three_ways_say_the_same_wherever_they_are_cut() {
        let sse = "HTTP/1.1 200 OK\r\n\r\n:\nid: a-1\ndata: {\"p\":1}\n\nid: a-2\ndata: x\n\n";
        let list =
            r#"{"op":"events","events":[{"id":"a-1","data":{"p":1}},{"id":"a-2","data":"x"}]}"#;
        let list = format!("{list:<130}");
        let websocket = [
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec(),
            frame(&format!("{:<130}", r#"{"op":"subscribed"}"#)),
            frame(&list),
        ];
        let page =
            r#"{"events":[{"id":"a-1","data":{"p":1}},{"id":"a-2","data":"x"}],"next":"a-2"}"#;
        let poll = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{page}", page.len());
        let expected = vec![event("a-1", r#"{"p":1}"#), event("a-2", "x")];
        for size in [1, 3, 50, 10_000] {
            let (events, messages, _) = read(Way::Sse, sse.as_bytes(), size);
            assert_eq!((&events, messages.len()), (&expected, 2), "{size}");
            assert_eq!(messages[1], b"id: a-2\ndata: x\n\n");
            let (events, messages, _) = read(Way::WebSocket, &websocket.concat(), size);
            assert_eq!((&events, messages), (&expected, vec![list.clone().into_bytes()]));
            let (events, _, next) = read(Way::Poll, poll.as_bytes(), size);
            assert_eq!((&events, next.as_deref()), (&expected, Some("a-2")));
        }
    }

    #[test]
    fn a_refusal_is_an_error() {
        let refused = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        for way in [Way::Sse, Way::WebSocket, Way::Poll] {
            let answer = Decoder::new(way).feed(refused);
            assert_eq!(answer.map(|_| ()), Err(ScanError::Refused(404)), "{way:?}");
        }
    }
}
