//! Fan-out: one publisher, many subscribers, paced or flat out.
//!
//! The measured part begins and ends with nothing under way, so that all the server's work for
//! the measured events, and no other, lies between the two looks at its books.

use std::time::Duration;

use rustix::event::epoll::EventFlags;
use serde::{Deserialize, Serialize};

use super::crowd::{Crowd, CrowdPlan, Tally};
use super::publisher::Publisher;
use super::stamp::Stamp;
use super::{LoadError, Report, account};
use crate::bench::clock::now_ns;
use crate::bench::histogram::Histogram;
use crate::bench::socket::Poll;

/// After the last publish, everything must have arrived within this time.
const DRAIN_NS: u64 = 20_000_000_000;
/// Publishes of one measurement at most.
const PUBLISHES_MAX: u64 = 50_000_000;
const PUBLISHER: usize = usize::MAX;
const CROWD: usize = usize::MAX - 1;

/// A fan-out measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FanoutJob {
    pub(crate) crowd: CrowdPlan,
    /// Bytes of a payload.
    pub(crate) payload_bytes: usize,
    /// Events per second; flat out when absent.
    pub(crate) rate: Option<f64>,
    /// Requests on the publisher's connection that may have no answer yet.
    pub(crate) in_flight: usize,
    /// How many publishes the publisher may be ahead of the slowest subscriber (flat out).
    pub(crate) window: u64,
    /// Subscribers look at their sockets this often, microseconds; 0: at once.
    pub(crate) read_delay_us: u64,
    /// Sleeps while it waits, because others use its core too.
    pub(crate) sleeps: bool,
    pub(crate) warm_up_ms: u64,
    pub(crate) measured_ms: u64,
    /// The server's processes, for its books.
    pub(crate) pids: Vec<u32>,
    pub(crate) share: Share,
}

/// What this process does when there are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Share {
    /// Publishes, keeps the books, and may have subscribers.
    Lead,
    /// Has subscribers only, and stops when they have had the known number of paced events.
    Follow,
}

impl FanoutJob {
    /// Paced publishes in `milliseconds`.
    fn paced(&self, milliseconds: u64) -> Option<u64> {
        self.rate.map(|rate| (rate * milliseconds as f64 / 1_000.0).ceil().max(1.0) as u64)
    }
}

pub(super) fn run(
    job: &FanoutJob,
    go: &mut dyn FnMut() -> Result<(), LoadError>,
) -> Result<Report, LoadError> {
    let mut crowd = Crowd::new(job.crowd.clone()).map_err(|e| LoadError::Socket("epoll", e))?;
    crowd.open()?;
    match job.share {
        Share::Follow => {
            go()?;
            follow(job, crowd)
        }
        Share::Lead => {
            let mut lead = Lead::new(job, crowd)?;
            go()?;
            lead.run()
        }
    }
}

fn follow(job: &FanoutJob, mut crowd: Crowd) -> Result<Report, LoadError> {
    let (Some(warm_up), Some(measured)) = (job.paced(job.warm_up_ms), job.paced(job.measured_ms))
    else {
        return Err(LoadError::Protocol("several processes can only share a paced load"));
    };
    let delay = Duration::from_micros(job.read_delay_us.max(100));
    let deadline = now_ns() + (job.warm_up_ms + job.measured_ms) * 1_000_000 + 2 * DRAIN_NS;
    for last in [warm_up, warm_up + measured] {
        crowd.tally = Tally::default();
        while !crowd.caught_up(last) && now_ns() < deadline {
            std::thread::sleep(delay);
            crowd.read(0)?;
        }
        crowd.settle(last);
    }
    Ok(Report { tally: std::mem::take(&mut crowd.tally), ..Report::default() })
}

struct Lead<'a> {
    job: &'a FanoutJob,
    crowd: Crowd,
    publisher: Publisher,
    /// The publisher's socket, and the subscribers' epoll when they read at once.
    poll: Poll,
    paths: Vec<String>,
    /// Publishes so far.
    count: u64,
    /// The lowest publish count that a subscriber waits for, as of the last read.
    slowest: u64,
    next_read_ns: u64,
}

impl<'a> Lead<'a> {
    fn new(job: &'a FanoutJob, crowd: Crowd) -> Result<Lead<'a>, LoadError> {
        let publisher = Publisher::connect(job.crowd.source, job.crowd.target)?;
        let epoll = |error| LoadError::Socket("epoll", error);
        let poll = Poll::new().map_err(epoll)?;
        poll.add(&publisher, PUBLISHER, EventFlags::IN).map_err(epoll)?;
        if job.read_delay_us == 0 {
            poll.add(crowd.poll(), CROWD, EventFlags::IN).map_err(epoll)?;
        }
        let paths = (0..job.crowd.topics).map(|topic| job.crowd.path(topic)).collect();
        let slowest = crowd.slowest();
        Ok(Lead { job, crowd, publisher, poll, paths, count: 0, slowest, next_read_ns: 0 })
    }

    fn run(&mut self) -> Result<Report, LoadError> {
        self.phase(self.job.warm_up_ms)?;
        self.crowd.tally = Tally::default();
        self.publisher.latency = Histogram::default();
        let before = account(&self.job.pids)?;
        let start = now_ns();
        let first = self.count;
        self.phase(self.job.measured_ms)?;
        let elapsed_ns = now_ns() - start;
        let after = account(&self.job.pids)?;
        Ok(Report {
            tally: std::mem::take(&mut self.crowd.tally),
            answers: std::mem::take(&mut self.publisher.latency),
            operations: self.count - first,
            elapsed_ns,
            cost: after.since(&before),
            rss_before_bytes: before.rss_bytes,
            rss_after_bytes: after.rss_bytes,
            ..Report::default()
        })
    }

    /// Publishes for a while, then waits until everything has arrived.
    fn phase(&mut self, milliseconds: u64) -> Result<(), LoadError> {
        let start = now_ns();
        let end = start + milliseconds * 1_000_000;
        let first = self.count;
        let paced = self.job.paced(milliseconds);
        let last = first + paced.unwrap_or(PUBLISHES_MAX);
        let interval_ns = self.job.rate.map_or(0, |rate| (1e9 / rate) as u64);
        while self.count < last && (paced.is_some() || now_ns() < end) {
            let due = start + (self.count - first) * interval_ns;
            self.publish_due(due, last)?;
            self.wait(if paced.is_some() { due } else { end })?;
        }
        let deadline = now_ns() + DRAIN_NS;
        while self.publisher.in_flight() > 0 || !self.crowd.caught_up(self.count) {
            if now_ns() > deadline {
                break;
            }
            self.wait(deadline)?;
        }
        self.crowd.settle(self.count);
        self.slowest = self.crowd.slowest();
        Ok(())
    }

    /// Publishes what may be published now.
    fn publish_due(&mut self, due: u64, last: u64) -> Result<(), LoadError> {
        if self.job.rate.is_some() {
            // The due time, not the present: a generator that is late must not hide a delay.
            return if now_ns() >= due { self.publish(due) } else { Ok(()) };
        }
        while self.count < last
            && self.publisher.in_flight() < self.job.in_flight
            && self.count + 1 < self.slowest.saturating_add(self.job.window)
        {
            self.publish(now_ns())?;
        }
        Ok(())
    }

    fn publish(&mut self, sent_ns: u64) -> Result<(), LoadError> {
        let path = &self.paths[(self.count % self.paths.len() as u64) as usize];
        self.count += 1;
        let stamp = Stamp { sequence: self.count, sent_ns };
        self.publisher.publish(path, stamp, self.job.payload_bytes)
    }

    /// Waits for an answer, until the subscribers' next look or until `until`, and reads.
    fn wait(&mut self, until: u64) -> Result<(), LoadError> {
        let delay_ns = self.job.read_delay_us * 1_000;
        let now = now_ns();
        let mut wake = until;
        if delay_ns > 0 {
            if now >= self.next_read_ns {
                self.read_crowd()?;
                self.next_read_ns = now + delay_ns;
            }
            wake = wake.min(self.next_read_ns);
        }
        if self.publisher.blocked() {
            self.publisher.flush()?;
            wake = now;
        }
        let events = if self.job.sleeps {
            let time = Duration::from_nanos(wake.saturating_sub(now_ns()));
            self.poll.wait(Some(time))
        } else {
            self.poll.spin(wake)
        };
        let events = events.map_err(|error| LoadError::Socket("epoll_wait", error))?;
        for index in 0..events {
            match self.poll.event(index).0 {
                CROWD => self.read_crowd()?,
                _ => self.publisher.read()?,
            }
        }
        Ok(())
    }

    fn read_crowd(&mut self) -> Result<(), LoadError> {
        self.crowd.read(0)?;
        self.slowest = self.crowd.slowest();
        Ok(())
    }
}
