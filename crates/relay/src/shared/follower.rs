//! The task behind a shared stream: when its upstream is connected, and what becomes of what comes.
//!
//! Promises: there is at most one connection, and none while nobody reads and the grace time is
//! over. What one read brings is stored together and in order, before anybody sees it; the id that
//! a reconnection sends is that of the last event stored. Whatever happens to the upstream, clients
//! stay connected.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tidings_frame::limits::BATCH_EVENTS_MAX;
use tidings_frame::sse_decode::{DecodeError, Decoder, EventRef};
use tidings_frame::{EventObject, check_publisher_id};
use tidings_hub::{Backlog, Hub, NewEvent, PublishError, Selection, StoreError};

use super::Shared;
use super::known::{KNOWN_MAX, Known};
use super::metrics::Counts;
use super::request::{Trouble, send};
use super::waits::Waits;
use crate::http1::conn::Body;
use crate::readers::Readers;
use crate::store;
use crate::upstream::Upstreams;

/// Reads the upstream of one stream.
pub(super) struct Follower {
    hub: Arc<Hub>,
    stream: Arc<Shared>,
    upstreams: Upstreams,
    counts: Counts,
    known: Known,
    waits: Waits,
    /// The id of the last event stored, as the upstream gave it; empty if there is none.
    last_id: String,
}

/// An event of the upstream.
struct Came {
    /// The last id that the connection had brought with it.
    id: String,
    /// Whether the event brought that id itself.
    own_id: bool,
    event_type: Option<String>,
    data: String,
}

impl Came {
    /// The event as it is published. An id that is no publisher's id is left out of it.
    fn of<'a>(&'a self, topic: &'a str) -> NewEvent<'a> {
        let id = self.own_id && check_publisher_id(&self.id).is_ok();
        NewEvent {
            topic: Cow::Borrowed(topic),
            data: Cow::Borrowed(self.data.as_bytes()),
            event_type: self.event_type.as_deref().map(Cow::Borrowed),
            publisher_id: id.then_some(Cow::Borrowed(&*self.id)),
            ..NewEvent::default()
        }
    }
}

/// Counts a connection for as long as it lives, however it ends.
struct Connected<'a>(&'a Counts);

impl<'a> Connected<'a> {
    fn new(counts: &'a Counts) -> Self {
        counts.connections.inc();
        counts.connected.set(1);
        Self(counts)
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.connected.set(0);
    }
}

impl Follower {
    pub(super) fn new(
        hub: Arc<Hub>,
        stream: &Arc<Shared>,
        upstreams: Upstreams,
        counts: Counts,
    ) -> Self {
        let (known, waits) = (Known::default(), Waits::default());
        let stream = stream.clone();
        Self { hub, stream, upstreams, counts, known, waits, last_id: String::new() }
    }

    /// Follows the upstream whenever somebody reads; never returns.
    pub(super) async fn run(mut self) {
        let (stream, path) = (self.stream.clone(), self.stream.config.path.clone());
        let readers = &stream.readers;
        if let Err(error) = self.remember() {
            tracing::error!(%path, %error, "what was stored of the stream cannot be read");
        }
        loop {
            readers.some().await;
            let firsts = readers.firsts();
            let stopped = tokio::select! {
                stopped = self.follow() => Some(stopped),
                () = unread(readers, stream.config.grace) => None,
            };
            if let Some(reason) = stopped {
                tracing::info!(%path, %reason, "the upstream is not asked again for now");
                // Whoever comes when everybody has gone is a new beginning.
                while readers.firsts() == firsts {
                    readers.changed().await;
                }
            }
        }
    }

    /// Connects again and again; returns why there is nothing more to be had.
    async fn follow(&mut self) -> Trouble {
        loop {
            let ended = self.connect().await;
            let path = &self.stream.config.path;
            let wait = match ended {
                trouble @ (Trouble::NoContent | Trouble::TopicEnded) => return trouble,
                Trouble::Ended => self.waits.after_stream(),
                trouble => {
                    self.counts.failures.inc();
                    let asked = match trouble {
                        Trouble::Status { again_after, .. } => again_after,
                        _ => None,
                    };
                    let wait = self.waits.after_failure(asked);
                    // Said once: an upstream that is down for a night is one line.
                    if self.waits.failures() == 1 {
                        tracing::warn!(%path, %trouble, "the upstream of a stream gives nothing");
                    } else {
                        tracing::debug!(%path, %trouble, ?wait, "still nothing");
                    }
                    wait
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Makes one connection and reads it to its end.
    async fn connect(&mut self) -> Trouble {
        let sent = send(&self.upstreams, &self.stream.config, &self.last_id).await;
        let body = match sent {
            Ok(body) => body,
            Err(trouble) => return trouble,
        };
        let counts = self.counts.clone();
        let _connected = Connected::new(&counts);
        self.known.connected();
        match self.read(body).await {
            Ok(()) => Trouble::Ended,
            Err(trouble) => trouble,
        }
    }

    async fn read(&mut self, mut body: Body) -> Result<(), Trouble> {
        // Without the last id, so that what this connection brings can be told apart from it.
        let mut decoder = Decoder::default();
        let mut came = Vec::new();
        // The last id of an event, and the last id, which may have come without an event.
        let (mut id, mut seen) = (String::new(), String::new());
        loop {
            let mut decoded = Ok(());
            let more = body.next(|bytes| {
                if decoded.is_ok() {
                    decoded = decode(&mut decoder, bytes, &mut id, &mut came);
                }
            });
            // A stream that breaks is a stream that ended.
            if !more.await.unwrap_or(false) {
                break;
            }
            self.waits.asked_for(decoder.retry_ms());
            let some = !came.is_empty();
            self.store(&mut came)?;
            if seen != decoder.last_event_id() {
                decoder.last_event_id().clone_into(&mut seen);
                self.last_id.clone_from(&seen);
            }
            if some {
                self.came_back();
            }
            decoded?;
        }
        self.came_back();
        Ok(())
    }

    /// Failures are counted anew.
    fn came_back(&mut self) {
        if self.waits.failures() > 0 {
            tracing::info!(path = %self.stream.config.path, "the upstream of a stream is back");
            self.waits.connected();
        }
    }

    /// Stores what one read brought, without what is stored already.
    fn store(&mut self, came: &mut Vec<Came>) -> Result<(), Trouble> {
        let before = came.len();
        let known = &mut self.known;
        came.retain(|event| !known.is_repeat(&event.id, event.event_type.as_deref(), &event.data));
        self.counts.repeated.inc_by((before - came.len()) as u64);
        for part in came.chunks(BATCH_EVENTS_MAX) {
            match self.publish(part) {
                Ok(()) => {}
                // One of them is at fault; the others are not.
                Err(error) if part.len() > 1 && is_of_one(&error) => {
                    for event in part.chunks(1) {
                        self.publish(event).or_else(|error| self.refused(error))?;
                    }
                }
                Err(error) => self.refused(error)?,
            }
        }
        came.clear();
        Ok(())
    }

    fn publish(&mut self, part: &[Came]) -> Result<(), PublishError> {
        let topic = self.stream.config.topic.as_str();
        let events: Vec<NewEvent<'_>> = part.iter().map(|event| event.of(topic)).collect();
        store::publish(&self.hub, &events)?;
        self.counts.events.inc_by(part.len() as u64);
        for event in part {
            self.known.stored(&event.id, event.event_type.as_deref(), &event.data);
        }
        Ok(())
    }

    /// An event that cannot be kept is left out; any other trouble ends the connection.
    fn refused(&self, error: PublishError) -> Result<(), Trouble> {
        if is_of_one(&error) {
            self.counts.refused.inc();
            tracing::warn!(path = %self.stream.config.path, %error, "an event cannot be kept");
            return Ok(());
        }
        Err(match error {
            PublishError::Ended { .. } => Trouble::TopicEnded,
            error => error.into(),
        })
    }

    /// Finds out from the topic what an earlier process stored.
    fn remember(&mut self) -> Result<(), StoreError> {
        let topic = &self.stream.config.topic;
        let mut backlog = Backlog::new(Arc::new(Selection::one(topic.clone())));
        let visible = self.hub.visible();
        let after = self.hub.before_last(&mut backlog, KNOWN_MAX as u64, visible);
        let (known, last_id) = (&mut self.known, &mut self.last_id);
        store::read(&self.hub, topic.as_str(), after, &mut |event: &EventObject<'_>| {
            if let Some(id) = &event.publisher_id {
                id.as_ref().clone_into(last_id);
            }
            if let Ok(data) = std::str::from_utf8(&event.data) {
                known.stored(last_id, event.event_type.as_deref(), data);
            }
        })?;
        Ok(())
    }
}

/// Decodes what was read. `id` is the last id before it.
fn decode(
    decoder: &mut Decoder,
    bytes: &[u8],
    id: &mut String,
    came: &mut Vec<Came>,
) -> Result<(), DecodeError> {
    decoder.feed(bytes, |event: EventRef<'_>| {
        let own_id = event.last_event_id != id.as_str();
        if own_id {
            event.last_event_id.clone_into(id);
        }
        came.push(Came {
            id: id.clone(),
            own_id: own_id && !id.is_empty(),
            // What every decoder assumes anyway.
            event_type: (event.event_type != "message").then(|| event.event_type.to_owned()),
            data: event.data.to_owned(),
        });
    })
}

/// Whether the event itself cannot be kept, now or ever.
fn is_of_one(error: &PublishError) -> bool {
    matches!(error, PublishError::TooLarge { .. } | PublishError::Name { .. })
}

/// Returns when nobody has read for the grace time.
async fn unread(readers: &Readers, grace: Duration) {
    loop {
        readers.none().await;
        tokio::select! {
            () = tokio::time::sleep(grace) => return,
            () = readers.some() => {}
        }
    }
}
