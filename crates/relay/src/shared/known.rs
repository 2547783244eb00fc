//! What is stored already, for upstreams that begin anew after a reconnection.
//!
//! An upstream that honours `Last-Event-ID` never repeats anything. One that ignores it and sends
//! its latest events, or all of them, with every connection would have everybody see them again.
//! So the first events of a connection are compared with those stored last, until the newest of
//! these has come by.
//!
//! Compared are id, type and data together. The same id with other data is another event: an
//! upstream that counts from 1 again after its own restart loses nothing. And an event to which no
//! id belongs is never compared: that the same words were said twice is no reason to say them once.

use std::collections::hash_map::RandomState;
use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher as _;

/// Events that are compared with, newest last; 8 bytes each.
pub(super) const KNOWN_MAX: usize = 4_096;

/// Fingerprints of the events stored last.
#[derive(Debug, Default)]
pub(super) struct Known {
    hasher: RandomState,
    stored: VecDeque<u64>,
    repeats: Option<Repeats>,
}

/// What a connection may begin with, although it is stored.
#[derive(Debug)]
struct Repeats {
    stored: HashSet<u64>,
    newest: u64,
    /// Events that are still looked at.
    left: usize,
}

impl Known {
    /// A connection begins.
    pub(super) fn connected(&mut self) {
        self.repeats = self.stored.back().map(|&newest| Repeats {
            stored: self.stored.iter().copied().collect(),
            newest,
            left: KNOWN_MAX,
        });
    }

    /// Whether this event of the connection was stored before the connection began. `id` is the
    /// last id that the connection has brought; empty if none.
    pub(super) fn is_repeat(&mut self, id: &str, event_type: Option<&str>, data: &str) -> bool {
        let Some(repeats) = self.repeats.as_mut().filter(|_| !id.is_empty()) else { return false };
        let fingerprint = self.hasher.hash_one((id, event_type, data));
        let repeated = repeats.stored.contains(&fingerprint);
        repeats.left -= 1;
        if fingerprint == repeats.newest || repeats.left == 0 {
            self.repeats = None;
        }
        repeated
    }

    /// This event is stored.
    pub(super) fn stored(&mut self, id: &str, event_type: Option<&str>, data: &str) {
        if id.is_empty() {
            return;
        }
        if self.stored.len() == KNOWN_MAX {
            self.stored.pop_front();
        }
        self.stored.push_back(self.hasher.hash_one((id, event_type, data)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(events: &[(&str, &str)]) -> Known {
        let mut known = Known::default();
        for (id, data) in events {
            known.stored(id, None, data);
        }
        known.connected();
        known
    }

    /// What passes of these.
    fn new(known: &mut Known, events: &[(&'static str, &'static str)]) -> Vec<&'static str> {
        let pass = |&&(id, data): &&(&'static str, &'static str)| !known.is_repeat(id, None, data);
        events.iter().filter(pass).map(|(_, data)| *data).collect()
    }

    #[test]
    fn a_stream_that_begins_anew_is_skipped_up_to_what_is_new() {
        let mut known = known(&[("1", "a"), ("1", "b"), ("2", "c")]);
        let again = [("0", "early"), ("1", "a"), ("1", "b"), ("2", "c"), ("2", "d"), ("3", "e")];
        assert_eq!(new(&mut known, &again), ["early", "d", "e"]);
    }

    #[test]
    fn the_same_id_with_other_data_is_another_event() {
        let mut known = known(&[("1", "a"), ("2", "b")]);
        assert_eq!(new(&mut known, &[("1", "x"), ("2", "y")]), ["x", "y"]);
        known.connected();
        assert!(!known.is_repeat("1", Some("named"), "a"));
    }

    #[test]
    fn what_has_no_id_is_never_a_repeat() {
        let mut known = known(&[("", "a"), ("1", "b")]);
        assert_eq!(new(&mut known, &[("", "a"), ("", "a"), ("1", "b")]), ["a", "a"]);
    }

    #[test]
    fn a_stream_that_goes_on_may_say_the_same_again() {
        // The newest has come by: what follows is live.
        let mut known = known(&[("1", "tick")]);
        assert_eq!(new(&mut known, &[("1", "tick"), ("1", "tick")]), ["tick"]);
        // It was resumed, and the newest never comes by.
        let mut known = self::known(&[("0", "old"), ("1", "tick")]);
        for _ in 0..KNOWN_MAX {
            assert!(!known.is_repeat("2", None, "tick"));
        }
        assert!(!known.is_repeat("0", None, "old"));
    }

    #[test]
    fn only_so_many_are_remembered() {
        let mut known = Known::default();
        for number in 0..=KNOWN_MAX {
            known.stored(&number.to_string(), None, "");
        }
        known.connected();
        assert!(!known.is_repeat("0", None, ""));
        assert!(known.is_repeat("1", None, ""));
        assert_eq!(known.stored.len(), KNOWN_MAX);
    }
}
