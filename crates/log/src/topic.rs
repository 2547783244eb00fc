//! What a topic is to the log: a name, a policy and a place in the chain of forks.

use crate::{Durability, End};

/// A topic's number. Never given twice in one log, also not after the topic was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub u32);

/// How much of a topic is kept. `None` = no limit of that kind; an event goes when any limit says
/// so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Retention {
    /// Newest events. For a conflating topic: newest live records, that is, keys.
    pub count: Option<u64>,
    /// Age in milliseconds.
    pub age_ms: Option<u64>,
    /// Stored bytes of the events; applied by maintenance, not at once.
    pub bytes: Option<u64>,
}

/// A topic's policy as far as the log takes part in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The durability that the topic's events usually get: what a crash may have cost it
    /// (`Reason::Crash`).
    pub durability: Durability,
    /// How much is kept.
    pub retention: Retention,
    /// Only the newest event per key is kept. Fixed when the topic is created.
    pub conflate: bool,
    /// The caller's own part, opaque to the log.
    pub extra: Box<[u8]>,
}

/// The topic that another one begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fork {
    /// It cannot be deleted while it has forks, and neither of the two may conflate.
    pub source: TopicId,
    /// Its events up to and including this sequence belong to the fork.
    pub through: u64,
}

/// A topic to create.
#[derive(Clone, Debug)]
pub struct NewTopic<'a> {
    /// 1 to 4,096 bytes; unique among the live topics. What it may contain is the caller's rule.
    pub name: &'a str,
    /// Its policy.
    pub policy: Policy,
    /// What it begins with.
    pub forked_from: Option<Fork>,
    /// Now, milliseconds since 1970.
    pub time_ms: u64,
}

/// A topic as described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its number.
    pub id: TopicId,
    /// Its name.
    pub name: std::sync::Arc<str>,
    /// Its policy.
    pub policy: Policy,
    /// When it was created, milliseconds since 1970.
    pub created_ms: u64,
    /// How it ended, if it did.
    pub closed: Option<End>,
    /// What it begins with.
    pub forked_from: Option<Fork>,
    /// Sequence of the oldest event that is kept, inherited ones included. Age counts from the last
    /// maintenance.
    pub oldest: Option<u64>,
    /// Sequence of the newest event it ever had, inherited ones included; 0 if none.
    pub newest: u64,
    /// Events kept (conflating: live records), inherited ones included. Expired events that were
    /// not removed yet count.
    pub count: u64,
    /// Stored bytes of its own kept events, as of the last maintenance for what was removed.
    pub bytes: u64,
}
