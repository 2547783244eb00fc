//! Fan-out in four shapes, each near another limit: cache misses, writes, requests, copying.

use std::net::Ipv4Addr;

use clap::{Args, ValueEnum};

use super::{column, generate, has_books, mib, ms, outcome, per_second, us_each};
use crate::bench::contender::{Contender, Server};
use crate::bench::load::{CrowdPlan, FanoutJob, Job, Report, Share, Wire};
use crate::bench::machine::Machine;
use crate::bench::options::{Durability, Options};
use crate::bench::result::{Case, Metric, Outcome, Sample, Target};
use crate::bench::{Bench, BenchError, rounds};

/// Subscribers of one generator process: its open files are limited to 20,000 on common systems.
const SUBSCRIBERS_PER_PROCESS: usize = 15_000;
const CONTENDERS: [Contender; 5] = [
    Contender::LimitEach,
    Contender::LimitCoalesce,
    Contender::Tidings,
    Contender::Nchan,
    Contender::Axum,
];

/// Arguments of `bench fanout`.
#[derive(Debug, Args)]
pub(crate) struct FanoutArgs {
    #[command(flatten)]
    options: Options,
    /// Measures these shapes only.
    #[arg(long, value_enum, value_delimiter = ',')]
    shape: Vec<Shape>,
    /// Subscribers, instead of the shape's own number.
    #[arg(long)]
    subscribers: Option<usize>,
    /// Seconds of one measurement, instead of the shape's own.
    #[arg(long)]
    seconds: Option<f64>,
    /// Requests that the publisher may have under way [default: 1; topics: 16, so that what is
    /// measured is not how long two idle cores take to wake each other].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    in_flight: Option<u16>,
}

/// One shape of fan-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shape {
    /// 1 topic, 10,000 subscribers, 10 events a second.
    Paced,
    /// 1 topic, 1,000 subscribers, as fast as it goes.
    Flat,
    /// 1,000 topics with a subscriber each, as fast as it goes.
    Topics,
    /// 1 topic, 100 subscribers, 10 KiB, as fast as it goes.
    Large,
}

/// The numbers of a shape.
struct Plan {
    name: &'static str,
    subscribers: usize,
    topics: usize,
    payload_bytes: usize,
    rate: Option<f64>,
    /// Publishes for each topic that may be ahead of the slowest subscriber.
    window: u64,
    read_delay_us: u64,
    warm_up_ms: u64,
    measured_ms: u64,
    in_flight: usize,
}

impl Plan {
    fn new(shape: Shape, args: &FanoutArgs) -> Plan {
        let flat = Plan {
            name: "flat",
            subscribers: 1_000,
            topics: 1,
            payload_bytes: 100,
            rate: None,
            window: 64,
            read_delay_us: 20_000,
            warm_up_ms: 500,
            measured_ms: 3_000,
            in_flight: 1,
        };
        let mut plan = match shape {
            Shape::Flat => flat,
            Shape::Paced => Plan {
                name: "paced",
                subscribers: 10_000,
                rate: Some(10.0),
                read_delay_us: 1_000,
                warm_up_ms: 1_000,
                measured_ms: 8_000,
                ..flat
            },
            Shape::Topics => {
                Plan { name: "topics", topics: 1_000, read_delay_us: 1_000, in_flight: 16, ..flat }
            }
            Shape::Large => Plan {
                name: "large",
                subscribers: 100,
                payload_bytes: 10 * 1024,
                read_delay_us: 2_000,
                ..flat
            },
        };
        if args.options.quick {
            plan.subscribers /= 20;
            plan.topics = plan.topics.min(plan.subscribers);
            (plan.warm_up_ms, plan.measured_ms) = (100, 200);
        }
        plan.subscribers = args.subscribers.unwrap_or(plan.subscribers).max(1);
        plan.topics = plan.topics.min(plan.subscribers);
        plan.in_flight = args.in_flight.map_or(plan.in_flight, usize::from);
        if let Some(seconds) = args.seconds {
            plan.measured_ms = (seconds.clamp(0.001, 3_600.0) * 1_000.0) as u64;
        }
        plan
    }

    fn title(&self) -> String {
        let rate = match self.rate {
            Some(rate) => format!("{rate} events/s"),
            None => format!(
                "flat out, window {}, {} under way, subscribers read every {} ms",
                self.window,
                self.in_flight,
                self.read_delay_us / 1_000
            ),
        };
        let each = self.subscribers / self.topics;
        format!("{} × {each} subscribers, {} B, {rate}", topics(self.topics), self.payload_bytes)
    }

    fn jobs(&self, server: &Server) -> Vec<Job> {
        let processes = self.subscribers.div_ceil(SUBSCRIBERS_PER_PROCESS);
        (0..processes)
            .map(|process| {
                let first = process * self.subscribers / processes;
                let end = (process + 1) * self.subscribers / processes;
                let mut job = self.job(server, end - first);
                if process > 0 {
                    job.share = Share::Follow;
                }
                if server.address.ip().is_loopback() {
                    let last = u8::try_from(process + 1).unwrap_or(u8::MAX);
                    job.crowd.source = Some(Ipv4Addr::new(127, 0, 0, last));
                }
                Job::Fanout(job)
            })
            .collect()
    }

    fn job(&self, server: &Server, subscribers: usize) -> FanoutJob {
        FanoutJob {
            crowd: CrowdPlan {
                target: server.address,
                source: None,
                subscribers,
                topics: self.topics,
                prefix: server.prefix.clone(),
                last_event_id: None,
                wire: Wire::Sse,
            },
            payload_bytes: self.payload_bytes,
            rate: self.rate,
            in_flight: self.in_flight,
            window: self.window * self.topics as u64,
            read_delay_us: self.read_delay_us,
            sleeps: false,
            warm_up_ms: self.warm_up_ms,
            measured_ms: self.measured_ms,
            pids: server.pids.clone(),
            share: Share::Lead,
        }
    }
}

fn topics(count: usize) -> String {
    if count == 1 { "1 topic".to_owned() } else { format!("{count} topics") }
}

/// Measures every shape with every contender.
pub(crate) fn run(args: FanoutArgs) -> Result<(Options, Outcome), BenchError> {
    let mut bench = Bench::new(args.options.clone(), Durability::Memory)?;
    let machine = Machine::look(&bench.data_dir);
    let contenders = bench.contenders(&CONTENDERS);
    let all = [Shape::Paced, Shape::Flat, Shape::Topics, Shape::Large];
    let shapes = all.into_iter().filter(|one| args.shape.is_empty() || args.shape.contains(one));
    let shapes: Vec<(Shape, Plan)> = shapes.map(|shape| (shape, Plan::new(shape, &args))).collect();
    let mut cases: Vec<Case> = shapes
        .iter()
        .map(|(shape, plan)| Case {
            name: plan.name.to_owned(),
            title: plan.title(),
            metrics: metrics(*shape),
            columns: contenders.iter().copied().map(column).collect(),
        })
        .collect();
    rounds::measure(&bench, &mut cases, |case, index| {
        let server = contenders[index].start(&bench)?;
        let report = generate(&bench, &shapes[case].1.jobs(&server))?;
        Ok(sample(&report, has_books(&server)))
    });
    bench.notes.push(format!("Durability of tidings: {}.", bench.durability.name()));
    let outcome = outcome(&mut bench, "fanout", machine, cases);
    Ok((args.options, outcome))
}

fn metrics(shape: Shape) -> Vec<Metric> {
    let each = || Contender::LimitEach.name().to_owned();
    let cpu = match shape {
        Shape::Paced => Target::TimesAtMost(1.15, each()),
        Shape::Flat => Target::AtMost(0.35),
        Shape::Topics => Target::AtMost(10.0),
        Shape::Large => Target::AtMost(3.4),
    };
    let mut p99 = Metric::new("p99_ms", "p99 ms", 2);
    if shape == Shape::Paced {
        p99 = p99.target(Target::TimesAtMost(1.15, each()));
    }
    vec![
        Metric::new("cpu_us", "CPU µs/delivery", 2).target(cpu),
        Metric::new("user_us", "of it user", 2),
        Metric::new("deliveries_per_s", "deliveries/s", 0),
        Metric::new("publishes_per_s", "publishes/s", 0),
        Metric::new("p50_ms", "p50 ms", 2),
        p99,
        Metric::new("max_ms", "max ms", 1),
        Metric::new("rss_mib", "server RSS MiB", 1),
        Metric::new("lost", "lost or repeated", 0).target(Target::AtMost(0.0)),
    ]
}

fn sample(report: &Report, books: bool) -> Sample {
    let tally = &report.tally;
    let wrong = tally.lost + tally.duplicates + tally.foreign + tally.closed;
    let mut sample = Sample::from([
        ("deliveries_per_s".to_owned(), per_second(tally.delivered, report.elapsed_ns)),
        ("publishes_per_s".to_owned(), per_second(report.operations, report.elapsed_ns)),
        ("p50_ms".to_owned(), ms(tally.latency.quantile(0.5))),
        ("p99_ms".to_owned(), ms(tally.latency.quantile(0.99))),
        ("max_ms".to_owned(), ms(tally.latency.max())),
        ("lost".to_owned(), wrong as f64),
    ]);
    if books {
        let cost = &report.cost;
        sample.insert("cpu_us".to_owned(), us_each(cost.cpu_ns, tally.delivered));
        // The kernel splits its ticks into user and system by the same shares.
        let ticks = (cost.user_ns + cost.system_ns).max(1) as f64;
        let user_ns = cost.cpu_ns as f64 * cost.user_ns as f64 / ticks;
        sample.insert("user_us".to_owned(), us_each(user_ns as u64, tally.delivered));
        sample.insert("rss_mib".to_owned(), mib(report.rss_after_bytes));
    }
    sample
}
