//! From an upstream that speaks SSE into a topic: LLM answers, and streams that many share.
//!
//! Whoever asks an LLM through the relay gets the answer as a subscription to a topic. The upstream
//! is read by a task of its own, every event is in the log before anybody sees it, and so an answer
//! survives dropped connections, reloads, second devices and slow readers, with no change to either
//! side. Nothing here listens: the server brings the requests.
//!
//! An answer's way is the order of these modules:
//!
//! | module | holds |
//! |---|---|
//! | [`relays`] | where the server comes in: a request begins an answer, or finds its own |
//! | [`answer`], `answers` | what is known of an answer, and the ways to find one |
//! | `counted` | answers that are no stream |
//! | `said`, `told` | what answers have named to their askers, streamed ones and others |
//! | `ledger`, `recover` | what of that outlives the process, and what becomes of it |
//! | [`capability`] | who may read and stop one |
//! | [`outgoing`], `upstream`, [`http1`] | the request as the upstream gets it, and the way there |
//! | `generation` | the task that reads the upstream |
//! | [`dialect`] | what an answer looks like on the wire of each API, without I/O |
//! | `store` | from there into the hub, and back |
//! | [`shared`] | one stream that many share: no request and no answer, only a topic that is fed |
//! | [`merged`] | catching up in fewer, longer events |
//! | [`readers`] | who reads, and when nobody does |
//! | `work` | the thread that all this is done on |
//! | [`fetch`] | what else the server asks of others |
//! | [`finished`] | who wants to know of an answer's end |
//! | [`allow`] | what of an API is passed on |
//! | [`config`], [`metrics`] | settings and counters |

pub mod allow;
pub mod answer;
mod answers;
mod appender;
#[cfg(test)]
mod bench;
pub mod capability;
pub mod config;
mod counted;
pub mod dialect;
pub mod fetch;
pub mod finished;
mod generation;
pub mod http1;
mod ledger;
pub mod merged;
pub mod metrics;
pub mod outgoing;
mod policies;
pub mod readers;
mod recover;
pub mod relays;
mod said;
pub mod shared;
mod store;
mod told;
mod upstream;
mod work;

pub use answer::{Answer, Known, Phase, Plain, Progress};
pub use capability::Right;
pub use policies::policies;
pub use readers::{Lease, Readers};
pub use relays::{Ask, AskError, Chat, Found, Relays, StartError};
pub use shared::{Shared, SharedRelays};
pub use upstream::TlsError;
pub use work::{Work, Worker};
