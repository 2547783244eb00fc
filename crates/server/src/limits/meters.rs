//! What each limit has refused, and how near anybody has come to it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::name::{LIMITS, Limit};

/// How long the nearest approach is remembered: for this long, and at most for twice as long.
const PEAK_MS: u64 = 60_000;

type Labels = [(&'static str, &'static str); 1];
type Ratios = Family<Labels, Gauge<f64, AtomicU64>>;

/// One limit's.
#[derive(Default)]
struct Meter {
    refused: Counter,
    /// The largest share used, in thousandths: since the last turn, and in the time before it.
    peak: AtomicU32,
    peak_before: AtomicU32,
}

/// All of them.
pub(crate) struct Meters {
    meters: [Meter; LIMITS],
    /// Those that are in force.
    shown: Vec<Limit>,
    refused: Family<Labels, Counter>,
    nearest: Ratios,
    forgotten: Counter,
    turned_ms: AtomicU64,
}

impl Meters {
    pub(crate) fn new(shown: Vec<Limit>) -> Self {
        let refused = Family::<Labels, Counter>::default();
        let meters = std::array::from_fn(|_| Meter::default());
        let meters = Self {
            meters,
            refused,
            nearest: Ratios::default(),
            forgotten: Counter::default(),
            turned_ms: AtomicU64::new(0),
            shown,
        };
        for limit in &meters.shown {
            // Also those that have refused nobody are told.
            let _ = meters.refused.get_or_create(&label(*limit));
        }
        meters
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Requests and connections refused, by the name of the limit";
        registry.register("limit_refused", help, self.refused.clone());
        let help = "The largest share of a limit that anybody has used in the last minute or two";
        registry.register("limit_nearest_ratio", help, self.nearest.clone());
        let help = "Buckets of addresses, subjects or tenants forgotten for want of room";
        registry.register("limit_forgotten_buckets", help, self.forgotten.clone());
    }

    pub(crate) fn refused(&self, limit: Limit) {
        self.meters[limit.index()].refused.inc();
    }

    /// Somebody else counts what this limit has refused.
    pub(crate) fn refused_in_all(&self, limit: Limit, count: u64) {
        self.meters[limit.index()].refused.inner().fetch_max(count, Ordering::Relaxed);
    }

    pub(crate) fn forgot(&self) {
        self.forgotten.inc();
    }

    /// Notes that somebody has used this share of a limit, in thousandths.
    pub(crate) fn used(&self, limit: Limit, share: u32) {
        let peak = &self.meters[limit.index()].peak;
        // Mostly there is nothing to write, so the line is shared by all who read it.
        if share > peak.load(Ordering::Relaxed) {
            peak.fetch_max(share, Ordering::Relaxed);
        }
    }

    /// As [`used`](Self::used), of a number.
    pub(crate) fn counted(&self, limit: Limit, count: usize, most: usize) {
        let share = (count as u64).saturating_mul(1_000) / (most as u64).max(1);
        self.used(limit, u32::try_from(share).unwrap_or(u32::MAX));
    }

    /// Brings what is counted to where it is read.
    pub(crate) fn tell(&self, now_ms: u64) {
        let turned_ms = self.turned_ms.load(Ordering::Relaxed);
        let turns = now_ms.saturating_sub(turned_ms) >= PEAK_MS
            && self
                .turned_ms
                .compare_exchange(turned_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        for &limit in &self.shown {
            let meter = &self.meters[limit.index()];
            let refused = self.refused.get_or_create(&label(limit));
            // Only ever more: two who ask at once leave the larger.
            refused.inner().fetch_max(meter.refused.get(), Ordering::Relaxed);
            drop(refused);
            let peak = meter.peak.load(Ordering::Relaxed);
            let peak_before = meter.peak_before.load(Ordering::Relaxed);
            self.nearest
                .get_or_create(&label(limit))
                .set(f64::from(peak.max(peak_before)) / 1_000.0);
            if turns {
                meter.peak_before.store(meter.peak.swap(0, Ordering::Relaxed), Ordering::Relaxed);
            }
        }
    }
}

fn label(limit: Limit) -> Labels {
    [("limit", limit.name())]
}
