//! The time that waiting is counted in: heartbeats, deadlines, turns.
//!
//! It is no time of day. Somebody may set the clock back by an hour, and in that hour no token
//! would be looked at, no heartbeat sent and nobody read from who is over a quota.

use std::sync::LazyLock;
use std::time::Instant;

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since this was first asked.
pub(crate) fn timer_ms() -> u64 {
    u64::try_from(BEGAN.elapsed().as_millis()).unwrap_or(u64::MAX)
}
