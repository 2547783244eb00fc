//! A subscription of a WebSocket connection: a follower, with the name that the client has given
//! it, and with a number under which operators find it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tidings_frame::Position;
use tidings_hub::Selection;
use tokio::sync::mpsc;

use super::request::Reference;
use super::{Control, message};
use crate::app::App;
use crate::follower::Follower;
use crate::http::subscribe::Subscribe;
use crate::peer::Peer;
use crate::socket::mail::{Changed, Listed, Transport};

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
    listed: Arc<Mutex<Listed>>,
}

impl Subscription {
    pub(super) fn new(
        app: &Arc<App>,
        peer: Peer,
        name: String,
        reference: Option<Reference>,
        asked: Subscribe,
    ) -> Self {
        let Subscribe { selection, start, view, .. } = asked;
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
        };
        let (app, before) = (app.clone(), message::before_events(&name));
        let listed = Arc::new(Mutex::new(listed));
        Self { app, name, reference, before, follower, number, listed }
    }

    /// Has it listed: it has begun.
    pub(super) fn register(&self, task: mpsc::Sender<Control>) {
        self.note(0);
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

    /// Notes for the list where it stands, and that it has had so many events more.
    pub(super) fn note(&self, events: u32) {
        let mut listed = self.listed.lock();
        listed.after = self.follower.after();
        listed.catching_up = self.follower.is_catching_up();
        listed.events += u64::from(events);
    }

    /// Notes for the list whether its connection takes nothing more.
    pub(super) fn note_blocked(&self, blocked: bool) {
        self.listed.lock().blocked = blocked;
    }

    /// Changes what it follows.
    pub(super) fn change(&mut self, next: Arc<Selection>) -> Changed {
        let after = self.follower.change(next.clone());
        self.listed.lock().selection = next.clone();
        self.note(0);
        Changed { selection: next, after }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.app.websockets.remove(self.number);
    }
}
