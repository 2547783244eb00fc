//! What is counted of webhooks, by the webhook's name.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    webhook: String,
}

/// The counters of all webhooks.
#[derive(Default)]
pub(crate) struct Metrics {
    sent: Family<Labels, Counter>,
    failed: Family<Labels, Counter>,
    given_up: Family<Labels, Counter>,
    waiting: Family<Labels, Gauge>,
    disabled: Family<Labels, Gauge>,
}

/// Those of one.
#[derive(Clone)]
pub(super) struct Counts {
    pub(super) sent: Counter,
    pub(super) failed: Counter,
    pub(super) given_up: Counter,
    pub(super) waiting: Gauge,
    pub(super) disabled: Gauge,
}

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        for (name, help, counter) in [
            ("webhook_sent", "Happenings that a receiver has accepted", &self.sent),
            ("webhook_failed", "Requests that a receiver has not accepted", &self.failed),
            ("webhook_given_up", "Happenings that were not accepted in time", &self.given_up),
        ] {
            registry.register(name, help, counter.clone());
        }
        for (name, help, gauge) in [
            (
                "webhook_waiting",
                "Happenings read from the queue and not accepted yet; at most 10,000, the rest \
                waits in the log",
                &self.waiting,
            ),
            ("webhook_disabled", "1 once a receiver has answered 410", &self.disabled),
        ] {
            registry.register(name, help, gauge.clone());
        }
    }

    pub(super) fn of(&self, webhook: &str) -> Counts {
        let labels = Labels { webhook: webhook.to_owned() };
        Counts {
            sent: self.sent.get_or_create(&labels).clone(),
            failed: self.failed.get_or_create(&labels).clone(),
            given_up: self.given_up.get_or_create(&labels).clone(),
            waiting: self.waiting.get_or_create(&labels).clone(),
            disabled: self.disabled.get_or_create(&labels).clone(),
        }
    }
}
