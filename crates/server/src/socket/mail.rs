//! What other threads tell a thread that holds sockets.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::event::EventfdFlags;
use tidings_access::Caller;
use tidings_hub::{Bell, Selection, StoreError, View};
use tokio::sync::oneshot;

use super::conn::Subscriber;
use crate::http::subscribe::Subscribe;
use crate::peer::Peer;

/// A message to a shard or a backfill thread. Those that carry a socket are as many as there are
/// connections, the others as many as there are requests in hand.
pub(crate) enum Mail {
    /// A connection that hyper has taken the request of.
    Adopt { fd: OwnedFd, peer: Peer, asked: Box<Subscribe> },
    /// A subscriber that has caught up, or has to.
    Subscriber(Box<Subscriber>),
    /// A subscriber that begins somewhere in the log.
    Start(Box<Subscriber>, Box<Subscribe>),
    /// A batch that answers wait for is on disk, or never will be.
    Synced { batch: u64, result: Result<(), StoreError> },
    /// List the connections.
    List(oneshot::Sender<Vec<Listed>>),
    /// Change what a connection is subscribed to. Answered with whether it is here.
    Change { id: u64, change: Change, done: oneshot::Sender<Option<Changed>> },
    /// End a connection. Answered with whether it was here.
    Close { id: u64, done: oneshot::Sender<bool> },
}

/// A change of a subscription.
pub(crate) struct Change {
    pub(crate) next: Next,
    /// The token that the connection's own client has shown: it stands on this one from now on.
    pub(crate) renewed: Option<Arc<Caller>>,
}

/// From the present selection to the next; `None` if it is refused.
type Next = Box<dyn FnOnce(&Selection) -> Option<Permitted> + Send>;

/// A selection that was judged.
pub(crate) struct Permitted {
    pub(crate) selection: Arc<Selection>,
    /// Whether private events of all of it may be shown.
    pub(crate) private: bool,
}

impl Change {
    /// Makes the change of whoever has this selection, view and token; `None` if it is refused.
    /// Only a client's own token shows it more than it was shown before.
    pub(crate) fn make(
        self,
        present: &Selection,
        view: &mut View,
        caller: &mut Option<Arc<Caller>>,
    ) -> Option<Arc<Selection>> {
        let Permitted { selection, private } = (self.next)(present)?;
        view.private = private && (view.private || self.renewed.is_some());
        if self.renewed.is_some() {
            *caller = self.renewed;
        }
        Some(selection)
    }
}

/// What a change has made of a subscription.
#[derive(Clone, Debug)]
pub(crate) struct Changed {
    pub(crate) selection: Arc<Selection>,
    /// The position from which it holds: every matching event after it will be sent.
    pub(crate) after: u64,
}

/// A connection in the list.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) id: u64,
    pub(crate) peer: Peer,
    pub(crate) transport: Transport,
    pub(crate) opened_ms: u64,
    pub(crate) selection: Arc<Selection>,
    /// It has everything up to here.
    pub(crate) after: u64,
    /// Whether its socket takes nothing more.
    pub(crate) blocked: bool,
    /// Whether it is reading the log.
    pub(crate) catching_up: bool,
    pub(crate) events: u64,
    /// Bytes sent.
    pub(crate) bytes: u64,
    /// Whom its token names.
    pub(crate) subject: Option<String>,
}

/// How a subscription is told its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Sse,
    WebSocket,
    LongPoll,
}

impl Transport {
    /// As the list names it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sse => "sse",
            Self::WebSocket => "websocket",
            Self::LongPoll => "long-poll",
        }
    }
}

impl Listed {
    pub(super) fn new(subscriber: &Subscriber, catching_up: bool) -> Self {
        Self {
            id: subscriber.id,
            peer: subscriber.peer,
            transport: Transport::Sse,
            opened_ms: subscriber.opened_ms,
            selection: subscriber.selection.clone(),
            after: subscriber.after,
            blocked: !subscriber.rest.is_empty(),
            catching_up,
            events: subscriber.events,
            bytes: subscriber.bytes,
            subject: subscriber.subject().map(str::to_owned),
        }
    }
}

/// A letterbox with a bell: whoever sleeps in epoll is woken by either.
pub(crate) struct Mailbox {
    mail: Mutex<Vec<Mail>>,
    pub(crate) bell: Arc<Bell>,
    /// Becomes readable when there is something.
    pub(super) wakeup: Arc<OwnedFd>,
}

impl Mailbox {
    pub(crate) fn new(visible: u64) -> std::io::Result<Arc<Self>> {
        let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        let wakeup = Arc::new(rustix::event::eventfd(0, flags)?);
        let ring = wakeup.clone();
        let bell = Bell::new(visible, move || {
            // A full counter wakes just as well.
            let _ = rustix::io::write(&*ring, &1_u64.to_ne_bytes());
        });
        Ok(Arc::new(Self { mail: Mutex::default(), bell, wakeup }))
    }

    pub(crate) fn send(&self, mail: Mail) {
        self.mail.lock().push(mail);
        self.bell.wake();
    }

    pub(super) fn take(&self) -> Vec<Mail> {
        let mut mail = self.mail.lock();
        if mail.is_empty() { Vec::new() } else { std::mem::take(&mut *mail) }
    }

    /// Says that the owner is about to sleep; `false` if there is something to do first.
    pub(super) fn sleep(&self) -> bool {
        self.bell.sleep() && {
            let quiet = self.mail.lock().is_empty();
            if !quiet {
                self.bell.awake();
            }
            quiet
        }
    }

    /// Empties the wake-up counter.
    pub(super) fn silence(&self) {
        let _ = rustix::io::read(&*self.wakeup, &mut [0_u8; 8]);
    }
}
