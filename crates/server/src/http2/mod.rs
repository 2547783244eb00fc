//! HTTP/2 (RFC 9113): by ALPN over TLS, and in clear text with prior knowledge, as a proxy speaks
//! it.
//!
//! h2 holds the protocol: frames, windows, header compression. A connection is a task here, and so
//! is each of its streams, so that one whose window is never opened waits alone; what it pins is
//! one span. What h2 leaves to its user are limits of time and of work: a connection that is idle,
//! silent, or floods is ended ([`meter`]).

mod io;
mod meter;
mod request;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::server::Connection;
use h2::{Ping, PingPong, Reason};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};

use crate::app::App;
use crate::dashboard::standing::OneMore;
use crate::limits::Entry;
use crate::peer::Peer;
use crate::proxy;
use io::{Metered, Vitals};
use meter::Allowance;
use request::Shared;

/// What a connection with prior knowledge begins with (RFC 9113, section 3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of one stream that h2 holds at most, because the connection has not sent them: one span.
const SEND_BYTES_MAX: usize = 64 << 10;

/// Bytes of a request that one stream may send ahead: the protocol's own default.
const WINDOW_BYTES: u32 = 65_535;

/// Requests of a trusted proxy that may wait to be looked at though they were reset already: what
/// its many clients may have given up at once. For one client it is what h2 allows, 20.
const PROXY_RESETS_MAX: usize = 2_000;

/// Heartbeat times of silence after which a client is asked whether it is there.
const PING_HEARTBEATS: u32 = 1;

/// Heartbeat times of silence after which it is taken not to be.
const SILENT_HEARTBEATS: u32 = 3;

/// How long a connection has to say its last words.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// Serves a connection until it ends.
pub(crate) async fn serve<S>(app: &Arc<App>, stream: S, peer: Peer, entry: Entry)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if entry == Entry::Reserved {
        // That place is for one request (see the operator's own listener).
        return app.metrics.refused();
    }
    let _one = OneMore::new(&app.dashboard.counts, |counts| &counts.http2);
    let trusted = proxy::is_trusted(&app.config.proxy, peer);
    let allowance = if trusted { Allowance::PROXY } else { Allowance::CLIENT };
    let (stream, vitals) = Metered::new(stream, allowance);
    let limits = &app.config.limits;
    let streams = u32::try_from(limits.http2_streams).unwrap_or(u32::MAX);
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(streams)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BYTES_MAX)
        .initial_window_size(WINDOW_BYTES)
        // As many bodies as may come at once, so that one that waits does not stop the others.
        .initial_connection_window_size(WINDOW_BYTES.saturating_mul(streams).min(i32::MAX as u32));
    if trusted {
        builder.max_pending_accept_reset_streams(PROXY_RESETS_MAX);
    }
    let handshake = builder.handshake::<_, Bytes>(stream);
    let mut connection = match tokio::time::timeout(limits.head_timeout, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "no HTTP/2 came"),
        Err(_) => return tracing::debug!(%peer, "no HTTP/2 came in time"),
    };
    let pings = connection.ping_pong();
    let now = Instant::now();
    let mut served = Served {
        connection,
        shared: Arc::new(Shared::new(app.clone(), peer, vitals.clone())),
        streams: JoinSet::new(),
        vitals,
        pings,
        asked: false,
        idle_since: now,
        leaves: None,
        ends: None,
        timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
    };
    let mut drained = pin!(app.drained());
    let mut draining = false;
    poll_fn(|context| {
        if !draining && drained.as_mut().poll(context).is_ready() {
            draining = true;
            served.connection.graceful_shutdown();
            served.leaves = Some(Instant::now() + app.config.drain.jitter);
        }
        served.poll(context)
    })
    .await;
}

/// A connection.
struct Served<S: AsyncRead + AsyncWrite + Unpin> {
    connection: Connection<Metered<S>, Bytes>,
    shared: Arc<Shared>,
    streams: JoinSet<()>,
    vitals: Arc<Vitals>,
    pings: Option<PingPong>,
    /// Whether the client was asked if it is there, since something came.
    asked: bool,
    /// Since when it has no streams, if it has none.
    idle_since: Instant,
    /// When it leaves if it has no streams, while the server stops.
    leaves: Option<Instant>,
    /// When it is over, because it was told to end.
    ends: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Served<S> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            // Their memory is given back as they end.
            while let Poll::Ready(Some(_)) = self.streams.poll_join_next(context) {
                self.idle_since = Instant::now();
            }
            match self.connection.poll_accept(context) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.streams.spawn(request::serve(self.shared.clone(), request, respond));
                    continue;
                }
                Poll::Ready(Some(Err(error))) => {
                    let peer = self.shared.peer;
                    tracing::debug!(%peer, %error, "a connection ended with an error");
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            if self.vitals.is_flooded() && self.ends.is_none() {
                let peer = self.shared.peer;
                tracing::info!(%peer, "more frames came than are allowed");
                self.shared.app.metrics.refused();
                self.end(Reason::ENHANCE_YOUR_CALM);
                continue;
            }
            if self.look_at_the_clock(context).is_break() {
                return Poll::Ready(());
            }
            if self.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn end(&mut self, reason: Reason) {
        self.connection.abrupt_shutdown(reason);
        self.streams.abort_all();
        self.ends = Some(Instant::now() + CLOSE_TIME);
    }

    /// Does what it is time for, and sets the timer to what comes next.
    fn look_at_the_clock(&mut self, context: &mut Context<'_>) -> std::ops::ControlFlow<()> {
        let now = Instant::now();
        let (heartbeat, limits) =
            (self.shared.app.config.heartbeat, &self.shared.app.config.limits);
        if let Some(ends) = self.ends {
            if ends <= now {
                return std::ops::ControlFlow::Break(());
            }
            self.timer.as_mut().reset(ends);
            return std::ops::ControlFlow::Continue(());
        }
        if self.streams.is_empty() {
            let over = self.idle_since + limits.idle_timeout;
            let over = self.leaves.map_or(over, |leaves| leaves.min(over));
            if over <= now {
                self.end(Reason::NO_ERROR);
                return self.look_at_the_clock(context);
            }
            self.timer.as_mut().reset(over);
            return std::ops::ControlFlow::Continue(());
        }
        let stalls = self.vitals.blocked_since().filter(|_| self.shared.owes());
        let stalls = stalls.map(|since| Instant::from_std(since) + limits.stall_timeout);
        if stalls.is_some_and(|stalls| stalls <= now) {
            let peer = self.shared.peer;
            tracing::debug!(%peer, "a connection ends, because nobody takes its answers");
            return std::ops::ControlFlow::Break(());
        }
        let heard = Instant::from_std(self.vitals.heard());
        if let Some(pings) = &mut self.pings {
            // Only so that there can be another one: that something came is known already.
            let _ = pings.poll_pong(context);
        }
        // Who takes nothing cannot be asked.
        if self.vitals.is_blocked() || heard + heartbeat * PING_HEARTBEATS > now {
            self.asked = false;
            let next = (heard + heartbeat * PING_HEARTBEATS).max(now + heartbeat / 3);
            self.timer.as_mut().reset(stalls.map_or(next, |stalls| stalls.min(next)));
        } else if !self.asked {
            if let Some(pings) = &mut self.pings {
                self.asked = pings.send_ping(Ping::opaque()).is_ok();
            }
            self.timer.as_mut().reset(now + heartbeat * (SILENT_HEARTBEATS - PING_HEARTBEATS));
        } else if heard + heartbeat * SILENT_HEARTBEATS <= now {
            return std::ops::ControlFlow::Break(());
        }
        std::ops::ControlFlow::Continue(())
    }
}
