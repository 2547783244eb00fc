//! The upstream as a client meets it, byte for byte, over plain sockets.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;
mod dialects;
mod directed;
mod faults;
mod framing;
mod http;
mod observe;
