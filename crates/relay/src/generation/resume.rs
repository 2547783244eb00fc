//! Going on where an upstream was left, with those upstreams that can: nobody has to be told that
//! the connection broke, or that this process did.
//!
//! Two ways are known. OpenAI's Responses in the background go on after a sequence number. The
//! server of llama.cpp keeps an answer under a name that it is given with the request, and goes on
//! after so many bytes.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, header};
use tokio::time::{sleep, timeout};

use super::ask::is_stream;
use super::read::{Read, broken};
use super::{Generation, Outcome};
use crate::answer::Phase;
use crate::config::UpstreamResume;
use crate::dialect::{Cause, Dialect};
use crate::http1::conn::Body;
use crate::outgoing::Outgoing;
use crate::store;

/// Attempts in a row that bring nothing, before the answer counts as broken.
const ATTEMPTS_MAX: u32 = 5;

/// Wait before the first of them; doubled each time.
const WAIT: Duration = Duration::from_millis(200);

/// The name under which llama.cpp's server keeps an answer.
const CONVERSATION: HeaderName = HeaderName::from_static("x-conversation-id");

/// How an upstream goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handle {
    /// After a sequence number.
    Background,
    /// After so many bytes.
    Conversation,
}

impl Generation {
    fn handle(&self) -> Option<Handle> {
        let background = self.asks.dialect == Dialect::Responses && self.asks.asked.background;
        match self.config.upstream_resume {
            UpstreamResume::LlamaServer => Some(Handle::Conversation),
            UpstreamResume::Api if background => Some(Handle::Background),
            UpstreamResume::Api => None,
        }
    }

    /// Whether the answer can be gone on with if its connection breaks.
    pub(super) fn can_go_on(&self) -> bool {
        self.handle().is_some()
    }

    pub(super) fn goes_on_by_bytes(&self) -> bool {
        self.handle() == Some(Handle::Conversation)
    }

    /// Adds to a first request what lets it be gone on with.
    pub(super) fn name_it<'a>(&self, request: &'a mut Outgoing) -> &'a Outgoing {
        if self.goes_on_by_bytes() {
            if let Ok(name) = HeaderValue::from_str(&self.answer.name) {
                request.headers.insert(CONVERSATION, name);
            }
        }
        request
    }

    /// Reads a stream, and goes on with it when its connection breaks.
    pub(super) async fn read_through(
        &mut self,
        request: &Outgoing,
        place: usize,
        body: Body,
        fallback: bool,
    ) -> Read {
        let read = self.read(body, fallback).await;
        if fallback && self.last_token.is_none() {
            return read;
        }
        // On the heap, because it is rare: every answer would hold the room for it.
        Box::pin(self.go_on(request, place, read)).await
    }

    /// Takes an answer up that an earlier process left: what is stored is known, the rest is asked
    /// for.
    pub(super) async fn take_up(&mut self, request: &Outgoing) -> Outcome {
        self.answer.enter(Phase::Streaming(None));
        let left = broken(false, "the relay went down while the answer was running".into());
        match self.go_on(request, 0, left).await {
            Read::Over(end) => Outcome::Over(end),
            Read::Broken { clean, cause: Cause::Broken(_), .. } => {
                Outcome::Broken { clean, cause: Cause::Lost }
            }
            Read::Broken { clean, cause, .. } => Outcome::Broken { clean, cause },
        }
    }

    /// Has the reader know what is stored; `false` if the answer is over or cannot be gone on with.
    pub(crate) fn remember(&mut self) -> bool {
        let Some(handle) = self.handle() else { return false };
        let (hub, topic) = (self.relays.hub.clone(), self.answer.topic());
        let (mut stored, mut ended) = (0, false);
        let read = store::read(&hub, &topic, 0, &mut |event| {
            stored += 1;
            ended |= event.end.is_some();
            if handle == Handle::Background {
                if let Ok(data) = std::str::from_utf8(&event.data) {
                    self.reader.replay(event.event_type.as_deref(), data);
                    self.number = crate::dialect::sequence_number(data).or(self.number);
                }
            }
        });
        if handle == Handle::Conversation {
            // Its bytes are not counted in the log: it is read from the beginning, and what is
            // stored is passed over.
            self.skip = stored;
        }
        read.is_ok() && !ended && (handle == Handle::Conversation || self.number.is_some())
    }

    async fn go_on(&mut self, request: &Outgoing, place: usize, mut read: Read) -> Read {
        let mut attempts = 0;
        while let Read::Broken { again: true, .. } = &read {
            let Some(next) = self.next_part(request) else { return read };
            if attempts == ATTEMPTS_MAX {
                return read;
            }
            sleep(WAIT * 2_u32.pow(attempts)).await;
            attempts += 1;
            let Ok(http) = next.to(&self.config.upstreams[place], Some(self.asks.dialect)) else {
                return read;
            };
            let sent = Box::pin(self.relays.upstreams.send(http, self.config.allow_private));
            match timeout(self.config.answer_timeout, sent).await {
                Ok(Ok(response)) if is_stream(&response) => {
                    let before = self.bytes;
                    read = self.read(response.into_body(), false).await;
                    if self.bytes > before {
                        attempts = 0;
                    }
                }
                // It does not know the answer any more, or will not give it.
                Ok(Ok(response)) if response.status().is_client_error() => return read,
                _ => {}
            }
        }
        read
    }

    /// The request for what has not come.
    fn next_part(&mut self, request: &Outgoing) -> Option<Outgoing> {
        let rest = match self.handle()? {
            Handle::Background => {
                let (id, number) = (self.reader.answer_id()?, self.number?);
                // What came of an event that was cut is sent again.
                self.decoder.reset();
                format!("responses/{id}?stream=true&starting_after={number}")
            }
            Handle::Conversation => {
                format!("stream?conv_id={}&from={}", self.answer.name, self.received)
            }
        };
        let mut headers = request.headers.clone();
        headers.remove(header::CONTENT_TYPE);
        headers.remove(CONVERSATION);
        Some(Outgoing { method: Method::GET, rest, headers, body: Bytes::new() })
    }
}
