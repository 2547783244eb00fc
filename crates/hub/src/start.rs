//! Where a subscription begins, and what it has missed.
//!
//! The promise is "never a silent gap": every matching event after the given id, once, in order; or
//! a gap first, whose id is the position from which the stream goes on. Nothing that the hub still
//! has is ever withheld: after a gap the stream goes on with the oldest that is kept.

use tidings_frame::{GapReason, Position, check_publisher_id};
use tidings_log as log;

use crate::fanout::Backlog;
use crate::hub::Hub;
use crate::missed::Gap;

/// Where a subscription begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With what comes from now on.
    Live,
    /// With the oldest that is kept.
    Earliest,
    /// After the event with this id: a position, or a publisher's own id.
    After(String),
    /// With the first event at or after this time, milliseconds since 1970.
    Since(u64),
    /// With the last so many events.
    Last(u64),
}

/// Where a subscription begins, as a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The subscriber has, or does not want, everything up to here.
    pub after: u64,
    /// To be told first.
    pub gap: Option<Gap>,
}

impl Hub {
    /// Finds the position of a start. Reads the log unless it is [`Start::Live`].
    pub fn start(&self, backlog: &mut Backlog, start: &Start) -> Started {
        let after = match start {
            Start::Live => self.visible(),
            Start::Earliest => 0,
            Start::Since(time_ms) => self.log.before_time(*time_ms).min(self.visible()),
            Start::Last(count) => self.before_last(backlog, *count, self.visible()),
            Start::After(id) => return self.resume(backlog, id),
        };
        if *start != Start::Live {
            // It asked for what is kept, so what is not is no news to it.
            backlog.missed(self, after);
        }
        Started { after, gap: None }
    }

    /// The position after which a read up to and including `through` gives the last `count` events
    /// of the selection there.
    pub fn before_last(&self, backlog: &mut Backlog, count: u64, through: u64) -> u64 {
        let topics = backlog.topics(self);
        let after = self.log.before_last(topics, count, through, self.now_ms()).min(through);
        // Whoever wants the last ones misses none of those before.
        backlog.missed(self, after);
        after
    }

    /// Whether a position was reached since the hub was opened: neither a crash nor damage can have
    /// taken anything after it.
    #[must_use]
    pub fn is_of_this_life(&self, sequence: u64) -> bool {
        sequence + 1 >= self.log.first_issued_this_life()
    }

    fn resume(&self, backlog: &mut Backlog, id: &str) -> Started {
        let reason = match id.parse::<Position>() {
            Ok(position) if position.epoch != self.epoch() => GapReason::Epoch,
            Ok(position) if position.sequence > self.highest_given() => GapReason::UnknownId,
            Ok(position) => return self.resume_after(backlog, id, position.sequence),
            Err(_) => match self.publishers_id(backlog, id) {
                Some(after) => return self.resume_after(backlog, id, after),
                None => GapReason::UnknownId,
            },
        };
        let now_ms = self.now_ms();
        let after = match *backlog.topics(self) {
            [topic] => self.log.missing(topic, 0, now_ms).map_or(0, |missing| {
                if missing.reason == log::Reason::Retention { missing.through } else { 0 }
            }),
            _ => 0,
        };
        let resumes = Position { epoch: self.epoch(), sequence: after };
        let gap = Gap { reason, requested: id.to_owned(), resumes, topics: Vec::new() };
        // It is told that anything may be missing.
        backlog.missed(self, after);
        Started { after, gap: Some(gap) }
    }

    /// The largest sequence that anybody can have seen: given in this life or, if none was yet,
    /// before it began.
    fn highest_given(&self) -> u64 {
        self.log.newest().max(self.log.first_issued_this_life().saturating_sub(1))
    }

    /// The earliest place of an event that its publisher gave this id.
    fn publishers_id(&self, backlog: &mut Backlog, id: &str) -> Option<u64> {
        check_publisher_id(id).ok()?;
        backlog.topics(self).iter().filter_map(|&topic| self.log.publisher_id(topic, id)).min()
    }

    fn resume_after(&self, backlog: &mut Backlog, id: &str, after: u64) -> Started {
        let gap = backlog.missed(self, after).map(|gap| Gap { requested: id.to_owned(), ..gap });
        Started { after: gap.as_ref().map_or(after, |gap| gap.resumes.sequence), gap }
    }
}
