//! The streams that are tasks, for whoever lists, changes and ends them.
//!
//! A stream and everybody else share one [`Place`]: the stream notes there how it stands, and finds
//! there what is asked of it whenever it is polled. An idle place is a few hundred bytes; a channel
//! for each would be more than the subscription itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::socket::mail::{Change, Changed, Listed};

/// What others ask of a stream and it has not done yet, at most; more are told it is not there.
const ASKED_MAX: usize = 16;

/// What others ask of a stream.
pub(super) enum Control {
    /// Change what it follows.
    Change { change: Change, done: oneshot::Sender<Option<Changed>> },
    /// End.
    Close { done: oneshot::Sender<bool> },
}

/// What a stream and everybody else know of it.
pub(super) struct Place {
    shared: Mutex<Shared>,
}

struct Shared {
    listed: Listed,
    asked: Vec<Control>,
    waker: Option<Waker>,
}

impl Place {
    /// Notes how the stream stands.
    pub(super) fn note(&self, note: impl FnOnce(&mut Listed)) {
        note(&mut self.shared.lock().listed);
    }

    /// What was asked since the last time; the next time that there is something, or that all are
    /// to look, `waker` is woken.
    pub(super) fn take(&self, waker: &Waker) -> Vec<Control> {
        let mut shared = self.shared.lock();
        if !shared.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
            shared.waker = Some(waker.clone());
        }
        std::mem::take(&mut shared.asked)
    }

    fn ask(&self, control: Control) {
        let mut shared = self.shared.lock();
        // What is dropped is answered by its silence.
        if shared.asked.len() < ASKED_MAX {
            shared.asked.push(control);
        }
        shared.wake();
    }
}

impl Shared {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

/// All of them, by number.
#[derive(Default)]
pub(crate) struct Streams {
    all: Mutex<HashMap<u64, Arc<Place>>>,
}

impl Streams {
    /// Makes a place for a stream.
    pub(super) fn insert(&self, listed: Listed) -> Arc<Place> {
        let number = listed.id;
        let shared = Mutex::new(Shared { listed, asked: Vec::new(), waker: None });
        let place = Arc::new(Place { shared });
        self.all.lock().insert(number, place.clone());
        place
    }

    pub(super) fn remove(&self, number: u64) {
        self.all.lock().remove(&number);
    }

    /// How they stand.
    pub(crate) fn list(&self) -> Vec<Listed> {
        self.all.lock().values().map(|place| place.shared.lock().listed.clone()).collect()
    }

    /// Changes one; `None` if there is none of this number, or the change was refused.
    pub(crate) async fn change(&self, number: u64, change: Change) -> Option<Changed> {
        let (done, changed) = oneshot::channel();
        self.find(number)?.ask(Control::Change { change, done });
        changed.await.ok().flatten()
    }

    /// Ends one; whether it was there.
    pub(crate) async fn close(&self, number: u64) -> bool {
        let Some(place) = self.find(number) else { return false };
        let (done, closed) = oneshot::channel();
        place.ask(Control::Close { done });
        // It may have ended meanwhile: then what is asked goes with it, and is answered by that.
        drop(place);
        closed.await.unwrap_or(false)
    }

    fn find(&self, number: u64) -> Option<Arc<Place>> {
        self.all.lock().get(&number).cloned()
    }

    /// Has them all look around: the server is stopping.
    pub(crate) fn wake_all(&self) {
        for place in self.all.lock().values() {
            place.shared.lock().wake();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use std::pin::pin;
    use std::task::{Context, Poll};

    use tidings_frame::TopicName;
    use tidings_hub::Selection;

    use super::*;
    use crate::peer::Peer;
    use crate::socket::mail::Transport;

    #[test]
    fn who_asks_a_stream_that_ends_before_it_looks_is_answered() {
        let streams = Streams::default();
        let place = streams.insert(Listed {
            id: 7,
            peer: Peer::plain(([127, 0, 0, 1], 1).into()),
            transport: Transport::Sse,
            opened_ms: 0,
            selection: Arc::new(Selection::one(TopicName::new("t").unwrap())),
            after: 0,
            blocked: false,
            catching_up: false,
            events: 0,
            bytes: 0,
            subject: None,
        });
        let mut closes = pin!(streams.close(7));
        let mut context = Context::from_waker(Waker::noop());
        assert!(closes.as_mut().poll(&mut context).is_pending());
        streams.remove(7);
        drop(place);
        assert_eq!(closes.as_mut().poll(&mut context), Poll::Ready(false));
    }
}
