//! What Web Push counts. Names begin with `tidings_push_`.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The counters.
#[derive(Default)]
pub(super) struct Metrics {
    pub(super) subscriptions: Gauge,
    pub(super) sent: Counter,
    pub(super) truncated: Counter,
    pub(super) delayed: Counter,
    pub(super) expired: Counter,
    pub(super) refused: Counter,
    pub(super) gone: Counter,
}

impl Metrics {
    /// Shows the counters in a registry.
    pub(super) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("push");
        let help = "Subscriptions of browsers";
        registry.register("subscriptions", help, self.subscriptions.clone());
        for (name, help, counter) in [
            ("sent_messages", "Messages that push services took", &self.sent),
            ("truncated_messages", "Those of them without their data", &self.truncated),
            ("delayed_attempts", "Attempts that are to be made again", &self.delayed),
            ("expired_messages", "Messages given up because their time ran out", &self.expired),
            ("refused_messages", "Messages that push services refused", &self.refused),
            ("gone_subscriptions", "Subscriptions that push services no longer know", &self.gone),
        ] {
            registry.register(name, help, counter.clone());
        }
    }
}
