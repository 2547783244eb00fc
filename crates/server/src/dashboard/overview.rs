//! The figures of the whole server, one event a second while somebody follows them.
//!
//! Counters are read every second, followed or not, so that the first event has true rates. What
//! each figure means is in `docs/dashboard.md`.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde_json::{Value, json};
use tidings_frame::time::Time;
use tidings_hub::{LogState, NewEvent};

use super::OVERVIEW;
use super::delays::{self, Delays};
use crate::app::App;

/// Seconds over which delays are looked at.
const DELAYS_OVER: usize = 10;

/// The counters at one moment.
struct Sample {
    at: Instant,
    events_in: u64,
    bytes_in: u64,
    events_out: u64,
    bytes_out: u64,
    resumes: u64,
    gaps: u64,
    refused: u64,
    delays: delays::Counts,
}

impl Sample {
    fn take(app: &App) -> Self {
        let (hub, own) = (app.hub.counters(), &app.dashboard.written);
        let totals = app.metrics.totals();
        let relayed = app.relays.as_ref().map_or(0, |relays| relays.metrics.resumes());
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            at: Instant::now(),
            events_in: read(&hub.events_visible).saturating_sub(read(&own.events)),
            bytes_in: read(&hub.bytes_appended).saturating_sub(read(&own.bytes)),
            events_out: totals.events_out,
            bytes_out: totals.bytes_out,
            resumes: totals.resumes + relayed,
            gaps: totals.gaps,
            refused: totals.refused,
            delays: app.metrics.delays.counts(),
        }
    }
}

/// The last samples.
pub(super) struct Overview {
    samples: VecDeque<Sample>,
    /// Bytes of memory before there were any connections.
    resident_at_start: u64,
}

impl Overview {
    pub(super) fn new(app: &App) -> Self {
        let samples = VecDeque::from([Sample::take(app)]);
        Self { samples, resident_at_start: resident() }
    }

    /// Takes a sample.
    pub(super) fn take(&mut self, app: &App) {
        self.samples.push_back(Sample::take(app));
        if self.samples.len() > DELAYS_OVER + 1 {
            self.samples.pop_front();
        }
    }

    /// Writes the event.
    pub(super) fn write(&self, app: &App) {
        let data = self.data(app).to_string();
        app.dashboard.write(
            &app.hub,
            &[NewEvent {
                topic: Cow::Borrowed(OVERVIEW),
                event_type: Some(Cow::Borrowed("overview")),
                data: Cow::Owned(data.into_bytes()),
                ..NewEvent::default()
            }],
        );
    }

    fn data(&self, app: &App) -> Value {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else {
            return Value::Null;
        };
        let before = self.samples.iter().rev().nth(1).unwrap_or(last);
        let seconds = (last.at - before.at).as_secs_f64().max(0.001);
        let rate = |of: fn(&Sample) -> u64| {
            let more = of(last).saturating_sub(of(before));
            // Counts of one second are far below what a float keeps exactly.
            (more as f64 / seconds * 10.0).round() / 10.0
        };
        let delay = |part| Delays::part(&first.delays, &last.delays, part);
        let now_ms = app.hub.now_ms();
        let log = app.hub.log_status();
        json!({
            "at": Time(now_ms),
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_s": now_ms.saturating_sub(app.dashboard.began_ms) / 1_000,
            "connections": connections(app),
            "topics": app.hub.topics_of_others(),
            "events": {
                "in_s": rate(|sample| sample.events_in),
                "out_s": rate(|sample| sample.events_out),
                "in": last.events_in,
                "out": last.events_out,
            },
            "bytes": {
                "in_s": rate(|sample| sample.bytes_in),
                "out_s": rate(|sample| sample.bytes_out),
            },
            "delivery_ms": {"p50": delay(0.5), "p99": delay(0.99)},
            "behind": app.dashboard.counts.behind.load(Ordering::Relaxed),
            "resumes": {"s": rate(|sample| sample.resumes), "total": last.resumes},
            "gaps": {"s": rate(|sample| sample.gaps), "total": last.gaps},
            "refused": {"s": rate(|sample| sample.refused), "total": last.refused},
            "memory": self.memory(app),
            "log": {
                "events": log.retained_events,
                "bytes": log.disk_bytes,
                "segments": log.segments,
                "healthy": log.state == LogState::Healthy,
            },
            "answers": answers(app),
        })
    }

    fn memory(&self, app: &App) -> Value {
        let resident = resident();
        let connections = app.connections() as u64;
        let more = resident.saturating_sub(self.resident_at_start);
        json!({"resident": resident, "per_connection": more.checked_div(connections)})
    }
}

fn connections(app: &App) -> Value {
    let counts = &app.dashboard.counts;
    let read = |counter: &std::sync::atomic::AtomicUsize| counter.load(Ordering::Relaxed);
    let (total, http2) = (app.connections(), read(&counts.http2));
    json!({
        "total": total,
        "sse": read(&counts.sse),
        "websocket": app.metrics.websockets(),
        "long_poll": read(&counts.long_poll),
        "http1": total.saturating_sub(http2 + read(&counts.http2_streams)),
        "http2": http2,
        "tls": read(&counts.tls),
    })
}

fn answers(app: &App) -> Value {
    let Some(relays) = &app.relays else {
        return json!({"live": 0, "finished": 0, "failed": 0});
    };
    let (finished, failed) = relays.metrics.ended();
    json!({"live": relays.running().len(), "finished": finished, "failed": failed})
}

/// Bytes of memory that this process has in use (proc(5), `statm`); 0 where there is no such file.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}
