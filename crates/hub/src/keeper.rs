//! The hub's housekeeping: three threads, each with one duty.
//!
//! * `sync` puts written batches on disk when somebody waits for it, at once and all that are there
//!   (group commit), and at least every second;
//! * `timer` publishes what is due;
//! * `keep` writes out what `memory` topics left in the process, lets old frames go, removes topics
//!   whose time is up, and has the log apply its retention.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::error::StoreError;
use crate::hub::Hub;

/// How long a `memory` event stays in the process alone.
const WRITE_OUT_EVERY: Duration = Duration::from_millis(100);

/// How often the log is kept, and synced though nobody waits, in rounds of [`WRITE_OUT_EVERY`].
const ROUNDS_PER_KEEPING: u32 = 10;

/// How often old frames are let go of, in the same rounds.
const ROUNDS_PER_FORGETTING: u32 = 5;

/// How long the timer sleeps at most; a clock that was set back is noticed then.
const TIMER_SLEEP_MAX: Duration = Duration::from_secs(1);

/// What a thread does until the hub is gone or stopped.
type Duty = fn(&Weak<Hub>);

/// What the threads are asked.
#[derive(Default)]
pub(crate) struct Keeper {
    asked: Mutex<Asked>,
    /// Something was asked.
    changed: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Asked {
    sync_wanted: u64,
    synced: u64,
    failed: bool,
    timer_changed: bool,
    stop: bool,
}

impl Keeper {
    /// Asks for `batch` to be put on disk.
    pub(crate) fn want_sync(&self, batch: u64) {
        let mut asked = self.asked.lock();
        if batch > asked.sync_wanted {
            asked.sync_wanted = batch;
            self.changed.notify_all();
        }
    }

    /// Says that the next due time may have changed.
    pub(crate) fn timer_changed(&self) {
        self.asked.lock().timer_changed = true;
        self.changed.notify_all();
    }

    /// Stops the threads and waits for them.
    pub(crate) fn stop(&self) {
        self.asked.lock().stop = true;
        self.changed.notify_all();
        for thread in self.threads.lock().drain(..) {
            // A thread that panicked has said so; there is nothing left to wait for.
            let _ = thread.join();
        }
    }

    fn stopped(&self) -> bool {
        self.asked.lock().stop
    }
}

/// Starts the threads. They hold the hub weakly, so that dropping it ends them too.
pub(crate) fn start(hub: &Arc<Hub>) {
    let duties: [(&str, Duty); 3] =
        [("tidings-sync", sync), ("tidings-timer", timer), ("tidings-keep", keep)];
    let mut threads = hub.keeper.threads.lock();
    for (name, duty) in duties {
        let hub = Arc::downgrade(hub);
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || duty(&hub));
        threads.push(thread.expect("the system has threads left when the process starts"));
    }
}

/// Waits until a sync is wanted; `None` to end.
fn sync(hub: &Weak<Hub>) {
    while let Some(hub) = hub.upgrade() {
        {
            let mut asked = hub.keeper.asked.lock();
            if asked.stop || asked.failed {
                return;
            }
            if asked.sync_wanted <= asked.synced {
                hub.keeper.changed.wait_for(&mut asked, TIMER_SLEEP_MAX);
                continue;
            }
        }
        let result = hub.log.sync().map_err(|error| StoreError::Failed(error.0));
        {
            let mut asked = hub.keeper.asked.lock();
            match &result {
                Ok(synced) => asked.synced = *synced,
                Err(_) => asked.failed = true,
            }
        }
        if let Err(error) = &result {
            tracing::error!(%error, "the log could not be synced and takes no more events");
        }
        hub.synced(result);
    }
}

fn timer(hub: &Weak<Hub>) {
    while let Some(hub) = hub.upgrade() {
        let next_ms = hub.publish_due();
        let now_ms = hub.now_ms();
        let sleep = next_ms.map_or(TIMER_SLEEP_MAX, |at_ms| {
            Duration::from_millis(at_ms.saturating_sub(now_ms)).min(TIMER_SLEEP_MAX)
        });
        let mut asked = hub.keeper.asked.lock();
        if asked.stop {
            return;
        }
        if !asked.timer_changed && !sleep.is_zero() {
            hub.keeper.changed.wait_for(&mut asked, sleep);
        }
        asked.timer_changed = false;
    }
}

fn keep(hub: &Weak<Hub>) {
    let mut round = 0;
    while let Some(hub) = hub.upgrade() {
        round = (round + 1) % ROUNDS_PER_KEEPING;
        hub.write_out();
        if round % ROUNDS_PER_FORGETTING == 0 {
            hub.forget_old_frames();
        }
        if round == 0 {
            hub.keep_log();
        }
        let mut asked = hub.keeper.asked.lock();
        if asked.stop {
            return;
        }
        hub.keeper.changed.wait_for(&mut asked, WRITE_OUT_EVERY);
    }
}

impl Hub {
    fn write_out(&self) {
        if let Err(error) = self.state.lock().writer.flush() {
            tracing::warn!(%error, "events of memory topics could not be written out yet");
        }
    }

    fn keep_log(&self) {
        self.remove_outlived_topics();
        let newest = self.log.status().newest_batch;
        if newest > self.log.synced() {
            self.keeper.want_sync(newest);
        }
        loop {
            match self.log.maintain(self.now_ms()) {
                Ok(done) if done.more && !self.keeper.stopped() => {}
                Ok(_) => return,
                Err(error) => return tracing::warn!(%error, "the log could not be tidied"),
            }
        }
    }

    /// Stops the threads and closes the log, so that the next start finds everything in order.
    /// Publishes are refused from now on; reads go on.
    ///
    /// # Errors
    /// When the end is not a clean one; what was acknowledged is safe all the same.
    pub fn close(&self) -> Result<(), StoreError> {
        self.keeper.stop();
        let mut state = self.state.lock();
        let closed = state.writer.close().map_err(StoreError::from);
        drop(state);
        // Whoever still waits is answered.
        self.synced(match &closed {
            Ok(()) => Ok(self.log.synced()),
            Err(error) => Err(error.clone()),
        });
        closed
    }
}
