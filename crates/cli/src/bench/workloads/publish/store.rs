//! Where groups of events go, and the events: the same ones for the log and for the bare loop.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use tidings_log::{
    Batch, Durability, Event, FileStorage, Log, NewTopic, Opened, Options, Policy, TopicId, Writer,
};

use crate::bench::BenchError;
use crate::bench::limit::disk::BareFile;

/// Topics of the log, and of the server at most.
pub(super) const TOPICS: u32 = 10_000;
/// Bytes of the longest event.
const EVENT_BYTES_MAX: usize = 4_096;

/// Where groups go.
pub(super) struct Store {
    to: To,
    text: Vec<u8>,
}

enum To {
    Bare(BareFile),
    Log { opened: Box<Opened>, batch: Batch, topics: Vec<TopicId> },
}

impl Store {
    /// The bare loop's file or an empty log, in a folder that is empty.
    pub(super) fn open(bare: bool, folder: &Path) -> Result<Store, BenchError> {
        let to = if bare {
            let file = BareFile::create(folder.to_owned());
            To::Bare(file.map_err(|error| BenchError::Io("making a file", error))?)
        } else {
            open_log(folder)?
        };
        let sentence = br#"{"type":"message","user":"ada","text":"The engine weaves patterns."} "#;
        let text = sentence.repeat(EVENT_BYTES_MAX / sentence.len() + 1);
        Ok(Store { to, text })
    }

    /// Adds an event to the next group.
    pub(super) fn push(&mut self, event: Drawn) -> Result<(), BenchError> {
        let data = &self.text[..event.bytes as usize];
        match &mut self.to {
            To::Bare(file) => file.push(data),
            To::Log { opened, batch, topics } => {
                let topic = event.topic as usize;
                let event = Event {
                    topics: &topics[topic..=topic],
                    time_ms: NOW_MS,
                    data,
                    ..Event::default()
                };
                opened.writer.push(batch, &event).map_err(log_error)?;
            }
        }
        Ok(())
    }

    /// Writes the group and returns once it is on the device.
    pub(super) fn commit(&mut self) -> Result<(), BenchError> {
        if let Some(batch) = self.append()? {
            self.disk().expect("what is appended is the log's").reach(batch)?;
        }
        Ok(())
    }

    /// Writes the group. The bare loop's is on the device then; the log's is once its disk has
    /// reached the returned batch.
    pub(super) fn append(&mut self) -> Result<Option<u64>, BenchError> {
        match &mut self.to {
            To::Bare(file) => {
                file.commit().map_err(|error| BenchError::Io("the bare loop", error))?;
                Ok(None)
            }
            To::Log { opened, batch, .. } => {
                let appended = opened.writer.append(batch, Durability::Synced);
                Ok(Some(appended.map_err(log_error)?.batch))
            }
        }
    }

    /// The log's way to the device, for a thread of its own.
    pub(super) fn disk(&self) -> Option<Disk> {
        match &self.to {
            To::Bare(_) => None,
            To::Log { opened, .. } => Some(Disk(opened.log.clone())),
        }
    }
}

/// Puts what the log has written on the device.
pub(super) struct Disk(Log);

impl Disk {
    /// Returns once this batch is on the device.
    pub(super) fn reach(&self, batch: u64) -> Result<(), BenchError> {
        if self.0.synced() >= batch {
            return Ok(());
        }
        let synced = self.0.sync().map_err(log_error)?;
        if synced < batch {
            let text = format!("batch {batch} is not on the device, only {synced}");
            return Err(BenchError::Log(text));
        }
        Ok(())
    }
}

fn open_log(folder: &Path) -> Result<To, BenchError> {
    let storage = FileStorage::new(folder).map_err(log_error)?;
    let options = Options { now_ms: NOW_MS, ..Options::default() };
    let mut opened = tidings_log::open(Arc::new(storage), options).map_err(log_error)?;
    let mut batch = Batch::new();
    let topics = topics(&mut opened.writer, &mut batch)?;
    let appended = opened.writer.append(&mut batch, Durability::Written);
    appended.map_err(log_error)?;
    Ok(To::Log { opened: Box::new(opened), batch, topics })
}

fn log_error(error: impl Display) -> BenchError {
    BenchError::Log(error.to_string())
}

/// The time of all events: the log's own clock is not under test.
const NOW_MS: u64 = 1_700_000_000_000;

fn topics(writer: &mut Writer, batch: &mut Batch) -> Result<Vec<TopicId>, BenchError> {
    (0..TOPICS)
        .map(|number| {
            let new = NewTopic {
                name: &format!("user/{number}"),
                policy: Policy::default(),
                forked_from: None,
                time_ms: NOW_MS,
            };
            writer.create_topic(batch, &new).map_err(log_error)
        })
        .collect()
}

/// One event that was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drawn {
    /// Below [`TOPICS`].
    topic: u32,
    bytes: u32,
}

/// Events at random: 70 % of 100 to 250 B, 20 % to 1 KiB, 10 % to 4 KiB, about 500 B in the mean.
pub(super) struct Events {
    state: u64,
}

impl Events {
    /// The same events for everyone.
    pub(super) fn new() -> Events {
        Events { state: 0x9e37_79b9_7f4a_7c15 }
    }

    /// xorshift64*: a number below `bound`.
    fn below(&mut self, bound: u32) -> u32 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let high = self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        (high % u64::from(bound)) as u32
    }

    pub(super) fn draw(&mut self) -> Drawn {
        let bytes = match self.below(10) {
            0..=6 => 100 + self.below(151),
            7..=8 => 250 + self.below(775),
            _ => 1_024 + self.below(3_073),
        };
        Drawn { topic: self.below(TOPICS), bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_about_five_hundred_bytes_and_go_everywhere() {
        let mut events = Events::new();
        let (mut bytes, mut highest) = (0, 0);
        for _ in 0..100_000 {
            let event = events.draw();
            assert!(event.bytes as usize <= EVENT_BYTES_MAX);
            bytes += u64::from(event.bytes);
            highest = highest.max(event.topic);
        }
        assert!((400..600).contains(&(bytes / 100_000)), "{}", bytes / 100_000);
        assert!(highest < TOPICS && highest > TOPICS / 10 * 9);
    }
}
