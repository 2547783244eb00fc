//! Reading a segment without its sidecar, and judging what is found: which invalid bytes are a torn
//! tail (nobody was told that they are on the device) and which are damage (somebody was).
//!
//! Batches are numbered over the whole log and each says which number was known to be on the device
//! when it was written. The highest such number anywhere, S, divides: a batch that is missing or
//! invalid with a number up to S is damage and is stepped over; with a higher one it is where the
//! log ends, together with everything after it, because writes after the last sync may have reached
//! the device in any order.

use crate::Damage;
use crate::batch::{self, BATCH_ALIGN, BATCH_MAGIC, BatchHeader};
use crate::segment::{DATA_START, SegmentHeader};

/// A valid batch in a segment file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FoundBatch {
    pub(crate) offset: u32,
    pub(crate) header: BatchHeader,
}

/// The valid batches of a segment, ascending by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) batches: Vec<FoundBatch>,
    /// Behind the last byte that is not zero, up to the next border of a batch.
    pub(crate) data_end: u32,
}

impl Scan {
    /// End of the last valid batch.
    pub(crate) fn end(&self) -> u32 {
        self.batches.last().map_or(DATA_START, FoundBatch::end)
    }
}

impl FoundBatch {
    fn end(&self) -> u32 {
        self.offset + self.header.length
    }

    fn last_sequence(&self) -> u64 {
        self.header.base_sequence + u64::from(self.header.events) - 1
    }
}

/// Finds the valid batches in a whole segment file. Linear, whatever the bytes.
pub(crate) fn scan(bytes: &[u8], header: &SegmentHeader) -> Scan {
    let data_end = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| (last + 1).next_multiple_of(BATCH_ALIGN).min(bytes.len()));
    let mut found = Scan { batches: Vec::new(), data_end: data_end as u32 };
    let mut at = DATA_START as usize;
    let mut number = header.first_batch.saturating_sub(1);
    let mut sequence = header.base_sequence;
    while at < data_end {
        let batch = bytes[at..].starts_with(&BATCH_MAGIC).then(|| &bytes[at..]);
        let valid = batch.and_then(|batch| batch::verify(batch, header.salt));
        match valid {
            Some(header) if header.number > number && header.base_sequence >= sequence => {
                number = header.number;
                sequence = header.base_sequence + u64::from(header.events);
                found.batches.push(FoundBatch { offset: at as u32, header });
                at += header.length as usize;
            }
            _ => at += BATCH_ALIGN,
        }
    }
    found
}

/// A segment as judged: sealed ones are known to be on the device whole.
#[derive(Debug)]
pub(crate) enum Examined {
    Sealed {
        last_batch: u64,
        last_sequence: u64,
    },
    Scanned(Scan),
    /// The header is gone, and with it the means to verify anything.
    Unreadable {
        bytes: u64,
    },
}

/// A segment to be judged.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) id: u64,
    /// `None` if unreadable.
    pub(crate) header: Option<SegmentHeader>,
    pub(crate) examined: Examined,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Segments that stay, from the first; the others are dropped.
    pub(crate) keep: usize,
    /// The last of them ends here (`u32::MAX` = where it ends anyway).
    pub(crate) end: u32,
    pub(crate) dropped_bytes: u64,
    pub(crate) dropped_batches: u64,
    pub(crate) damaged: Vec<Damage>,
    /// The damage reaches to the end: how many sequences it took is not known.
    pub(crate) open_ended: bool,
    /// S.
    pub(crate) synced: u64,
}

/// Judges all segments, oldest first; `synced` is what the state file knows.
pub(crate) fn judge(candidates: &[Candidate], synced: u64) -> Verdict {
    let known = candidates.iter().map(known_synced).max().unwrap_or(0).max(synced);
    let mut judge = Judge {
        candidates,
        verdict: Verdict { synced: known, ..Verdict::default() },
        number: None,
        sequence: 0,
        healthy: None,
        unreadable: 0,
    };
    for (index, candidate) in candidates.iter().enumerate() {
        if !judge.segment(index, candidate) {
            return judge.verdict;
        }
    }
    judge.finish();
    judge.verdict
}

fn known_synced(candidate: &Candidate) -> u64 {
    match &candidate.examined {
        Examined::Sealed { last_batch, .. } => *last_batch,
        Examined::Scanned(scan) => {
            let batches = scan.batches.iter().map(|found| found.header.synced_through).max();
            // A rewritten segment was on the device before it took its place.
            let rewritten = candidate.header.map_or(0, |header| header.last_batch);
            batches.unwrap_or(0).max(rewritten)
        }
        Examined::Unreadable { .. } => 0,
    }
}

struct Judge<'a> {
    candidates: &'a [Candidate],
    verdict: Verdict,
    /// Number of the last batch that is accounted for; `None` before the first segment.
    number: Option<u64>,
    sequence: u64,
    /// Where the healthy part ends: place in the list and offset.
    healthy: Option<(usize, u32)>,
    /// Bytes of unreadable segments since then.
    unreadable: u64,
}

impl Judge<'_> {
    /// False if the log ends before or in this segment.
    fn segment(&mut self, index: usize, candidate: &Candidate) -> bool {
        let Some(header) = candidate.header else {
            if let Examined::Unreadable { bytes } = candidate.examined {
                self.unreadable += bytes;
            }
            return true;
        };
        let previous = index.checked_sub(1).and_then(|index| self.candidates.get(index));
        let follows = previous.is_some_and(|previous| previous.id + 1 == candidate.id);
        if self.unreadable == 0 && (self.number.is_none() || !follows) {
            self.number = Some(self.number.unwrap_or(0).max(header.first_batch.saturating_sub(1)));
        }
        if !self.reach(index, header.first_batch, header.base_sequence, DATA_START) {
            return false;
        }
        self.sequence = self.sequence.max(header.base_sequence.saturating_sub(1));
        match &candidate.examined {
            Examined::Sealed { last_batch, last_sequence } => {
                self.number = Some(*last_batch);
                self.sequence = self.sequence.max(*last_sequence);
                self.healthy = Some((index, u32::MAX));
            }
            Examined::Scanned(scan) if header.generation > 0 => {
                self.rewritten(index, &header, scan);
            }
            Examined::Scanned(scan) => {
                self.healthy = Some((index, DATA_START));
                for found in &scan.batches {
                    let (number, base) = (found.header.number, found.header.base_sequence);
                    if !self.reach(index, number, base, found.offset) {
                        return false;
                    }
                    self.number = Some(number);
                    self.sequence = found.last_sequence();
                    self.healthy = Some((index, found.end()));
                }
            }
            Examined::Unreadable { .. } => {}
        }
        true
    }

    /// Batches of a rewritten segment have holes in their numbers: only bytes between them tell of
    /// damage.
    fn rewritten(&mut self, index: usize, header: &SegmentHeader, scan: &Scan) {
        let mut end = DATA_START;
        let mut sequence = header.base_sequence.saturating_sub(1);
        for found in &scan.batches {
            if found.offset > end {
                let last = found.header.base_sequence.saturating_sub(1);
                self.damage(header.id, sequence + 1, last, u64::from(found.offset - end));
            }
            end = found.end();
            sequence = found.last_sequence();
        }
        if scan.data_end > end {
            let bytes = u64::from(scan.data_end - end);
            self.damage(header.id, sequence + 1, header.last_sequence, bytes);
        }
        self.number = Some(header.last_batch);
        self.sequence = self.sequence.max(header.last_sequence);
        self.healthy = Some((index, u32::MAX));
    }

    fn damage(&mut self, segment: u64, first: u64, last: u64, bytes: u64) {
        let last = last.max(first.saturating_sub(1));
        self.verdict.damaged.push(Damage { segment, topic: None, first, last, bytes });
    }

    /// Goes on to the batch `number` at `offset`: anything between it and the last one is missing.
    /// False if the log ends.
    fn reach(&mut self, index: usize, number: u64, base: u64, offset: u32) -> bool {
        let last = self.number.unwrap_or(0);
        if number <= last + 1 {
            return true;
        }
        if last + 1 > self.verdict.synced {
            self.cut();
            return false;
        }
        let (healthy, end) = self.healthy.unwrap_or((index, DATA_START));
        let same = healthy == index;
        let tail = match self.candidates.get(healthy).map(|candidate| &candidate.examined) {
            Some(Examined::Scanned(scan)) if !same => scan.data_end.saturating_sub(end),
            _ => 0,
        };
        let bytes = if same { offset - end.min(offset) } else { tail };
        let segment = self.candidates.get(healthy).map_or(0, |candidate| candidate.id);
        let bytes = u64::from(bytes) + std::mem::take(&mut self.unreadable);
        self.damage(segment, self.sequence + 1, base.saturating_sub(1), bytes);
        self.number = Some(number - 1);
        self.sequence = base.saturating_sub(1);
        true
    }

    /// After the last segment: were there more batches that are gone?
    fn finish(&mut self) {
        let last = self.number.unwrap_or(0);
        if self.verdict.synced > last {
            let segment = self.candidates.last().map_or(0, |candidate| candidate.id);
            let bytes = self.unreadable + self.tail_bytes();
            self.damage(segment, self.sequence + 1, self.sequence, bytes);
            self.verdict.open_ended = true;
        }
        self.cut();
    }

    fn tail_bytes(&self) -> u64 {
        let Some((index, end)) = self.healthy else {
            return 0;
        };
        match self.candidates.get(index).map(|candidate| &candidate.examined) {
            Some(Examined::Scanned(scan)) => u64::from(scan.data_end.saturating_sub(end)),
            _ => 0,
        }
    }

    /// The log ends where the healthy part does.
    fn cut(&mut self) {
        let (keep, end) = self.healthy.map_or((0, 0), |(index, end)| (index + 1, end));
        self.verdict.end = end;
        if self.verdict.open_ended {
            self.verdict.keep = self.candidates.len();
            return;
        }
        self.verdict.keep = keep;
        self.verdict.dropped_bytes = self.tail_bytes();
        for candidate in &self.candidates[keep..] {
            self.verdict.dropped_bytes += match &candidate.examined {
                Examined::Scanned(scan) => u64::from(scan.data_end.saturating_sub(DATA_START)),
                Examined::Unreadable { bytes } => *bytes,
                Examined::Sealed { .. } => 0,
            };
        }
        let beyond = |(index, candidate): (usize, &Candidate)| match &candidate.examined {
            Examined::Scanned(scan) => {
                let batches = scan.batches.iter();
                batches.filter(|found| index >= keep || found.offset >= end).count() as u64
            }
            _ => 0,
        };
        let last = keep.saturating_sub(1);
        self.verdict.dropped_batches =
            self.candidates.iter().enumerate().skip(last).map(beyond).sum();
    }
}

#[cfg(test)]
mod tests;
