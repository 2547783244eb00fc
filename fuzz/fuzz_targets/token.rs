//! Arbitrary bytes as a token, and as changes to a good one. `cargo +nightly fuzz run token`
#![no_main]

#[path = "../harness/token.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|input: &[u8]| harness::check(input));
