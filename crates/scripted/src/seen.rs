//! What an upstream has seen: requests, and what became of their answers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::Value;

/// Requests remembered unless told otherwise; the oldest are forgotten.
pub(crate) const REMEMBERED_MAX: usize = 65_536;

/// Bytes of request bodies remembered; the oldest requests are forgotten beyond it.
const REMEMBERED_BYTES_MAX: usize = 256 << 20;

/// A request.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its number, from 0, over all connections.
    pub number: u64,
    /// Its method, as sent.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// What stands after the `?`; empty without one.
    pub query: String,
    /// The headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, without its transfer coding.
    pub body: Vec<u8>,
    /// When all of it was there.
    pub at: Instant,
}

impl Received {
    /// The first header of a name (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(has, _)| has == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Whether a stream is asked for: `"stream": true` in the body, or `stream=true` in the query.
    #[must_use]
    pub fn wants_stream(&self) -> bool {
        self.query.split('&').any(|pair| pair == "stream=true") || self.json()["stream"] == true
    }
}

/// A request and what became of its answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was asked.
    pub request: Arc<Received>,
    /// Bytes of the body given to the socket, without its transfer coding.
    pub bytes: u64,
    /// Tokens given to the socket.
    pub tokens: u64,
    /// Whether its socket takes nothing more for the time being, because the client does not read.
    pub blocked: bool,
    /// When the answer ended by itself, after its beginning: complete, or broken as the script
    /// wanted it.
    pub finished: Option<Duration>,
    /// When the client closed the connection before that, after the answer's beginning.
    pub closed_by_client: Option<Duration>,
}

/// What an upstream has seen so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Connections that are open now.
    pub open_connections: usize,
    /// Connections accepted ever.
    pub connections: u64,
    /// Answers begun ever.
    pub answers_begun: u64,
    /// The answers that are remembered, in the order of their requests.
    pub answers: VecDeque<Answer>,
}

impl Seen {
    /// The answer to request `number`, if it is remembered.
    #[must_use]
    pub fn answer(&self, number: u64) -> Option<&Answer> {
        self.answers.get(self.place(number)?)
    }

    fn place(&self, number: u64) -> Option<usize> {
        let first = self.answers.front()?.request.number;
        usize::try_from(number.checked_sub(first)?).ok()
    }

    /// Answers that have begun and not ended.
    #[must_use]
    pub fn running(&self) -> usize {
        let ended = |answer: &&Answer| answer.finished.or(answer.closed_by_client).is_none();
        self.answers.iter().filter(ended).count()
    }
}

/// What the serving thread and its observers share.
pub(crate) struct Board {
    seen: Mutex<Kept>,
    changed: Condvar,
}

struct Kept {
    seen: Seen,
    remembered_max: usize,
    body_bytes: usize,
}

impl Board {
    pub(crate) fn new() -> Self {
        let seen = Seen::default();
        let kept = Kept { seen, remembered_max: REMEMBERED_MAX, body_bytes: 0 };
        Self { seen: Mutex::new(kept), changed: Condvar::new() }
    }

    /// Changes what is seen, and wakes who waits for a change.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().seen);
        self.changed.notify_all();
    }

    /// Changes one answer, if it is remembered.
    pub(crate) fn update_answer(&self, number: u64, change: impl FnOnce(&mut Answer)) {
        self.update(|seen| {
            let place = seen.place(number);
            if let Some(answer) = place.and_then(|place| seen.answers.get_mut(place)) {
                change(answer);
            }
        });
    }

    /// A new request.
    pub(crate) fn begin(&self, request: &Arc<Received>) {
        let mut kept = self.seen.lock();
        kept.body_bytes += request.body.len();
        kept.seen.answers_begun += 1;
        let request = Arc::clone(request);
        let (finished, closed_by_client) = (None, None);
        kept.seen.answers.push_back(Answer {
            request,
            bytes: 0,
            tokens: 0,
            blocked: false,
            finished,
            closed_by_client,
        });
        kept.forget();
        drop(kept);
        self.changed.notify_all();
    }

    /// How many requests are remembered from now on.
    pub(crate) fn remember(&self, max: usize) {
        let mut kept = self.seen.lock();
        kept.remembered_max = max;
        kept.forget();
    }

    /// What `look` finds now.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().seen)
    }

    /// Waits until `condition` holds; whether it does.
    pub(crate) fn wait(&self, bound: Duration, mut condition: impl FnMut(&Seen) -> bool) -> bool {
        let mut kept = self.seen.lock();
        !self.changed.wait_while_for(&mut kept, |kept| !condition(&kept.seen), bound).timed_out()
            || condition(&kept.seen)
    }
}

impl Kept {
    fn forget(&mut self) {
        while self.seen.answers.len() > self.remembered_max
            || self.body_bytes > REMEMBERED_BYTES_MAX
        {
            let Some(oldest) = self.seen.answers.pop_front() else { return };
            self.body_bytes -= oldest.request.body.len();
        }
    }
}
