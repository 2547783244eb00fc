//! How fast the log appends, beside a bare loop that writes the same number of bytes and calls fdatasync.
//!
//! `cargo run --release -p tidings-log --example append_rate -- <folder> [seconds per case]`
//!
//! Each case is a group of events that are made durable together: 1 = a lone publisher, 1,024 = that many publishers
//! served by one group commit.

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidings_log::{
    Batch, Durability, Event, FileStorage, NewTopic, Opened, Options, Policy, TopicId, open,
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

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("which folder?")?;
    let folder = Path::new(&folder);
    let seconds = arguments.next().map_or(Ok(2), |text| text.parse())?;
    let time = Duration::from_secs(seconds);
    let storage = Arc::new(FileStorage::new(&folder.join("log"))?);
    let Opened {
        mut writer, log, ..
    } = open(storage, Options::default())?;
    let mut batch = Batch::new();
    let mut topics = Vec::new();
    for number in 0..TOPICS {
        let name = format!("topic/{number}");
        let policy = Policy::default();
        let new = NewTopic {
            name: &name,
            policy,
            forked_from: None,
            time_ms: 1,
        };
        topics.push(writer.create_topic(&mut batch, &new)?);
    }
    writer.append(&mut batch, Durability::Synced)?;
    log.sync()?;
    let data = [b'x'; DATA_BYTES];
    let mut random = 1_u32;
    let mut push = |writer: &mut tidings_log::Writer, batch: &mut Batch| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let topic: [TopicId; 1] = [topics[(random >> 8) as usize % topics.len()]];
        let event = Event {
            topics: &topic,
            time_ms: 1,
            data: &data,
            ..Event::default()
        };
        writer.push(batch, &event)
    };
    for (name, durability) in [
        ("memory", Durability::Memory),
        ("written", Durability::Written),
    ] {
        let (mut events, began) = (0_u64, Instant::now());
        while began.elapsed() < time {
            push(&mut writer, &mut batch)?;
            writer.append(&mut batch, durability)?;
            events += 1;
        }
        let each = began.elapsed().as_secs_f64() / events as f64 * 1e6;
        println!(
            "{name}, batches of 1: {:.0} events/s, {each:.2} µs each",
            1e6 / each
        );
        log.sync()?;
        while log.maintain(1)?.more {}
    }
    for group in [1, 64, 1024] {
        for _ in 0..2 {
            let (mut events, mut bytes, began) = (0_u64, 0, Instant::now());
            while began.elapsed() < time {
                for _ in 0..group {
                    push(&mut writer, &mut batch)?;
                }
                bytes = batch.bytes() as u64;
                writer.append(&mut batch, Durability::Synced)?;
                log.sync()?;
                events += group as u64;
            }
            let own = events as f64 / began.elapsed().as_secs_f64();
            let bare = bare(folder, group, bytes, time)?;
            println!(
                "synced, groups of {group}: {own:.0} events/s, bare loop {bare:.0}, ratio {:.2}",
                own / bare
            );
            while log.maintain(1)?.more {}
        }
    }
    writer.close()?;
    Ok(())
}
