//! Fan-out: how an event that has become visible reaches every subscriber.
//!
//! There is no queue per subscriber. A topic that somebody follows keeps a [`tail`](tail::Tail) of
//! encoded frames; a subscriber is a position; a [`Bell`] tells the thread that holds a group of
//! subscribers which of their topics have news. The loop of every subscriber is the same:
//!
//! catch up from the log ([`backlog`]) → follow the tail → fell behind? → catch up from the log …
//!
//! Invariants, which make the loop exact:
//!
//! * an event is put into the tails, its topics are noted on the bells and the bells' `visible` is
//!   advanced in that order, the last two under one lock, so whoever takes `visible` from a bell
//!   also has every topic with an event up to it;
//! * a tail knows the position it begins after, so a position that it cannot serve is recognised;
//! * positions become visible in the log's one order, so one position resumes any set of topics.

pub mod backlog;
mod bell;
pub mod frame;
mod live;
pub(crate) mod spans;
pub mod tail;

pub use backlog::{Backlog, Step};
pub use bell::Bell;
pub use frame::{Framing, View};
pub use live::Live;
pub use tail::{Gathered, Reach, Span};
