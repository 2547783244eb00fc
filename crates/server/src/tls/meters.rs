//! What is counted of the certificate, for Prometheus, wherever it comes from.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// The figures.
#[derive(Default)]
pub(crate) struct Meters {
    expires: Gauge,
    renewals: Counter,
    failures: Counter,
}

impl Meters {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Unix time at which the certificate ends; 0 while there is none";
        let unit = Unit::Seconds;
        registry.register_with_unit("tls_certificate_expires", help, unit, self.expires.clone());
        for (name, help, counter) in [
            (
                "tls_certificate_renewals",
                "Certificates taken after the first that the process began with",
                &self.renewals,
            ),
            (
                "tls_certificate_failures",
                "Times that a certificate could not be ordered, read or used",
                &self.failures,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
    }

    /// The certificate that is shown from now on ends then.
    pub(super) fn shows(&self, not_after: i64) {
        self.expires.set(not_after);
    }

    pub(super) fn renewed(&self) {
        self.renewals.inc();
    }

    pub(super) fn failed(&self) {
        self.failures.inc();
    }
}
