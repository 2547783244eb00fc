//! How fast the log appends, beside a bare loop that writes the same number of bytes and calls
//! fdatasync.
//!
//! `cargo run --release -p tidings-log --example append_rate -- <folder> [seconds per case]`
//!
//! Each case is a group of events that are made durable together: 1 = a lone publisher, 1,024 =
//! that many publishers served by one group commit.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidings_log::{
    Batch, Durability, Event, FileStorage, Log, NewTopic, Opened, Options, Policy, TopicId, Writer,
    open,
};

const TOPICS: u32 = 10_000;
const DATA_BYTES: usize = 500;

fn bare(folder: &Path, group: usize, bytes: u64, time: Duration) -> Result<f64, Box<dyn Error>> {
    let length = 64 << 20;
    let mut file = File::create(folder.join("bare"))?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, length)?;
    let block = vec![7; bytes as usize];
    let (mut events, mut offset, began) = (0_u64, 0, Instant::now());
    while began.elapsed() < time {
        if offset + bytes > length {
            file = File::create(folder.join("bare"))?;
            rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, length)?;
            offset = 0;
        }
        file.write_all_at(&block, offset)?;
        file.sync_data()?;
        offset += bytes;
        events += group as u64;
    }
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

struct Load {
    writer: Writer,
    log: Log,
    batch: Batch,
    topics: Vec<TopicId>,
    random: u32,
    time: Duration,
}

impl Load {
    fn new(folder: &Path, time: Duration) -> Result<Load, Box<dyn Error>> {
        let storage = Arc::new(FileStorage::new(&folder.join("log"))?);
        let Opened { mut writer, log, .. } = open(storage, Options::default())?;
        let (mut batch, mut topics) = (Batch::new(), Vec::new());
        for number in 0..TOPICS {
            let name = format!("topic/{number}");
            let policy = Policy::default();
            let new = NewTopic { name: &name, policy, forked_from: None, time_ms: 1 };
            topics.push(writer.create_topic(&mut batch, &new)?);
        }
        writer.append(&mut batch, Durability::Synced)?;
        log.sync()?;
        Ok(Load { writer, log, batch, topics, random: 1, time })
    }

    fn push(&mut self) -> Result<(), Box<dyn Error>> {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let topic = [self.topics[(self.random >> 8) as usize % self.topics.len()]];
        let data = [b'x'; DATA_BYTES];
        let event = Event { topics: &topic, time_ms: 1, data: &data, ..Event::default() };
        Ok(self.writer.push(&mut self.batch, &event)?)
    }

    /// Microseconds per append of one event.
    fn lone(&mut self, durability: Durability) -> Result<f64, Box<dyn Error>> {
        let (mut events, began) = (0_u64, Instant::now());
        while began.elapsed() < self.time {
            self.push()?;
            self.writer.append(&mut self.batch, durability)?;
            events += 1;
        }
        Ok(began.elapsed().as_secs_f64() / events as f64 * 1e6)
    }

    /// Events per second in synced groups, and the bytes of a group.
    fn groups(&mut self, group: usize) -> Result<(f64, u64), Box<dyn Error>> {
        let (mut events, mut bytes, began) = (0_u64, 0, Instant::now());
        while began.elapsed() < self.time {
            for _ in 0..group {
                self.push()?;
            }
            bytes = self.batch.bytes() as u64;
            self.writer.append(&mut self.batch, Durability::Synced)?;
            self.log.sync()?;
            events += group as u64;
        }
        Ok((events as f64 / began.elapsed().as_secs_f64(), bytes))
    }

    fn settle(&mut self) -> Result<(), Box<dyn Error>> {
        self.log.sync()?;
        while self.log.maintain(1)?.more {}
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("which folder?")?;
    let folder = Path::new(&folder);
    let seconds = arguments.next().map_or(Ok(2), |text| text.parse())?;
    let time = Duration::from_secs(seconds);
    let mut load = Load::new(folder, time)?;
    for (name, durability) in [("memory", Durability::Memory), ("written", Durability::Written)] {
        let each = load.lone(durability)?;
        println!("{name}, batches of 1: {:.0} events/s, {each:.2} µs each", 1e6 / each);
        load.settle()?;
    }
    for group in [1, 64, 1024] {
        for _ in 0..3 {
            let (own, bytes) = load.groups(group)?;
            let bare = bare(folder, group, bytes, time)?;
            let ratio = own / bare;
            println!(
                "synced, groups of {group}: {own:.0} events/s, bare {bare:.0}, ratio {ratio:.2}"
            );
            load.settle()?;
        }
    }
    load.writer.close()?;
    Ok(())
}
