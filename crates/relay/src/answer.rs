//! An answer: a topic, who asked, who reads, and how far it is.
//!
//! What was said is in the topic. This is what is known beside it while the process lives; the
//! [ledger](crate::ledger) keeps what must outlive it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;
use tidings_frame::End;
use tokio::sync::{Notify, watch};

use crate::dialect::{Dialect, Usage};
use crate::readers::Readers;
use crate::said::Said;

/// The topics of answers: this and the answer's name.
pub const ANSWERS: &str = "$answers/";

/// How far an answer is.
#[derive(Clone, Debug)]
pub enum Phase {
    /// The upstream was asked and has not answered.
    Asking,
    /// The answer comes. The upstream's header fields, unless its answer was not waited for.
    Streaming(Option<Arc<HeaderMap>>),
    /// The upstream answered with something that is no stream: there is no topic.
    Plain(Arc<Plain>),
    /// It is over.
    Ended(End),
}

/// An answer that is no stream: an error mostly.
#[derive(Clone, Debug)]
pub struct Plain {
    /// HTTP status.
    pub status: u16,
    /// The upstream's header fields, without those that concern one connection.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// What is known of an answer once it has begun.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The upstream's own id of it.
    pub response: Option<String>,
    /// The model that answers.
    pub model: Option<String>,
    /// What it cost so far.
    pub usage: Usage,
}

/// How far an answer has come, for whoever watches; what it cost in the end is in [`Known`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Tokens written so far, as the upstream counts them or, until it does, parts that have come.
    pub tokens: u64,
    /// Bytes of the events so far.
    pub bytes: u64,
    /// When the first part of the answer came, milliseconds since 1970.
    pub first_ms: Option<u64>,
    /// When it ended, milliseconds since 1970; not known of those that an earlier process had.
    pub ended_ms: Option<u64>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Unguessable.
    pub name: String,
    /// Index of its relay.
    pub relay: usize,
    /// What its events look like.
    pub dialect: Dialect,
    /// Whether it is told to the AI SDK, in its own protocol.
    pub ui: bool,
    /// Fingerprint of who asked.
    pub owner: String,
    /// Fingerprint of what was asked.
    pub asked: String,
    /// Fingerprint of the `Idempotency-Key`.
    pub key: Option<String>,
    /// The chat that it belongs to.
    pub chat: Option<String>,
    /// Milliseconds since 1970.
    pub began_ms: u64,
    /// The position before its first event.
    pub before: u64,
    /// Until when it is kept, milliseconds since 1970.
    pub until_ms: u64,
    /// Whether the upstream goes on with it by itself.
    pub background: bool,
    /// Who reads it.
    pub readers: Arc<Readers>,
    pub(crate) known: Mutex<Known>,
    pub(crate) progress: Mutex<Progress>,
    /// The names of what it has said, once somebody has asked.
    pub(crate) said: Mutex<Said>,
    phase: watch::Sender<Phase>,
    /// The upstream's header fields, until whoever asked has taken them: a short answer is over
    /// before that one looks.
    upstream: Mutex<Option<Arc<HeaderMap>>>,
    /// How it is about to end, known before its readers are told.
    ending: Mutex<Option<End>>,
    stopped: AtomicBool,
    stop: Notify,
}

/// What an answer begins with.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) name: String,
    pub(crate) relay: usize,
    pub(crate) dialect: Dialect,
    pub(crate) ui: bool,
    pub(crate) owner: String,
    pub(crate) asked: String,
    pub(crate) key: Option<String>,
    pub(crate) chat: Option<String>,
    pub(crate) began_ms: u64,
    pub(crate) before: u64,
    pub(crate) until_ms: u64,
    pub(crate) background: bool,
}

impl Answer {
    pub(crate) fn new(begin: Begin, phase: Phase, known: Known) -> Arc<Self> {
        let Begin { name, relay, dialect, ui, owner, asked, key, chat, .. } = begin;
        let Begin { began_ms, before, until_ms, background, .. } = begin;
        Arc::new(Self {
            name,
            relay,
            dialect,
            ui,
            owner,
            asked,
            key,
            chat,
            began_ms,
            before,
            until_ms,
            background,
            readers: Arc::default(),
            progress: Mutex::new(Progress {
                tokens: known.usage.output_tokens.unwrap_or(0),
                ..Progress::default()
            }),
            known: Mutex::new(known),
            said: Mutex::default(),
            phase: watch::Sender::new(phase),
            upstream: Mutex::default(),
            ending: Mutex::default(),
            stopped: AtomicBool::new(false),
            stop: Notify::new(),
        })
    }

    /// Its topic.
    #[must_use]
    pub fn topic(&self) -> String {
        format!("{ANSWERS}{}", self.name)
    }

    /// Whether its topic is still there.
    #[must_use]
    pub fn is_kept(&self, now_ms: u64) -> bool {
        now_ms < self.until_ms
    }

    /// How far it is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase.borrow().clone()
    }

    /// What is known of it.
    #[must_use]
    pub fn known(&self) -> Known {
        self.known.lock().clone()
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        *self.progress.lock()
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<End> {
        match *self.phase.borrow() {
            Phase::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// How it ended, or is about to: whoever has been told of an end comes back at once.
    pub(crate) fn ending(&self) -> Option<End> {
        self.ending.lock().or_else(|| self.ended())
    }

    /// Notes how it is about to end; `false` if that was noted before.
    pub(crate) fn set_ending(&self, end: End) -> bool {
        self.ending.lock().replace(end).is_none()
    }

    /// Whether the upstream is still to be read.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Asking | Phase::Streaming(_))
    }

    /// Returns once `is_it` holds.
    pub async fn reached(&self, is_it: impl FnMut(&Phase) -> bool) -> Phase {
        let mut phase = self.phase.subscribe();
        let reached = phase.wait_for(is_it).await.map(|phase| phase.clone());
        // The sender lives in `self`.
        reached.unwrap_or(Phase::Ended(End::Error))
    }

    /// Answers the client with a stream although the upstream has not answered yet; `false` if it
    /// has in the meantime.
    pub fn stream_anyway(&self) -> bool {
        self.enter(Phase::Streaming(None))
    }

    /// Leaves [`Phase::Asking`]; `false` if that was left before.
    pub(crate) fn enter(&self, next: Phase) -> bool {
        self.phase.send_if_modified(|phase| {
            let asking = matches!(phase, Phase::Asking);
            if asking {
                if let Phase::Streaming(Some(headers)) = &next {
                    *self.upstream.lock() = Some(headers.clone());
                }
                *phase = next;
            }
            asking
        })
    }

    /// Takes the upstream's header fields, for whoever asked.
    pub fn take_upstream(&self) -> Option<Arc<HeaderMap>> {
        self.upstream.lock().take()
    }

    pub(crate) fn end(&self, end: End) {
        if self.readers.count() == 0 {
            self.take_upstream();
        }
        self.phase.send_replace(Phase::Ended(end));
    }

    /// Asks the generation to stop. Safe to repeat; of no effect once it is over.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.stop.notify_one();
    }

    /// Returns when somebody has asked to stop. For the generation alone.
    pub(crate) async fn told_to_stop(&self) {
        while !self.stopped.load(Ordering::Acquire) {
            self.stop.notified().await;
        }
    }
}
