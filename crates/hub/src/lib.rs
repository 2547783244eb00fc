//! The heart of Tidings, without HTTP: events come in, are durable, and go out to whoever follows.
//!
//! Everything is a topic, a topic is an ordered log of events with a tail, and a subscriber is a
//! position in it. The path of an event is the order of these modules:
//!
//! | module | holds |
//! |---|---|
//! | [`publish`] | from a request into the log: conditions, repeats, rounds that share a write |
//! | [`release`] | from durable to visible: acknowledged first, in one order |
//! | [`fanout`] | tails of frames, bells, and catching up from the log |
//! | [`start`] | where a subscription begins, and the gap that it is told of |
//! | [`selection`] | what a subscription is subscribed to |
//! | [`topics`], [`policy`] | what a topic is and promises |
//! | [`schedule`] | publishes for later |
//! | [`keeper`](hub) | syncing, timers, retention, in three threads |
//!
//! Invariants: an event is visible only after it is as durable as all its topics ask, and only
//! after every event with a smaller sequence is visible; nobody who has taken part in a publish
//! waits for a subscriber; there is no queue per subscriber.

pub mod error;
pub mod fanout;
pub mod hub;
mod keeper;
pub mod missed;
pub mod open;
pub mod policy;
pub mod publish;
pub mod release;
mod schedule;
pub mod selection;
pub mod start;
pub mod topics;

pub use error::{PublishError, StoreError, SubscribeError, TopicError};
pub use fanout::{Backlog, Bell, Framing, Gathered, Live, Reach, Span, Step, View};
pub use hub::{Clock, Counters, Hub, Options};
pub use missed::Gap;
pub use open::OpenError;
pub use policy::{
    Durability, EndBy, PolicyRule, PolicyRules, Retain, TopicPolicy, TopicTtl, TtlMode,
};
pub use publish::{Accepted, Expect, NewEvent, Outcome, Producer, Publish, Published, Round};
pub use schedule::MakerJudge;
pub use selection::Selection;
pub use start::{Start, Started};
pub use tidings_log::{ReadLimit, Recovery, State as LogState, Status as LogStatus};
pub use topics::{ForkOf, OwnerNames, TopicDescription};
