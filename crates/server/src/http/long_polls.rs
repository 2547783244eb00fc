//! The long polls that wait, for whoever lists and ends them: they are connections like any other,
//! for as long as they wait.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tidings_hub::Selection;
use tokio::sync::Notify;

use crate::app::App;
use crate::dashboard::standing::OneMore;
use crate::peer::Peer;
use crate::socket::mail::{Listed, Transport};

/// The long polls.
#[derive(Default)]
pub(crate) struct LongPolls {
    all: Mutex<HashMap<u64, (Listed, Arc<Notify>)>>,
}

impl LongPolls {
    /// How they stand.
    pub(crate) fn list(&self) -> Vec<Listed> {
        self.all.lock().values().map(|(listed, _)| listed.clone()).collect()
    }

    /// Ends one: it is answered with what there is. Whether it was there.
    pub(crate) fn close(&self, number: u64) -> bool {
        let found = self.all.lock().get(&number).map(|(_, ended)| ended.clone());
        found.inspect(|ended| ended.notify_one()).is_some()
    }
}

/// One that waits, listed for as long as this lives.
pub(super) struct Waiting<'a> {
    app: &'a App,
    number: u64,
    ended: Arc<Notify>,
    _counted: OneMore,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(
        app: &'a App,
        (peer, subject): (Option<Peer>, Option<&str>),
        selection: &Arc<Selection>,
        after: u64,
    ) -> Self {
        let number = app.next_connection.fetch_add(1, Ordering::Relaxed);
        let listed = Listed {
            id: number,
            peer: peer.unwrap_or_else(|| Peer::plain(SocketAddr::from(([0, 0, 0, 0], 0)))),
            opened_ms: app.hub.now_ms(),
            selection: selection.clone(),
            after,
            blocked: false,
            catching_up: false,
            events: 0,
            bytes: 0,
            transport: Transport::LongPoll,
            subject: subject.map(str::to_owned),
        };
        let ended = Arc::new(Notify::new());
        app.long_polls.all.lock().insert(number, (listed, ended.clone()));
        let counted = OneMore::new(&app.dashboard.counts, |counts| &counts.long_poll);
        Self { app, number, ended, _counted: counted }
    }

    /// Returns when somebody has ended it.
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.app.long_polls.all.lock().remove(&self.number);
    }
}
