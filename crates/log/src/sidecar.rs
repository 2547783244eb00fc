//! The index file beside a sealed segment: everything that opening would otherwise have to scan
//! for.
//!
//! It is written once, beside the final name, synced and renamed, and only for a segment that is on
//! the device. It is never trusted further than its checksum and its segment's salt and generation
//! go: otherwise it is rebuilt.

use std::io;
use std::sync::Arc;

use crate::codec::Reader;
use crate::index::{Entry, Run, Tag, TagKind};
use crate::segment::{SegmentHeader, SidecarFile};
use crate::storage::{File, read_all};
use crate::{Damage, TopicId};

const MAGIC: [u8; 8] = *b"TDNGIDX1";
const VERSION: u32 = 1;
pub(crate) const HEADER: usize = 128;
const RUN_BYTES: usize = 36;
const TAG_BYTES: usize = 45;
const DAMAGE_BYTES: usize = 29;

/// What a sealed segment is, without its entries.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    /// End of the last batch in the segment file.
    pub(crate) end: u32,
    pub(crate) last_batch: u64,
    /// Last sequence, or the base minus 1.
    pub(crate) last_sequence: u64,
    /// Time of the newest event up to its end.
    pub(crate) last_time: u64,
    /// Bytes of the records that expire, once per topic, and when the last of them has.
    pub(crate) expiring_bytes: u64,
    pub(crate) expired_at: u64,
}

/// A topic's entries in a segment about to be sealed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RunEntries {
    pub(crate) topic: TopicId,
    pub(crate) first_ordinal: u64,
    pub(crate) entries: Vec<Entry>,
}

/// Everything that goes into a sidecar.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Contents {
    pub(crate) summary: Summary,
    pub(crate) runs: Vec<RunEntries>,
    /// (time, sequence delta) where the time of the events changes.
    pub(crate) times: Vec<(u64, u32)>,
    pub(crate) tags: Vec<Tag>,
    /// Control records: see [`put_control`].
    pub(crate) controls: Vec<u8>,
    pub(crate) damaged: Vec<Damage>,
}

/// What is loaded of a sidecar when a log is opened.
pub(crate) struct Loaded {
    pub(crate) summary: Summary,
    pub(crate) runs: Vec<(TopicId, Run)>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) controls: Vec<u8>,
    pub(crate) damaged: Vec<Damage>,
    /// As in [`Contents`], but only if a tag needs its event's time.
    times: Vec<(u64, u32)>,
    pub(crate) file: SidecarFile,
}

impl Loaded {
    /// The time of the event with this sequence delta, for tags that need it.
    pub(crate) fn time_of(&self, delta: u32) -> u64 {
        let after = self.times.partition_point(|(_, first)| *first <= delta);
        after.checked_sub(1).and_then(|index| self.times.get(index)).map_or(0, |(time, _)| *time)
    }
}

/// A control record in a list of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListedControl<'a> {
    /// Number of its batch.
    pub(crate) batch: u64,
    /// Sequence of the first event behind it: events and control records must be applied in order.
    pub(crate) before: u64,
    pub(crate) record: &'a [u8],
}

/// Appends a control record to a list of them.
pub(crate) fn put_control(out: &mut Vec<u8>, control: &ListedControl<'_>) {
    out.extend_from_slice(&control.batch.to_le_bytes());
    out.extend_from_slice(&control.before.to_le_bytes());
    out.extend_from_slice(control.record);
}

/// The control records of a list.
pub(crate) fn controls(bytes: &[u8]) -> impl Iterator<Item = ListedControl<'_>> {
    let mut rest = Reader::new(bytes);
    std::iter::from_fn(move || {
        let (batch, before) = (rest.u64()?, rest.u64()?);
        let length = Reader::new(rest.rest().get(4..)?).u32()? as usize;
        Some(ListedControl { batch, before, record: rest.take(length)? })
    })
}

/// The file's bytes and where the on-demand parts are in it: (bytes, runs as they will be found
/// when loaded).
pub(crate) fn encode(
    header: &SegmentHeader,
    secret_check: u64,
    contents: &Contents,
) -> (Vec<u8>, Vec<(TopicId, Run)>) {
    let entries: usize = contents.runs.iter().map(|run| run.entries.len()).sum();
    let mut out = Vec::with_capacity(HEADER + entries * 12 + contents.runs.len() * RUN_BYTES);
    put_header(&mut out, header, secret_check, contents, entries as u32);
    for run in &contents.runs {
        run.entries.iter().for_each(|entry| entry.encode(&mut out));
    }
    for (time, delta) in &contents.times {
        out.extend_from_slice(&time.to_le_bytes());
        out.extend_from_slice(&delta.to_le_bytes());
    }
    let runs = place_runs(header, contents);
    for (topic, run) in &runs {
        out.extend_from_slice(&topic.0.to_le_bytes());
        out.extend_from_slice(&run.start.to_le_bytes());
        out.extend_from_slice(&run.count.to_le_bytes());
        out.extend_from_slice(&run.first_ordinal.to_le_bytes());
        out.extend_from_slice(&run.bytes.to_le_bytes());
        out.extend_from_slice(&((run.first - header.base_sequence) as u32).to_le_bytes());
        out.extend_from_slice(&((run.last - header.base_sequence) as u32).to_le_bytes());
    }
    contents.tags.iter().for_each(|tag| put_tag(&mut out, tag));
    out.extend_from_slice(&contents.controls);
    contents.damaged.iter().for_each(|damage| put_damage(&mut out, damage));
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    (out, runs)
}

fn place_runs(header: &SegmentHeader, contents: &Contents) -> Vec<(TopicId, Run)> {
    let mut start = 0;
    let mut placed = Vec::with_capacity(contents.runs.len());
    for run in &contents.runs {
        let (Some(first), Some(last)) = (run.entries.first(), run.entries.last()) else {
            continue;
        };
        placed.push((
            run.topic,
            Run {
                segment: header.id,
                start,
                count: run.entries.len() as u32,
                first_ordinal: run.first_ordinal,
                first: header.base_sequence + u64::from(first.delta),
                last: header.base_sequence + u64::from(last.delta),
                bytes: run.entries.iter().map(|entry| u64::from(entry.length)).sum(),
            },
        ));
        start += run.entries.len() as u32;
    }
    placed
}

fn put_header(
    out: &mut Vec<u8>,
    header: &SegmentHeader,
    secret_check: u64,
    contents: &Contents,
    entries: u32,
) {
    let summary = &contents.summary;
    let runs = contents.runs.iter().filter(|run| !run.entries.is_empty()).count();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&header.generation.to_le_bytes());
    out.extend_from_slice(&header.id.to_le_bytes());
    out.extend_from_slice(&secret_check.to_le_bytes());
    out.extend_from_slice(&header.salt.to_le_bytes());
    out.extend_from_slice(&summary.end.to_le_bytes());
    out.extend_from_slice(&summary.last_batch.to_le_bytes());
    out.extend_from_slice(&summary.last_sequence.to_le_bytes());
    out.extend_from_slice(&summary.last_time.to_le_bytes());
    out.extend_from_slice(&summary.expiring_bytes.to_le_bytes());
    out.extend_from_slice(&summary.expired_at.to_le_bytes());
    out.extend_from_slice(&entries.to_le_bytes());
    out.extend_from_slice(&(contents.times.len() as u32).to_le_bytes());
    out.extend_from_slice(&(runs as u32).to_le_bytes());
    out.extend_from_slice(&(contents.tags.len() as u32).to_le_bytes());
    out.extend_from_slice(&(contents.controls.len() as u32).to_le_bytes());
    out.extend_from_slice(&(contents.damaged.len() as u32).to_le_bytes());
    out.resize(HEADER, 0);
}

fn put_tag(out: &mut Vec<u8>, tag: &Tag) {
    out.push(tag.kind as u8);
    out.extend_from_slice(&tag.topic.0.to_le_bytes());
    out.extend_from_slice(&tag.hash.to_le_bytes());
    out.extend_from_slice(&tag.sequence.to_le_bytes());
    out.extend_from_slice(&tag.a.to_le_bytes());
    out.extend_from_slice(&tag.b.to_le_bytes());
}

fn put_damage(out: &mut Vec<u8>, damage: &Damage) {
    out.push(u8::from(damage.topic.is_some()));
    out.extend_from_slice(&damage.topic.unwrap_or_default().0.to_le_bytes());
    out.extend_from_slice(&damage.first.to_le_bytes());
    out.extend_from_slice(&damage.last.to_le_bytes());
    out.extend_from_slice(&damage.bytes.to_le_bytes());
}

/// Reads a sidecar; `Ok(None)` if it is torn, damaged, or not of this segment in this generation.
pub(crate) fn load(
    file: Arc<dyn File>,
    header: &SegmentHeader,
    secret_check: u64,
) -> io::Result<Option<Loaded>> {
    let bytes = read_all(&*file)?;
    Ok(parse(&bytes, header, secret_check, &file))
}

fn parse(
    bytes: &[u8],
    header: &SegmentHeader,
    secret_check: u64,
    file: &Arc<dyn File>,
) -> Option<Loaded> {
    let (body, crc) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    if crc32fast::hash(body).to_le_bytes() != crc {
        return None;
    }
    let mut reader = Reader::new(body.get(..HEADER)?);
    let own = reader.array::<8>()? == MAGIC
        && reader.u32()? == VERSION
        && reader.u32()? == header.generation
        && reader.u64()? == header.id
        && reader.u64()? == secret_check
        && reader.u32()? == header.salt;
    if !own {
        return None;
    }
    let summary = Summary {
        end: reader.u32()?,
        last_batch: reader.u64()?,
        last_sequence: reader.u64()?,
        last_time: reader.u64()?,
        expiring_bytes: reader.u64()?,
        expired_at: reader.u64()?,
    };
    let [entries, times, runs, tags, controls, damaged] = {
        let mut counts = [0_usize; 6];
        for count in &mut counts {
            *count = reader.u32()? as usize;
        }
        counts
    };
    let mut rest = Reader::new(&body[HEADER..]);
    rest.take(entries.checked_mul(12)?)?;
    let time_bytes = rest.take(times.checked_mul(12)?)?;
    let runs = rest.take(runs.checked_mul(RUN_BYTES)?)?;
    let tags = rest.take(tags.checked_mul(TAG_BYTES)?)?;
    let controls = rest.take(controls)?;
    let damaged = rest.take(damaged.checked_mul(DAMAGE_BYTES)?)?;
    let tags: Vec<Tag> = tags.chunks_exact(TAG_BYTES).map(take_tag).collect::<Option<_>>()?;
    let timed = tags.iter().any(|tag| tag.kind == TagKind::Idempotency);
    let in_range = |run: &Run| run.count > 0 && run.start as usize + run.count as usize <= entries;
    Some(Loaded {
        summary,
        runs: runs
            .chunks_exact(RUN_BYTES)
            .map(|bytes| take_run(bytes, header).filter(|(_, run)| in_range(run)))
            .collect::<Option<_>>()?,
        tags,
        times: if timed { take_times(time_bytes) } else { Vec::new() },
        controls: controls.to_vec(),
        damaged: damaged
            .chunks_exact(DAMAGE_BYTES)
            .map(|bytes| take_damage(bytes, header.id))
            .collect::<Option<_>>()?,
        file: SidecarFile {
            file: file.clone(),
            entries_offset: HEADER as u64,
            times_offset: (HEADER + entries * 12) as u64,
            times: times as u32,
        },
    })
}

fn take_run(bytes: &[u8], header: &SegmentHeader) -> Option<(TopicId, Run)> {
    let mut reader = Reader::new(bytes);
    let topic = TopicId(reader.u32()?);
    let (start, count) = (reader.u32()?, reader.u32()?);
    let (first_ordinal, bytes) = (reader.u64()?, reader.u64()?);
    let first = header.base_sequence.checked_add(u64::from(reader.u32()?))?;
    let last = header.base_sequence.checked_add(u64::from(reader.u32()?))?;
    Some((topic, Run { segment: header.id, start, count, first_ordinal, first, last, bytes }))
}

fn take_times(bytes: &[u8]) -> Vec<(u64, u32)> {
    let take = |bytes: &[u8]| {
        let mut reader = Reader::new(bytes);
        Some((reader.u64()?, reader.u32()?))
    };
    bytes.chunks_exact(12).filter_map(take).collect()
}

fn take_tag(bytes: &[u8]) -> Option<Tag> {
    let mut reader = Reader::new(bytes);
    let kind = match reader.u8()? {
        1 => TagKind::Conflated,
        2 => TagKind::Idempotency,
        3 => TagKind::PublisherId,
        4 => TagKind::Producer,
        _ => return None,
    };
    Some(Tag {
        kind,
        topic: TopicId(reader.u32()?),
        hash: reader.u128()?,
        sequence: reader.u64()?,
        a: reader.u64()?,
        b: reader.u64()?,
    })
}

fn take_damage(bytes: &[u8], segment: u64) -> Option<Damage> {
    let mut reader = Reader::new(bytes);
    let named = reader.u8()? == 1;
    let topic = TopicId(reader.u32()?);
    Some(Damage {
        segment,
        topic: named.then_some(topic),
        first: reader.u64()?,
        last: reader.u64()?,
        bytes: reader.u64()?,
    })
}
