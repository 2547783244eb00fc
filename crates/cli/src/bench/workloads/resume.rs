//! Resume storm: everyone reconnects at once, each some events behind.
//!
//! What happens after a restart of a proxy. The bare loop of this workload keeps its frames in
//! memory and finds a position by looking for it: what it costs is the sends.

use clap::Args;

use super::{column, generate, has_books, mib, ms, outcome, per_second, us_each};
use crate::bench::contender::{Contender, Server};
use crate::bench::load::{CatchupJob, CrowdPlan, FillJob, Job, Report, Wire};
use crate::bench::machine::Machine;
use crate::bench::options::{Durability, Options};
use crate::bench::result::{Case, Metric, Outcome, Sample, Target};
use crate::bench::{Bench, BenchError, rounds};

const CONTENDERS: [Contender; 2] = [Contender::LimitCoalesce, Contender::Tidings];
/// Everyone must have caught up after this time, milliseconds.
const DEADLINE_MS: u64 = 120_000;

/// Arguments of `bench resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    options: Options,
    /// Subscribers that come back.
    #[arg(long, default_value_t = 10_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=19_000))]
    subscribers: u32,
    /// Events that each has missed.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// Bytes of an event.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
}

/// Measures the storm with the bare loop and with the server.
pub(crate) fn run(args: ResumeArgs) -> Result<(Options, Outcome), BenchError> {
    let mut bench = Bench::new(args.options.clone(), Durability::Written)?;
    bench.keep = true;
    let machine = Machine::look(&bench.data_dir);
    let contenders = bench.contenders(&CONTENDERS);
    let (subscribers, events) = match args.options.quick {
        true => (args.subscribers.min(100), args.events.min(100)),
        false => (args.subscribers, args.events),
    };
    let title = format!(
        "{subscribers} subscribers resume at once, each {events} events of {} B behind",
        args.bytes
    );
    let mut cases = vec![Case {
        name: "storm".to_owned(),
        title,
        metrics: metrics(),
        columns: contenders.iter().copied().map(column).collect(),
    }];
    rounds::measure(&bench, &mut cases, |_, index| {
        let server = contenders[index].start(&bench)?;
        // One more than is missed: its id is where everyone resumes.
        let fill = FillJob {
            target: server.address,
            source: None,
            path: plan(&server, 0, None).path(0),
            first: 1,
            events: events + 1,
            payload_bytes: args.bytes,
            batch: 1,
        };
        let filled = generate(&bench, &[Job::Fill(fill)])?;
        let job = CatchupJob {
            crowd: plan(&server, subscribers as usize, Some(filled.first_id)),
            first: 2,
            last: events + 1,
            deadline_ms: DEADLINE_MS,
            pids: server.pids.clone(),
        };
        let report = generate(&bench, &[Job::Catchup(job)])?;
        Ok(sample(&report, has_books(&server)))
    });
    let outcome = outcome(&mut bench, "resume", machine, cases);
    Ok((args.options, outcome))
}

/// Subscribers of the one topic.
pub(super) fn plan(server: &Server, subscribers: usize, after: Option<String>) -> CrowdPlan {
    CrowdPlan {
        target: server.address,
        source: None,
        subscribers,
        topics: 1,
        prefix: server.prefix.clone(),
        last_event_id: after,
        wire: Wire::Sse,
    }
}

fn metrics() -> Vec<Metric> {
    let mut metrics = vec![Metric::new("seconds", "s until all have caught up", 2)];
    metrics.extend(catchup_metrics());
    metrics
}

/// The metrics of every catch-up.
pub(super) fn catchup_metrics() -> Vec<Metric> {
    vec![
        Metric::new("p50_ms", "half have caught up after ms", 0),
        Metric::new("events_per_s", "events/s", 0),
        Metric::new("cpu_us", "CPU µs/event", 3),
        Metric::new("rss_before_mib", "server RSS MiB before", 1),
        Metric::new("rss_peak_mib", "peak RSS MiB", 1),
        Metric::new("lost", "lost or repeated", 0).target(Target::AtMost(0.0)),
    ]
}

/// The figures of a catch-up.
pub(super) fn sample(report: &Report, books: bool) -> Sample {
    let tally = &report.tally;
    let wrong = tally.lost + tally.duplicates + tally.foreign + tally.closed;
    let mut sample = Sample::from([
        ("seconds".to_owned(), report.elapsed_ns as f64 / 1e9),
        ("p50_ms".to_owned(), ms(report.caught_up.quantile(0.5))),
        ("events_per_s".to_owned(), per_second(tally.delivered, report.elapsed_ns)),
        ("lost".to_owned(), wrong as f64),
    ]);
    if books {
        let cost = &report.cost;
        sample.insert("cpu_us".to_owned(), us_each(cost.cpu_ns, tally.delivered));
        sample.insert("rss_before_mib".to_owned(), mib(report.rss_before_bytes));
        sample.insert("rss_peak_mib".to_owned(), mib(cost.rss_peak_bytes));
    }
    sample
}
