//! The cost of the LLM relay: the same answers directly from the upstream and through the relay.
//!
//! An upstream in a process of its own gives N streamed answers at a time, 50 tokens a second each,
//! every token with its time; a generator reads them all. What a relay adds is the difference to
//! the direct way in the same round, and what any relay has to pay is what the bare loop
//! ([`proxy`]) costs, which copies the bytes.

mod answer;
pub(super) mod litellm;
pub(super) mod load;
pub(super) mod proxy;
pub(super) mod upstream;

use std::net::SocketAddrV4;
use std::process::Stdio;

use clap::Args;

use super::contender::{self, Contender};
use super::load::{Job, Report};
use super::machine::Machine;
use super::options::{Durability, Options};
use super::process::{self, Guard};
use super::result::{Case, Metric, Outcome, Role, Sample, Target};
use super::workloads::{
    column, generate, has_books, ms, named_column, outcome, per_second, us_each,
};
use super::{Bench, BenchError, rounds};
use load::RelayJob;

const CONTENDERS: [Contender; 3] = [Contender::LimitProxy, Contender::Tidings, Contender::LiteLlm];
/// From one token of an answer to the next: 50 a second.
const PACE_US: u64 = 20_000;
/// From the last request to the beginning of what is measured.
const SETTLE_MS: u64 = 1_000;
/// From the end of what is measured to the end of the first answer.
const TAIL_MS: u64 = 500;
/// How much later than the upstream wants it the last answer may end.
const GRACE_MS: u64 = 20_000;
/// The answers of the case that the times are judged in.
const JUDGED: u32 = 100;

/// Arguments of `bench relay`.
#[derive(Debug, Args)]
pub(crate) struct RelayArgs {
    #[command(flatten)]
    options: Options,
    /// Answers at a time.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 1_000])]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=9_000))]
    answers: Vec<u32>,
    /// How long each measurement lasts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

/// Measures each number of answers directly and with every contender.
pub(crate) fn run(args: RelayArgs) -> Result<(Options, Outcome), BenchError> {
    if args.options.url.is_some() {
        return Err(BenchError::Workload(
            "--url: the relay has to be started with the upstream of the measurement".to_owned(),
        ));
    }
    let mut bench = Bench::new(args.options.clone(), Durability::Written)?;
    let machine = Machine::look(&bench.data_dir);
    let contenders = bench.contenders(&CONTENDERS);
    let sizes = if args.options.quick { vec![1, 20] } else { args.answers.clone() };
    let mut cases: Vec<Case> = sizes.iter().map(|size| case(*size, &contenders)).collect();
    let measured_ms = if args.options.quick { 300 } else { args.seconds * 1_000 };
    let note = format!("Durability of tidings: {}.", bench.durability.name());
    bench.notes.push(note);
    bench.upstream = Some(contender::free_address()?);
    let mut direct = Sample::new();
    rounds::measure(&bench, &mut cases, |case, index| {
        let upstream = start_upstream(&bench)?;
        let answers = sizes[case];
        // The first column is the direct way.
        let Some(contender) = index.checked_sub(1).map(|index| contenders[index]) else {
            let job = job(upstream.0, Vec::new(), answers, measured_ms);
            direct = sample(&generate(&bench, &[job])?, answers, false, None);
            return Ok(direct.clone());
        };
        let server = contender.start(&bench)?;
        let job = job(server.address, server.pids.clone(), answers, measured_ms);
        let report = generate(&bench, &[job])?;
        Ok(sample(&report, answers, has_books(&server), Some(&direct)))
    });
    let outcome = outcome(&mut bench, "relay", machine, cases);
    Ok((args.options, outcome))
}

/// Starts the upstream on the generator's core, and waits until it is ready.
fn start_upstream(bench: &Bench) -> Result<(SocketAddrV4, Guard), BenchError> {
    let address = bench.upstream.ok_or(BenchError::Never("an address for the upstream"))?;
    let mut command = bench.hidden("upstream");
    command.args(["--listen", &address.to_string(), "--pace-us", &PACE_US.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let guard = process::spawn(&mut command, bench.load_cpu);
    let mut guard = guard.map_err(|error| BenchError::Io("starting the upstream", error))?;
    process::wait_until("the upstream to become ready", || {
        guard.check_alive()?;
        Ok(contender::ready(address, "/readyz"))
    })?;
    Ok((address, guard))
}

fn case(answers: u32, contenders: &[Contender]) -> Case {
    let (plural, rate) = (if answers == 1 { "" } else { "s" }, 1_000_000 / PACE_US);
    let mut columns = vec![named_column("direct", Role::Limit)];
    columns.extend(contenders.iter().copied().map(column));
    Case {
        name: format!("{answers}"),
        title: format!("{answers} chat completion{plural} at a time, {rate} tokens/s each"),
        metrics: metrics(answers),
        columns,
    }
}

fn job(target: SocketAddrV4, pids: Vec<u32>, answers: u32, measured_ms: u64) -> Job {
    // A client each millisecond.
    let ramp_ms = u64::from(answers) - 1;
    let lasts_ms = ramp_ms + SETTLE_MS + measured_ms + TAIL_MS;
    Job::Relay(RelayJob {
        target,
        answers: answers as usize,
        tokens: lasts_ms * 1_000 / PACE_US,
        ramp_ms,
        settle_ms: SETTLE_MS,
        measured_ms,
        deadline_ms: ramp_ms + lasts_ms + GRACE_MS,
        pids,
    })
}

fn metrics(answers: u32) -> Vec<Metric> {
    let judged = |metric: Metric, target| match answers {
        JUDGED => metric.target(target),
        _ => metric,
    };
    let many =
        |metric: Metric, target| if answers < JUDGED { metric } else { metric.target(target) };
    vec![
        judged(Metric::new("p50_added_us", "p50 added µs/token", 0), Target::AtMost(100.0)),
        judged(Metric::new("p99_added_us", "p99 added µs/token", 0), Target::AtMost(1_000.0)),
        Metric::new("p50_us", "p50 µs from upstream to client", 0),
        Metric::new("p99_us", "p99 µs", 0),
        Metric::new("first_added_ms", "first token added ms, p50", 2),
        Metric::new("first_ms", "first token ms, p50", 2),
        Metric::new("first_p99_ms", "first token ms, p99", 2),
        Metric::new("cpu_us", "CPU µs/token", 2),
        Metric::new("user_us", "of it user", 2),
        many(Metric::new("kib", "server KiB/running answer", 1), Target::AtMost(64.0)),
        Metric::new("tokens_per_s", "tokens/s", 0),
        many(
            Metric::new("sustained_percent", "of the upstream's tokens in time %", 1),
            Target::AtLeast(99.0),
        ),
        Metric::new("lost", "tokens lost or repeated", 0).target(Target::AtMost(0.0)),
        Metric::new("broken", "answers not whole", 0).target(Target::AtMost(0.0)),
    ]
}

/// The figures of one measurement; `direct` is the direct way in the same round.
fn sample(report: &Report, answers: u32, books: bool, direct: Option<&Sample>) -> Sample {
    let tally = &report.tally;
    let us = |quantile| tally.latency.quantile(quantile) as f64 / 1e3;
    let due = report.elapsed_ns as f64 / (PACE_US * 1_000) as f64 * f64::from(answers);
    let wrong = tally.lost + tally.duplicates + tally.foreign;
    let mut sample = Sample::from([
        ("p50_us".to_owned(), us(0.5)),
        ("p99_us".to_owned(), us(0.99)),
        ("first_ms".to_owned(), ms(report.answers.quantile(0.5))),
        ("first_p99_ms".to_owned(), ms(report.answers.quantile(0.99))),
        ("tokens".to_owned(), tally.delivered as f64),
        ("tokens_per_s".to_owned(), per_second(report.operations, report.elapsed_ns)),
        ("sustained_percent".to_owned(), 100.0 * report.operations as f64 / due),
        ("lost".to_owned(), wrong as f64),
        ("broken".to_owned(), tally.closed as f64),
    ]);
    let added =
        [("p50_added_us", "p50_us"), ("p99_added_us", "p99_us"), ("first_added_ms", "first_ms")];
    for (key, of) in added {
        if let Some(direct) = direct.and_then(|direct| direct.get(of)) {
            sample.insert(key.to_owned(), sample[of] - direct);
        }
    }
    if books {
        let grown = report.rss_after_bytes.saturating_sub(report.rss_before_bytes);
        sample.insert("kib".to_owned(), grown as f64 / 1024.0 / f64::from(answers));
        let cost = &report.cost;
        sample.insert("cpu_us".to_owned(), us_each(cost.cpu_ns, report.operations));
        sample.insert("user_us".to_owned(), us_each(cost.user_ns, report.operations));
    }
    sample
}
