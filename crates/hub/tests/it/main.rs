//! Tests of the hub as a whole, over a real log in a folder of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod follow;
mod publish;
mod start;
mod support;
