//! What is kept of a connection: of one that makes requests, and of one that is subscribed.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use tidings_access::Caller;
use tidings_hub::{Selection, View};
use tidings_relay::Lease;
use tidings_relay::merged::Merge;

use super::mail::Change;
use super::timer::timer_ms;
use crate::access::expiring::{self, Expiring};
use crate::app::App;
use crate::dashboard::standing::Standing;
use crate::dashboard::trace::{Of, Record};
use crate::http::subscribe::Subscribe;
use crate::limits::{Admission, Entry, Held, Party};
use crate::peer::Peer;
use crate::webhooks::occupancy::Attending;

/// A connection that makes requests. While it makes none it holds no buffer.
pub(super) struct Requester {
    pub(super) fd: OwnedFd,
    pub(super) peer: Peer,
    /// Whether it is to begin with a proxy's header.
    pub(super) announced: bool,
    /// What came and is not a whole request yet.
    pub(super) input: Vec<u8>,
    /// Answers that the socket did not take yet.
    pub(super) output: Vec<u8>,
    /// Publishes whose answers wait for the disk.
    pub(super) pending: u32,
    /// To be closed once the output is out.
    pub(super) closing: bool,
    /// Since when it is idle or its request is incomplete, milliseconds since 1970.
    pub(super) since_ms: u64,
    /// Who asks, as limits see it.
    pub(super) party: Party,
    /// What `input` takes of the memory for requests.
    pub(super) held: Held,
    pub(super) entry: Entry,
    /// Nothing is read from it until the next tick: it has asked more than it may.
    pub(super) paused: bool,
    /// What epoll has told of while it is in line to be read, because its request comes in pieces.
    pub(super) put_off: Option<EventFlags>,
}

impl Requester {
    /// Counts what it holds; `false` if that is more than there is room for.
    #[must_use]
    pub(super) fn hold(&mut self) -> bool {
        self.held.set(self.input.len() + self.output.len())
    }
}

/// A subscription: a position and a socket. It moves between threads as a whole.
pub(crate) struct Subscriber {
    /// Counts it among the readers of a relayed stream. Dropped before its socket: a client that
    /// saw the end, and asks again, is no reader any more.
    _lease: Option<Lease>,
    /// Counts it among the subscribers of its topics.
    pub(crate) attending: Option<Box<Attending>>,
    pub(crate) fd: OwnedFd,
    pub(crate) peer: Peer,
    /// Names the connection for as long as the process lives.
    pub(crate) id: u64,
    /// Milliseconds since 1970.
    pub(crate) opened_ms: u64,
    pub(crate) selection: Arc<Selection>,
    pub(crate) view: View,
    /// It has, or does not want, every event up to here.
    pub(crate) after: u64,
    /// The part of a write that the socket did not take: all that a peer that stops reading pins.
    pub(crate) rest: Bytes,
    /// To be closed once `rest` is out.
    pub(crate) closing: bool,
    /// Milliseconds since 1970.
    pub(crate) last_write_ms: u64,
    /// Events written to it.
    pub(crate) events: u64,
    /// Bytes that its socket took.
    pub(crate) bytes: u64,
    /// Whether it is behind, for those who count.
    pub(crate) standing: Standing,
    app: Arc<App>,
    /// How what it is behind is merged, if it is.
    pub(crate) merge: Option<Merge>,
    _admission: Admission,
    /// Whose token it stands on.
    pub(crate) caller: Option<Arc<Caller>>,
    /// Whether it is told before that token ends.
    expiring: Expiring,
}

/// Rests up to this size are copied, so that they do not pin the span that they are the end of.
const REST_COPIED_BYTES: usize = 1 << 10;

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrote {
    /// The socket took it all.
    All,
    /// The socket is full; what it did not take is kept.
    Part,
    /// The peer is gone.
    Gone,
}

impl Subscriber {
    /// A subscriber whose position is yet to be found.
    pub(crate) fn new(
        app: &Arc<App>,
        fd: OwnedFd,
        peer: Peer,
        asked: &Subscribe,
        now_ms: u64,
    ) -> Self {
        let subscriber = Self {
            fd,
            peer,
            id: app.next_connection.fetch_add(1, Ordering::Relaxed),
            opened_ms: now_ms,
            selection: asked.selection.clone(),
            view: asked.view,
            after: 0,
            rest: Bytes::new(),
            closing: false,
            last_write_ms: timer_ms(),
            events: 0,
            bytes: 0,
            standing: Standing::new(&app.dashboard.counts, true),
            app: app.clone(),
            _admission: asked.admission.clone(),
            merge: asked.opening.as_ref().and_then(|opening| opening.merge),
            attending: app.attend(asked),
            caller: asked.caller.clone(),
            expiring: asked.expiring,
            _lease: asked.opening.as_ref().and_then(|opening| opening.lease.clone()),
        };
        subscriber.tell(app.subscribed(&asked.selection, &asked.start));
        subscriber
    }

    /// Tells the traces what becomes of it.
    fn tell(&self, kind: &'static str) {
        if self.app.dashboard.traces.on() {
            let (peer, connection) = (Some(self.peer), Some(self.id));
            let subject = self.subject();
            let record = Record { subject, peer, connection, ..Record::of(kind) };
            self.app.dashboard.traces.note(
                self.app.hub.now_ms(),
                Of::Selection(&self.selection),
                &record,
            );
        }
    }

    /// Writes; to be called only when there is no rest.
    pub(crate) fn write(&mut self, bytes: &Bytes, timer_ms: u64) -> Wrote {
        debug_assert!(self.rest.is_empty(), "a rest would be overtaken");
        self.last_write_ms = timer_ms;
        let mut sent = 0;
        while sent < bytes.len() {
            match send(&self.fd, &bytes[sent..], FLAGS) {
                Ok(count) => {
                    sent += count;
                    self.bytes += count as u64;
                }
                Err(Errno::AGAIN) => {
                    let rest = bytes.slice(sent..);
                    self.rest = if rest.len() <= REST_COPIED_BYTES {
                        Bytes::copy_from_slice(&rest)
                    } else {
                        rest
                    };
                    if self.standing.blocked(true) {
                        self.tell("blocked");
                    }
                    return Wrote::Part;
                }
                Err(Errno::INTR) => {}
                Err(_) => return Wrote::Gone,
            }
        }
        Wrote::All
    }

    /// Whom its token names.
    pub(crate) fn subject(&self) -> Option<&str> {
        self.caller.as_ref().and_then(|caller| caller.subject.as_deref())
    }

    /// Whether its token does not count any more: its time is over, or it was revoked.
    pub(crate) fn is_over(&self, app: &App, now_ms: u64) -> bool {
        self.caller.as_ref().is_some_and(|caller| app.access.is_over(caller, now_ms))
    }

    /// Whether it is to be told now that its token ends soon.
    pub(super) fn expects_telling(&self, now_ms: u64) -> bool {
        let at_ms = self.expiring.at_ms(self.caller.as_deref());
        self.rest.is_empty()
            && !self.view.framing.is_answer()
            && at_ms.is_some_and(|at_ms| at_ms <= now_ms)
    }

    /// Tells it so.
    pub(super) fn tell_expiring(&mut self, now_ms: u64, timer_ms: u64) -> Wrote {
        match self.expiring.tell(self.caller.as_deref(), now_ms) {
            Some(told) => self.write(&expiring::frame(&told), timer_ms),
            None => Wrote::All,
        }
    }

    /// Makes a change, except of what it follows; `None` if it is refused.
    pub(super) fn change(&mut self, change: Change) -> Option<Arc<Selection>> {
        change.make(&self.selection, &mut self.view, &mut self.caller)
    }

    /// Writes what was left.
    pub(crate) fn write_rest(&mut self, timer_ms: u64) -> Wrote {
        if self.rest.is_empty() {
            return Wrote::All;
        }
        let rest = std::mem::take(&mut self.rest);
        let wrote = self.write(&rest, timer_ms);
        if wrote == Wrote::All {
            self.standing.blocked(false);
        }
        wrote
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.tell("unsubscribed");
    }
}

/// Never raises SIGPIPE, never blocks.
pub(super) const FLAGS: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);
