//! How fast the decoder is, next to what it is measured against: a bare search for line ends (the
//! floor: a decoder must look at every byte once) and the fastest published decoder known to us.
//!
//! `cargo run --release -p tidings-frame --example decode_speed`
//!
//! Each figure is the median of five runs after one to warm up, interleaved so that a busy machine
//! slows all alike.

#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::convert::Infallible;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use memchr::memchr2_iter;
use sse_stream::SseByteStream;
use tidings_frame::sse_decode::{Decoder, Limits};

/// Bytes of input for each run: milliseconds long, so that the clock's grain does not matter, and
/// small enough to stay in the cache, so that the decoder is measured and not the memory.
const INPUT_BYTES: usize = 4 << 20;

/// Runs of which the median is printed.
const RUNS: usize = 5;

struct Input {
    name: &'static str,
    read_bytes: usize,
    stream: Bytes,
}

fn repeated(event: &str) -> Bytes {
    event.repeat((INPUT_BYTES / event.len()).max(1)).into()
}

fn inputs() -> Vec<Input> {
    let padded = |bytes: usize, head: &str| {
        let fixed = head.len() + 2;
        format!("{head}{}\n\n", "x".repeat(bytes - fixed))
    };
    let llm = concat!(
        r#"data: {"id":"chatcmpl-9f","object":"chat.completion.chunk","created":1790000000,"#,
        r#""choices":[{"index":0,"delta":{"content":""#
    );
    let llm = format!("{llm}{}\"}}}}]}}\n\n", "t".repeat(145 - 7 - llm.len()));
    let own = padded(120, "id: k3v9x2aa-1234567\nevent: said\ndata: ");
    let large = padded(256 << 10, "data: ");
    let line = padded(8 << 20, "data: ");
    let input = |name, read_bytes, stream| Input { name, read_bytes, stream };
    vec![
        input("LLM chunks, 145 B/event, 16 KiB reads", 16 << 10, repeated(&llm)),
        input("LLM chunks, 145 B/event, 1,460 B reads", 1_460, repeated(&llm)),
        input("id + event + data, 120 B, 16 KiB reads", 16 << 10, repeated(&own)),
        input("256 KiB events, 16 KiB reads", 16 << 10, repeated(&large)),
        input("8 MiB lines, 16 KiB reads", 16 << 10, repeated(&line)),
        input("8 MiB lines, 1,460 B reads", 1_460, repeated(&line)),
    ]
}

/// Line ends, by one search for each.
fn search(input: &Input) -> usize {
    let count = |read: &[u8]| memchr2_iter(b'\n', b'\r', read).count();
    input.stream.chunks(input.read_bytes).map(count).sum::<usize>() / 2
}

fn ours(input: &Input) -> usize {
    let mut decoder = Decoder::new(Limits { line_bytes: 16 << 20, event_bytes: 16 << 20 });
    let mut events = 0;
    for read in input.stream.chunks(input.read_bytes) {
        decoder
            .feed(read, |event| {
                black_box(event);
                events += 1;
            })
            .expect("the input is within the limits");
    }
    events
}

fn theirs(input: &Input) -> usize {
    let whole = &input.stream;
    let reads = (0..whole.len())
        .step_by(input.read_bytes)
        .map(|at| Ok::<_, Infallible>(whole.slice(at..whole.len().min(at + input.read_bytes))));
    let mut events = pin!(SseByteStream::new(stream::iter(reads)));
    let mut context = Context::from_waker(Waker::noop());
    let mut count = 0;
    while let Poll::Ready(Some(event)) = events.poll_next_unpin(&mut context) {
        count += usize::from(black_box(event).is_ok());
    }
    count
}

fn main() {
    println!("MB/s (ns per event), median of {RUNS}\n");
    println!("| input | line-end search | this crate | sse-stream |\n|---|---|---|---|");
    for input in inputs() {
        let runners: [fn(&Input) -> usize; 3] = [search, ours, theirs];
        let mut seconds: [Vec<f64>; 3] = Default::default();
        let mut events = [0; 3];
        for runner in runners {
            runner(&input);
        }
        for _ in 0..RUNS {
            for (which, runner) in runners.iter().enumerate() {
                let start = Instant::now();
                events[which] = runner(&input);
                seconds[which].push(start.elapsed().as_secs_f64());
            }
        }
        let mut row = format!("| {} |", input.name);
        for (runs, events) in seconds.iter_mut().zip(events) {
            runs.sort_by(f64::total_cmp);
            let median = runs[RUNS / 2];
            let speed = input.stream.len() as f64 / median / 1e6;
            let each = median * 1e9 / events.max(1) as f64;
            row += &format!(" {speed:.0} ({each:.0}) |");
        }
        println!("{row}");
    }
}
