//! Official clients, unmodified, against the relay: every variant of what an upstream can do times
//! every client, compared with what the same client sees without the relay.
//!
//! The clients are programs below `interop/`, with versions and hashes pinned; their environments
//! are made when they are missing. Without Python, Node or a network the tests are left out with a
//! notice, unless `TIDINGS_REQUIRE_INTEROP=1`.

mod client;
mod environment;
mod flaky;
mod judge;
mod matrix;
mod model;
mod native;
mod scenario;
mod variant;

use std::time::Duration;

/// How long an upstream is silent: several of the relay's heartbeats.
const SILENCE: Duration = Duration::from_secs(3);

/// The relay's heartbeat.
const HEARTBEAT: &str = "1s";

/// The silence, as long as `TIDINGS_INTEROP_SILENCE` (seconds) wants it.
fn silence() -> Duration {
    let wanted = std::env::var("TIDINGS_INTEROP_SILENCE").ok().and_then(|it| it.parse().ok());
    wanted.map_or(SILENCE, Duration::from_secs)
}
