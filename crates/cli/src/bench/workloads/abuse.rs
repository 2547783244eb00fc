//! Abuse: what those who do nothing wrong feel of those who do.
//!
//! 200 subscribers get 50 events a second: alone, then while one attack runs beside them against
//! somebody else, then while it runs against their server. What is judged is the ratio of the last
//! p99 to the first, and the server's memory against the sum of the ceilings that are configured
//! for it here; the one between is the limit, what no server could keep from them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};

use clap::{Args, ValueEnum as _};

use super::{column, generate, mib, ms, outcome};
use crate::bench::contender::{Contender, Server};
use crate::bench::load::{
    AbuseJob, Attack, BystanderJob, CrowdPlan, FanoutJob, Job, Report, Share, Wire,
};
use crate::bench::machine::Machine;
use crate::bench::options::{Durability, Options};
use crate::bench::result::{Case, Metric, Outcome, Sample, Target};
use crate::bench::{Bench, BenchError, rounds};

/// How much worse the innocent may be served while somebody attacks.
const P99_TIMES: f64 = 1.2;

/// What the server is told. Those who do nothing wrong come from one address too, and have as much
/// as an attacker's.
const SETTINGS: [(&str, &str); 9] = [
    ("TIDINGS_LIMITS__REQUEST_MEMORY", "32MiB"),
    ("TIDINGS_LIMITS__TOPICS", "50000"),
    ("TIDINGS_LIMITS__ADDRESS__CONNECTIONS", "256"),
    ("TIDINGS_LIMITS__ADDRESS__CONNECT_RATE", "450/m"),
    ("TIDINGS_LIMITS__ADDRESS__SUBSCRIPTIONS", "256"),
    ("TIDINGS_LIMITS__ADDRESS__PUBLISH_RATE", "1000/s"),
    ("TIDINGS_LIMITS__ADDRESS__PUBLISH_BYTES", "16MiB/s"),
    ("TIDINGS_LIMITS__ADDRESS__HISTORY_RATE", "100/s"),
    ("TIDINGS_LIMITS__ADDRESS__TOPICS_RATE", "100/s"),
];

/// The ceilings together, MiB: unfinished requests (32, above), frames in tails (64), spans read
/// from the log (32), one span for each of the attacker's 2,000 connections (128), and 2 KiB for
/// each of its connections, and for each topic that may be made.
const CEILING_MIB: f64 = 32.0 + 64.0 + 32.0 + 125.0 + 4.0 + 98.0;

/// Where the one listens whom the attacks of the limit go to, on the server's port.
const BYSTANDER: Ipv4Addr = Ipv4Addr::new(127, 0, 2, 1);

/// Arguments of `bench abuse`.
#[derive(Debug, Args)]
pub(crate) struct AbuseArgs {
    #[command(flatten)]
    options: Options,
    /// These attacks only.
    #[arg(long, value_enum, value_delimiter = ',')]
    attack: Vec<Attack>,
    /// Those who do nothing wrong.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=250))]
    subscribers: u16,
    /// Seconds of each of the three parts of a turn.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=60))]
    seconds: u16,
    /// Turns of a measurement, each with a server of its own; their delays are judged together.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=20))]
    turns: u16,
    /// Starts the server without limits for each address, to see what they are good for.
    #[arg(long)]
    unlimited: bool,
}

/// Measures every attack.
pub(crate) fn run(args: AbuseArgs) -> Result<(Options, Outcome), BenchError> {
    let mut bench = Bench::new(args.options.clone(), Durability::Memory)?;
    bench.settings = SETTINGS
        .into_iter()
        .filter(|(name, _)| !(args.unlimited && name.contains("__ADDRESS__")))
        .collect();
    let machine = Machine::look(&bench.data_dir);
    let contenders = bench.contenders(&[Contender::Tidings]);
    let attacks: Vec<Attack> = Attack::value_variants()
        .iter()
        .copied()
        .filter(|attack| args.attack.is_empty() || args.attack.contains(attack))
        .collect();
    let mut cases: Vec<Case> = attacks
        .iter()
        .map(|attack| Case {
            name: name(*attack),
            title: title(*attack).to_owned(),
            metrics: metrics(),
            columns: contenders.iter().copied().map(column).collect(),
        })
        .collect();
    rounds::measure(&bench, &mut cases, |case, index| {
        let turns = if args.options.quick { 1 } else { args.turns };
        let turns: Result<Vec<Turn>, BenchError> =
            (0..turns).map(|_| turn(&bench, &args, contenders[index], attacks[case])).collect();
        Ok(sample(&turns?))
    });
    if args.unlimited {
        bench.notes.push("Without limits for each address.".to_owned());
    }
    let outcome = outcome(&mut bench, "abuse", machine, cases);
    Ok((args.options, outcome))
}

/// What the innocent felt, and the most memory that their server has had, bytes.
struct Turn {
    alone: Report,
    beside: Report,
    attacked: Report,
    peak_bytes: u64,
}

fn turn(
    bench: &Bench,
    args: &AbuseArgs,
    contender: Contender,
    attack: Attack,
) -> Result<Turn, BenchError> {
    let server = contender.start(bench)?;
    let alone = generate(bench, &[innocents(args, &server, 1)])?;
    let (warm_up_ms, measured_ms) = times(args);
    let milliseconds = warm_up_ms + measured_ms + 500;
    let abuse = |target, aside| Job::Abuse(AbuseJob { attack, target, milliseconds, aside });
    let address = SocketAddrV4::new(BYSTANDER, server.address.port());
    let stands_by = Job::Bystander(BystanderJob { address, attack, milliseconds });
    let beside = generate(bench, &[innocents(args, &server, 2), abuse(address, true), stands_by])?;
    let attacked = generate(bench, &[innocents(args, &server, 3), abuse(server.address, false)])?;
    Ok(Turn { alone, beside, attacked, peak_bytes: peak(&server) })
}

fn name(attack: Attack) -> String {
    attack.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn title(attack: Attack) -> &'static str {
    match attack {
        Attack::SlowLoris => "2,000 connections that send a head a byte at a time",
        Attack::HeadBombs => "2,000 connections that send heads without end",
        Attack::Connections => "connections opened and reset, as fast as it goes",
        Attack::Publishes => "publishes from one address, as fast as it goes",
        Attack::Topics => "publishes to a new topic each, as fast as it goes",
        Attack::SlowReaders => "2,000 subscribers that never read 8 MiB",
    }
}

fn times(args: &AbuseArgs) -> (u64, u64) {
    if args.options.quick { (100, 500) } else { (1_000, u64::from(args.seconds) * 1_000) }
}

/// Each part has an address of its own, because each connects anew: together they would be a flood.
fn innocents(args: &AbuseArgs, server: &Server, part: u8) -> Job {
    let (warm_up_ms, measured_ms) = times(args);
    Job::Fanout(FanoutJob {
        crowd: CrowdPlan {
            target: server.address,
            source: Some(Ipv4Addr::new(127, 0, 0, part)),
            subscribers: usize::from(args.subscribers),
            topics: 1,
            prefix: server.prefix.clone(),
            last_event_id: None,
            wire: Wire::Sse,
        },
        payload_bytes: 100,
        rate: Some(50.0),
        in_flight: 1,
        window: 64,
        read_delay_us: 0,
        sleeps: true,
        warm_up_ms,
        measured_ms,
        pids: server.pids.clone(),
        share: Share::Lead,
    })
}

/// The most memory that the server has had, bytes; 0 if its process is not known.
fn peak(server: &Server) -> u64 {
    let of = |pid: &u32| -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib * 1_024)
    };
    server.pids.iter().filter_map(of).sum()
}

fn metrics() -> Vec<Metric> {
    vec![
        Metric::new("times", "p99, times alone", 2).target(Target::AtMost(P99_TIMES)),
        Metric::new("beside_times", "= limit: attack on somebody else", 2),
        Metric::new("p99_ms", "p99 ms", 2),
        Metric::new("beside_p99_ms", "p99 ms, attack on somebody else", 2),
        Metric::new("alone_p99_ms", "p99 ms alone", 2),
        Metric::new("p50_ms", "p50 ms", 2),
        Metric::new("alone_p50_ms", "p50 ms alone", 2),
        Metric::new("max_ms", "max ms", 1),
        Metric::new("cpu_percent", "server's CPU %", 1),
        Metric::new("alone_cpu_percent", "CPU % alone", 1),
        Metric::new("peak_mib", "server's peak RSS MiB", 1).target(Target::AtMost(CEILING_MIB)),
        Metric::new("alone_rss_mib", "RSS MiB alone", 1),
        Metric::new("attempts", "attempts of the attacker", 0),
        Metric::new("refused", "of them seen refused", 0),
        Metric::new("lost", "innocents' events lost", 0).target(Target::AtMost(0.0)),
    ]
}

fn sample(turns: &[Turn]) -> Sample {
    let (alone, alone_cpu) = together(turns.iter().map(|turn| &turn.alone));
    let (beside, _) = together(turns.iter().map(|turn| &turn.beside));
    let (attacked, cpu) = together(turns.iter().map(|turn| &turn.attacked));
    let tally = &attacked.tally;
    let wrong = tally.lost + tally.duplicates + tally.foreign + tally.closed;
    let p99 = |report: &Report| ms(report.tally.latency.quantile(0.99));
    let p50 = |report: &Report| ms(report.tally.latency.quantile(0.5));
    let mut sample = Sample::from([
        ("times".to_owned(), p99(&attacked) / p99(&alone).max(1e-6)),
        ("beside_times".to_owned(), p99(&beside) / p99(&alone).max(1e-6)),
        ("p99_ms".to_owned(), p99(&attacked)),
        ("beside_p99_ms".to_owned(), p99(&beside)),
        ("alone_p99_ms".to_owned(), p99(&alone)),
        ("p50_ms".to_owned(), p50(&attacked)),
        ("alone_p50_ms".to_owned(), p50(&alone)),
        ("max_ms".to_owned(), ms(tally.latency.max())),
        ("attempts".to_owned(), attacked.attempts as f64),
        ("refused".to_owned(), attacked.refused as f64),
        ("lost".to_owned(), wrong as f64),
    ]);
    if let Some(peak_bytes) = turns.iter().map(|turn| turn.peak_bytes).max().filter(|p| *p > 0) {
        sample.insert("cpu_percent".to_owned(), cpu);
        sample.insert("alone_cpu_percent".to_owned(), alone_cpu);
        sample.insert("peak_mib".to_owned(), mib(peak_bytes));
        sample.insert("alone_rss_mib".to_owned(), mib(alone.rss_after_bytes));
    }
    sample
}

/// One part of all turns, and what the server spent meanwhile, per cent of a core.
fn together<'a>(parts: impl Iterator<Item = &'a Report>) -> (Report, f64) {
    let mut sum = Report::default();
    let (mut cpu_ns, mut elapsed_ns) = (0, 0);
    for part in parts {
        sum.merge(part);
        sum.rss_after_bytes = sum.rss_after_bytes.max(part.rss_after_bytes);
        cpu_ns += part.cost.cpu_ns;
        elapsed_ns += part.elapsed_ns;
    }
    (sum, 100.0 * cpu_ns as f64 / elapsed_ns.max(1) as f64)
}
