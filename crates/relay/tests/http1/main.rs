//! What upstreams send, good and bad, cut in every way.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../../../../fuzz/harness/http1.rs"]
mod harness;

mod answers;
mod garbage;
