//! Decoding of server-sent events, as a client does it, against one search through the bytes.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Args;
use serde::Deserialize;
use tidings_frame::sse_decode::Decoder;

use super::{named_column, outcome};
use crate::bench::clock::now_ns;
use crate::bench::machine::Machine;
use crate::bench::options::{Durability, Options};
use crate::bench::pinned;
use crate::bench::result::{Case, Metric, Outcome, Role, Sample, Target};
use crate::bench::{Bench, BenchError, rounds};

const SCAN: &str = "memchr2";
const OURS: &str = "tidings";
const PEER: &str = "sse-stream";
/// The peer's program, below the folder of the peers.
const PEER_PROGRAM: &str = "sse-stream/target/release/sse-stream-peer";
/// Bytes of one pass over the events: more than the caches hold.
const INPUT_BYTES: usize = 32 * 1024 * 1024;

/// Arguments of `bench parse`.
#[derive(Debug, Args)]
pub(crate) struct ParseArgs {
    #[command(flatten)]
    options: Options,
    /// Bytes of one read.
    #[arg(long, default_value_t = 16 * 1024, value_parser = clap::value_parser!(u32).range(1..))]
    read: u32,
    /// Passes over 32 MiB of events in one run.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    passes: u32,
}

/// What one run was given and found.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Parsed {
    bytes: u64,
    events: u64,
    elapsed_ns: u64,
}

/// Measures decoding of two kinds of events.
pub(crate) fn run(args: ParseArgs) -> Result<(Options, Outcome), BenchError> {
    let mut bench = Bench::new(args.options.clone(), Durability::Memory)?;
    let machine = Machine::look(&bench.data_dir);
    let (passes, size) = match args.options.quick {
        true => (1, 1024 * 1024),
        false => (args.passes, INPUT_BYTES),
    };
    let inputs = [("chunks", chunk_events(size)), ("ids", id_events(size))];
    let mut columns = vec![named_column(SCAN, Role::Limit), named_column(OURS, Role::Ours)];
    let peer = bench.options.peers.join(PEER_PROGRAM);
    if peer.exists() {
        columns.push(named_column(PEER, Role::Peer));
    } else {
        let script = bench.options.peers.with_extension("sh");
        let how = format!("{PEER} is not measured: run {}", script.display());
        bench.notes.push(how);
    }
    let mut cases: Vec<Case> = inputs
        .iter()
        .map(|(name, input)| Case {
            name: (*name).to_owned(),
            title: format!("events of {} B, read {} B at a time", input.event, args.read),
            metrics: metrics(name == &"chunks"),
            columns: columns.clone(),
        })
        .collect();
    let read = args.read as usize;
    rounds::measure(&bench, &mut cases, |case, index| {
        let input = &inputs[case].1;
        let parsed = match columns[index].name.as_str() {
            SCAN => pinned::run(bench.server_cpu, || Ok(scan(&input.bytes, read, passes)))?,
            OURS => pinned::run(bench.server_cpu, || decode(&input.bytes, read, passes))?,
            _ => peer_decode(&bench, &peer, &input.bytes, read, passes)?,
        };
        sample(input, parsed)
    });
    let outcome = outcome(&mut bench, "parse", machine, cases);
    Ok((args.options, outcome))
}

fn metrics(with_target: bool) -> Vec<Metric> {
    let rate = Metric::new("mb_per_s", "MB/s", 0);
    let target = Target::TimesAtLeast(1.0, PEER.to_owned());
    let rate = if with_target { rate.target(target) } else { rate };
    vec![rate, Metric::new("ns_per_event", "ns/event", 1)]
}

/// Events as bytes, all of the same length.
struct Input {
    bytes: Vec<u8>,
    event: usize,
}

/// What an LLM's API sends: 145 bytes an event.
fn chunk_events(size: usize) -> Input {
    let event = concat!(
        r#"data: {"id":"chatcmpl-9f3b2c71","object":"chat.completion.chunk","#,
        r#""created":1732270000,"choices":[{"index":0,"delta":{"content":" everybody"}}]}"#,
        "\n\n"
    );
    Input { bytes: event.repeat(size / event.len()).into_bytes(), event: event.len() }
}

/// What Tidings sends: id, type and data in 120 bytes.
fn id_events(size: usize) -> Input {
    let event = concat!(
        "id: k3x9q2ab-1000000042\nevent: message.created\n",
        r#"data: {"user":"ada","text":"The engine weaves algebraic patterns now."}"#,
        "\n\n"
    );
    Input { bytes: event.repeat(size / event.len()).into_bytes(), event: event.len() }
}

/// The limit: looks at every byte once for the ends of lines.
fn scan(bytes: &[u8], read: usize, passes: u32) -> Parsed {
    let start = now_ns();
    let mut ends = 0;
    for _ in 0..passes {
        for piece in std::hint::black_box(bytes).chunks(read) {
            ends += memchr::memchr2_iter(b'\r', b'\n', piece).count();
        }
    }
    let elapsed_ns = now_ns() - start;
    std::hint::black_box(ends);
    let empty = memchr::memmem::find_iter(bytes, b"\n\n").count() as u64 * u64::from(passes);
    Parsed { bytes: bytes.len() as u64 * u64::from(passes), events: empty, elapsed_ns }
}

fn decode(bytes: &[u8], read: usize, passes: u32) -> Result<Parsed, BenchError> {
    let start = now_ns();
    let (mut events, mut data_bytes) = (0_u64, 0_usize);
    for _ in 0..passes {
        let mut decoder = Decoder::default();
        for piece in bytes.chunks(read) {
            let fed = decoder.feed(piece, |event| {
                events += 1;
                data_bytes += event.data.len();
            });
            fed.map_err(|error| BenchError::Workload(error.to_string()))?;
        }
    }
    std::hint::black_box(data_bytes);
    let elapsed_ns = now_ns() - start;
    Ok(Parsed { bytes: bytes.len() as u64 * u64::from(passes), events, elapsed_ns })
}

/// Runs the peer's program, which reads the same bytes from a file before it starts its clock.
fn peer_decode(
    bench: &Bench,
    program: &Path,
    bytes: &[u8],
    read: usize,
    passes: u32,
) -> Result<Parsed, BenchError> {
    let io = |error| BenchError::Io("running the decoder of sse-stream", error);
    let mut file = tempfile::NamedTempFile::new_in(&bench.data_dir).map_err(io)?;
    file.write_all(bytes).and_then(|()| file.flush()).map_err(io)?;
    let answer = file.path().with_extension("answer");
    let output = fs::File::create(&answer).map_err(io)?;
    let mut command = Command::new(program);
    command.arg(file.path()).arg(read.to_string()).arg(passes.to_string());
    command.stdin(Stdio::null()).stdout(output);
    let ended = pinned::run(bench.server_cpu, || command.status().map_err(io));
    let text = fs::read_to_string(&answer).map_err(io);
    fs::remove_file(&answer).map_err(io)?;
    if !ended?.success() {
        return Err(BenchError::Workload("the decoder of sse-stream failed".to_owned()));
    }
    serde_json::from_str(&text?).map_err(BenchError::Json)
}

fn sample(input: &Input, parsed: Parsed) -> Result<Sample, BenchError> {
    let expected = parsed.bytes / input.event as u64;
    if parsed.events != expected {
        let text = format!("{} events were decoded of {expected}", parsed.events);
        return Err(BenchError::Workload(text));
    }
    let seconds = parsed.elapsed_ns.max(1) as f64 / 1e9;
    Ok(Sample::from([
        ("mb_per_s".to_owned(), parsed.bytes as f64 / 1e6 / seconds),
        ("ns_per_event".to_owned(), parsed.elapsed_ns as f64 / parsed.events.max(1) as f64),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_are_as_long_as_they_are_said_to_be() {
        assert_eq!(chunk_events(1_000).event, 145);
        assert_eq!(id_events(1_000).event, 120);
    }

    #[test]
    fn both_ways_find_every_event() {
        for input in [chunk_events(10_000), id_events(10_000)] {
            let scanned = scan(&input.bytes, 100, 2);
            let decoded = decode(&input.bytes, 100, 2).unwrap();
            assert_eq!(scanned.events, decoded.events);
            sample(&input, decoded).unwrap();
            assert!(sample(&input, Parsed { events: 1, ..decoded }).is_err());
        }
    }
}
