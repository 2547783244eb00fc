//! A topic's runs in segments that are not sealed yet, oldest first.
//!
//! The newest one lies in the topic itself: every event of the topic is added to it, and with many
//! topics each step from one place in memory to the next is a wait.

use std::collections::VecDeque;

use crate::index::OpenRun;

/// Runs in order. There is a newest one unless there is none at all.
#[derive(Debug, Default)]
pub(crate) struct OpenRuns {
    newest: Option<OpenRun>,
    older: VecDeque<OpenRun>,
}

impl OpenRuns {
    pub(crate) fn len(&self) -> usize {
        self.older.len() + usize::from(self.newest.is_some())
    }

    pub(crate) fn get(&self, index: usize) -> Option<&OpenRun> {
        self.iter().nth(index)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &OpenRun> {
        self.older.iter().chain(&self.newest)
    }

    pub(crate) fn oldest(&self) -> Option<&OpenRun> {
        self.older.front().or(self.newest.as_ref())
    }

    pub(crate) fn newest_mut(&mut self) -> Option<&mut OpenRun> {
        self.newest.as_mut()
    }

    /// Adds a run behind all others.
    pub(crate) fn push(&mut self, run: OpenRun) {
        self.older.extend(self.newest.replace(run));
    }

    pub(crate) fn pop_oldest(&mut self) -> Option<OpenRun> {
        self.older.pop_front().or_else(|| self.newest.take())
    }

    /// Removes the runs in a segment.
    pub(crate) fn remove_segment(&mut self, segment: u64) {
        self.older.retain(|run| run.segment != segment);
        if self.newest.as_ref().is_some_and(|run| run.segment == segment) {
            self.newest = self.older.pop_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(segments: &[u64]) -> OpenRuns {
        let mut runs = OpenRuns::default();
        for &segment in segments {
            runs.push(OpenRun { segment, base: 0, first_ordinal: 0, entries: Vec::new() });
        }
        runs
    }

    fn segments(runs: &OpenRuns) -> Vec<u64> {
        let by_index: Vec<u64> =
            (0..runs.len()).map(|index| runs.get(index).unwrap().segment).collect();
        assert!(runs.iter().map(|run| run.segment).eq(by_index.iter().copied()));
        assert_eq!(runs.oldest().map(|run| run.segment), by_index.first().copied());
        by_index
    }

    #[test]
    fn stay_in_order_whichever_go() {
        let mut some = runs(&[1, 1, 2, 3]);
        assert_eq!(segments(&some), [1, 1, 2, 3]);
        assert_eq!(some.newest_mut().unwrap().segment, 3);
        assert_eq!(some.pop_oldest().unwrap().segment, 1);
        some.remove_segment(3);
        assert_eq!(segments(&some), [1, 2]);
        assert_eq!(some.newest_mut().unwrap().segment, 2);
        some.remove_segment(1);
        assert_eq!(segments(&some), [2]);
        assert_eq!(some.pop_oldest().unwrap().segment, 2);
        assert!(some.pop_oldest().is_none() && some.oldest().is_none() && some.len() == 0);
    }

    #[test]
    fn a_segment_with_several_goes_as_a_whole() {
        let mut some = runs(&[1, 2, 2]);
        some.remove_segment(2);
        assert_eq!(segments(&some), [1]);
        let mut some = runs(&[2, 2]);
        some.remove_segment(2);
        assert_eq!(segments(&some), []);
    }
}
