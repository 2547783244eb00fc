//! Bytes into items, a little at a time: however much one read brings, only a slice of it is
//! decoded before its items are taken.

use std::borrow::Cow;
use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};
use tidings_frame::api::EndNotice;
use tidings_frame::sse_decode::{Decoder, EventRef, Limits};
use tidings_frame::{EventObject, GapNotice};

use super::{Ended, Item};
use crate::error::SubscribeError;

/// Bytes decoded at a time. An event has at least 60 as an envelope, so at most some 270 items
/// wait.
const SLICE_BYTES: usize = 16 << 10;

/// The decoder with what is before it and behind it.
#[derive(Debug)]
pub(super) struct Reader {
    decoder: Decoder,
    /// Read, but not decoded.
    bytes: Bytes,
    /// Decoded, but not taken.
    items: VecDeque<Result<Item, SubscribeError>>,
    /// The topic, if only one is followed.
    topic: Option<String>,
}

impl Reader {
    pub(super) fn new(limits: Limits, topic: Option<String>) -> Self {
        Self { decoder: Decoder::new(limits), bytes: Bytes::new(), items: VecDeque::new(), topic }
    }

    /// The id of the last complete event, or what was given before the first. Empty: none.
    pub(super) fn cursor(&self) -> &str {
        self.decoder.last_event_id()
    }

    pub(super) fn set_cursor(&mut self, id: &str) {
        self.decoder.set_last_event_id(id);
    }

    pub(super) fn retry_ms(&self) -> Option<u64> {
        self.decoder.retry_ms()
    }

    /// Begins a new stream. What is complete stays to be taken; what is not is forgotten.
    pub(super) fn reset(&mut self) {
        self.decoder.reset();
        self.bytes = Bytes::new();
    }

    /// Forgets everything: nothing may come after an error or the end.
    pub(super) fn clear(&mut self) {
        self.reset();
        self.items = VecDeque::new();
    }

    /// Takes what was read, once [`Reader::next`] has returned none.
    pub(super) fn push(&mut self, bytes: Bytes) {
        debug_assert!(self.bytes.is_empty(), "the reader still has bytes to decode");
        self.bytes = bytes;
    }

    /// The next item of what was read.
    pub(super) fn next(&mut self) -> Option<Result<Item, SubscribeError>> {
        while self.items.is_empty() && !self.bytes.is_empty() {
            let slice = &self.bytes[..self.bytes.len().min(SLICE_BYTES)];
            let (items, topic) = (&mut self.items, self.topic.as_deref());
            let result = self.decoder.feed(slice, |event| items.push_back(item(event, topic)));
            self.bytes.advance(slice.len());
            if let Err(error) = result {
                self.bytes = Bytes::new();
                self.items.push_back(Err(error.into()));
            }
        }
        self.items.pop_front()
    }
}

/// What a block of the stream says.
fn item(event: EventRef<'_>, topic: Option<&str>) -> Result<Item, SubscribeError> {
    let wrong = |error: serde_json::Error| {
        let id = event.last_event_id;
        SubscribeError::Event(format!("`{}` with id `{id}`: {error}", event.event_type))
    };
    Ok(match event.event_type {
        "gap" => {
            let notice: GapNotice<'_> = serde_json::from_str(event.data).map_err(wrong)?;
            Item::Gap(notice.into_owned())
        }
        "end" => {
            let notice: EndNotice<'_> = serde_json::from_str(event.data).map_err(wrong)?;
            let id = event.last_event_id.parse().map_err(|error| {
                SubscribeError::Event(format!("`end` with id `{}`: {error}", event.last_event_id))
            })?;
            let topic = notice.topic.map(Cow::into_owned).or(topic.map(str::to_owned));
            Item::End(Ended { id, topic, reason: notice.reason })
        }
        _ => {
            let object: EventObject<'_> = serde_json::from_str(event.data).map_err(wrong)?;
            Item::Event(object.into_owned())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_slice_of_a_large_read_waits_as_items() {
        let event = r#"{"id":"abcdefgh-1","topic":"t","time":"1970-01-01T00:00:00Z","data":""}"#;
        let block = format!("data: {event}\n\n");
        let count = 10_000;
        let mut reader = Reader::new(Limits::default(), None);
        reader.push(block.repeat(count).into());
        for _ in 0..count {
            assert!(reader.next().unwrap().is_ok());
            assert!(reader.items.len() <= SLICE_BYTES / block.len() + 1);
        }
        assert!(reader.next().is_none());
    }

    #[test]
    fn nothing_is_decoded_after_an_error() {
        let limits = Limits { line_bytes: 10, event_bytes: 10 };
        let mut reader = Reader::new(limits, None);
        reader.push("data: 0123456789\ndata: x\n\n".into());
        assert!(matches!(reader.next(), Some(Err(SubscribeError::Decode(_)))));
        assert!(reader.next().is_none());
    }
}
