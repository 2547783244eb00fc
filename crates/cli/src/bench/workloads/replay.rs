//! Replay: the last part of a long history, to one reader and to many at once.
//!
//! The store is filled once and read in every run; what is read was written long ago, as far as
//! the server is concerned, and comes from its files.

use clap::Args;

use super::resume::{catchup_metrics, plan, sample};
use super::{column, generate, has_books, outcome};
use crate::bench::contender::{Contender, Server};
use crate::bench::load::{CatchupJob, FillJob, Job};
use crate::bench::machine::Machine;
use crate::bench::options::{Durability, Options};
use crate::bench::result::{Case, Metric, Outcome, Sample};
use crate::bench::{Bench, BenchError, rounds};

/// Everyone must have caught up after this time, milliseconds.
const DEADLINE_MS: u64 = 300_000;
/// Events of one publish request while the store is filled.
const BATCH: u64 = 500;

/// Arguments of `bench replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    #[command(flatten)]
    options: Options,
    /// Events in the store.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(2..))]
    events: u64,
    /// Events that are read [default: a tenth of the store].
    #[arg(long)]
    read: Option<u64>,
    /// Readers at once, one case for each number.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100])]
    readers: Vec<usize>,
    /// Bytes of an event.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
}

/// Fills a store and replays its end.
pub(crate) fn run(args: ReplayArgs) -> Result<(Options, Outcome), BenchError> {
    let mut bench = Bench::new(args.options.clone(), Durability::Written)?;
    let machine = Machine::look(&bench.data_dir);
    let contenders = bench.contenders(&[Contender::Tidings]);
    let events = if args.options.quick { args.events.min(2_000) } else { args.events };
    let read = args.read.unwrap_or(events / 10).clamp(1, events - 1);
    let readers = &args.readers;
    let mut cases: Vec<Case> = readers
        .iter()
        .map(|readers| Case {
            name: format!("{readers}"),
            title: format!(
                "the last {read} of {events} events of {} B, to {readers} at once",
                args.bytes
            ),
            metrics: metrics(),
            columns: contenders.iter().copied().map(column).collect(),
        })
        .collect();
    let mut filled: Option<Filled> = None;
    rounds::measure(&bench, &mut cases, |case, index| {
        let store = match filled.take() {
            Some(store) => store,
            None => fill(&bench, contenders[index], events, read, args.bytes)?,
        };
        let measured = replay(&bench, &store, events, read, readers[case]);
        filled = Some(store);
        measured
    });
    let outcome = outcome(&mut bench, "replay", machine, cases);
    Ok((args.options, outcome))
}

fn metrics() -> Vec<Metric> {
    let mut metrics = vec![Metric::new("seconds", "s until all have read it", 2)];
    metrics.extend(catchup_metrics());
    metrics
}

/// A server with its history.
struct Filled {
    server: Server,
    /// The id of the last event before those that are read.
    after: String,
}

fn fill(
    bench: &Bench,
    contender: Contender,
    events: u64,
    read: u64,
    bytes: usize,
) -> Result<Filled, BenchError> {
    let server = contender.start(bench)?;
    let part = |first: u64, events: u64| {
        Job::Fill(FillJob {
            target: server.address,
            source: None,
            path: plan(&server, 0, None).path(0),
            first,
            events,
            payload_bytes: bytes,
            batch: BATCH,
        })
    };
    let after = generate(bench, &[part(1, events - read)])?.last_id;
    generate(bench, &[part(events - read + 1, read)])?;
    Ok(Filled { server, after })
}

fn replay(
    bench: &Bench,
    store: &Filled,
    events: u64,
    read: u64,
    readers: usize,
) -> Result<Sample, BenchError> {
    let job = CatchupJob {
        crowd: plan(&store.server, readers, Some(store.after.clone())),
        first: events - read + 1,
        last: events,
        deadline_ms: DEADLINE_MS,
        pids: store.server.pids.clone(),
    };
    let report = generate(bench, &[Job::Catchup(job)])?;
    Ok(sample(&report, has_books(&store.server)))
}
