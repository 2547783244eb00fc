//! Arbitrary bytes as the files of a log: it opens or says why not, and never panics.
//! `cargo +nightly fuzz run log_open`
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tidings_log::testing::check_segment(input));
