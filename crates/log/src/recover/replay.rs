//! Building the table: a sealed segment from its sidecar, any other batch by batch, as if it were
//! appended now.

use std::io;

use crate::collect::Collected;
use crate::hash::Secret;
use crate::index::TagKind;
use crate::record::{self, Control, Record};
use crate::scan::FoundBatch;
use crate::segment::{SidecarFile, sidecar_name};
use crate::sidecar::{self, Loaded};
use crate::storage::{File, Storage, read_exact_at, replace};
use crate::table::{Place, SegmentState, Table};
use crate::{Event, batch};

/// Adds a sealed segment to the table.
pub(super) fn attach(table: &mut Table, mut state: SegmentState, loaded: Loaded) {
    let id = state.handle.header.id;
    let base = state.handle.header.base_sequence;
    let summary = &loaded.summary;
    state.end = summary.end;
    state.last_batch = summary.last_batch;
    state.last_sequence = summary.last_sequence;
    state.last_time = summary.last_time;
    state.expiring_bytes = summary.expiring_bytes;
    state.expired_at = summary.expired_at;
    table.newest = table.newest.max(summary.last_sequence);
    table.newest_batch = table.newest_batch.max(summary.last_batch);
    table.segments.insert(id, state);
    let mut controls = sidecar::controls(&loaded.controls).peekable();
    for tag in &loaded.tags {
        while let Some(control) = controls.next_if(|control| control.before <= tag.sequence) {
            table.apply_control_record(control.batch, control.record);
        }
        let time_ms = loaded.time_of(tag.sequence.saturating_sub(base) as u32);
        table.apply_tag(id, tag, time_ms);
    }
    for control in controls {
        table.apply_control_record(control.batch, control.record);
    }
    for (topic, run) in &loaded.runs {
        table.attach_run(*topic, run);
    }
    for damage in loaded.damaged {
        table.note_damage(damage);
    }
    if let Some(state) = table.segments.get_mut(&id) {
        let runs: u64 = loaded.runs.iter().map(|(_, run)| run.bytes).sum();
        let conflated = loaded.tags.iter().filter(|tag| tag.kind == TagKind::Conflated);
        let records: u64 = conflated.map(|tag| u64::from(tag.location().1)).sum();
        state.total_bytes = runs + records + loaded.controls.len() as u64;
        state.handle.seal(loaded.file);
    }
}

/// Rebuilds the sidecar of a segment that was replayed; it has been cut and synced before.
pub(super) fn reseal(
    storage: &dyn Storage,
    table: &mut Table,
    secret_check: u64,
    id: u64,
) -> io::Result<()> {
    let Some(mut unfinished) = table.unfinished(id) else {
        return Ok(());
    };
    table.gather_runs(id, &unfinished.topics, &mut unfinished.contents);
    let (handle, contents) = (&unfinished.handle, &unfinished.contents);
    let (bytes, runs) = sidecar::encode(&handle.header, secret_check, contents);
    let file = replace(storage, &sidecar_name(id), &bytes)?;
    handle.seal(SidecarFile::new(file, contents));
    table.seal_runs(&runs);
    table.sealed(id, &unfinished.topics);
    Ok(())
}

/// Applies a segment's batches as if they were appended now.
pub(super) fn replay(
    table: &mut Table,
    secret: &Secret,
    file: &dyn File,
    segment: u64,
    batches: &[FoundBatch],
) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut collected = Collected::default();
    for found in batches {
        bytes.clear();
        bytes.resize(found.header.length as usize, 0);
        read_exact_at(file, &mut bytes, u64::from(found.offset))?;
        collect(&mut collected, table, secret, &bytes, found);
        let place = Place {
            segment,
            offset: found.offset,
            number: found.header.number,
            base_sequence: found.header.base_sequence,
            next_sequence: found.header.base_sequence + u64::from(found.header.events),
        };
        table.apply(&place, &bytes, &collected);
    }
    Ok(())
}

/// Gathers what a batch read back will change.
fn collect(
    collected: &mut Collected,
    table: &Table,
    secret: &Secret,
    bytes: &[u8],
    found: &FoundBatch,
) {
    collected.clear();
    let base = found.header.base_sequence;
    let (mut topics, mut ordinals) = (Vec::new(), Vec::new());
    // Topics that this batch itself creates are not in the table yet.
    let mut created = Vec::new();
    for (offset, bytes) in batch::records(bytes, &found.header) {
        let length = bytes.len() as u32;
        match record::decode_verified(bytes) {
            Some(Record::Event(event)) => {
                let belongs = event.sequence >= base
                    && event.sequence - base < u64::from(found.header.events);
                if !belongs {
                    continue;
                }
                topics.clear();
                ordinals.clear();
                for (topic, ordinal) in event.topics() {
                    topics.push(topic);
                    ordinals.push(ordinal);
                }
                let borrowed = Event { topics: &topics, ..event.event };
                let conflates = |topic| {
                    let known = table.topics.get(&topic).map(|topic| topic.policy.conflate);
                    known.unwrap_or_else(|| created.contains(&topic))
                };
                let place = (offset, length);
                collected.event(secret, event.sequence, place, &borrowed, &ordinals, conflates);
            }
            Some(Record::Control(control)) => {
                if let Control::TopicDefined { id, policy, .. } = control {
                    if policy.conflate {
                        created.push(id);
                    }
                }
                collected.control(offset, length);
            }
            None => {}
        }
    }
}
