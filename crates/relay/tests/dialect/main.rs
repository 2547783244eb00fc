//! The dialects against transcripts of answers: whole, cut anywhere, and nonsense.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod cases;
mod cut;
mod digest;
mod garbage;
mod merge;
mod support;
