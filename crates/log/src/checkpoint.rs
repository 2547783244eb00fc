//! The checkpoint: the topic table as of some batch, written before a segment with control records
//! may be deleted.
//!
//! It is written beside its final name, synced and renamed, and then once more as a copy, because
//! after the deletion it is the only place where those topics are defined.

use std::io;

use crate::codec::{Reader, put_bytes, put_option, put_varint};
use crate::deleted::DeletedNames;
use crate::ledger::{Produced, Request};
use crate::record::{end_code, end_from, put_fork, put_policy, take_fork, take_policy};
use crate::storage::{Storage, read_all, replace};
use crate::table::{Risk, Table};
use crate::topic_state::Topic;
use crate::{Repeated, Schedule, TopicId};

const NAMES: [&str; 2] = ["checkpoint", "checkpoint.copy"];
const MAGIC: [u8; 8] = *b"TDNGCKP1";
/// 1 had no deleted names.
pub(crate) const VERSION: u32 = 2;

/// Encodes the table as it is now. `orphans` are the requests that no segment has any more.
pub(crate) fn encode(table: &Table, secret_check: u64, orphans: &[(u128, Request)]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&secret_check.to_le_bytes());
    for number in [
        table.newest_batch,
        table.newest,
        u64::from(table.next_topic),
        table.next_schedule,
        table.risk.memory,
        table.risk.written,
    ] {
        put_varint(&mut out, number);
    }
    put_varint(&mut out, table.topics.len() as u64);
    let mut topics: Vec<&Topic> = table.topics.values().collect();
    topics.sort_by_key(|topic| topic.id);
    topics.into_iter().for_each(|topic| put_topic(&mut out, topic));
    put_varint(&mut out, table.schedules.len() as u64);
    for schedule in table.schedules.values() {
        put_varint(&mut out, schedule.id);
        put_varint(&mut out, schedule.due_ms);
        put_bytes(&mut out, &schedule.payload);
    }
    put_varint(&mut out, orphans.len() as u64);
    for (hash, request) in orphans {
        out.extend_from_slice(&hash.to_le_bytes());
        put_varint(&mut out, u64::from(request.topic.0));
        put_varint(&mut out, request.repeated.first);
        put_varint(&mut out, u64::from(request.repeated.count));
        put_varint(&mut out, request.repeated.fingerprint);
        put_varint(&mut out, request.time_ms);
    }
    put_varint(&mut out, table.deleted.floor());
    put_varint(&mut out, table.deleted.len() as u64);
    for (name, newest) in table.deleted.after(0) {
        put_bytes(&mut out, name.as_bytes());
        put_varint(&mut out, newest);
    }
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

fn put_topic(out: &mut Vec<u8>, topic: &Topic) {
    put_varint(out, u64::from(topic.id.0));
    put_bytes(out, topic.name.as_bytes());
    put_policy(out, &topic.policy);
    put_fork(out, topic.fork);
    for number in [
        topic.created_ms,
        topic.created_at,
        topic.next_ordinal,
        topic.newest,
        topic.floor,
        topic.removed_last,
    ] {
        put_varint(out, number);
    }
    put_option(out, topic.closed.map(|end| u64::from(end_code(end))));
    let producers = topic.producers.as_deref();
    put_varint(out, producers.map_or(0, |producers| producers.len() as u64));
    for (hash, produced) in producers.into_iter().flat_map(|producers| producers.iter()) {
        out.extend_from_slice(&hash.to_le_bytes());
        put_varint(out, produced.epoch);
        put_varint(out, produced.sequence);
        put_varint(out, produced.at);
    }
}

/// Writes both copies, durably.
pub(crate) fn store(storage: &dyn Storage, bytes: &[u8]) -> io::Result<()> {
    for name in NAMES {
        replace(storage, name, bytes)?;
    }
    Ok(())
}

/// What looking for a checkpoint gave.
pub(crate) enum Found {
    Table(Box<Table>),
    /// There is none.
    Nothing,
    /// There is one, but no copy is whole.
    Damaged,
    /// Its format is newer than this program.
    Version(u32),
}

/// Reads the newer whole copy.
pub(crate) fn load(storage: &dyn Storage, secret_check: u64) -> io::Result<Found> {
    let mut newest: Option<Box<Table>> = None;
    let mut damaged = false;
    for name in NAMES {
        let bytes = match storage.open(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => read_all(&*other?)?,
        };
        match parse(&bytes, secret_check) {
            Ok(table) => {
                if newest.as_ref().is_none_or(|known| known.covers < table.covers) {
                    newest = Some(Box::new(table));
                }
            }
            Err(Some(version)) => return Ok(Found::Version(version)),
            Err(None) => damaged = true,
        }
    }
    Ok(match newest {
        Some(table) => Found::Table(table),
        None if damaged => Found::Damaged,
        None => Found::Nothing,
    })
}

/// `Err(Some)` names a version that is not known.
fn parse(bytes: &[u8], secret_check: u64) -> Result<Table, Option<u32>> {
    let end = bytes.len().checked_sub(4).ok_or(None)?;
    let (body, crc) = bytes.split_at(end);
    if crc32fast::hash(body).to_le_bytes() != crc {
        return Err(None);
    }
    let mut reader = Reader::new(body);
    if reader.array::<8>() != Some(MAGIC) {
        return Err(None);
    }
    match reader.u32() {
        Some(version @ 1..=VERSION) => take_table(&mut reader, version, secret_check).ok_or(None),
        other => Err(other),
    }
}

fn take_table(reader: &mut Reader<'_>, version: u32, secret_check: u64) -> Option<Table> {
    let same_secret = reader.u64()? == secret_check;
    let mut table = Table { covers: reader.varint()?, ..Table::default() };
    table.newest_batch = table.covers;
    table.newest = reader.varint()?;
    table.next_topic = reader.varint_u32()?;
    table.next_schedule = reader.varint()?;
    table.risk = Risk { memory: reader.varint()?, written: reader.varint()? };
    let topics = reader.varint()?;
    for _ in 0..topics {
        let topic = take_topic(reader, same_secret)?;
        // A fork always has a higher number than its source, and they are in the order of their
        // numbers.
        table.insert_topic(topic);
    }
    for _ in 0..reader.varint()? {
        let (id, due_ms) = (reader.varint()?, reader.varint()?);
        let payload = reader.bytes()?.into();
        table.schedules.insert(id, Schedule { id, due_ms, payload });
    }
    for _ in 0..reader.varint()? {
        let hash = reader.u128()?;
        let topic = TopicId(reader.varint_u32()?);
        let first = reader.varint()?;
        let count = reader.varint_u32()?;
        let repeated = Repeated { first, count, fingerprint: reader.varint()? };
        let request = Request { topic, repeated, time_ms: reader.varint()? };
        if same_secret {
            table.ledger.remember(hash, request);
        }
    }
    if version >= 2 {
        table.deleted = DeletedNames::with_floor(reader.varint()?);
        for _ in 0..reader.varint()? {
            let name = reader.text()?.into();
            table.deleted.note(name, reader.varint()?);
        }
    }
    reader.is_empty().then_some(table)
}

fn take_topic(reader: &mut Reader<'_>, same_secret: bool) -> Option<Topic> {
    let id = TopicId(reader.varint_u32()?);
    let name = reader.text()?.into();
    let policy = take_policy(reader)?;
    let fork = take_fork(reader)?;
    let (created_ms, created_at) = (reader.varint()?, reader.varint()?);
    let mut topic = Topic::new(id, name, policy, fork, created_ms, created_at);
    topic.next_ordinal = reader.varint()?;
    topic.newest = reader.varint()?;
    topic.floor = reader.varint()?;
    topic.removed_last = reader.varint()?;
    topic.closed = match reader.option()? {
        None => None,
        Some(code) => end_from(u8::try_from(code).ok()?)?,
    };
    for _ in 0..reader.varint()? {
        let hash = reader.u128()?;
        let (epoch, sequence, at) = (reader.varint()?, reader.varint()?, reader.varint()?);
        if same_secret {
            let producers = topic.producers.get_or_insert_default();
            producers.apply(hash, Produced { epoch, sequence, at });
        }
    }
    Some(topic)
}
