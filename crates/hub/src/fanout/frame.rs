//! The forms in which an event is put on a wire, each encoded once for all its readers.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use tidings_frame::api::EndNotice;
use tidings_frame::names::sent_event_type;
use tidings_frame::sse_encode::{Frame, encode_end_notice};
use tidings_frame::{End, EventObject, Position};

use crate::hub::Counters;

/// How an event is written for a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Framing {
    /// An SSE block whose data is the publisher's: what a plain `EventSource` wants.
    Plain,
    /// An SSE block whose data is the JSON event object, which also tells topic, time and key.
    Envelope,
}

/// All framings, in the order of [`Framing::index`].
pub(crate) const FRAMINGS: [Framing; 2] = [Framing::Plain, Framing::Envelope];

impl Framing {
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
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
        let event_type = self.event_type.and_then(sent_event_type);
        if self.end.is_none() || !self.data.is_empty() {
            let data = match framing {
                Framing::Plain if self.binary => Cow::Owned(
                    base64::engine::general_purpose::STANDARD.encode(self.data).into_bytes(),
                ),
                Framing::Plain => Cow::Borrowed(self.data),
                Framing::Envelope => {
                    let mut object = Vec::with_capacity(self.data.len() + 128);
                    self.object().write_to(&mut object);
                    Cow::Owned(object)
                }
            };
            Frame { id: Some(self.id), event: event_type, retry_ms: None, data: &data }.encode(out);
        }
        if let Some(reason) = self.end {
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
