//! The append-only event log of Tidings: one sequence, all topics interleaved in segment files.
//!
//! An event's path through this crate: [`Writer::push`] encodes it into a [`Batch`],
//! [`Writer::append`] writes the batch as one atomic unit and makes it readable, [`Log::sync`] puts
//! it on the device, [`Log::read`] hands it out again, [`Log::maintain`] lets go of it when its
//! topic's policy says so. [`open`] brings all of that back after a crash.
//!
//! What is promised:
//! * A batch is in the log whole or not at all, also after a crash at any moment.
//! * A sequence is given once in the life of an epoch, also after a power loss.
//! * What was acknowledged at a durability is there after the crash that the durability covers.
//! * What is missing can be asked for: [`Log::missing`] names what retention removed, a crash may
//!   have taken, or damage
//!   made unreadable.
//! * No bytes on disk make the log panic, and damage never keeps the healthy part from being read.

mod batch;
mod checkpoint;
mod codec;
mod collect;
mod compact;
mod deleted;
mod describe;
mod error;
mod event;
mod hash;
mod index;
mod ledger;
mod life;
pub mod limits;
mod log;
mod lookup;
mod maintain;
mod open_runs;
mod read;
mod record;
mod recover;
mod scan;
mod seal;
mod segment;
mod shared;
mod sidecar;
mod storage;
mod table;
#[doc(hidden)]
pub mod testing;
mod topic;
mod topic_state;
mod writer;

pub use error::{
    AppendError, EventError, MaintainError, OpenError, ReadError, ScheduleError, SyncError,
    TopicError,
};
pub use event::{
    Appended, Durability, End, Event, Idempotency, Missing, Producer, Progress, ReadLimit, Reason,
    Repeated, Schedule, StoredEvent,
};
pub use ledger::Produced;
pub use log::{Damage, Log, Maintained, Opened, Options, Recovery, State, Status};
pub use recover::open;
pub use storage::{File, FileStorage, Storage};
pub use topic::{Fork, NewTopic, Policy, Retention, TopicId, TopicInfo};
pub use writer::{Batch, Writer};
