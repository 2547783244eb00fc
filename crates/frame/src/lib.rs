//! What is on the wire: event ids, names, the SSE encoder and decoder, error codes and limits.
//!
//! This crate is a leaf. It does no I/O, knows no runtime and holds no state but that of one
//! decoder, so the server, the hub and the clients can share it and so that every promise about the
//! wire can be tested with bytes alone. All functions are total: no input makes them panic.
//!
//! | module | holds |
//! |---|---|
//! | [`position`] | [`Epoch`] and [`Position`], whose text form is the SSE `id:` |
//! | [`topic`] | [`TopicName`] and its percent-encoded path form |
//! | [`pattern`] | [`Pattern`], which selects topics |
//! | [`names`] | the rules of event types, keys and publishers' ids |
//! | [`event`] | [`EventObject`], the JSON form of an event; [`End`] and [`GapReason`] |
//! | [`api`] | the other JSON documents of the native API |
//! | [`time`] | RFC 3339 |
//! | [`sse_encode`] | events into `text/event-stream` |
//! | [`sse_decode`] | `text/event-stream` into events, complete by WHATWG HTML section 9.2.6 |
//! | [`error_code`], [`problem`] | stable error codes and their RFC 9457 form |
//! | [`limits`] | every limit of the wire, with its unit and its reason |

pub mod api;
pub mod error_code;
pub mod event;
pub mod limits;
pub mod names;
pub mod pattern;
pub mod position;
pub mod problem;
pub mod sse_decode;
pub mod sse_encode;
pub mod time;
pub mod topic;

pub use error_code::ErrorCode;
pub use event::{End, EventObject, GapNotice, GapReason};
pub use names::{
    NameError, check_event_type, check_foreign_event_type, check_idempotency_key, check_key,
    check_publisher_id,
};
pub use pattern::{Pattern, PatternError};
pub use position::{Epoch, Position, PositionError};
pub use problem::Problem;
pub use time::{Time, TimeError};
pub use topic::{TopicName, TopicNameError, is_internal};
