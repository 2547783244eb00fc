//! What the server counts, for Prometheus. Names begin with `tidings_`.
//!
//! Shards count in plain integers and bring the sums here once per turn, so that a delivery costs
//! no atomic operation.

use std::sync::atomic::Ordering;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use tidings_relay::{Relays, SharedRelays};

use crate::app::App;
use crate::dashboard::delays::Delays;
use crate::limits::Limits;
use crate::push::Push;
use crate::{hook, webhooks};

/// What a shard has done since it last told.
#[derive(Default)]
pub(crate) struct ShardCounts {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) writes: u64,
}

/// Counters since the process began, for who shows them.
pub(crate) struct Totals {
    /// Events and bytes written to subscribers, as they happened and from the log.
    pub(crate) events_out: u64,
    pub(crate) bytes_out: u64,
    pub(crate) resumes: u64,
    pub(crate) gaps: u64,
    /// Connections that could not be taken, and requests that were refused.
    pub(crate) refused: u64,
}

/// The counters.
pub(crate) struct Metrics {
    registry: Registry,
    published: Counter,
    encoded: Counter,
    delivered: Counter,
    delivered_bytes: Counter,
    writes: Counter,
    caught_up: Counter,
    caught_up_bytes: Counter,
    refused: Counter,
    requests: Counter,
    delivery: Histogram,
    connections: Gauge,
    websockets: Gauge,
    topics: Gauge,
    log_events: Gauge,
    log_bytes: Gauge,
    log_segments: Gauge,
    log_healthy: Gauge,
    tails_bytes: Gauge,
    gaps: Counter,
    resumes: Counter,
    refused_requests: Counter,
    scheduled: Gauge,
    pub(crate) delays: Delays,
}

impl Metrics {
    fn zero() -> Self {
        Self {
            published: Counter::default(),
            encoded: Counter::default(),
            delivered: Counter::default(),
            delivered_bytes: Counter::default(),
            writes: Counter::default(),
            caught_up: Counter::default(),
            caught_up_bytes: Counter::default(),
            refused: Counter::default(),
            requests: Counter::default(),
            // 1 ms to 16 s: from a write at once to a reader that has nearly given up.
            delivery: Histogram::new(exponential_buckets(0.001, 2.0, 15)),
            connections: Gauge::default(),
            websockets: Gauge::default(),
            topics: Gauge::default(),
            log_events: Gauge::default(),
            log_bytes: Gauge::default(),
            log_segments: Gauge::default(),
            log_healthy: Gauge::default(),
            tails_bytes: Gauge::default(),
            gaps: Counter::default(),
            resumes: Counter::default(),
            refused_requests: Counter::default(),
            delays: Delays::default(),
            scheduled: Gauge::default(),
            registry: Registry::default(),
        }
    }

    pub(crate) fn new(
        relays: Option<&Relays>,
        shared: Option<&SharedRelays>,
        push: Option<&Push>,
        limits: &Limits,
    ) -> Self {
        let mut registry = Registry::with_prefix("tidings");
        let metrics = Self::zero();
        for (name, help, counter) in [
            ("published_events", "Events accepted from publishers", &metrics.published),
            ("encoded_frames", "Events encoded, once for all who get them", &metrics.encoded),
            (
                "delivered_events",
                "Events written to subscribers as they happened",
                &metrics.delivered,
            ),
            ("delivered_bytes", "Bytes of them", &metrics.delivered_bytes),
            (
                "delivery_writes",
                "Writes they took; fewer than events when several were due",
                &metrics.writes,
            ),
            ("caught_up_events", "Events written to subscribers from the log", &metrics.caught_up),
            ("caught_up_bytes", "Bytes of them", &metrics.caught_up_bytes),
            ("gaps", "Gaps that subscribers were told of", &metrics.gaps),
            ("resumes", "Subscriptions that went on after an id", &metrics.resumes),
            (
                "refused_requests",
                "Requests for want of a right or over a limit (401, 403, 429, 503)",
                &metrics.refused_requests,
            ),
            ("refused_connections", "Connections that could not be taken", &metrics.refused),
            ("requests", "Requests answered by the general HTTP path", &metrics.requests),
        ] {
            registry.register(name, help, counter.clone());
        }
        for (name, help, gauge) in [
            ("connections", "Open connections", &metrics.connections),
            ("websockets", "Those of them that are WebSockets", &metrics.websockets),
            ("topics", "Topics that exist", &metrics.topics),
            ("log_events", "Events kept, once for each topic they belong to", &metrics.log_events),
            ("log_disk_bytes", "Bytes of the log's files", &metrics.log_bytes),
            ("log_segments", "Files of the log", &metrics.log_segments),
            (
                "log_healthy",
                "1 while the log takes events, 0 when it has failed",
                &metrics.log_healthy,
            ),
            (
                "tail_bytes",
                "Bytes of frames kept in memory for live subscribers",
                &metrics.tails_bytes,
            ),
            ("scheduled_publishes", "Publishes that wait for their time", &metrics.scheduled),
        ] {
            registry.register(name, help, gauge.clone());
        }
        let help = "Time from visible to written, of the last subscriber of each slice";
        registry.register_with_unit("delivery", help, Unit::Seconds, metrics.delivery.clone());
        relays.iter().for_each(|relays| relays.metrics.register(&mut registry));
        shared.iter().for_each(|shared| shared.register(&mut registry));
        push.iter().for_each(|push| push.register(&mut registry));
        limits.meters.register(&mut registry);
        Self { registry, ..metrics }
    }

    /// Adds what is counted of requests to others.
    pub(crate) fn add(
        &mut self,
        webhooks: Option<&webhooks::metrics::Metrics>,
        hook: Option<&hook::Metrics>,
    ) {
        webhooks.iter().for_each(|webhooks| webhooks.register(&mut self.registry));
        hook.iter().for_each(|hook| hook.register(&mut self.registry));
    }

    /// Adds what is counted of the certificate.
    pub(crate) fn add_tls(&mut self, meters: &crate::tls::Meters) {
        meters.register(&mut self.registry);
    }

    pub(crate) fn published(&self, events: usize) {
        self.published.inc_by(events as u64);
    }

    pub(crate) fn request(&self) {
        self.requests.inc();
    }

    /// A WebSocket has been opened (1) or closed (-1).
    pub(crate) fn websocket(&self, change: i64) {
        self.websockets.inc_by(change);
    }

    pub(crate) fn gap(&self) {
        self.gaps.inc();
    }

    pub(crate) fn refused(&self) {
        self.refused.inc();
    }

    /// A subscription goes on after an id.
    pub(crate) fn resumed(&self) {
        self.resumes.inc();
    }

    /// A request has ended with this status; counts those for want of a right or over a limit.
    pub(crate) fn answered(&self, status: u16) {
        if matches!(status, 401 | 403 | 429 | 503) {
            self.refused_requests.inc();
        }
    }

    /// WebSockets that are open.
    pub(crate) fn websockets(&self) -> i64 {
        self.websockets.get()
    }

    /// What was counted since the process began.
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            events_out: self.delivered.get() + self.caught_up.get(),
            bytes_out: self.delivered_bytes.get() + self.caught_up_bytes.get(),
            resumes: self.resumes.get(),
            gaps: self.gaps.get(),
            refused: self.refused.get() + self.refused_requests.get(),
        }
    }

    pub(crate) fn delivered_after(&self, ms: u64) {
        // Milliseconds of hours fit into a float exactly.
        self.delivery.observe(ms as f64 / 1_000.0);
        self.delays.note(ms);
    }

    pub(crate) fn caught_up(&self, events: u64, bytes: u64) {
        self.caught_up.inc_by(events);
        self.caught_up_bytes.inc_by(bytes);
    }

    /// Takes a shard's sums.
    pub(crate) fn shard(&self, counts: &mut ShardCounts) {
        if counts.writes > 0 {
            self.delivered.inc_by(counts.events);
            self.delivered_bytes.inc_by(counts.bytes);
            self.writes.inc_by(counts.writes);
            *counts = ShardCounts::default();
        }
    }

    /// The exposition format (OpenMetrics text).
    pub(crate) fn text(&self, app: &App) -> String {
        let set = |gauge: &Gauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        let log = app.hub.log_status();
        // Counted by the hub, and only ever more: two who ask at once leave the larger.
        let encoded = app.hub.counters().frames_encoded.load(Ordering::Relaxed);
        self.encoded.inner().fetch_max(encoded, Ordering::Relaxed);
        set(&self.connections, app.connections() as u64);
        set(&self.topics, log.topics);
        set(&self.log_events, log.retained_events);
        set(&self.log_bytes, log.disk_bytes);
        set(&self.log_segments, log.segments);
        set(&self.log_healthy, u64::from(log.state == tidings_hub::LogState::Healthy));
        set(&self.tails_bytes, app.hub.tails_bytes() as u64);
        set(&self.scheduled, app.hub.scheduled() as u64);
        app.limits.tell(app);
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
