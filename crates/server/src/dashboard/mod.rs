//! What an operator is shown: figures, answers and traces, over topics of the server's own.
//!
//! | module | holds |
//! |---|---|
//! | [`standing`] | how many subscriptions there are, of which kind, and which are behind |
//! | [`delays`] | how long deliveries took, for percentiles |
//! | `overview` | one event a second with the figures of the whole server |
//! | `answers` | the LLM answers, as a list and as a topic |
//! | [`trace`] | what happens to some topics, for as long as somebody wants to know |
//! | `configuration` | every setting and where it came from |
//!
//! The topics are named `$tidings/…`. Only operators read them and nobody else publishes to them.
//! They are written only while somebody follows them, so an idle server writes nothing.

pub(crate) mod answers;
pub(crate) mod configuration;
pub(crate) mod delays;
mod overview;
pub(crate) mod standing;
pub(crate) mod trace;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidings_frame::Pattern;
use tidings_hub::{
    Durability, Hub, NewEvent, PolicyRule, Publish, Retain, TopicPolicy, TopicTtl, TtlMode,
};
use tokio::time::{Instant, MissedTickBehavior};

use crate::app::App;
use overview::Overview;
use standing::Counts;
use trace::Traces;

/// What the names of these topics begin with.
pub(crate) const OWN: &str = "$tidings/";

/// The topic of the figures.
const OVERVIEW: &str = "$tidings/overview";

/// Overviews that are kept: a quarter of an hour.
const OVERVIEWS_KEPT: u64 = 900;

/// The topic of the LLM answers.
const ANSWERS: &str = "$tidings/answers";

/// Lists of answers that are kept.
const ANSWERS_KEPT: u64 = 60;

/// Records of a trace that are kept.
const TRACE_KEPT: u64 = 10_000;

/// How long a trace can be read after its last record.
const TRACE_KEEP: Duration = Duration::from_secs(1_800);

/// How often the figures are taken.
const EVERY: Duration = Duration::from_secs(1);

/// What the dashboard's topics are made of.
pub(crate) struct Dashboard {
    pub(crate) counts: Arc<Counts>,
    pub(crate) traces: Arc<Traces>,
    /// Milliseconds since 1970.
    pub(crate) began_ms: u64,
    /// What was written to the topics here: not part of what the server was given.
    written: Written,
}

#[derive(Default)]
struct Written {
    events: AtomicU64,
    bytes: AtomicU64,
}

impl Dashboard {
    pub(crate) fn new(now_ms: u64) -> Self {
        Self {
            counts: Arc::default(),
            traces: Arc::default(),
            began_ms: now_ms,
            written: Written::default(),
        }
    }

    /// Writes events to one of the topics here. What cannot be written is left out: the log says
    /// by itself that it has failed.
    fn write(&self, hub: &Hub, events: &[NewEvent<'_>]) {
        let outcome = {
            let mut round = hub.round();
            let operator = true;
            round.publish(&Publish { events, operator, relay: true, ..Publish::default() });
            round.commit().pop()
        };
        match outcome {
            Some(Ok(_)) => {
                let bytes: usize = events.iter().map(|event| event.data.len()).sum();
                self.written.events.fetch_add(events.len() as u64, Ordering::Relaxed);
                self.written.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            }
            Some(Err(error)) => tracing::debug!(%error, "the dashboard's topics are not written"),
            None => {}
        }
    }
}

/// Whether a topic or pattern is one of the dashboard's.
pub(crate) fn is_own(name: &str) -> bool {
    name.starts_with(OWN)
}

/// How the topics here are kept. They come before what the configuration says.
pub(crate) fn policies() -> Vec<PolicyRule> {
    let policy = |count| TopicPolicy {
        durability: Durability::Memory,
        retain: Retain { count: Some(count), ..Retain::default() },
        ..TopicPolicy::default()
    };
    let ms = u64::try_from(TRACE_KEEP.as_millis()).unwrap_or(u64::MAX);
    let trace =
        TopicPolicy { ttl: Some(TopicTtl { ms, mode: TtlMode::Sliding }), ..policy(TRACE_KEPT) };
    let rule = |pattern: &str, policy| {
        let pattern = Pattern::new(pattern).expect("a name of ours, or one and a wildcard");
        PolicyRule { pattern, policy }
    };
    vec![
        rule(OVERVIEW, policy(OVERVIEWS_KEPT)),
        rule(ANSWERS, policy(ANSWERS_KEPT)),
        rule("$tidings/trace/*", trace),
    ]
}

/// Takes the figures, and writes the topics that somebody follows, for as long as it is polled.
pub(crate) async fn run(app: Arc<App>) {
    let mut overview = Overview::new(&app);
    let mut answers = answers::Told::default();
    let mut ticks = tokio::time::interval_at(Instant::now() + EVERY, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                overview.take(&app);
                if app.hub.is_followed(OVERVIEW) {
                    overview.write(&app);
                }
                answers.look(&app);
                app.dashboard.traces.end_old(&app);
            }
            () = app.dashboard.traces.news() => {}
        }
        app.dashboard.traces.write(&app);
    }
}
