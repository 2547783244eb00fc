//! Tests of the hub as a whole, over a real log in a folder of its own.

mod follow;
mod publish;
mod start;
mod support;
