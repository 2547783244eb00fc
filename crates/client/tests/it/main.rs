//! The client against servers that do what a script says.

#![allow(clippy::unwrap_used)]

mod publish;
mod read;
mod server;
mod slow;
mod subscriptions;
#[cfg(feature = "tls")]
mod tls;
