//! Names of deleted topics, each with the newest event it had: whoever was behind is told that
//! events are missing, also when a new topic has the name by then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::limits::DELETED_NAMES_MAX;

/// The deleted names that are known.
///
/// At most [`DELETED_NAMES_MAX`]; those whose events ended earliest are forgotten first and leave
/// one number behind, the floor: any name may have had events up to there.
#[derive(Debug, Default)]
pub(crate) struct DeletedNames {
    names: BTreeMap<Arc<str>, u64>,
    order: BTreeSet<(u64, Arc<str>)>,
    floor: u64,
    count: u64,
}

impl DeletedNames {
    /// Notes that a topic of this name was deleted whose newest event was `newest`; 0 = none.
    pub(crate) fn note(&mut self, name: Arc<str>, newest: u64) {
        self.count += 1;
        if newest == 0 {
            return;
        }
        let known = self.names.get(&name).copied().unwrap_or(0);
        if known >= newest {
            return;
        }
        self.order.remove(&(known, name.clone()));
        self.order.insert((newest, name.clone()));
        self.names.insert(name, newest);
        while self.names.len() > DELETED_NAMES_MAX {
            let Some((newest, name)) = self.order.pop_first() else { break };
            self.names.remove(&name);
            self.floor = self.floor.max(newest);
        }
    }

    /// The newest event that a deleted topic of this name can have had; 0 if there was none.
    pub(crate) fn newest(&self, name: &str) -> u64 {
        self.names.get(name).copied().unwrap_or(self.floor)
    }

    /// The names with an event after this, in the order of their newest events.
    pub(crate) fn after(&self, sequence: u64) -> impl Iterator<Item = (&Arc<str>, u64)> {
        let none: Arc<str> = Arc::from("");
        let above = (sequence.saturating_add(1), none);
        self.order.range(above..).map(|(newest, name)| (name, *newest))
    }

    /// Names that are not known any more had no event after this; 0 if all are known.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// As the checkpoint has it.
    pub(crate) fn with_floor(floor: u64) -> DeletedNames {
        DeletedNames { floor, ..DeletedNames::default() }
    }

    /// How many are known.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// How often a topic was deleted since the log was opened.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_newest_of_its_topics() {
        let mut deleted = DeletedNames::default();
        for (name, newest) in [("a", 5), ("b", 3), ("a", 9), ("c", 0)] {
            deleted.note(name.into(), newest);
        }
        assert_eq!(["a", "b", "c", "d"].map(|name| deleted.newest(name)), [9, 3, 0, 0]);
        let after = |sequence| -> Vec<String> {
            deleted.after(sequence).map(|(name, newest)| format!("{name}{newest}")).collect()
        };
        assert_eq!([after(0), after(3), after(9)], [vec!["b3", "a9"], vec!["a9"], vec![]]);
        assert_eq!((deleted.count(), deleted.len()), (4, 2));
    }

    #[test]
    fn the_earliest_are_forgotten_and_leave_the_floor() {
        let mut deleted = DeletedNames::default();
        let most = DELETED_NAMES_MAX as u64;
        for number in 1..=most + 2 {
            deleted.note(format!("t{number}").into(), number * 10);
        }
        assert_eq!((deleted.len() as u64, deleted.floor()), (most, 20));
        assert_eq!(["t1", "t2", "t3", "never"].map(|name| deleted.newest(name)), [20, 20, 30, 20]);
        assert_eq!(deleted.after(0).count() as u64, most);
    }
}
