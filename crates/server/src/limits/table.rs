//! The buckets of everybody, in a table of a fixed size.
//!
//! An attacker has more addresses than we have memory, so there is no bucket for each: a key has
//! one of the [`WAYS`] places of its set. A bucket that is full says nothing, so its place is free;
//! when none is, the one that is nearest to full gives way, which forgives its owner what it had
//! taken (counted: `tidings_limit_forgotten_buckets_total`). So a crowd of addresses can gain a
//! little of what it may do for those that share a set with it, never take anything from them.
//!
//! One lock for each set, held for a few instructions: threads meet only over the same key, or with
//! a chance of one in [`SETS`].

use parking_lot::Mutex;

use super::bucket::{Pace, Ticks, TooSoon};

/// Sets of a table.
pub(crate) const SETS: usize = 8_192;

/// Places of a set. With the rates below it is 448 bytes.
pub(crate) const WAYS: usize = 8;

/// Rates that a place keeps a bucket for.
pub(crate) const RATES: usize = 5;

/// The buckets of one key.
#[derive(Clone, Copy, Default)]
struct Place {
    key: u64,
    full_at: [Ticks; RATES],
}

impl Place {
    /// When the last of its buckets will be full.
    fn full_at(&self) -> Ticks {
        self.full_at.iter().copied().max().unwrap_or(0)
    }
}

/// The table; 3.5 MiB.
pub(crate) struct Table {
    sets: Box<[Mutex<[Place; WAYS]>]>,
}

/// What a take has done besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// How much of the bucket is taken now, in thousandths.
    pub(crate) used: u32,
    /// Whether somebody else's buckets gave way that were not full.
    pub(crate) forgot: bool,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { sets: (0..SETS).map(|_| Mutex::default()).collect() }
    }

    /// Takes `amount` from the key's bucket for this rate.
    ///
    /// # Errors
    /// It does not hold enough.
    pub(crate) fn take(
        &self,
        key: u64,
        rate: usize,
        pace: &Pace,
        now: Ticks,
        amount: u64,
    ) -> Result<Taken, TooSoon> {
        let mut set = self.sets[key as usize % SETS].lock();
        let (at, forgot) = match set.iter().position(|place| place.key == key) {
            Some(at) => (at, false),
            None => {
                let at = nearest_to_full(&set);
                let forgot = set[at].full_at() > now;
                set[at] = Place { key, ..Place::default() };
                (at, forgot)
            }
        };
        let full_at = &mut set[at].full_at[rate];
        *full_at = pace.take(*full_at, now, amount)?;
        Ok(Taken { used: pace.used(*full_at, now), forgot })
    }

    /// Gives back what was taken, because another limit has refused the request.
    pub(crate) fn give_back(&self, key: u64, rate: usize, pace: &Pace, amount: u64) {
        let mut set = self.sets[key as usize % SETS].lock();
        if let Some(place) = set.iter_mut().find(|place| place.key == key) {
            place.full_at[rate] = place.full_at[rate].saturating_sub(pace.price(amount));
        }
    }
}

fn nearest_to_full(set: &[Place; WAYS]) -> usize {
    let nearest = (0..WAYS).min_by_key(|&at| set[at].full_at());
    nearest.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::bucket::ticks;
    use super::*;
    use crate::config::Rate;

    /// A key of set `set`, other than 0, which is what an empty place has.
    fn key(set: usize, number: usize) -> u64 {
        ((number + 1) * SETS + set) as u64
    }

    #[test]
    fn keys_have_buckets_of_their_own_and_rates_too() {
        let (table, pace) = (Table::new(), Pace::new(Rate { count: 1, per_ms: 1_000 }, 1));
        for rate in 0..RATES {
            for number in 0..WAYS {
                assert!(table.take(key(7, number), rate, &pace, 0, 1).is_ok(), "{rate} {number}");
                assert!(table.take(key(7, number), rate, &pace, 0, 1).is_err(), "{rate} {number}");
            }
        }
        table.give_back(key(7, 3), 0, &pace, 1);
        assert!(table.take(key(7, 3), 0, &pace, 0, 1).is_ok());
    }

    #[test]
    fn a_million_keys_take_no_more_memory_and_full_buckets_give_way_first() {
        let (table, pace) = (Table::new(), Pace::new(Rate { count: 1, per_ms: 1_000 }, 100));
        // The one that has taken most is forgotten last.
        for _ in 0..100 {
            table.take(key(0, 0), 0, &pace, 0, 1).unwrap();
        }
        let mut forgot = 0;
        for number in 1..1_000_000 {
            // They come faster than their buckets fill, so some give way that are not full.
            let now = ticks(Duration::from_micros(number));
            let taken = table.take(key(0, number as usize), 0, &pace, now, 1).unwrap();
            forgot += u32::from(taken.forgot);
        }
        assert!(forgot > 0, "the set is one");
        let now = ticks(Duration::from_secs(1));
        assert!(table.take(key(0, 0), 0, &pace, now, 2).is_err(), "it was forgotten");
        assert_eq!(std::mem::size_of::<Place>() * SETS * WAYS, 48 * 65_536);
    }
}
