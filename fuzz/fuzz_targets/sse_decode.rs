//! Arbitrary bytes into the SSE decoder, against the standard's text. `cargo +nightly fuzz run
//! sse_decode`
#![no_main]

#[path = "../harness/sse_decode.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|input: &[u8]| harness::check(input));
