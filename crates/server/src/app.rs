//! What every door and thread of the server shares.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tidings_access::Verifier;
use tidings_hub::{Gap, Hub, Selection, Start};
use tidings_relay::{Relays, SharedRelays};
use tokio::sync::{Notify, mpsc};

use crate::access::{Access, Authorization, Who};
use crate::audit::Audit;
use crate::config::Config;
use crate::connection_name::ConnectionNames;
use crate::dashboard::Dashboard;
use crate::dashboard::trace::{self, Of, Record};
use crate::error::ApiError;
use crate::follower::{Board, LogReader};
use crate::head::Head;
use crate::hook::Hook;
use crate::http::long_polls::LongPolls;
use crate::http::subscribe::Subscribe;
use crate::http::topic_page::Places;
use crate::limits::{Entry, Limits, Refused};
use crate::metrics::Metrics;
use crate::peer::Peer;
use crate::proxy::{self, header::Header};
use crate::push::{Prepared, Push};
use crate::socket::mail::Mailbox;
use crate::stream::Streams;
use crate::tls::Certificates;
use crate::webhooks::Webhooks;
use crate::webhooks::occupancy::{Attending, Occupancy};
use crate::websocket::WebSockets;

/// Connections that wait for hyper to take them.
pub(crate) const HANDED_MAX: usize = 1_024;

/// The server.
pub(crate) struct App {
    pub(crate) hub: Arc<Hub>,
    pub(crate) config: Config,
    pub(crate) access: Arc<Access>,
    pub(crate) audit: Audit,
    pub(crate) metrics: Metrics,
    /// What anybody may have and do.
    pub(crate) limits: Limits,
    /// The LLM relays, if there are any.
    pub(crate) relays: Option<Arc<Relays>>,
    /// The streams that many share, if there are any.
    pub(crate) shared: Option<Arc<SharedRelays>>,
    /// Web Push, if it is on.
    pub(crate) push: Option<Arc<Push>>,
    /// Who is here, if somebody wants to be told.
    pub(crate) occupancy: Option<Arc<Occupancy>>,
    /// Who decides who may subscribe and publish, besides.
    pub(crate) hook: Option<Arc<Hook>>,
    /// What TLS shows, if it is spoken.
    pub(crate) certificates: Option<Arc<Certificates>>,
    /// Letterboxes of the shards, and of the backfill thread that goes with each.
    pub(crate) shards: Vec<Arc<Mailbox>>,
    pub(crate) backfills: Vec<Arc<Mailbox>>,
    /// Where the followers that are no rows of a shard learn of news, and have the log read.
    pub(crate) board: Arc<Board>,
    pub(crate) log_reader: Arc<LogReader>,
    /// Those of WebSocket connections.
    pub(crate) websockets: WebSockets,
    /// The requests that wait for an event.
    pub(crate) long_polls: LongPolls,
    /// What operators are shown.
    pub(crate) dashboard: Dashboard,
    /// Streams that are tasks: over TLS and HTTP/2.
    pub(crate) streams: Streams,
    /// What connections are called.
    pub(crate) names: ConnectionNames,
    /// Where lists of topics go on.
    pub(crate) places: Places,
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
    pub(crate) entry: Entry,
    /// What was read from it.
    pub(crate) initial: Vec<u8>,
    /// An answer to write before it ends; nothing is read from it then.
    pub(crate) last_answer: Option<Vec<u8>>,
}

fn no_randomness(_: ring::error::Unspecified) -> std::io::Error {
    std::io::Error::other("the system has no randomness")
}

impl App {
    pub(crate) fn new(
        hub: Arc<Hub>,
        config: Config,
        verifier: Verifier,
        relays: Option<Arc<Relays>>,
        shared: Option<Arc<SharedRelays>>,
        push: Option<Prepared>,
        hyper: mpsc::Sender<Handed>,
    ) -> std::io::Result<Self> {
        let letterboxes = || -> std::io::Result<Vec<Arc<Mailbox>>> {
            (0..config.io_threads).map(|_| Mailbox::new(hub.visible())).collect()
        };
        let (board, log_reader) =
            (Arc::new(Board::new(hub.clone(), config.io_threads)), Arc::default());
        let push = push.map(|push| push.join(&hub, &board, &log_reader));
        let limits = Limits::new(&config, &hub)?;
        Ok(Self {
            access: Arc::new(Access::new(&config, verifier)),
            audit: Audit::new(&config)?,
            shards: letterboxes()?,
            backfills: letterboxes()?,
            board,
            log_reader,
            websockets: WebSockets::default(),
            long_polls: LongPolls::default(),
            streams: Streams::default(),
            metrics: Metrics::new(relays.as_deref(), shared.as_deref(), push.as_deref(), &limits),
            limits,
            occupancy: None,
            hook: None,
            certificates: None,
            relays,
            shared,
            push,
            dashboard: Dashboard::new(hub.now_ms()),
            names: ConnectionNames::new().map_err(no_randomness)?,
            places: Places::new().map_err(no_randomness)?,
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

    /// Who makes this request.
    pub(crate) fn who(&self, head: &Head<'_>) -> Result<Who, ApiError> {
        self.access.who(head, self.hub.now_ms(), Authorization::Ours)
    }

    /// Who makes this request, whose `Authorization` is meant for somebody else.
    pub(crate) fn who_besides(&self, head: &Head<'_>) -> Result<Who, ApiError> {
        self.access.who(head, self.hub.now_ms(), Authorization::Theirs)
    }

    /// Counts a subscription that goes on after an id; says what it is told as.
    pub(crate) fn subscribed(&self, selection: &Selection, start: &Start) -> &'static str {
        if !matches!(start, Start::After(_)) {
            return "subscribed";
        }
        // Readers of answers always begin after something; the relay counts those who come back.
        let single = selection.single().map(tidings_frame::TopicName::as_str);
        if !single.is_some_and(|topic| topic.starts_with(tidings_relay::answer::ANSWERS)) {
            self.metrics.resumed();
        }
        "resumed"
    }

    /// Counts a gap that a subscriber is told of.
    pub(crate) fn told_gap(
        &self,
        selection: &Selection,
        gap: &Gap,
        peer: Option<Peer>,
        connection: Option<u64>,
    ) {
        self.metrics.gap();
        if self.dashboard.traces.on() {
            let (id, detail) = (Some(gap.requested.as_str()), Some(gap.reason.as_str()));
            let record = Record { peer, connection, id, detail, ..Record::of("gap") };
            self.dashboard.traces.note(self.hub.now_ms(), Of::Selection(selection), &record);
        }
    }

    /// Counts a request that was refused: this one, or one of a WebSocket.
    pub(crate) fn refused(&self, head: Option<&Head<'_>>, error: &ApiError, peer: Option<Peer>) {
        self.metrics.answered(error.problem.status);
        if self.dashboard.traces.on() {
            let path = head.and_then(|head| head.path.strip_prefix("/topics/"));
            let topic = path.map(crate::http::topic_of);
            let who = head.and_then(|head| self.who(head).ok());
            let subject = who.as_ref().and_then(Who::subject);
            let record = Record { subject, ..trace::refusal(error, peer) };
            let of = match &topic {
                Some(Ok(topic)) => Of::Topic(topic),
                _ => Of::Nothing,
            };
            self.dashboard.traces.note(self.hub.now_ms(), of, &record);
        }
    }

    /// From now on others are told what happens, and asked what may.
    pub(crate) fn tells_and_asks(&mut self, webhooks: Option<Webhooks>, hook: Option<Arc<Hook>>) {
        let hooks = hook.as_deref().map(|hook| &hook.metrics);
        self.metrics.add(webhooks.as_ref().map(|webhooks| &webhooks.metrics), hooks);
        self.occupancy = webhooks.map(|webhooks| webhooks.occupancy);
        self.hook = hook;
    }

    /// From now on it is known what TLS shows.
    pub(crate) fn shows(&mut self, certificates: Option<Arc<Certificates>>) {
        certificates.iter().for_each(|shown| self.metrics.add_tls(&shown.meters));
        self.certificates = certificates;
    }

    /// Counts a subscription for as long as what is returned lives, if somebody wants to know.
    pub(crate) fn attend(&self, asked: &Subscribe) -> Option<Box<Attending>> {
        let subject = asked.caller.as_ref().and_then(|caller| caller.subject.as_deref());
        self.occupancy.as_ref()?.attend(&asked.selection, subject)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Counts a connection that has come, until it is [`disconnected`](Self::disconnected).
    ///
    /// # Errors
    /// There are as many as there may be, in all or from its address.
    pub(crate) fn enter(&self, peer: &mut Peer) -> Result<Entry, Refused> {
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        let entered = self.limits.enter(before, &self.config.limits).and_then(|entry| {
            if !proxy::is_trusted(&self.config.proxy, *peer) {
                self.count_address(peer)?;
            }
            Ok(entry)
        });
        if entered.is_err() {
            self.connections.fetch_sub(1, Ordering::Relaxed);
        }
        entered
    }

    /// Counts a connection of the operator's listener, of which there may be so many beyond all
    /// others; whether there is room.
    pub(crate) fn enter_operator(&self, beyond: usize) -> bool {
        let limits = &self.config.limits;
        let most = limits.connections.saturating_add(limits.operator_reserve);
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        let room = before < most.saturating_add(beyond);
        if !room {
            self.connections.fetch_sub(1, Ordering::Relaxed);
        }
        room
    }

    /// Counts a stream of a connection like a connection: it holds as much as one.
    ///
    /// # Errors
    /// There are as many as there may be.
    pub(crate) fn enter_stream(&self) -> Result<(), Refused> {
        let before = self.connections.fetch_add(1, Ordering::Relaxed);
        if before < self.config.limits.connections {
            return Ok(());
        }
        self.left_stream();
        Err(self.limits.full())
    }

    pub(crate) fn left_stream(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// A proxy has said who is behind its connection: that is whom it counts for.
    ///
    /// # Errors
    /// There are as many from that address as there may be.
    pub(crate) fn announced(&self, peer: &mut Peer, header: &Header) -> Result<(), Refused> {
        let client = header.client(*peer);
        let named = client.address != peer.address;
        *peer = client;
        let counts = named && !proxy::is_trusted(&self.config.proxy, client);
        if counts { self.count_address(peer) } else { Ok(()) }
    }

    fn count_address(&self, peer: &mut Peer) -> Result<(), Refused> {
        let address = peer.address.ip();
        self.limits.connect(address)?;
        peer.counted = Some(address);
        Ok(())
    }

    pub(crate) fn disconnected(&self, peer: Peer) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
        peer.counted.iter().for_each(|address| self.limits.disconnected(*address));
    }

    /// Gives a connection to hyper; it still counts.
    pub(crate) fn hand_to_hyper(&self, handed: Handed) -> Result<(), ()> {
        let peer = handed.peer;
        self.hyper.try_send(handed).map_err(|_| self.disconnected(peer))
    }

    /// The server takes leave: not ready any more, subscriptions end.
    pub(crate) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.occupancy.iter().for_each(|occupancy| occupancy.close());
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

/// Spreads consecutive numbers over all of u64, for times at which connections end.
pub(crate) fn scatter(number: u64) -> u64 {
    // Fibonacci hashing: the golden ratio's multiple, high bits first.
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).rotate_left(32)
}
