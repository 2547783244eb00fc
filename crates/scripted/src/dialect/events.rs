//! What is no LLM's stream: events as they were given, and whole documents.

use std::sync::Arc;

use super::Score;
use crate::framing::Sse;
use crate::script::SseEvent;

pub(super) struct Events(Arc<Vec<SseEvent>>);

impl Events {
    pub(super) fn new(events: Arc<Vec<SseEvent>>) -> Self {
        Self(events)
    }
}

impl Score for Events {
    fn open(&mut self, _: &mut Sse) {}

    fn begin(&mut self, _: &mut Sse, _: usize) {}

    fn token(&mut self, sse: &mut Sse, _: usize, piece: usize, stamp: Option<&str>) {
        let event = &self.0[piece];
        let data = stamp.unwrap_or(&event.data);
        sse.text(event.name.as_deref(), event.id.as_deref(), event.retry_ms, data);
    }

    fn end(&mut self, _: &mut Sse, _: usize) {}

    fn close(&mut self, _: &mut Sse) {}

    fn error(&mut self, sse: &mut Sse, _: &str, message: &str) {
        sse.text(Some("error"), None, None, message);
    }
}

/// A body that is no stream.
pub(super) struct Document(pub(super) Vec<u8>);

impl Score for Document {
    fn open(&mut self, sse: &mut Sse) {
        sse.raw(&self.0);
    }

    fn begin(&mut self, _: &mut Sse, _: usize) {}

    fn token(&mut self, _: &mut Sse, _: usize, _: usize, _: Option<&str>) {}

    fn end(&mut self, _: &mut Sse, _: usize) {}

    fn close(&mut self, _: &mut Sse) {}

    fn error(&mut self, _: &mut Sse, _: &str, _: &str) {}
}
