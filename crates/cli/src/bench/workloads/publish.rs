//! Durable publishes: the log alone against a bare loop, and the whole server over HTTP.
//!
//! With N publishers that each wait for their answer, a commit carries at most N events; the log
//! and the bare loop commit exactly N. Sizes and topics are drawn alike for both.

use std::path::Path;

use clap::Args;
use rustix::time::{ClockId, clock_gettime};
use tidings_log::{
    Batch, Durability as LogDurability, Event, FileStorage, NewTopic, Opened,
    Options as LogOptions, Policy, TopicId, Writer,
};

use super::{column, generate, has_books, ms, named_column, outcome, per_second, us_each};
use crate::bench::clock::now_ns;
use crate::bench::contender::Contender;
use crate::bench::histogram::Histogram;
use crate::bench::limit::disk::BareFile;
use crate::bench::load::{ClosedJob, Job};
use crate::bench::machine::Machine;
use crate::bench::options::{Durability, Options};
use crate::bench::pinned;
use crate::bench::result::{Case, Metric, Outcome, Role, Sample, Target};
use crate::bench::{Bench, BenchError, rounds};

const BARE: &str = "write + fdatasync";
const LOG: &str = "the log alone";
/// Topics of the log, and of the server at most.
const TOPICS: u32 = 10_000;
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
    Http,
}

/// Measures both paths with every number of publishers.
pub(crate) fn run(args: PublishArgs) -> Result<(Options, Outcome), BenchError> {
    let mut bench = Bench::new(args.options.clone(), Durability::Synced)?;
    let machine = Machine::look(&bench.data_dir);
    let contenders = bench.contenders(&CONTENDERS);
    let seconds = if args.options.quick {
        0.1
    } else {
        args.seconds.clamp(0.01, 3_600.0)
    };
    let measured_ms = (seconds * 1_000.0) as u64;
    let mut kinds = Vec::new();
    for (path, wanted) in [(Through::Log, !args.http), (Through::Http, !args.log)] {
        let numbers = args.publishers.iter().filter(|_| wanted);
        kinds.extend(numbers.map(|publishers| (path, (*publishers).clamp(1, 15_000))));
    }
    let mut cases: Vec<Case> = kinds
        .iter()
        .map(|(path, publishers)| case(*path, *publishers, &contenders))
        .collect();
    rounds::measure(&bench, &mut cases, |case, index| match kinds[case] {
        (Through::Log, group) => {
            let folder = tempfile::tempdir_in(&bench.data_dir);
            let folder = folder.map_err(|error| BenchError::Io("making a folder", error))?;
            pinned::run(bench.server_cpu, || {
                alone(index == 0, folder.path(), group, measured_ms)
            })
        }
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
                "{publishers} event{plural} of 100 B to 4 KiB a commit, {TOPICS} topics, synced"
            ),
            metrics: log_metrics(),
            columns: vec![
                named_column(BARE, Role::Limit),
                named_column(LOG, Role::Ours),
            ],
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

fn log_metrics() -> Vec<Metric> {
    let rate = Metric::new("appends_per_s", "events/s", 0);
    vec![
        rate.target(Target::TimesAtLeast(0.8, BARE.to_owned())),
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
        sample.insert(
            "cpu_us".to_owned(),
            us_each(report.cost.cpu_ns, report.operations),
        );
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

/// Commits groups for a while, through the bare loop or through the log.
fn alone(bare: bool, folder: &Path, group: usize, measured_ms: u64) -> Result<Sample, BenchError> {
    let mut store = if bare {
        let file = BareFile::create(folder.to_owned());
        Store::Bare(file.map_err(|error| BenchError::Io("making a file", error))?)
    } else {
        Store::open(folder)?
    };
    let mut events = Events::new();
    let mut phase = |milliseconds: u64| -> Result<(Histogram, u64), BenchError> {
        let (mut latency, mut count) = (Histogram::default(), 0);
        let end = now_ns() + milliseconds * 1_000_000;
        while now_ns() < end {
            let start = now_ns();
            for _ in 0..group {
                store.push(events.next())?;
            }
            store.commit()?;
            latency.record(now_ns() - start);
            count += group as u64;
        }
        Ok((latency, count))
    };
    phase(measured_ms / 5)?;
    let (start, cpu) = (now_ns(), thread_cpu_ns());
    let (latency, count) = phase(measured_ms)?;
    let (elapsed_ns, cpu_ns) = (now_ns() - start, thread_cpu_ns() - cpu);
    let mut sample = figures(&latency, count, elapsed_ns);
    sample.insert("cpu_us".to_owned(), us_each(cpu_ns, count));
    Ok(sample)
}

/// The scheduler's time of this thread, nanoseconds.
fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Where groups go.
enum Store {
    Bare(BareFile),
    Log {
        opened: Box<Opened>,
        batch: Batch,
        topics: Vec<TopicId>,
    },
}

impl Store {
    fn open(folder: &Path) -> Result<Store, BenchError> {
        let storage = FileStorage::new(folder).map_err(|e| BenchError::Log(e.to_string()))?;
        let options = LogOptions {
            now_ms: NOW_MS,
            ..LogOptions::default()
        };
        let opened = tidings_log::open(std::sync::Arc::new(storage), options);
        let mut opened = opened.map_err(|error| BenchError::Log(error.to_string()))?;
        let mut batch = Batch::new();
        let topics = topics(&mut opened.writer, &mut batch)?;
        let appended = opened.writer.append(&mut batch, LogDurability::Written);
        appended.map_err(|error| BenchError::Log(error.to_string()))?;
        Ok(Store::Log {
            opened: Box::new(opened),
            batch,
            topics,
        })
    }

    fn push(&mut self, event: (usize, &[u8])) -> Result<(), BenchError> {
        let (topic, data) = event;
        match self {
            Store::Bare(file) => file.push(data),
            Store::Log {
                opened,
                batch,
                topics,
            } => {
                let event = Event {
                    topics: &topics[topic..=topic],
                    time_ms: NOW_MS,
                    data,
                    ..Event::default()
                };
                let pushed = opened.writer.push(batch, &event);
                pushed.map_err(|error| BenchError::Log(error.to_string()))?;
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), BenchError> {
        match self {
            Store::Bare(file) => file
                .commit()
                .map_err(|error| BenchError::Io("the bare loop", error)),
            Store::Log { opened, batch, .. } => {
                let appended = opened.writer.append(batch, LogDurability::Synced);
                let number = appended
                    .map_err(|error| BenchError::Log(error.to_string()))?
                    .batch;
                let synced = opened.log.sync();
                let synced = synced.map_err(|error| BenchError::Log(error.to_string()))?;
                if synced < number {
                    let text = format!("batch {number} is not on the device, only {synced}");
                    return Err(BenchError::Log(text));
                }
                Ok(())
            }
        }
    }
}

/// The time of all events: the log's own clock is not under test.
const NOW_MS: u64 = 1_700_000_000_000;

fn topics(writer: &mut Writer, batch: &mut Batch) -> Result<Vec<TopicId>, BenchError> {
    (0..TOPICS)
        .map(|number| {
            let new = NewTopic {
                name: &format!("user/{number}"),
                policy: Policy::default(),
                forked_from: None,
                time_ms: NOW_MS,
            };
            let created = writer.create_topic(batch, &new);
            created.map_err(|error| BenchError::Log(error.to_string()))
        })
        .collect()
}

/// Events at random: 70 % of 100 to 250 B, 20 % to 1 KiB, 10 % to 4 KiB, about 500 B in the mean.
struct Events {
    state: u64,
    text: Vec<u8>,
}

impl Events {
    fn new() -> Events {
        let sentence = br#"{"type":"message","user":"ada","text":"The engine weaves patterns."} "#;
        // The same seed for everyone: all measure the same events.
        Events {
            state: 0x9e37_79b9_7f4a_7c15,
            text: sentence.repeat(4096 / sentence.len() + 1),
        }
    }

    /// xorshift64*: a number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }

    /// The number of a topic, and data.
    fn next(&mut self) -> (usize, &[u8]) {
        let length = match self.below(10) {
            0..=6 => 100 + self.below(151),
            7..=8 => 250 + self.below(775),
            _ => 1_024 + self.below(3_073),
        };
        let topic = self.below(u64::from(TOPICS)) as usize;
        (topic, &self.text[..length as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_about_five_hundred_bytes_and_go_everywhere() {
        let mut events = Events::new();
        let (mut bytes, mut highest) = (0, 0);
        for _ in 0..100_000 {
            let (topic, data) = events.next();
            bytes += data.len();
            highest = highest.max(topic);
        }
        assert!(
            (400..600).contains(&(bytes / 100_000)),
            "{}",
            bytes / 100_000
        );
        assert!(highest < TOPICS as usize && highest > TOPICS as usize * 9 / 10);
    }

    #[test]
    fn the_bare_loop_counts_what_it_commits() {
        let folder = tempfile::tempdir().unwrap();
        let sample = alone(true, folder.path(), 3, 10).unwrap();
        assert!(sample["appends_per_s"] > 0.0 && sample["p50_ms"] > 0.0);
    }
}
