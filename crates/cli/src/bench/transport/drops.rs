//! A reader that is cut off again and again while events are published: what it has missed, and
//! what it has got twice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::decode::Way;
use super::line::{Line, Opening};
use super::post::Poster;
use super::wires::{EVENT_MAX, median, newest, opening};
use crate::bench::BenchError;
use crate::bench::contender::Server;
use crate::bench::result::Sample;

/// Between two publishes.
const PACE: Duration = Duration::from_millis(2);
/// How long a reader reads before it is cut off, and how long it is away.
const READS: Duration = Duration::from_millis(60);
const AWAY: Duration = Duration::from_millis(25);
/// Events that are published while it is away, at least: on a busy machine the publisher may not
/// have had its turn in all that time.
const MISSED: u64 = 3;
/// Publishes at most: a minute of them.
const PUBLISHES_MAX: u64 = 30_000;

/// How a reader comes back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comeback {
    pub(super) way: Way,
    /// It says what it had.
    pub(super) resumes: bool,
}

pub(super) fn run(server: &Server, how: Comeback, drops: usize) -> Result<Sample, BenchError> {
    let topic = format!("{}drops", server.prefix);
    let mut poster = Poster::connect(server.address, &topic, false)?;
    poster.publish("x")?;
    let start = newest(server, &topic)?;
    let (published, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let reader = Reader::new(server, how, &topic, start)?;
        let publisher = scope.spawn(|| publish(&mut poster, &published, &stop));
        let seen = reader.read(drops, &published, &stop);
        // Also where reading has failed: the publisher must end.
        stop.store(true, Ordering::Release);
        let ended = publisher.join();
        ended.unwrap_or_else(|_| Err(BenchError::Workload("the publisher panicked".to_owned())))?;
        seen
    })
}

fn publish(
    poster: &mut Poster,
    published: &AtomicU64,
    stop: &AtomicBool,
) -> Result<(), BenchError> {
    for count in 1..=PUBLISHES_MAX {
        if stop.load(Ordering::Acquire) {
            break;
        }
        poster.publish(&count.to_string())?;
        published.store(count, Ordering::Release);
        thread::sleep(PACE);
    }
    Ok(())
}

struct Reader<'a> {
    server: &'a Server,
    how: Comeback,
    topic: &'a str,
    /// `None` while it is away.
    line: Option<Line>,
    after: String,
    /// How often each event has come, by its number.
    seen: Vec<u32>,
    /// From the attempt to come back until the first event, milliseconds.
    back_ms: Vec<f64>,
}

impl<'a> Reader<'a> {
    fn new(
        server: &'a Server,
        how: Comeback,
        topic: &'a str,
        after: String,
    ) -> Result<Reader<'a>, BenchError> {
        let opening = Opening { after: Some(&after), ..opening(server, how.way, topic) };
        let line = Some(Line::open(&opening)?);
        Ok(Reader { server, how, topic, line, after, seen: Vec::new(), back_ms: Vec::new() })
    }

    fn read(
        mut self,
        drops: usize,
        published: &AtomicU64,
        stop: &AtomicBool,
    ) -> Result<Sample, BenchError> {
        for _ in 0..drops {
            self.take(Instant::now() + READS, None)?;
            self.come_back(published)?;
        }
        self.take(Instant::now() + READS, None)?;
        stop.store(true, Ordering::Release);
        let last = published.load(Ordering::Acquire);
        self.take(Instant::now() + EVENT_MAX, Some(last))?;
        let count = |at: u64| {
            let index = usize::try_from(at).unwrap_or(usize::MAX);
            self.seen.get(index).copied().unwrap_or(0)
        };
        let lost = (1..=last).filter(|at| count(*at) == 0).count();
        let again: u32 = (1..=last).map(|at| count(at).saturating_sub(1)).sum();
        Ok(Sample::from([
            ("published".to_owned(), last as f64),
            ("drops".to_owned(), drops as f64),
            ("lost".to_owned(), lost as f64),
            ("twice".to_owned(), f64::from(again)),
            ("back_ms".to_owned(), median(&mut self.back_ms)),
        ]))
    }

    /// Takes events until `deadline`, or until the one with the number `last` is there.
    fn take(&mut self, deadline: Instant, last: Option<u64>) -> Result<(), BenchError> {
        let there = |seen: &[u32], last: u64| seen.len() as u64 > last;
        while !last.is_some_and(|last| there(&self.seen, last)) {
            let Some(event) = self.line.as_mut().map_or(Ok(None), |line| line.next(deadline))?
            else {
                break;
            };
            let number = event.data.parse::<usize>();
            let number = number.ok().filter(|number| (1..=PUBLISHES_MAX as usize).contains(number));
            if let Some(number) = number {
                if self.seen.len() <= number {
                    self.seen.resize(number + 1, 0);
                }
                self.seen[number] += 1;
            }
            self.after = event.id;
        }
        Ok(())
    }

    /// Is cut off, stays away for a moment, and opens a connection anew.
    fn come_back(&mut self, published: &AtomicU64) -> Result<(), BenchError> {
        let after = Some(self.after.as_str()).filter(|_| self.how.resumes);
        let how = Opening { after, ..opening(self.server, self.how.way, self.topic) };
        if let Some(line) = self.line.take() {
            line.cut();
        }
        let missed = published.load(Ordering::Acquire) + MISSED;
        let cut = Instant::now();
        thread::sleep(AWAY);
        while published.load(Ordering::Acquire) < missed && cut.elapsed() < EVENT_MAX {
            thread::sleep(PACE);
        }
        let begun = Instant::now();
        self.line = Some(Line::open(&how)?);
        let before = self.seen.iter().sum::<u32>();
        while self.seen.iter().sum::<u32>() == before && begun.elapsed() < EVENT_MAX {
            self.take(Instant::now() + PACE, None)?;
        }
        self.back_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        Ok(())
    }
}
