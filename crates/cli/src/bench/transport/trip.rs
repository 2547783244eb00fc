//! From a reader's own publish to its own event: by POST and back over the stream, and over one
//! WebSocket. Both connections are warm, one message is under way.

use std::time::Instant;

use super::decode::Way;
use super::line::{Line, Opening};
use super::post::Poster;
use super::wires::{EVENT_MAX, newest, opening};
use crate::bench::BenchError;
use crate::bench::contender::Server;
use crate::bench::histogram::Histogram;
use crate::bench::result::Sample;

/// Round trips before those that count.
const WARM_UP: usize = 20;
/// Bytes of a message.
const PAYLOAD: usize = 100;

pub(super) fn run(server: &Server, way: Way, count: usize) -> Result<Sample, BenchError> {
    let topic = format!("{}trip", server.prefix);
    let mut poster = Poster::connect(server.address, &topic, true)?;
    poster.publish("x")?;
    let after = newest(server, &topic)?;
    let how = Opening { after: Some(&after), spin: true, ..opening(server, way, &topic) };
    let mut line = Line::open(&how)?;
    let mut times = Histogram::default();
    let mut up = 0;
    for index in 0..WARM_UP + count {
        let data = format!("{index:0>PAYLOAD$}");
        let before = line.counts.up;
        let start = Instant::now();
        if way == Way::WebSocket {
            line.publish(&data)?;
            up = line.counts.up - before;
        } else {
            poster.send("text/plain", data.as_bytes())?;
            up = poster.up as u64;
        }
        let event = line.next(start + EVENT_MAX)?.ok_or(BenchError::Never("an event"))?;
        let taken = start.elapsed();
        if event.data != data {
            return Err(BenchError::Workload("another event came than was due".to_owned()));
        }
        if way != Way::WebSocket {
            poster.receipt()?;
        }
        if index >= WARM_UP {
            times.record(u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX));
        }
    }
    let least = if way == Way::WebSocket { up } else { up - poster.of_browser as u64 };
    Ok(Sample::from([
        ("p50_us".to_owned(), times.quantile(0.5) as f64 / 1e3),
        ("p99_us".to_owned(), times.quantile(0.99) as f64 / 1e3),
        ("up".to_owned(), up as f64),
        ("up_least".to_owned(), least as f64),
    ]))
}
