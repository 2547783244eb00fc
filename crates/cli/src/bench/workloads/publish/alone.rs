//! Durable appends without a server around them.

use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread;

use rustix::time::{ClockId, clock_gettime};

use super::figures;
use super::store::{Disk, Drawn, Events, Store};
use crate::bench::clock::now_ns;
use crate::bench::histogram::Histogram;
use crate::bench::pinned;
use crate::bench::result::Sample;
use crate::bench::workloads::us_each;
use crate::bench::{Bench, BenchError};

/// Events of one commit at most.
const GROUP_MAX: usize = 1_024;
/// Groups that wait for the device at most.
const GROUPS_UNDER_WAY: usize = 2;
/// The part of the measured time that is run before it.
const WARM_UP: u64 = 5;

/// Commits groups of `group` events, one after the other.
pub(super) fn commits(
    bench: &Bench,
    bare: bool,
    group: usize,
    measured_ms: u64,
) -> Result<Sample, BenchError> {
    let folder = folder(bench)?;
    pinned::run(bench.server_cpu, || {
        let mut store = Store::open(bare, folder.path())?;
        let mut events = Events::new();
        back_to_back(&mut store, &mut events, group, measured_ms / WARM_UP)?;
        let (start, cpu) = (now_ns(), thread_cpu_ns());
        let (latency, count) = back_to_back(&mut store, &mut events, group, measured_ms)?;
        let elapsed_ns = now_ns() - start;
        Ok(sample(&latency, count, elapsed_ns, thread_cpu_ns() - cpu))
    })
}

fn back_to_back(
    store: &mut Store,
    events: &mut Events,
    group: usize,
    milliseconds: u64,
) -> Result<(Histogram, u64), BenchError> {
    let (mut latency, mut count) = (Histogram::default(), 0);
    let end = now_ns() + milliseconds * 1_000_000;
    while now_ns() < end {
        let start = now_ns();
        for _ in 0..group {
            store.push(events.draw())?;
        }
        store.commit()?;
        latency.record(now_ns() - start);
        count += group as u64;
    }
    Ok((latency, count))
}

/// One publisher's event.
struct Request {
    publisher: u32,
    event: Drawn,
}

/// What the writer did.
struct Written {
    cpu_ns: u64,
    elapsed_ns: u64,
}

/// Lets `publishers` publish, each waiting for its answer, to one writer that commits whatever
/// has come, at most [`GROUP_MAX`] events at once.
pub(super) fn closed_loop(
    bench: &Bench,
    bare: bool,
    publishers: usize,
    measured_ms: u64,
) -> Result<Sample, BenchError> {
    let folder = folder(bench)?;
    // Everyone may have one request under way: neither side ever waits for room.
    let (requests, incoming) = sync_channel::<Request>(publishers);
    let (answers, outgoing) = sync_channel::<Vec<u32>>(publishers);
    thread::scope(|scope| {
        let path = folder.path();
        let writer = scope.spawn(move || {
            pinned::run(bench.server_cpu, move || {
                let mut store = Store::open(bare, path)?;
                write(&mut store, &incoming, &answers)
            })
        });
        let published = pinned::run(bench.load_cpu, move || {
            Ok(publish(requests, &outgoing, publishers, measured_ms))
        });
        let ended = writer.join();
        let written = ended
            .unwrap_or_else(|_| Err(BenchError::Workload("the writer panicked".to_owned())))?;
        let (latency, count) = published?;
        // The writer's whole life, warm-up and all: per event it is the same.
        let share = latency.1.max(1) as f64 / written.elapsed_ns.max(1) as f64;
        let cpu_ns = (written.cpu_ns as f64 * share) as u64;
        Ok(sample(&latency.0, count, latency.1, cpu_ns))
    })
}

/// The writer: takes what has come and appends it. The bare loop's groups are on the device then;
/// the log's wait for a thread that does nothing else, as in the hub, so the next group is encoded
/// while the device works.
fn write(
    store: &mut Store,
    incoming: &Receiver<Request>,
    answers: &SyncSender<Vec<u32>>,
) -> Result<Written, BenchError> {
    let (start, cpu) = (now_ns(), thread_cpu_ns());
    let (appended, to_reach) = sync_channel(GROUPS_UNDER_WAY);
    let disk_ns = thread::scope(|scope| {
        let disk = store.disk().map(|disk| scope.spawn(move || reach(&disk, &to_reach, answers)));
        // An answer to nobody: the store is open.
        let mut open = answers.send(Vec::new()).is_ok();
        while open {
            // Ends when the publishers have gone.
            let Ok(first) = incoming.recv() else { break };
            let mut group = vec![first.publisher];
            store.push(first.event)?;
            while group.len() < GROUP_MAX {
                let Ok(next) = incoming.try_recv() else { break };
                store.push(next.event)?;
                group.push(next.publisher);
            }
            open = match store.append()? {
                None => answers.send(group).is_ok(),
                Some(batch) => appended.send((batch, group)).is_ok(),
            };
        }
        drop(appended);
        match disk.map(thread::ScopedJoinHandle::join) {
            None => Ok(0),
            Some(Ok(ended)) => ended,
            Some(Err(_)) => Err(BenchError::Workload("the disk's thread panicked".to_owned())),
        }
    })?;
    let cpu_ns = thread_cpu_ns() - cpu + disk_ns;
    Ok(Written { cpu_ns, elapsed_ns: now_ns() - start })
}

/// Answers each group once it is on the device; returns the thread's CPU time.
fn reach(
    disk: &Disk,
    groups: &Receiver<(u64, Vec<u32>)>,
    answers: &SyncSender<Vec<u32>>,
) -> Result<u64, BenchError> {
    for (batch, group) in groups {
        disk.reach(batch)?;
        if answers.send(group).is_err() {
            break;
        }
    }
    Ok(thread_cpu_ns())
}

/// The publishers: each publishes again as soon as it is answered. Returns the delays and how long
/// it was measured, and how many answers came in that time.
fn publish(
    requests: SyncSender<Request>,
    answers: &Receiver<Vec<u32>>,
    publishers: usize,
    measured_ms: u64,
) -> ((Histogram, u64), u64) {
    let mut events = Events::new();
    let mut made = vec![0_u64; publishers];
    let (mut latency, mut count) = (Histogram::default(), 0);
    if answers.recv().is_err() {
        return ((latency, 0), count);
    }
    let start = now_ns() + measured_ms * 1_000_000 / WARM_UP;
    let end = start + measured_ms * 1_000_000;
    let mut send = |publisher: u32, made: &mut u64| {
        *made = now_ns();
        let event = events.draw();
        requests.send(Request { publisher, event }).is_ok()
    };
    for (publisher, made) in made.iter_mut().enumerate() {
        send(publisher as u32, made);
    }
    let mut now = start;
    loop {
        let answered = match answers.try_recv() {
            Ok(answered) => answered,
            // Awake, as the load generator is.
            Err(TryRecvError::Empty) => continue,
            Err(TryRecvError::Disconnected) => break,
        };
        now = now_ns();
        for publisher in answered {
            let made = &mut made[publisher as usize];
            if now >= start {
                latency.record(now - *made);
                count += 1;
            }
            if !send(publisher, made) {
                break;
            }
        }
        // A device may take longer for one sync than a short measurement lasts.
        if now >= end && count > 0 {
            break;
        }
    }
    ((latency, now.saturating_sub(start)), count)
}

fn folder(bench: &Bench) -> Result<tempfile::TempDir, BenchError> {
    let folder = tempfile::tempdir_in(&bench.data_dir);
    folder.map_err(|error| BenchError::Io("making a folder", error))
}

fn sample(latency: &Histogram, count: u64, elapsed_ns: u64, cpu_ns: u64) -> Sample {
    let mut sample = figures(latency, count, elapsed_ns);
    sample.insert("cpu_us".to_owned(), us_each(cpu_ns, count));
    sample
}

/// The scheduler's time of this thread, nanoseconds.
fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
