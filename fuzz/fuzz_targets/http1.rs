//! Arbitrary bytes as an upstream's answer, against the grammar. `cargo +nightly fuzz run http1`
#![no_main]

#[path = "../harness/http1.rs"]
mod harness;

libfuzzer_sys::fuzz_target!(|input: &[u8]| harness::check(input));
