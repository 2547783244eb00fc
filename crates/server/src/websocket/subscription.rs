//! A subscription of a WebSocket connection: a follower, with the name that the client has given
//! it, and with a number under which operators find it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tidings_access::Caller;
use tidings_frame::Position;
use tidings_hub::Selection;
use tokio::sync::mpsc;

use super::request::Reference;
use super::{Control, message};
use crate::app::App;
use crate::dashboard::standing::Standing;
use crate::dashboard::trace::{Of, Record};
use crate::follower::Follower;
use crate::http::subscribe::Subscribe;
use crate::limits::Admission;
use crate::peer::Peer;
use crate::socket::mail::{Change, Changed, Listed, Transport};
use crate::webhooks::occupancy::Attending;

/// A subscription.
pub(super) struct Subscription {
    app: Arc<App>,
    /// What its client calls it.
    pub(super) name: String,
    /// What its client called the request for it.
    pub(super) reference: Option<Reference>,
    /// What stands before its events in a message.
    pub(super) before: Vec<u8>,
    pub(super) follower: Follower,
    pub(super) number: u64,
    /// The token that a change over HTTP was made with; what it added ends with it.
    pub(super) caller: Option<Arc<Caller>>,
    peer: Peer,
    standing: Standing,
    listed: Arc<Mutex<Listed>>,
    /// Counts it among the subscribers of its topics.
    attending: Option<Box<Attending>>,
    _admission: Admission,
}

impl Subscription {
    pub(super) fn new(
        app: &Arc<App>,
        peer: Peer,
        name: String,
        reference: Option<Reference>,
        asked: Subscribe,
    ) -> Self {
        let attending = app.attend(&asked);
        let Subscribe { selection, start, view, caller: token, admission: _admission, .. } = asked;
        let subject = token.and_then(|caller| caller.subject.clone());
        let kind = app.subscribed(&selection, &start);
        let (board, reader) = (app.board.clone(), app.log_reader.clone());
        let follower = Follower::new(board, reader, selection.clone(), start, view);
        let number = app.next_connection.fetch_add(1, Ordering::Relaxed);
        let listed = Listed {
            id: number,
            peer,
            transport: Transport::WebSocket,
            opened_ms: app.hub.now_ms(),
            selection,
            after: 0,
            blocked: false,
            catching_up: true,
            events: 0,
            bytes: 0,
            subject,
        };
        let (app, before) = (app.clone(), message::before_events(&name));
        let listed = Arc::new(Mutex::new(listed));
        let standing = Standing::new(&app.dashboard.counts, false);
        let caller = None;
        let one = Self {
            app,
            name,
            reference,
            before,
            follower,
            number,
            caller,
            peer,
            standing,
            listed,
            attending,
            _admission,
        };
        one.tell(kind);
        one
    }

    /// Tells the traces what becomes of it.
    fn tell(&self, kind: &'static str) {
        if self.app.dashboard.traces.on() {
            let (peer, connection) = (Some(self.peer), Some(self.number));
            let subject = self.listed.lock().subject.clone();
            let subject = subject.as_deref();
            let record = Record { subject, peer, connection, ..Record::of(kind) };
            let of = Of::Selection(self.follower.selection());
            self.app.dashboard.traces.note(self.app.hub.now_ms(), of, &record);
        }
    }

    /// Has it listed: it has begun.
    pub(super) fn register(&self, task: mpsc::Sender<Control>) {
        self.note(0, 0);
        self.app.websockets.insert(self.number, self.listed.clone(), task);
    }

    /// Whether its only topic ends it.
    pub(super) fn is_single(&self) -> bool {
        self.follower.selection().single().is_some()
    }

    /// Its position.
    pub(super) fn position(&self) -> Position {
        Position { epoch: self.app.hub.epoch(), sequence: self.follower.after() }
    }

    /// Notes for the list where it stands, and that it has had so many events and bytes more.
    pub(super) fn note(&self, events: u32, bytes: usize) {
        self.standing.catching_up(self.follower.is_catching_up());
        let mut listed = self.listed.lock();
        listed.after = self.follower.after();
        listed.catching_up = self.follower.is_catching_up();
        listed.events += u64::from(events);
        listed.bytes += bytes as u64;
    }

    /// Notes for the list whether its connection takes nothing more.
    pub(super) fn note_blocked(&self, blocked: bool) {
        if self.standing.blocked(blocked) && blocked {
            self.tell("blocked");
        }
        self.listed.lock().blocked = blocked;
    }

    /// Makes a change; `None` if it is refused.
    pub(super) fn make(&mut self, change: Change) -> Option<Changed> {
        let mut view = self.follower.view();
        let next = change.make(self.follower.selection(), &mut view, &mut self.caller)?;
        self.follower.show_private(view.private);
        Some(self.change(next))
    }

    /// Changes what it follows.
    pub(super) fn change(&mut self, next: Arc<Selection>) -> Changed {
        let after = self.follower.change(next.clone());
        Attending::changed(&mut self.attending, &next);
        self.listed.lock().selection = next.clone();
        self.note(0, 0);
        Changed { selection: next, after }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.app.websockets.remove(self.number);
        self.tell("unsubscribed");
    }
}
