//! Resume and replay: subscribers that begin far behind and read until they have caught up.

use serde::{Deserialize, Serialize};

use super::crowd::{Crowd, CrowdPlan};
use super::{LoadError, Report, account};
use crate::bench::clock::now_ns;

/// The server's memory is looked at this often, nanoseconds.
const LOOK_NS: u64 = 20_000_000;
/// How long one wait for the sockets lasts at most, nanoseconds.
const WAIT_NS: u64 = 10_000_000;

/// A catch-up measurement: every subscriber gets the events with stamps `first..=last`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CatchupJob {
    /// With the id to resume after; one topic.
    pub(crate) crowd: CrowdPlan,
    /// The stamp of the first event after that id.
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// All must have caught up after this time, milliseconds.
    pub(crate) deadline_ms: u64,
    /// The server's processes, for its books.
    pub(crate) pids: Vec<u32>,
}

pub(super) fn run(
    job: &CatchupJob,
    go: &mut dyn FnMut() -> Result<(), LoadError>,
) -> Result<Report, LoadError> {
    let mut crowd = Crowd::new(job.crowd.clone()).map_err(|e| LoadError::Socket("epoll", e))?;
    crowd.expect(job.first, job.last);
    go()?;
    let before = account(&job.pids)?;
    let start = now_ns();
    let deadline = start + job.deadline_ms * 1_000_000;
    let (mut peak_bytes, mut next_look) = (before.rss_bytes, start);
    loop {
        let opening = crowd.open_some()?;
        crowd.read(now_ns() + WAIT_NS)?;
        let now = now_ns();
        if now >= next_look {
            peak_bytes = peak_bytes.max(account(&job.pids)?.rss_bytes);
            next_look = now + LOOK_NS;
        }
        if (!opening && crowd.finished() >= job.crowd.subscribers) || now > deadline {
            break;
        }
    }
    let elapsed_ns = now_ns() - start;
    let after = account(&job.pids)?;
    crowd.settle(job.last);
    let mut cost = after.since(&before);
    cost.rss_peak_bytes = peak_bytes.max(after.rss_bytes);
    Ok(Report {
        caught_up: crowd.finish_times(start),
        operations: crowd.tally.delivered,
        tally: std::mem::take(&mut crowd.tally),
        elapsed_ns,
        cost,
        rss_before_bytes: before.rss_bytes,
        rss_after_bytes: after.rss_bytes,
        ..Report::default()
    })
}
