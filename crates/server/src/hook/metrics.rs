//! What is counted of the questions to the application.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// The counters.
pub(crate) struct Metrics {
    pub(super) asked: Counter,
    pub(super) known: Counter,
    pub(super) refused: Counter,
    pub(super) failed: Counter,
    pub(super) unanswered: Counter,
    pub(super) duration: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            asked: Counter::default(),
            known: Counter::default(),
            refused: Counter::default(),
            failed: Counter::default(),
            unanswered: Counter::default(),
            // 1 ms to 16 s: the longest deadline is longer, and no application should be.
            duration: Histogram::new(exponential_buckets(0.001, 2.0, 15)),
        }
    }
}

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        for (name, help, counter) in [
            ("hook_questions", "Questions that the application was sent", &self.asked),
            ("hook_known", "Requests decided by an earlier answer", &self.known),
            ("hook_refused", "Requests that the application has refused", &self.refused),
            ("hook_failed", "Questions without a proper answer in time", &self.failed),
            (
                "hook_unanswered",
                "Requests that there was no answer for: it failed, or was not asked because of \
                that",
                &self.unanswered,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        let help = "Time until the application has answered";
        registry.register_with_unit("hook", help, Unit::Seconds, self.duration.clone());
    }
}
