//! The forms in which an event is put on a wire, each encoded once for all its readers.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use tidings_frame::api::EndNotice;
use tidings_frame::names::sent_event_type;
use tidings_frame::sse_encode::{Frame, HEARTBEAT, encode_end_notice};
use tidings_frame::{End, EventObject, Position};

use crate::hub::{Counters, Hub};

/// How an event is written for a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Framing {
    /// An SSE block whose data is the publisher's: what a plain `EventSource` wants.
    Plain,
    /// An SSE block whose data is the JSON event object, which also tells topic, time and key.
    Envelope,
    /// As `Plain`, but nothing that Tidings itself says, and each block is an HTTP chunk (RFC 9112,
    /// section 7.1): what an API's own clients expect. They take every block for part of the
    /// answer, and only the missing last chunk tells them that a connection broke.
    Answer,
    /// The JSON event object and a comma: an element of the list in a WebSocket message. A span of
    /// them without its last comma is the inside of a JSON array.
    Objects,
}

/// All framings, in the order of [`Framing::index`].
pub(crate) const FRAMINGS: [Framing; 4] =
    [Framing::Plain, Framing::Envelope, Framing::Answer, Framing::Objects];

/// Digits of a chunk's size, as many as the largest event needs; leading zeros are allowed.
const CHUNK_SIZE_DIGITS: usize = 8;

/// The chunk that ends a chunked body.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl Framing {
    /// All of them.
    pub const ALL: [Self; FRAMINGS.len()] = FRAMINGS;

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// Appends an event that was read as an object, with a text for its data.
    pub fn encode(self, hub: &Hub, event: &EventObject<'_>, out: &mut Vec<u8>) {
        let framed = Framed {
            id: event.id,
            topic: &event.topic,
            alternates: &event.alternates,
            time_ms: event.time_ms,
            event_type: event.event_type.as_deref(),
            key: event.key.as_deref(),
            publisher_id: event.publisher_id.as_deref(),
            end: event.end,
            binary: false,
            data: &event.data,
        };
        framed.encode(self, hub.counters(), out);
    }

    /// A comment, which keeps a silent stream open. Empty where the transport has something of its
    /// own for that.
    #[must_use]
    pub const fn heartbeat(self) -> &'static [u8] {
        match self {
            Self::Plain | Self::Envelope => HEARTBEAT,
            // The same in a chunk. One line end: with two, clients that know the last id dispatch
            // an event of no data.
            Self::Answer => b"2\r\n:\n\r\n",
            Self::Objects => b"",
        }
    }
}

/// Appends what `write` appends, as one chunk.
fn chunk(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend_from_slice(&[b'0'; CHUNK_SIZE_DIGITS]);
    out.extend_from_slice(b"\r\n");
    let body = out.len();
    write(out);
    let size = format!("{:0width$x}", out.len() - body, width = CHUNK_SIZE_DIGITS);
    out[begin..begin + CHUNK_SIZE_DIGITS].copy_from_slice(size.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// What a subscriber may see and wants to skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct View {
    /// How events are written.
    pub framing: Framing,
    /// Whether private events are shown.
    pub private: bool,
    /// Whether only the newest event per key is wanted when several are due.
    pub conflate: bool,
}

/// An event as the framings need it.
pub(crate) struct Framed<'a> {
    pub(crate) id: Position,
    pub(crate) topic: &'a str,
    pub(crate) alternates: &'a [Cow<'a, str>],
    pub(crate) time_ms: u64,
    pub(crate) event_type: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
    pub(crate) publisher_id: Option<&'a str>,
    pub(crate) end: Option<End>,
    /// Whether the topic's content type is not text, so that SSE carries it as base64.
    pub(crate) binary: bool,
    pub(crate) data: &'a [u8],
}

impl Framed<'_> {
    /// Appends the event in `framing`, and counts it. An event that ends its topic is followed by
    /// the `end` block; one that has no data of its own is that block alone.
    pub(crate) fn encode(&self, framing: Framing, counters: &Counters, out: &mut Vec<u8>) {
        counters.frames_encoded.fetch_add(1, Ordering::Relaxed);
        if framing == Framing::Objects {
            // It says its end itself.
            self.object().write_to(out);
            return out.push(b',');
        }
        let event_type = self.event_type.and_then(sent_event_type);
        if self.end.is_none() || !self.data.is_empty() {
            let data = match framing {
                Framing::Plain | Framing::Answer if self.binary => Cow::Owned(
                    base64::engine::general_purpose::STANDARD.encode(self.data).into_bytes(),
                ),
                Framing::Plain | Framing::Answer => Cow::Borrowed(self.data),
                Framing::Envelope | Framing::Objects => {
                    let mut object = Vec::with_capacity(self.data.len() + 128);
                    self.object().write_to(&mut object);
                    Cow::Owned(object)
                }
            };
            let frame = Frame { id: Some(self.id), event: event_type, retry_ms: None, data: &data };
            match framing {
                Framing::Answer => chunk(out, |out| frame.encode(out)),
                Framing::Plain | Framing::Envelope | Framing::Objects => frame.encode(out),
            }
        }
        if self.end.is_some() && framing == Framing::Answer {
            out.extend_from_slice(LAST_CHUNK);
        } else if let Some(reason) = self.end {
            let topic = (framing == Framing::Envelope).then_some(Cow::Borrowed(self.topic));
            encode_end_notice(self.id, &EndNotice { reason, topic }, out);
        }
    }

    /// The JSON form.
    pub(crate) fn object(&self) -> EventObject<'_> {
        EventObject {
            id: self.id,
            topic: self.topic.into(),
            alternates: self.alternates.iter().map(|name| Cow::Borrowed(&**name)).collect(),
            time_ms: self.time_ms,
            event_type: self.event_type.map(Into::into),
            key: self.key.map(Into::into),
            publisher_id: self.publisher_id.map(Into::into),
            end: self.end,
            data: self.data.into(),
        }
    }
}
