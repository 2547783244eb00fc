//! Durable publishes: the log alone against a bare loop, and the whole server over HTTP.
//!
//! `log`: N publishers that each wait for their answer, and one writer that commits whatever has
//! come, as in the server. `commit`: exactly N events a commit, back to back, without anybody
//! waiting; this shows what the log costs beside the disk and has no target. The bare loop stands
//! in the log's place in both, and sizes and topics are drawn alike.

mod alone;
mod store;

use clap::Args;

use super::{column, generate, has_books, ms, named_column, outcome, per_second, us_each};
use crate::bench::contender::Contender;
use crate::bench::histogram::Histogram;
use crate::bench::load::{ClosedJob, Job};
use crate::bench::machine::Machine;
use crate::bench::options::{Durability, Options};
use crate::bench::result::{Case, Metric, Outcome, Role, Sample, Target};
use crate::bench::{Bench, BenchError, rounds};
use store::TOPICS;

const BARE: &str = "write + fdatasync";
const LOG: &str = "the log alone";
/// Bytes of a publish over HTTP: about the mean of the log's events.
const HTTP_BYTES: usize = 500;
const CONTENDERS: [Contender; 2] = [Contender::LimitEach, Contender::Tidings];

/// Arguments of `bench publish`.
#[derive(Debug, Args)]
pub(crate) struct PublishArgs {
    #[command(flatten)]
    options: Options,
    /// Publishers at once, one case for each number.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 1_024])]
    publishers: Vec<usize>,
    /// Seconds of one measurement.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Measures the log alone, without the server.
    #[arg(long, conflicts_with = "http")]
    log: bool,
    /// Measures the server only.
    #[arg(long)]
    http: bool,
}

/// What one case measures.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Through {
    Log,
    Commit,
    Http,
}

/// Measures both paths with every number of publishers.
pub(crate) fn run(args: PublishArgs) -> Result<(Options, Outcome), BenchError> {
    let mut bench = Bench::new(args.options.clone(), Durability::Synced)?;
    let machine = Machine::look(&bench.data_dir);
    let contenders = bench.contenders(&CONTENDERS);
    let seconds = if args.options.quick { 0.1 } else { args.seconds.clamp(0.01, 3_600.0) };
    let measured_ms = (seconds * 1_000.0) as u64;
    let mut kinds = Vec::new();
    let wanted =
        [(Through::Log, !args.http), (Through::Commit, !args.http), (Through::Http, !args.log)];
    for (path, wanted) in wanted {
        let numbers = args.publishers.iter().filter(|_| wanted);
        kinds.extend(numbers.map(|publishers| (path, (*publishers).clamp(1, 15_000))));
    }
    let mut cases: Vec<Case> =
        kinds.iter().map(|(path, publishers)| case(*path, *publishers, &contenders)).collect();
    rounds::measure(&bench, &mut cases, |case, index| match kinds[case] {
        (Through::Log, publishers) => {
            alone::closed_loop(&bench, index == 0, publishers, measured_ms)
        }
        (Through::Commit, group) => alone::commits(&bench, index == 0, group, measured_ms),
        (Through::Http, publishers) => {
            over_http(&bench, contenders[index], publishers, measured_ms)
        }
    });
    bench.notes.push(format!(
        "Over HTTP: durability {}; the bare loop answers without storing anything.",
        bench.durability.name()
    ));
    let outcome = outcome(&mut bench, "publish", machine, cases);
    Ok((args.options, outcome))
}

fn case(path: Through, publishers: usize, contenders: &[Contender]) -> Case {
    let plural = if publishers == 1 { "" } else { "s" };
    match path {
        Through::Log => Case {
            name: format!("log {publishers}"),
            title: format!(
                "{publishers} publisher{plural} of events of 100 B to 4 KiB to {TOPICS} topics, \
                 one writer, synced"
            ),
            metrics: log_metrics(true),
            columns: vec![named_column(BARE, Role::Limit), named_column(LOG, Role::Ours)],
        },
        Through::Commit => Case {
            name: format!("commit {publishers}"),
            title: format!("{publishers} such event{plural} a commit, one after the other"),
            metrics: log_metrics(false),
            columns: vec![named_column(BARE, Role::Limit), named_column(LOG, Role::Ours)],
        },
        Through::Http => Case {
            name: format!("http {publishers}"),
            title: format!(
                "{publishers} keep-alive connection{plural}, one request of {HTTP_BYTES} B each"
            ),
            metrics: http_metrics(publishers),
            columns: contenders.iter().copied().map(column).collect(),
        },
    }
}

fn log_metrics(judged: bool) -> Vec<Metric> {
    let mut rate = Metric::new("appends_per_s", "events/s", 0);
    if judged {
        rate = rate.target(Target::TimesAtLeast(0.8, BARE.to_owned()));
    }
    vec![
        rate,
        Metric::new("cpu_us", "CPU µs/event", 2),
        Metric::new("p50_ms", "p50 ms", 2),
        Metric::new("p99_ms", "p99 ms", 2),
        Metric::new("max_ms", "max ms", 1),
    ]
}

fn http_metrics(publishers: usize) -> Vec<Metric> {
    let mut p99 = Metric::new("p99_ms", "p99 ms", 2);
    if publishers == 64 {
        p99 = p99.target(Target::AtMost(5.0));
    }
    vec![
        Metric::new("appends_per_s", "publishes/s", 0),
        Metric::new("cpu_us", "CPU µs/publish", 2),
        Metric::new("p50_ms", "p50 ms", 2),
        p99,
        Metric::new("max_ms", "max ms", 1),
    ]
}

fn over_http(
    bench: &Bench,
    contender: Contender,
    publishers: usize,
    measured_ms: u64,
) -> Result<Sample, BenchError> {
    let server = contender.start(bench)?;
    let report = generate(
        bench,
        &[Job::Closed(ClosedJob {
            target: server.address,
            source: None,
            publishers,
            topics: publishers.min(TOPICS as usize),
            prefix: server.prefix.clone(),
            payload_bytes: HTTP_BYTES,
            warm_up_ms: measured_ms / 5,
            measured_ms,
            pids: server.pids.clone(),
        })],
    )?;
    let mut sample = figures(&report.answers, report.operations, report.elapsed_ns);
    if has_books(&server) {
        sample.insert("cpu_us".to_owned(), us_each(report.cost.cpu_ns, report.operations));
    }
    Ok(sample)
}

fn figures(latency: &Histogram, events: u64, elapsed_ns: u64) -> Sample {
    Sample::from([
        ("appends_per_s".to_owned(), per_second(events, elapsed_ns)),
        ("p50_ms".to_owned(), ms(latency.quantile(0.5))),
        ("p99_ms".to_owned(), ms(latency.quantile(0.99))),
        ("max_ms".to_owned(), ms(latency.max())),
    ])
}
