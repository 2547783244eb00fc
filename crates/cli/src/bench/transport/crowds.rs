//! Many subscribers over either transport: memory, connecting at once, fan-out.

use super::wires::newest;
use crate::bench::contender::Server;
use crate::bench::load::{CrowdPlan, FanoutJob, Job, Share, StormJob, Wire};
use crate::bench::result::Sample;
use crate::bench::workloads::{generate, ms, per_second, us_each};
use crate::bench::{Bench, BenchError};

/// How long an idle server is left alone before its memory is read, milliseconds.
const IDLE_MS: u64 = 500;
/// Bytes of a fan-out's payload.
pub(super) const PAYLOAD_BYTES: usize = 100;
/// Subscribers above which the generator looks at its sockets every millisecond only: it could
/// not keep up with all of them at once, and would be what is measured.
const READS_AT_ONCE_MAX: usize = 1_000;

/// One fan-out: subscribers of one topic, and events a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) subscribers: usize,
    pub(super) rate: u32,
}

/// The loads of a whole run, lowest number of subscribers first.
pub(super) const LOADS: [Load; 3] = [
    Load { subscribers: 100, rate: 100 },
    Load { subscribers: 1_000, rate: 20 },
    Load { subscribers: 10_000, rate: 5 },
];

impl Load {
    /// The case's name; also what verdicts find it by.
    pub(super) fn name(self) -> String {
        format!("H4 {} × {}/s", self.subscribers, self.rate)
    }
}

/// The server's memory for each of `many` idle connections beyond `few`.
pub(super) fn memory(
    servers: [&Server; 2],
    bench: &Bench,
    wire: Wire,
    [few, many]: [usize; 2],
) -> Result<Sample, BenchError> {
    let mut grown = [0.0; 2];
    for ((server, count), grown) in servers.into_iter().zip([few, many]).zip(&mut grown) {
        let report = generate(bench, &[storm_job(server, wire, count, None)])?;
        *grown = report.rss_after_bytes.saturating_sub(report.rss_before_bytes) as f64;
    }
    let slope = (grown[1] - grown[0]) / (many - few) as f64;
    Ok(Sample::from([
        ("kib".to_owned(), slope / 1024.0),
        ("few_mib".to_owned(), grown[0] / 1024.0 / 1024.0),
        ("many_mib".to_owned(), grown[1] / 1024.0 / 1024.0),
    ]))
}

/// Everyone comes back at once, with the id of the last event, which there is nothing after.
pub(super) fn storm(
    server: &Server,
    bench: &Bench,
    wire: Wire,
    count: usize,
) -> Result<Sample, BenchError> {
    let id = newest(server, &format!("{}0", server.prefix))?;
    let report = generate(bench, &[storm_job(server, wire, count, Some(id))])?;
    Ok(Sample::from([
        ("ms".to_owned(), ms(report.elapsed_ns)),
        ("per_s".to_owned(), per_second(report.operations, report.elapsed_ns)),
        ("cpu_us".to_owned(), us_each(report.cost.cpu_ns, report.operations)),
        ("closed".to_owned(), report.tally.closed as f64),
    ]))
}

fn storm_job(server: &Server, wire: Wire, count: usize, last_event_id: Option<String>) -> Job {
    Job::Storm(StormJob {
        crowd: CrowdPlan { last_event_id, ..crowd(server, wire, count) },
        idle_ms: IDLE_MS,
        pids: server.pids.clone(),
    })
}

/// One topic, many subscribers, a steady rate.
pub(super) fn fanout(
    server: &Server,
    bench: &Bench,
    wire: Wire,
    load: Load,
    [warm_up_ms, measured_ms]: [u64; 2],
) -> Result<Sample, BenchError> {
    let job = FanoutJob {
        crowd: crowd(server, wire, load.subscribers),
        payload_bytes: PAYLOAD_BYTES,
        rate: Some(f64::from(load.rate)),
        in_flight: 1,
        window: u64::MAX,
        read_delay_us: if load.subscribers > READS_AT_ONCE_MAX { 1_000 } else { 0 },
        warm_up_ms,
        measured_ms,
        sleeps: false,
        pids: server.pids.clone(),
        share: Share::Lead,
    };
    let report = generate(bench, &[Job::Fanout(job)])?;
    let tally = &report.tally;
    let wrong = tally.lost + tally.duplicates + tally.foreign + tally.closed;
    Ok(Sample::from([
        ("p50_ms".to_owned(), ms(tally.latency.quantile(0.5))),
        ("p99_ms".to_owned(), ms(tally.latency.quantile(0.99))),
        ("p999_ms".to_owned(), ms(tally.latency.quantile(0.999))),
        ("cpu_us".to_owned(), us_each(report.cost.cpu_ns, tally.delivered)),
        ("delivered".to_owned(), tally.delivered as f64),
        ("lost".to_owned(), wrong as f64),
    ]))
}

fn crowd(server: &Server, wire: Wire, subscribers: usize) -> CrowdPlan {
    CrowdPlan {
        target: server.address,
        source: None,
        subscribers,
        topics: 1,
        prefix: server.prefix.clone(),
        last_event_id: None,
        wire,
    }
}
