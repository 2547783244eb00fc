//! How long a log of many events takes to open, and what it costs in memory.
//!
//! `cargo run --release -p tidings-log --example open_many -- <folder> [events] [topics]`

#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tidings_log::{
    Batch, Durability, Event, FileStorage, Log, NewTopic, Opened, Options, Policy, ReadLimit,
    TopicId, open,
};

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status.split(' ').nth(1).and_then(|text| text.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

fn fill(folder: &Path, events: u64, topics: u64) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let Opened { mut writer, log, .. } =
        open(Arc::new(FileStorage::new(folder)?), Options::default())?;
    let mut batch = Batch::new();
    let mut ids = Vec::new();
    for number in 0..topics {
        let name = format!("topic/{number}");
        let policy = Policy::default();
        let new = NewTopic { name: &name, policy, forked_from: None, time_ms: 1 };
        ids.push(writer.create_topic(&mut batch, &new)?);
        if number % 1000 == 999 {
            writer.append(&mut batch, Durability::Written)?;
        }
    }
    let data = [b'x'; 200];
    let mut random = 1_u64;
    for number in 0..events {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let topic: [TopicId; 1] = [ids[(random >> 33) as usize % ids.len()]];
        let time_ms = number / 100;
        let event = Event { topics: &topic, time_ms, data: &data, ..Event::default() };
        writer.push(&mut batch, &event)?;
        if number % 256 == 255 {
            writer.append(&mut batch, Durability::Written)?;
        }
        if number % 100_000 == 0 {
            log.maintain(time_ms)?;
        }
    }
    writer.append(&mut batch, Durability::Written)?;
    while log.maintain(events / 100)?.more {}
    writer.close()?;
    let seconds = began.elapsed().as_secs_f64();
    println!("filled: {events} events in {seconds:.1} s ({:.0}/s)", events as f64 / seconds);
    Ok(())
}

fn read_some(log: &Log, now_ms: u64) -> Result<(), Box<dyn Error>> {
    let ids = log.topic_ids();
    let began = Instant::now();
    let (mut reads, mut events) = (0_u64, 0_u64);
    for id in ids.iter().step_by(1 + ids.len() / 500) {
        let after = log.before_last(&[*id], 10, u64::MAX, now_ms);
        let limit = ReadLimit { events: 10, bytes: usize::MAX };
        log.read(&[*id], after, u64::MAX, limit, now_ms, &mut |_| events += 1)?;
        reads += 1;
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("last 10 of a topic: {:.0} reads/s ({events} events)", reads as f64 / seconds);
    let began = Instant::now();
    let mut events = 0_u64;
    for id in ids.iter().step_by(1 + ids.len() / 100) {
        let limit = ReadLimit { events: usize::MAX, bytes: usize::MAX };
        log.read(&[*id], 0, u64::MAX, limit, now_ms, &mut |_| events += 1)?;
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("whole topics: {:.0} events/s ({events} events)", events as f64 / seconds);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("which folder?")?;
    let folder = Path::new(&folder);
    let events = arguments.next().map_or(Ok(10_000_000), |text| text.parse())?;
    let topics = arguments.next().map_or(Ok(10_000), |text| text.parse())?;
    if !folder.join("state").exists() {
        // In a process of its own, so that its memory does not count below.
        let again = std::env::current_exe()?;
        let fill_only = std::env::var_os("OPEN_MANY_FILL").is_some();
        if fill_only {
            return fill(folder, events, topics);
        }
        let mut command = std::process::Command::new(again);
        command.args(std::env::args().skip(1)).env("OPEN_MANY_FILL", "1").status()?;
    }
    let before = resident_bytes();
    let began = Instant::now();
    let Opened { mut writer, log, recovery } =
        open(Arc::new(FileStorage::new(folder)?), Options::default())?;
    let seconds = began.elapsed().as_secs_f64();
    let status = log.status();
    let memory = resident_bytes() - before;
    println!(
        "opened: {} events in {} segments, {} MiB, in {seconds:.2} s, {:.1} bytes of memory each",
        status.retained_events,
        status.segments,
        status.disk_bytes >> 20,
        memory as f64 / status.retained_events.max(1) as f64,
    );
    println!("clean: {}, rebuilt sidecars: {}", recovery.clean, recovery.rebuilt_sidecars);
    read_some(&log, events / 100)?;
    writer.close()?;
    Ok(())
}
