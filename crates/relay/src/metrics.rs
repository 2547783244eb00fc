//! What the relays count, for Prometheus. Names begin with `tidings_relay_`.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tidings_frame::End;

use crate::dialect::Usage;

/// The counters.
#[derive(Debug)]
pub struct Metrics {
    began: Counter,
    attached: Counter,
    resumed: Counter,
    resumed_events: Counter,
    done: Counter,
    failed: Counter,
    cancelled: Counter,
    refused: Counter,
    orphaned: Counter,
    unread: Counter,
    cancelled_midway: Counter,
    input_tokens: Counter,
    output_tokens: Counter,
    first_token: Histogram,
    token_gap: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            began: Counter::default(),
            attached: Counter::default(),
            resumed: Counter::default(),
            resumed_events: Counter::default(),
            done: Counter::default(),
            failed: Counter::default(),
            cancelled: Counter::default(),
            refused: Counter::default(),
            orphaned: Counter::default(),
            unread: Counter::default(),
            cancelled_midway: Counter::default(),
            input_tokens: Counter::default(),
            output_tokens: Counter::default(),
            // 5 ms to 160 s.
            first_token: Histogram::new(exponential_buckets(0.005, 2.0, 16)),
            // 0.5 ms to 16 s.
            token_gap: Histogram::new(exponential_buckets(0.000_5, 2.0, 16)),
        }
    }
}

impl Metrics {
    /// Shows the counters in a registry.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("relay");
        for (name, help, counter) in [
            ("answers", "Answers begun", &self.began),
            ("attached", "Repeated requests that found their answer running", &self.attached),
            ("resumed", "Readers who came back in the middle of an answer", &self.resumed),
            ("resumed_events", "Events that they were behind", &self.resumed_events),
            ("done", "Answers that are complete", &self.done),
            ("failed", "Answers that broke off", &self.failed),
            ("cancelled", "Answers that were stopped", &self.cancelled),
            ("refused", "Requests that the upstream answered without a stream", &self.refused),
            ("orphaned", "Answers that an earlier process left unfinished", &self.orphaned),
            ("unread", "Answers that nobody was reading at their end", &self.unread),
            (
                "cancelled_midway",
                "Stopped answers of which something had come: what was left was saved",
                &self.cancelled_midway,
            ),
            ("input_tokens", "Tokens read by models", &self.input_tokens),
            ("output_tokens", "Tokens written by models", &self.output_tokens),
        ] {
            registry.register(name, help, counter.clone());
        }
        for (name, help, histogram) in [
            (
                "first_token",
                "Time from a request to the first part of its answer",
                &self.first_token,
            ),
            ("token_gap", "Time between two parts of an answer", &self.token_gap),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
    }

    /// A reader came back and is this many events behind.
    pub fn resumed(&self, events: u64) {
        self.resumed.inc();
        self.resumed_events.inc_by(events);
    }

    /// Readers who came back, since the process began.
    #[must_use]
    pub fn resumes(&self) -> u64 {
        self.resumed.get()
    }

    /// Answers that ended since the process began: complete or stopped, and broken off.
    #[must_use]
    pub fn ended(&self) -> (u64, u64) {
        (self.done.get() + self.cancelled.get(), self.failed.get())
    }

    pub(crate) fn began(&self) {
        self.began.inc();
    }

    pub(crate) fn attached(&self) {
        self.attached.inc();
    }

    pub(crate) fn refused(&self) {
        self.refused.inc();
    }

    pub(crate) fn orphaned(&self) {
        self.orphaned.inc();
    }

    pub(crate) fn first_token(&self, after: Duration) {
        self.first_token.observe(after.as_secs_f64());
    }

    pub(crate) fn next_token(&self, after: Duration) {
        self.token_gap.observe(after.as_secs_f64());
    }

    pub(crate) fn tokens(&self, input: u64, output: u64) {
        self.input_tokens.inc_by(input);
        self.output_tokens.inc_by(output);
    }

    pub(crate) fn finished(&self, end: End, usage: &Usage, unread: bool, begun: bool) {
        match end {
            End::Done => self.done.inc(),
            End::Error => self.failed.inc(),
            End::Cancelled => self.cancelled.inc(),
        };
        if end == End::Cancelled && begun {
            self.cancelled_midway.inc();
        }
        if unread {
            self.unread.inc();
        }
        self.tokens(usage.input_tokens.unwrap_or(0), usage.output_tokens.unwrap_or(0));
    }
}
