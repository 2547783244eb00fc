//! A thread with a runtime of its own, which ends when it is told to.

use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A thread that runs tasks.
#[derive(Debug)]
pub(crate) struct Worker {
    runtime: Handle,
    thread: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread, or none of what a runtime needs.
    pub(crate) fn start(name: &str) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (handle, (stop, stopped)) = (runtime.handle().clone(), oneshot::channel::<()>());
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Until it is stopped or its owner is gone.
            let _ = runtime.block_on(stopped);
            // What still runs is dropped with the runtime, and its connections with it. A name
            // that is being looked up is waited for by nobody.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, thread: Mutex::new(Some((stop, thread))) })
    }

    /// Where tasks are spawned. Once it has stopped, they are dropped.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Drops all tasks and ends the thread.
    pub(crate) fn stop(&self) {
        let thread = self.thread.lock().take();
        if let Some((stop, thread)) = thread {
            drop(stop);
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::time::Duration;

    use super::*;

    /// Longest time that anything may take here; only a hang reaches it.
    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_stop_drops_what_runs_and_waits_for_no_lookup() {
        let worker = Arc::new(Worker::start("test").unwrap());
        // As a name server that does not answer.
        let (free, answered) = channel::<()>();
        let (begun, has_begun) = channel();
        worker.runtime().spawn_blocking(move || {
            begun.send(()).unwrap();
            let _ = answered.recv();
        });
        has_begun.recv_timeout(PATIENCE).unwrap();
        let (task, is_dropped) = channel::<()>();
        worker.runtime().spawn(async move {
            std::future::pending::<()>().await;
            drop(task);
        });
        let (stopped, has_stopped) = channel();
        let stops = worker.clone();
        std::thread::spawn(move || {
            stops.stop();
            stopped.send(()).unwrap();
        });
        let in_time = has_stopped.recv_timeout(PATIENCE);
        drop(free);
        in_time.expect("it stops although a lookup hangs");
        assert_eq!(is_dropped.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
        worker.stop();
    }
}
