//! Arbitrary bytes as a record of the log: decoding is total, and what decodes encodes to the same.
//! `cargo +nightly fuzz run record_decode`
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tidings_log::testing::check_record(input));
