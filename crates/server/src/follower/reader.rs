//! One thread that reads the log for asynchronous followers, so that a cold disk holds up nobody
//! who is up to date, and no request.
//!
//! Each job is one span, or one start, for one follower; they take turns in the order in which they
//! asked. A follower has at most one job here, so the line is never longer than there are
//! followers.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};
use tidings_hub::Hub;
use tokio::sync::oneshot;

pub(super) type Job = Box<dyn FnOnce(&Hub) + Send>;

#[derive(Default)]
struct Line {
    jobs: VecDeque<Job>,
    stopped: bool,
}

/// The line of jobs.
#[derive(Default)]
pub(crate) struct LogReader {
    line: Mutex<Line>,
    changed: Condvar,
}

impl LogReader {
    /// Has `read` done in its turn. It is passed over if whoever asked has gone by then. The answer
    /// does not come if the server has stopped.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Hub) -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (done, answer) = oneshot::channel();
        let job = move |hub: &Hub| {
            if !done.is_closed() {
                // Whoever asked may go meanwhile.
                let _ = done.send(read(hub));
            }
        };
        let mut line = self.line.lock();
        if !line.stopped {
            line.jobs.push_back(Box::new(job));
            self.changed.notify_one();
        }
        answer
    }

    /// Works until [`stop`](Self::stop).
    pub(crate) fn run(&self, hub: &Hub) {
        let mut line = self.line.lock();
        while !line.stopped {
            match line.jobs.pop_front() {
                None => self.changed.wait(&mut line),
                Some(job) => parking_lot::MutexGuard::unlocked(&mut line, || job(hub)),
            }
        }
    }

    /// The next job, for a test that leads the thread by hand.
    #[cfg(test)]
    pub(super) fn next_job(&self) -> Option<Job> {
        self.line.lock().jobs.pop_front()
    }

    /// Ends the thread after the job in hand; nobody else is answered.
    pub(crate) fn stop(&self) {
        let mut line = self.line.lock();
        line.stopped = true;
        line.jobs.clear();
        self.changed.notify_all();
    }
}
