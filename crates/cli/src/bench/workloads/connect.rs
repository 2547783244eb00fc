//! Connect storm and idle memory: what a subscriber costs before anything is delivered to it.

use clap::Args;

use super::{column, generate, has_books, outcome, per_second, us_each};
use crate::bench::contender::{Contender, Server};
use crate::bench::load::{CrowdPlan, Job, Report, StormJob, Wire};
use crate::bench::machine::Machine;
use crate::bench::options::{Durability, Options};
use crate::bench::result::{Case, Metric, Outcome, Sample, Target};
use crate::bench::{Bench, BenchError, rounds};

const CONTENDERS: [Contender; 4] =
    [Contender::LimitEach, Contender::Tidings, Contender::Nchan, Contender::Axum];

/// Arguments of `bench connect`.
#[derive(Debug, Args)]
pub(crate) struct ConnectArgs {
    #[command(flatten)]
    options: Options,
    /// Subscriptions [default: 2,000 and 10,000].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=19_000))]
    subscribers: Option<u32>,
}

/// Measures the storm at each size with every contender.
pub(crate) fn run(args: ConnectArgs) -> Result<(Options, Outcome), BenchError> {
    let mut bench = Bench::new(args.options.clone(), Durability::Memory)?;
    let machine = Machine::look(&bench.data_dir);
    let contenders = bench.contenders(&CONTENDERS);
    let sizes: Vec<usize> = match (args.subscribers, args.options.quick) {
        (Some(one), _) => vec![one as usize],
        (None, true) => vec![300],
        (None, false) => vec![2_000, 10_000],
    };
    let mut cases: Vec<Case> = sizes
        .iter()
        .map(|size| Case {
            name: format!("{size}"),
            title: format!("{size} subscriptions to 1 topic, opened at once, then idle"),
            metrics: metrics(),
            columns: contenders.iter().copied().map(column).collect(),
        })
        .collect();
    rounds::measure(&bench, &mut cases, |case, index| {
        let server = contenders[index].start(&bench)?;
        let report = generate(&bench, &[job(&server, sizes[case], args.options.quick)])?;
        Ok(sample(&report, has_books(&server)))
    });
    let outcome = outcome(&mut bench, "connect", machine, cases);
    Ok((args.options, outcome))
}

fn job(server: &Server, subscribers: usize, quick: bool) -> Job {
    Job::Storm(StormJob {
        crowd: CrowdPlan {
            target: server.address,
            source: None,
            subscribers,
            topics: 1,
            prefix: server.prefix.clone(),
            last_event_id: None,
            wire: Wire::Sse,
        },
        idle_ms: if quick { 100 } else { 2_000 },
        pids: server.pids.clone(),
    })
}

fn metrics() -> Vec<Metric> {
    vec![
        Metric::new("kib", "server KiB/connection", 2).target(Target::AtMost(1.0)),
        Metric::new("connects_per_s", "connects/s", 0).target(Target::AtLeast(35_000.0)),
        Metric::new("cpu_us", "CPU µs/connect", 1),
        Metric::new("idle_percent", "idle CPU %", 2),
        Metric::new("lost", "closed by the server", 0).target(Target::AtMost(0.0)),
    ]
}

fn sample(report: &Report, books: bool) -> Sample {
    let mut sample = Sample::from([
        ("connects_per_s".to_owned(), per_second(report.operations, report.elapsed_ns)),
        ("lost".to_owned(), report.tally.closed as f64),
    ]);
    if books {
        let grown = report.rss_after_bytes.saturating_sub(report.rss_before_bytes);
        let kib = grown as f64 / 1024.0 / report.operations.max(1) as f64;
        sample.insert("kib".to_owned(), kib);
        sample.insert("cpu_us".to_owned(), us_each(report.cost.cpu_ns, report.operations));
        sample.insert("idle_percent".to_owned(), report.idle_cpu_ns as f64 / 1e7);
    }
    sample
}
