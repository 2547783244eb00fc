//! What the common token of an answer costs in each dialect: reading, judging, one record.
//!
//! `cargo run --release -p tidings-relay --example dialect_speed`
//!
//! Each figure is the median of five runs after one to warm up.

#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use tidings_relay::dialect::{Asked, Dialect, Reader};

/// Tokens read in each run.
const TOKENS: u32 = 100_000;

/// Runs of which the median is printed.
const RUNS: usize = 5;

const CHAT: &str = concat!(
    r#"{"id":"chatcmpl-aTpfgebA5vAKxJ0sILiDiEdQ7mOKP6yL","object":"chat.completion.chunk","#,
    r#""created":1795353343,"model":"gpt-5-mini","system_fingerprint":"fp_44709d6fcb","#,
    r#""choices":[{"index":0,"delta":{"content":" sea"},"logprobs":null,"finish_reason":null}],"#,
    r#""usage":null,"obfuscation":"x7Tq2"}"#
);
const RESPONSES: &str = concat!(
    r#"{"type":"response.output_text.delta","sequence_number":7,"item_id":"msg_lAV3HGtUeAXeF9ZR","#,
    r#""output_index":0,"content_index":0,"delta":" sea","logprobs":[],"obfuscation":"x7Tq2"}"#
);
const BARE: &str =
    r#"{"type":"response.output_text.delta","item_id":"msg_lAV3HGtUeAXeF9ZR","delta":" sea"}"#;
const MESSAGES: &str =
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" sea"}}"#;

fn main() {
    let asked = Asked::default();
    let reader = |dialect| Reader::new(dialect, &asked);
    measure("chat", reader(Dialect::Chat), "", CHAT);
    measure("chat as a UI message", Reader::ui(&asked, "m"), "", CHAT);
    let delta = "response.output_text.delta";
    measure("responses", reader(Dialect::Responses), delta, RESPONSES);
    measure("responses, completed", reader(Dialect::Responses), delta, BARE);
    measure("messages", reader(Dialect::Messages), "content_block_delta", MESSAGES);
}

fn measure(name: &str, mut reader: Reader, event_type: &str, data: &str) {
    let mut out = Vec::with_capacity(4);
    let mut run = || {
        let start = Instant::now();
        for _ in 0..TOKENS {
            out.clear();
            black_box(reader.event(event_type, black_box(data), &mut out));
        }
        start.elapsed() / TOKENS
    };
    run();
    let mut runs: Vec<Duration> = (0..RUNS).map(|_| run()).collect();
    runs.sort_unstable();
    println!("{name:24} {:>8} ns per token of {} bytes", runs[RUNS / 2].as_nanos(), data.len());
}
