//! Log-linear histogram of nanoseconds: constant memory, constant time, relative error below 1/64.
//!
//! Latencies of a run are tens of millions of values; sorting them would disturb what is measured.
//! Values below 64 are exact; above, each power of two is split into 64 equal buckets.

use serde::{Deserialize, Serialize};

/// Buckets per power of two; the relative error of a quantile is at most one of these.
const SPLIT: u64 = 64;
const SPLIT_BITS: u32 = SPLIT.trailing_zeros();

/// A histogram of `u64` values (nanoseconds here).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Histogram {
    /// Grows to the highest bucket in use, at most 64 × 59.
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Histogram {
    /// Counts one value.
    pub(crate) fn record(&mut self, value: u64) {
        let bucket = bucket_of(value);
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// Adds all of `other`, as if its values had been recorded here.
    pub(crate) fn merge(&mut self, other: &Histogram) {
        if other.buckets.len() > self.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// The largest value, exactly; 0 when nothing was recorded.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// The value below or at which `quantile` (0 to 1) of all values lie: the upper edge of its
    /// bucket, never above [`Histogram::max`]; 0 when nothing was recorded.
    pub(crate) fn quantile(&self, quantile: f64) -> u64 {
        let rank = ((self.count as f64) * quantile).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_edge(bucket).min(self.max);
            }
        }
        self.max
    }
}

fn bucket_of(value: u64) -> usize {
    if value < SPLIT {
        return value as usize;
    }
    let power = 63 - value.leading_zeros();
    let within = (value >> (power - SPLIT_BITS)) - SPLIT;
    ((u64::from(power - SPLIT_BITS) + 1) * SPLIT + within) as usize
}

fn upper_edge(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < SPLIT {
        return bucket;
    }
    let shift = bucket / SPLIT - 1;
    // u128: the topmost bucket ends at 2^64 - 1.
    ((u128::from(SPLIT + bucket % SPLIT + 1) << shift) - 1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_are_exact() {
        let mut histogram = Histogram::default();
        for value in 1..=50 {
            histogram.record(value);
        }
        assert_eq!(histogram.quantile(0.5), 25);
        assert_eq!(histogram.quantile(1.0), 50);
        assert_eq!(histogram.quantile(0.0), 1);
    }

    #[test]
    fn every_value_lies_in_a_bucket_that_ends_at_most_one_sixty_fourth_above_it() {
        let mut value = 1_u64;
        while value < u64::MAX / 3 {
            for near in [value - 1, value, value + 1, value + value / 3] {
                let edge = upper_edge(bucket_of(near));
                assert!(edge >= near, "{near}: edge {edge}");
                assert!(edge - near <= near / 64 + 1, "{near}: edge {edge}");
            }
            value *= 2;
        }
        assert_eq!(upper_edge(bucket_of(u64::MAX)), u64::MAX);
    }

    #[test]
    fn buckets_are_in_the_order_of_their_values() {
        let edges: Vec<u64> = (0..2_000).map(upper_edge).collect();
        assert!(edges.windows(2).all(|pair| pair[0] < pair[1]));
        for (bucket, edge) in edges.iter().enumerate() {
            assert_eq!(bucket_of(*edge), bucket);
        }
    }

    #[test]
    fn merging_is_recording() {
        let (mut one, mut two, mut both) =
            (Histogram::default(), Histogram::default(), Histogram::default());
        for value in (0..100_000_u64).step_by(37) {
            if value % 2 == 0 {
                one.record(value)
            } else {
                two.record(value * 3)
            }
            both.record(if value % 2 == 0 { value } else { value * 3 });
        }
        one.merge(&two);
        assert_eq!(one.count, both.count);
        assert_eq!(one.max(), both.max());
        for quantile in [0.01, 0.5, 0.9, 0.99, 1.0] {
            assert_eq!(one.quantile(quantile), both.quantile(quantile));
        }
    }

    #[test]
    fn nothing_recorded_is_zero() {
        assert_eq!(Histogram::default().quantile(0.99), 0);
    }
}
