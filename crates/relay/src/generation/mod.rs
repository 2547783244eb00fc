//! One answer being made: the task that asks the upstream, reads it, and stores what it says.
//!
//! It belongs to no client. It ends because the answer is complete, because the upstream breaks or
//! is silent for too long, because somebody stops it, or because nobody reads and the policy says
//! that this is the same; and whichever it is, the topic says so. Dropping the upstream's body
//! closes its connection at once, which is how an upstream learns that it can stop.
//!
//! An event is stored before anybody sees it, and a topic never just falls silent: whatever breaks
//! is told in the words of its dialect, because the official SDKs take a clean end for success.

use std::sync::Arc;
use std::time::Duration;

use tidings_frame::End;
use tidings_frame::sse_decode::{Decoder, Limits};
use tidings_hub::PublishError;
use tokio::time::{Instant, sleep};

mod ask;
mod read;
mod resume;
#[cfg(test)]
mod tests;

pub(crate) use ask::{plain, unreachable};

use crate::answer::{Answer, Phase, Plain};
use crate::appender::Line;
use crate::config::{LlmConfig, OnDisconnect};
use crate::dialect::{Asked, Cause, Dialect, Reader, Record};
use crate::outgoing::Outgoing;
use crate::readers::Readers;
use crate::relays::Relays;
use crate::store;

/// Wait before the end of an answer is stored once more, after the log has refused it, and how long
/// that is tried.
const END_RETRY: Duration = Duration::from_secs(1);
const END_RETRIED_MAX: Duration = Duration::from_secs(600);

/// What became of the conversation with the upstream.
enum Outcome {
    /// The upstream answered, but not with a stream.
    Plain(Plain),
    /// The answer is in its topic, to its end.
    Over(End),
    /// It broke off.
    Broken { clean: bool, cause: Cause },
}

/// What the reader of an answer has to know of the request.
#[derive(Clone, Debug)]
pub(crate) struct Asks {
    pub(crate) dialect: Dialect,
    pub(crate) asked: Asked,
    /// The message that the AI SDK is told, if it is the AI SDK.
    pub(crate) message: Option<String>,
}

impl Asks {
    pub(crate) fn reader(&self) -> Reader {
        match &self.message {
            Some(message) => Reader::ui(&self.asked, message),
            None => Reader::new(self.dialect, &self.asked),
        }
    }
}

/// The task's state.
pub(crate) struct Generation {
    pub(crate) relays: Arc<Relays>,
    pub(crate) config: Arc<LlmConfig>,
    pub(crate) answer: Arc<Answer>,
    /// Made anew for each upstream: what one has begun is nothing to the next.
    reader: Reader,
    asks: Asks,
    line: Line,
    /// What is not handed in yet: openings, for another upstream may still take over, and what
    /// waits for what was handed in before.
    held: Vec<Record>,
    /// Whether the client knows that there is a stream, and what the upstream calls the answer.
    entered: bool,
    learnt: bool,
    /// Whether the topic's end was handed in.
    ended: bool,
    bytes: usize,
    decoder: Decoder,
    /// Bytes of the upstream's body, for upstreams that go on after so many.
    received: u64,
    /// The sequence number of the last event, for upstreams that go on after one.
    number: Option<u64>,
    /// Records that are stored already, of an answer that is read again from its beginning.
    skip: usize,
    begun: Instant,
    /// When the last part of the answer came.
    last_token: Option<Instant>,
}

impl Generation {
    pub(crate) fn new(
        relays: Arc<Relays>,
        config: Arc<LlmConfig>,
        answer: Arc<Answer>,
        asks: Asks,
    ) -> Self {
        let line = relays.appender.line(answer.topic());
        Self {
            relays,
            config,
            answer,
            reader: asks.reader(),
            asks,
            line,
            held: Vec::new(),
            entered: false,
            learnt: false,
            ended: false,
            bytes: 0,
            decoder: Decoder::new(Limits::default()),
            received: 0,
            number: None,
            skip: 0,
            begun: Instant::now(),
            last_token: None,
        }
    }

    /// Asks for an answer and stores it.
    pub(crate) async fn run(self, request: Outgoing, policy: OnDisconnect) {
        self.carry_through(request, policy, false).await;
    }

    /// Goes on with an answer that an earlier process left, once [`remember`](Self::remember) has
    /// said that it can.
    pub(crate) async fn take_up_again(self, request: Outgoing) {
        // Its readers are yet to come back.
        self.carry_through(request, OnDisconnect::Continue, true).await;
    }

    async fn carry_through(mut self, mut request: Outgoing, policy: OnDisconnect, begun: bool) {
        let (answer, limit) = (self.answer.clone(), self.config.runtime_max);
        let readers = answer.readers.clone();
        let outcome = tokio::select! {
            biased;
            () = answer.told_to_stop() => stopped(Cause::Stopped),
            () = abandoned(&readers, policy) => stopped(Cause::Stopped),
            () = sleep(limit) => {
                stopped(Cause::TimedOut(format!("the answer took longer than {limit:?}")))
            }
            outcome = async {
                if begun {
                    Box::pin(self.take_up(&request)).await
                } else {
                    self.converse(&mut request).await
                }
            } => outcome,
        };
        let (end, stored) = match outcome {
            Outcome::Over(end) => (end, true),
            Outcome::Plain(plain) => match self.plain(plain).await {
                Some(ended) => ended,
                None => return,
            },
            Outcome::Broken { clean, cause } => self.break_off(clean, &cause).await,
        };
        let begun = self.last_token.is_some();
        self.relays.finished(&self.answer, &self.reader, end, (begun, stored));
    }

    /// What one upstream has begun is nothing to the next.
    fn begin_anew(&mut self) {
        (self.reader, self.learnt) = (self.asks.reader(), false);
        self.decoder.reset();
        (self.bytes, self.received, self.number) = (0, 0, None);
    }

    /// Tells an answer that is no stream. `None` if the client was given it as it is.
    async fn plain(&mut self, plain: Plain) -> Option<(End, bool)> {
        let why = format!("the upstream answered with status {}", plain.status);
        self.relays.account_unstreamed(&self.answer, &plain);
        if self.relays.refuse(&self.answer, plain) {
            return None;
        }
        // Somebody has been promised a stream.
        Some(self.break_off(false, &Cause::Broken(why)).await)
    }

    /// Stores what tells the readers that the answer is not whole; returns how it ended, and
    /// whether that is stored.
    async fn break_off(&mut self, clean: bool, cause: &Cause) -> (End, bool) {
        self.answer.enter(Phase::Streaming(None));
        let mut records = std::mem::take(&mut self.held);
        let mut lost = None;
        // First what was handed in; nothing may follow what could not be stored, but the error.
        if let Err(error) = self.line.settle() {
            records.clear();
            lost = Some(unstored(&error));
        }
        let end = match &lost {
            Some(cause) => self.reader.finish(false, cause, &mut records),
            None => self.reader.finish(clean, cause, &mut records),
        };
        if self.ended && lost.is_none() {
            return (end, true);
        }
        self.relays.ending(&self.answer, end);
        let topic = self.line.topic();
        // Whoever reads waits for an end: a disk that is full now may not be for ever.
        let begun = Instant::now();
        loop {
            match store::append(&self.relays.hub, topic, &records, Some(end)) {
                Ok(_) | Err(PublishError::Ended { .. }) => return (end, true),
                // One of the records cannot be stored; the last one says that it is an error.
                Err(error) if !matches!(error, PublishError::Store(_)) && records.len() > 1 => {
                    tracing::error!(%topic, %error, "a part of an answer is not stored");
                    records.drain(..records.len() - 1);
                }
                Err(error) => {
                    tracing::error!(%topic, %error, "the end of an answer is not stored");
                    if begun.elapsed() > END_RETRIED_MAX {
                        return (end, false);
                    }
                    sleep(END_RETRY).await;
                }
            }
        }
    }
}

fn unstored(error: &PublishError) -> Cause {
    Cause::Broken(format!("the answer cannot be stored: {error}"))
}

fn stopped(cause: Cause) -> Outcome {
    Outcome::Broken { clean: false, cause }
}

/// Returns when nobody reads and the policy says that this ends the answer.
async fn abandoned(readers: &Readers, policy: OnDisconnect) {
    let grace = match policy {
        OnDisconnect::Continue => return std::future::pending().await,
        OnDisconnect::Cancel => Duration::ZERO,
        OnDisconnect::CancelAfter(grace) => grace,
    };
    loop {
        readers.none().await;
        tokio::select! {
            () = sleep(grace) => return,
            () = readers.some() => {}
        }
    }
}
