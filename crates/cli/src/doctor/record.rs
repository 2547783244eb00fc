//! Listens to a stream and writes down when what came.
//!
//! A task reads the body; whoever is interested waits for a condition on the record. Everything
//! that is kept has a bound; a stream that goes beyond it is read no further.

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::http::response::Parts;
use tidings_frame::sse_decode::{Decoder, Limits};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::wire::{self, Ask};

/// Most events that are kept of one stream.
const EVENTS_MAX: usize = 20_000;
/// Most reads that are kept of one stream.
const PIECES_MAX: usize = 50_000;
/// Most bytes that are read of one stream.
const BYTES_MAX: u64 = 64 << 20;
/// Most bytes of an event's data that are kept: the probe's own events have some 20.
const DATA_BYTES_MAX: usize = 64;

/// What came in one read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) at: Instant,
    pub(super) bytes: usize,
    /// It ends where a line ends.
    pub(super) whole: bool,
}

/// An event that came.
#[derive(Debug, Clone)]
pub(super) struct Came {
    pub(super) at: Instant,
    pub(super) id: String,
    pub(super) event_type: String,
    /// The first bytes of its data.
    pub(super) data: String,
}

/// How far a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// The head has not come.
    Waiting,
    /// The body is being read.
    Open,
    /// The body ended as HTTP ends a body.
    Ended(Instant),
    /// The connection was cut, or there was none.
    Broken(Instant, String),
    /// There is more than is read.
    Full,
}

/// What is known about one stream.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) begun: Instant,
    /// When the request was sent, the head came, and what it said.
    pub(super) head: Option<(Instant, Instant, Parts)>,
    pub(super) pieces: Vec<Piece>,
    pub(super) events: Vec<Came>,
    pub(super) comments: u64,
    pub(super) bytes: u64,
    pub(super) state: State,
}

impl Record {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            head: None,
            pieces: Vec::new(),
            events: Vec::new(),
            comments: 0,
            bytes: 0,
            state: State::Waiting,
        }
    }

    /// Whether nothing more will come.
    pub(super) fn is_over(&self) -> bool {
        !matches!(self.state, State::Waiting | State::Open)
    }

    /// A header of the answer.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let (_, _, head) = self.head.as_ref()?;
        head.headers.get(name)?.to_str().ok()
    }

    /// From the request to the first byte of the body.
    pub(super) fn first_byte(&self) -> Option<Duration> {
        let (sent, _, _) = self.head.as_ref()?;
        Some(self.pieces.first()?.at.saturating_duration_since(*sent))
    }

    /// The longest time without a byte, from the head to the end or to now.
    pub(super) fn longest_silence(&self) -> Duration {
        let Some((_, head_at, _)) = &self.head else { return Duration::ZERO };
        let end = match &self.state {
            State::Ended(at) | State::Broken(at, _) => *at,
            _ => Instant::now(),
        };
        let times = self.pieces.iter().map(|piece| piece.at).chain([end]);
        let mut last = *head_at;
        let mut longest = Duration::ZERO;
        for at in times {
            longest = longest.max(at.saturating_duration_since(last));
            last = at;
        }
        longest
    }

    /// The time without a byte before the end.
    pub(super) fn last_silence(&self) -> Duration {
        let last = self.pieces.last().map(|piece| piece.at);
        let last = last.or_else(|| self.head.as_ref().map(|(_, at, _)| *at));
        match (&self.state, last) {
            (State::Ended(at) | State::Broken(at, _), Some(last)) => {
                at.saturating_duration_since(last)
            }
            _ => Duration::ZERO,
        }
    }
}

/// A stream that is being listened to. It is closed when this is dropped.
#[derive(Debug)]
pub(super) struct Listening {
    seen: watch::Receiver<Record>,
    task: JoinHandle<()>,
}

impl Listening {
    /// Asks for a stream and begins to listen.
    pub(super) fn start(ask: Ask) -> Self {
        let (told, seen) = watch::channel(Record::new());
        let task = tokio::spawn(listen(ask, told));
        Self { seen, task }
    }

    /// Waits for a condition, or for the stream to be over, for a bounded time. Whether the
    /// condition holds.
    pub(super) async fn until(
        &mut self,
        bound: Duration,
        mut condition: impl FnMut(&Record) -> bool,
    ) -> bool {
        let wait = self.seen.wait_for(|record| condition(record) || record.is_over());
        // The record is looked at once more below, whichever way the waiting ended.
        let _ = tokio::time::timeout(bound, wait).await.map(drop);
        condition(&self.seen.borrow())
    }

    /// What is known by now.
    pub(super) fn record(&self) -> Record {
        self.seen.borrow().clone()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(ask: Ask, told: watch::Sender<Record>) {
    let end = |state: State| told.send_modify(|record| record.state = state);
    let answer = match wire::ask(ask).await {
        Ok(answer) => answer,
        Err(error) => return end(State::Broken(Instant::now(), error.to_string())),
    };
    told.send_modify(|record| {
        record.head = Some((answer.sent, answer.head_at, answer.head.clone()));
        record.state = State::Open;
    });
    let mut decoder = Decoder::new(Limits::default());
    // Compressed bytes are timed, not read.
    let readable = !answer.head.headers.contains_key("content-encoding");
    let mut body = answer.body;
    loop {
        let bytes = match body.frame().await {
            None => return end(State::Ended(Instant::now())),
            Some(Err(error)) => {
                return end(State::Broken(Instant::now(), wire::chain(&error)));
            }
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) if !bytes.is_empty() => bytes,
                _ => continue,
            },
        };
        let at = Instant::now();
        let mut came = Vec::new();
        let decoded = match readable {
            true => decoder.feed(&bytes, |event| came.push(keep(at, &event))),
            false => Ok(()),
        };
        let mut full = decoded.is_err();
        told.send_modify(|record| {
            let whole = bytes.ends_with(b"\n") || bytes.ends_with(b"\r");
            record.pieces.push(Piece { at, bytes: bytes.len(), whole });
            record.bytes += bytes.len() as u64;
            record.events.append(&mut came);
            record.comments = decoder.comments();
            full |= record.events.len() >= EVENTS_MAX;
            full |= record.pieces.len() >= PIECES_MAX || record.bytes >= BYTES_MAX;
        });
        if full {
            return end(State::Full);
        }
    }
}

fn keep(at: Instant, event: &tidings_frame::sse_decode::EventRef<'_>) -> Came {
    let mut data = event.data;
    if data.len() > DATA_BYTES_MAX {
        let cut = (0..=DATA_BYTES_MAX).rev().find(|&at| data.is_char_boundary(at));
        data = &data[..cut.unwrap_or(0)];
    }
    Came {
        at,
        id: event.last_event_id.to_owned(),
        event_type: event.event_type.to_owned(),
        data: data.to_owned(),
    }
}
