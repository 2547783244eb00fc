//! What goes over a line on which nothing happens: heartbeats, and what answers them.
//!
//! Counted between two heartbeats of a server whose heartbeat is a second, and told per minute of
//! one whose heartbeat is what it is by default: the packets of a heartbeat do not depend on it.

use std::time::{Duration, Instant};

use super::decode::Way;
use super::line::Line;
use super::post::Poster;
use super::wires::opening;
use crate::bench::BenchError;
use crate::bench::contender::Server;
use crate::bench::result::Sample;

/// The heartbeat of the server that is measured.
pub(super) const HEARTBEAT: &str = "1s";
/// Heartbeats a minute at 15 s, the default (PROTOCOL.md, section 15).
const DEFAULT_PER_MINUTE: f64 = 4.0;
/// How long one heartbeat may take.
const HEARTBEAT_MAX: Duration = Duration::from_secs(5);

/// Watches for `beats` heartbeats.
pub(super) fn run(server: &Server, way: Way, beats: u32) -> Result<Sample, BenchError> {
    let topic = format!("{}idle", server.prefix);
    Poster::connect(server.address, &topic, false)?.publish("x")?;
    let mut line = Line::open(&opening(server, way, &topic))?;
    let beat = |line: &mut Line| match line.read(Instant::now() + HEARTBEAT_MAX)? {
        true => Ok(()),
        false => Err(BenchError::Never("a heartbeat")),
    };
    // The first is counted from the last event, the others from each other.
    beat(&mut line)?;
    let (first, start) = (line.counts, Instant::now());
    for _ in 0..beats {
        beat(&mut line)?;
    }
    let each = |now: u64, before: u64| (now - before) as f64 / f64::from(beats);
    let counts = line.counts;
    let (down, up) = (each(counts.reads, first.reads), each(counts.writes, first.writes));
    let bytes = each(counts.down, first.down) + each(counts.up, first.up);
    Ok(Sample::from([
        ("packets".to_owned(), (down + up) * DEFAULT_PER_MINUTE),
        ("up".to_owned(), up * DEFAULT_PER_MINUTE),
        ("bytes".to_owned(), bytes * DEFAULT_PER_MINUTE),
        ("beat_s".to_owned(), start.elapsed().as_secs_f64() / f64::from(beats)),
    ]))
}
