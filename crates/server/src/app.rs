//! What every door and thread of the server shares.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tidings_frame::ErrorCode;
use tidings_hub::Hub;
use tidings_relay::{Relays, SharedRelays};
use tokio::sync::{Notify, mpsc};

use crate::config::Config;
use crate::connection_name::ConnectionNames;
use crate::error::ApiError;
use crate::follower::{Board, LogReader};
use crate::metrics::Metrics;
use crate::peer::Peer;
use crate::socket::mail::Mailbox;
use crate::stream::Streams;
use crate::websocket::WebSockets;

/// Connections that wait for hyper to take them.
pub(crate) const HANDED_MAX: usize = 1_024;

/// The server.
pub(crate) struct App {
    pub(crate) hub: Arc<Hub>,
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
    /// The LLM relays, if there are any.
    pub(crate) relays: Option<Arc<Relays>>,
    /// The streams that many share, if there are any.
    pub(crate) shared: Option<Arc<SharedRelays>>,
    /// Letterboxes of the shards, and of the backfill thread that goes with each.
    pub(crate) shards: Vec<Arc<Mailbox>>,
    pub(crate) backfills: Vec<Arc<Mailbox>>,
    /// Where the followers that are no rows of a shard learn of news, and have the log read.
    pub(crate) board: Arc<Board>,
    pub(crate) log_reader: Arc<LogReader>,
    /// Those of WebSocket connections.
    pub(crate) websockets: WebSockets,
    /// Streams that are tasks: over TLS and HTTP/2.
    pub(crate) streams: Streams,
    /// What connections are called.
    pub(crate) names: ConnectionNames,
    /// The next subscription's number.
    pub(crate) next_connection: AtomicU64,
    connections: AtomicUsize,
    hyper: mpsc::Sender<Handed>,
    draining: AtomicBool,
    stopped: AtomicBool,
    /// Told when draining begins.
    drain: Notify,
}

/// A connection that a shard gives to hyper.
pub(crate) struct Handed {
    pub(crate) fd: OwnedFd,
    pub(crate) peer: Peer,
    /// What was read from it.
    pub(crate) initial: Vec<u8>,
    /// An answer to write before it ends; nothing is read from it then.
    pub(crate) last_answer: Option<Vec<u8>>,
}

impl App {
    pub(crate) fn new(
        hub: Arc<Hub>,
        config: Config,
        relays: Option<Arc<Relays>>,
        shared: Option<Arc<SharedRelays>>,
        hyper: mpsc::Sender<Handed>,
    ) -> std::io::Result<Self> {
        let letterboxes = || -> std::io::Result<Vec<Arc<Mailbox>>> {
            (0..config.io_threads).map(|_| Mailbox::new(hub.visible())).collect()
        };
        Ok(Self {
            shards: letterboxes()?,
            backfills: letterboxes()?,
            board: Arc::new(Board::new(hub.clone())),
            log_reader: Arc::default(),
            websockets: WebSockets::default(),
            streams: Streams::default(),
            metrics: Metrics::new(relays.as_deref(), shared.as_deref()),
            relays,
            shared,
            names: ConnectionNames::new()
                .map_err(|_| std::io::Error::other("the system has no randomness"))?,
            next_connection: AtomicU64::new(1),
            connections: AtomicUsize::new(0),
            hyper,
            draining: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            drain: Notify::new(),
            hub,
            config,
        })
    }

    /// Whether the caller, who is anybody, may publish.
    pub(crate) fn may_publish(&self) -> Result<(), ApiError> {
        allowed(self.config.anonymous.publish, "publish")
    }

    /// Whether the caller may subscribe and read.
    pub(crate) fn may_subscribe(&self) -> Result<(), ApiError> {
        allowed(self.config.anonymous.subscribe, "subscribe")
    }

    /// Whether the caller may administrate.
    pub(crate) fn may_administrate(&self) -> Result<(), ApiError> {
        allowed(self.config.anonymous.admin, "admin")
    }

    /// Whether the caller may go on with this token, in place of the one it came with. Until there
    /// is access control every token is accepted, and gives nothing.
    pub(crate) fn renew(&self, _token: &str) -> Result<(), ApiError> {
        Ok(())
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn disconnected(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Gives a connection to hyper; it still counts.
    pub(crate) fn hand_to_hyper(&self, handed: Handed) -> Result<(), ()> {
        self.hyper.try_send(handed).map_err(|_| self.disconnected())
    }

    /// The server takes leave: not ready any more, subscriptions end.
    pub(crate) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.drain.notify_waiters();
        self.streams.wake_all();
        self.wake_all();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Returns when draining has begun.
    pub(crate) async fn drained(&self) {
        let notified = self.drain.notified();
        if !self.is_draining() {
            notified.await;
        }
    }

    /// Threads end at their next turn.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.log_reader.stop();
        self.wake_all();
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    fn wake_all(&self) {
        self.shards.iter().chain(&self.backfills).for_each(|mailbox| mailbox.bell.wake());
    }
}

fn allowed(open: bool, door: &str) -> Result<(), ApiError> {
    if open {
        return Ok(());
    }
    let detail = format!(
        "this server is not open for this; its operator can add {door:?} to the \
        setting `anonymous`"
    );
    Err(ApiError::new(ErrorCode::Forbidden, detail))
}

/// Spreads consecutive numbers over all of u64, for times at which connections end.
pub(crate) fn scatter(number: u64) -> u64 {
    // Fibonacci hashing: the golden ratio's multiple, high bits first.
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).rotate_left(32)
}
