//! Closed loop: publishers that each have one request under way and wait for its answer.

use rustix::event::epoll::EventFlags;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddrV4};

use super::publisher::Publisher;
use super::stamp::Stamp;
use super::{LoadError, Report, account};
use crate::bench::clock::now_ns;
use crate::bench::histogram::Histogram;
use crate::bench::socket::Poll;

/// Without any answer for this long, the server counts as stuck, nanoseconds.
const STUCK_NS: u64 = 10_000_000_000;

/// A closed-loop publish measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ClosedJob {
    pub(crate) target: SocketAddrV4,
    pub(crate) source: Option<Ipv4Addr>,
    pub(crate) publishers: usize,
    /// Publisher i publishes to topic i modulo this, called `<prefix><topic>`.
    pub(crate) topics: usize,
    pub(crate) prefix: String,
    /// Bytes of a payload.
    pub(crate) payload_bytes: usize,
    pub(crate) warm_up_ms: u64,
    pub(crate) measured_ms: u64,
    /// The server's processes, for its books.
    pub(crate) pids: Vec<u32>,
}

pub(super) fn run(
    job: &ClosedJob,
    go: &mut dyn FnMut() -> Result<(), LoadError>,
) -> Result<Report, LoadError> {
    let poll = Poll::new().map_err(|error| LoadError::Socket("epoll", error))?;
    let mut publishers = Vec::with_capacity(job.publishers);
    for index in 0..job.publishers {
        let publisher = Publisher::connect(job.source, job.target)?;
        let flags = EventFlags::IN | EventFlags::RDHUP;
        let added = poll.add(&publisher, index, flags);
        added.map_err(|error| LoadError::Socket("epoll_ctl", error))?;
        publishers.push(publisher);
    }
    let mut workers = Workers { job, poll, publishers, sequence: 0 };
    go()?;
    workers.phase(job.warm_up_ms)?;
    for publisher in &mut workers.publishers {
        publisher.latency = Histogram::default();
    }
    let before = account(&job.pids)?;
    let start = now_ns();
    let operations = workers.phase(job.measured_ms)?;
    let elapsed_ns = now_ns() - start;
    let after = account(&job.pids)?;
    let mut answers = Histogram::default();
    for publisher in &workers.publishers {
        answers.merge(&publisher.latency);
    }
    Ok(Report {
        answers,
        operations,
        elapsed_ns,
        cost: after.since(&before),
        rss_before_bytes: before.rss_bytes,
        rss_after_bytes: after.rss_bytes,
        ..Report::default()
    })
}

struct Workers<'a> {
    job: &'a ClosedJob,
    poll: Poll,
    publishers: Vec<Publisher>,
    sequence: u64,
}

impl Workers<'_> {
    /// Lets all publishers go round for a while, then waits for the last answers; returns how
    /// many there were.
    fn phase(&mut self, milliseconds: u64) -> Result<u64, LoadError> {
        let end = now_ns() + milliseconds * 1_000_000;
        for index in 0..self.publishers.len() {
            self.publish(index)?;
        }
        let mut under_way = self.publishers.len();
        let mut answered = 0;
        while under_way > 0 {
            let events = self.poll.spin(now_ns() + STUCK_NS);
            let events = events.map_err(|error| LoadError::Socket("epoll_wait", error))?;
            if events == 0 {
                return Err(LoadError::Deadline("an answer to a publish"));
            }
            for event in 0..events {
                let index = self.poll.event(event).0;
                self.publishers[index].read()?;
                if self.publishers[index].in_flight() > 0 {
                    continue;
                }
                answered += 1;
                if now_ns() < end {
                    self.publish(index)?;
                } else {
                    under_way -= 1;
                }
            }
        }
        Ok(answered)
    }

    fn publish(&mut self, index: usize) -> Result<(), LoadError> {
        self.sequence += 1;
        let stamp = Stamp { sequence: self.sequence, sent_ns: now_ns() };
        let path = format!("/topics/{}{}", self.job.prefix, index % self.job.topics);
        let publisher = &mut self.publishers[index];
        publisher.publish(&path, stamp, self.job.payload_bytes)?;
        // A fresh connection may not take the request yet; small requests fit ever after.
        let deadline = now_ns() + STUCK_NS;
        while publisher.blocked() {
            if now_ns() > deadline {
                return Err(LoadError::Deadline("sending a publish"));
            }
            std::thread::yield_now();
            publisher.flush()?;
        }
        Ok(())
    }
}
