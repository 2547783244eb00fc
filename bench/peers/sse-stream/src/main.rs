//! Decodes a file with sse-stream and says how long it took: `sse-stream-peer FILE READ PASSES`.
//!
//! The file is in memory before the clock starts, and is handed over READ bytes at a time without
//! copying, PASSES times. Prints one line of JSON.

use std::convert::Infallible;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use sse_stream::SseByteStream;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || {
        arguments
            .next()
            .ok_or("usage: sse-stream-peer FILE READ PASSES")
    };
    let whole = Bytes::from(std::fs::read(argument()?)?);
    let read: usize = argument()?.parse()?;
    let passes: u32 = argument()?.parse()?;
    let start = Instant::now();
    let mut events = 0;
    for _ in 0..passes {
        events += decode(&whole, read.max(1));
    }
    let elapsed_ns = start.elapsed().as_nanos();
    let bytes = whole.len() as u64 * u64::from(passes);
    println!("{{\"bytes\":{bytes},\"events\":{events},\"elapsed_ns\":{elapsed_ns}}}");
    Ok(())
}

fn decode(whole: &Bytes, read: usize) -> u64 {
    let reads = (0..whole.len())
        .step_by(read)
        .map(|at| Ok::<_, Infallible>(whole.slice(at..whole.len().min(at + read))));
    let mut events = pin!(SseByteStream::new(stream::iter(reads)));
    let mut context = Context::from_waker(Waker::noop());
    let mut count = 0;
    while let Poll::Ready(Some(event)) = events.poll_next_unpin(&mut context) {
        count += u64::from(black_box(event).is_ok());
    }
    count
}
