//! Connect storm: subscriptions opened as fast as they can be, then idle.

use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::crowd::{Crowd, CrowdPlan};
use super::{LoadError, Report, account};
use crate::bench::clock::now_ns;

/// Before memory is read, so that what was only needed to connect may be given back.
const SETTLE: Duration = Duration::from_millis(300);
/// Subscriptions before the measured ones: what the first connection costs is not per connection.
const WARM_UP: usize = 100;

/// A connect storm.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StormJob {
    pub(crate) crowd: CrowdPlan,
    /// How long the idle server is watched, milliseconds.
    pub(crate) idle_ms: u64,
    /// The server's processes, for its books.
    pub(crate) pids: Vec<u32>,
}

pub(super) fn run(
    job: &StormJob,
    go: &mut dyn FnMut() -> Result<(), LoadError>,
) -> Result<Report, LoadError> {
    let new = |plan| Crowd::new(plan).map_err(|error| LoadError::Socket("epoll", error));
    let mut warm_up =
        new(CrowdPlan { subscribers: WARM_UP.min(job.crowd.subscribers), ..job.crowd.clone() })?;
    warm_up.open()?;
    let mut crowd = new(job.crowd.clone())?;
    go()?;
    thread::sleep(SETTLE);
    let before = account(&job.pids)?;
    let start = now_ns();
    crowd.open()?;
    let elapsed_ns = now_ns() - start;
    let connected = account(&job.pids)?;
    thread::sleep(SETTLE);
    let settled = account(&job.pids)?;
    thread::sleep(Duration::from_millis(job.idle_ms));
    let idle = account(&job.pids)?;
    crowd.read(0)?;
    Ok(Report {
        tally: std::mem::take(&mut crowd.tally),
        operations: job.crowd.subscribers as u64,
        elapsed_ns,
        cost: connected.since(&before),
        rss_before_bytes: before.rss_bytes,
        rss_after_bytes: idle.rss_bytes,
        idle_cpu_ns: idle.since(&settled).cpu_ns * 1_000 / job.idle_ms.max(1),
        ..Report::default()
    })
}
