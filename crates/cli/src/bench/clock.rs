//! Monotonic time as plain nanoseconds, comparable between the processes of one measurement.
//!
//! `Instant` has no number, and a payload has to carry one: the generator that receives an event
//! may be another process than the one that published it.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub(crate) fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    // The clock starts at boot, so neither field is negative.
    (time.tv_sec as u64) * 1_000_000_000 + time.tv_nsec as u64
}
