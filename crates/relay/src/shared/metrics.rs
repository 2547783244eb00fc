//! What shared streams count, for Prometheus. Names begin with `tidings_relay_shared_`; the label
//! `relay` is the path. Nothing is counted for a single client.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// A label's name and value.
type Labels = Vec<(&'static str, Arc<str>)>;

/// The counters of all streams.
#[derive(Debug, Default)]
pub struct Metrics {
    connected: Family<Labels, Gauge>,
    connections: Family<Labels, Counter>,
    failures: Family<Labels, Counter>,
    events: Family<Labels, Counter>,
    repeated: Family<Labels, Counter>,
    refused: Family<Labels, Counter>,
}

/// The counters of one stream.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    /// 1 while its upstream sends a stream.
    pub(super) connected: Gauge,
    /// Streams that its upstream began.
    pub(super) connections: Counter,
    pub(super) failures: Counter,
    pub(super) events: Counter,
    pub(super) repeated: Counter,
    pub(super) refused: Counter,
}

impl Metrics {
    /// Shows the counters in a registry.
    pub(super) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("relay_shared");
        let help = "1 while the upstream of a shared stream is connected";
        registry.register("connected", help, self.connected.clone());
        for (name, help, counter) in [
            ("connections", "Streams that the upstream began", &self.connections),
            (
                "failures",
                "Attempts that brought no stream, and streams cut for good",
                &self.failures,
            ),
            ("events", "Events taken from the upstream", &self.events),
            (
                "repeated",
                "Events that the upstream sent again and were kept already",
                &self.repeated,
            ),
            ("refused", "Events that cannot be kept: too large, or with a bad type", &self.refused),
        ] {
            registry.register(name, help, counter.clone());
        }
    }

    /// The counters of the stream at this path.
    pub(super) fn of(&self, path: &str) -> Counts {
        let labels: Labels = vec![("relay", path.into())];
        let counter = |family: &Family<Labels, Counter>| family.get_or_create(&labels).clone();
        Counts {
            connected: self.connected.get_or_create(&labels).clone(),
            connections: counter(&self.connections),
            failures: counter(&self.failures),
            events: counter(&self.events),
            repeated: counter(&self.repeated),
            refused: counter(&self.refused),
        }
    }
}
