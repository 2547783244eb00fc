//! Everything of Tidings that listens: sockets, HTTP, configuration, and the way to stop.
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | the configuration: file, environment, flags; checked before anything is bound |
//! | `run` | from a configuration to a running server, and to its end |
//! | `socket` | the shards: sockets with a position each, written to by the fan-out itself |
//! | `http` | the routes, for both doors; the general door (hyper) |
//! | `http2` | connections of HTTP/2 |
//! | `tls` | the listener that speaks TLS, and where its certificate comes from: files, or ACME |
//! | `follower` | subscriptions of tasks: the same loop, over the same frames |
//! | `stream` | event streams that are tasks: over TLS and HTTP/2 |
//! | `websocket` | WebSocket connections |
//! | `error` | the one place where errors become HTTP |
//! | `metrics` | what is counted |
//! | `proxy` | who a client is when a proxy stands between |
//! | `named_files` | the files that a configuration names, looked at without starting |
//! | `operator` | the operator's own listener |
//! | `unbound` | what to do about an address that cannot be listened on |
//!
//! A request's path: `socket/door` judges its first bytes; a publish goes `http/publish` → the
//! hub's round → its answer; a subscription goes `http/subscribe` → `socket/shard`, and from then
//! on is a place in a table that `socket/deliver` writes to.

mod access;
mod app;
mod audit;
pub mod config;
mod connection_name;
mod dashboard;
mod dates;
mod error;
mod follower;
mod head;
mod hook;
mod http;
mod http2;
mod lanes;
mod limits;
mod metrics;
mod named_files;
mod operator;
mod outgoing;
mod peer;
mod proxy;
mod push;
mod reply;
mod run;
mod socket;
mod stream;
#[doc(hidden)]
pub mod testing;
mod tls;
mod unbound;
mod webhooks;
mod websocket;

pub use access::fetched::fetch_once as fetch_keys;
pub use access::keys::{KeysError, load as verifier};
pub use named_files::{NamedFiles, warn_of_open_files};
pub use run::{Ready, RunError, run};
