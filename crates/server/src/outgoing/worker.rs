//! The thread that outgoing requests are made on, and its end.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long tasks have for what is in their hands when the server stops.
const STOP_TIME: Duration = Duration::from_secs(3);

/// Where tasks go before there is a thread: none of them runs until all are there.
pub(crate) struct Outgoing {
    runtime: Runtime,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Outgoing {
    /// Makes room for tasks.
    ///
    /// # Errors
    /// When the system refuses descriptors.
    pub(crate) fn prepare() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, tasks: JoinSet::new(), stop: watch::Sender::new(false) })
    }

    /// For tasks that are dropped when the server stops.
    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Becomes true when the server stops.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Adds a task that has to do something before it ends; it listens to
    /// [`stopping`](Self::stopping).
    pub(crate) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, self.runtime.handle());
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses it.
    pub(crate) fn start(self) -> io::Result<Worker> {
        let Self { runtime, mut tasks, stop } = self;
        let mut stopped = stop.subscribe();
        let thread = std::thread::Builder::new().name("tidings-out".into());
        let thread = thread.spawn(move || {
            runtime.block_on(async {
                // The sender lives as long as the worker.
                let _ = stopped.wait_for(|stop| *stop).await;
                let ended = async { while tasks.join_next().await.is_some() {} };
                let _ = tokio::time::timeout(STOP_TIME, ended).await;
            });
            // A name that is being looked up is waited for by nobody.
            runtime.shutdown_background();
        })?;
        Ok(Worker { stop, thread })
    }
}

/// The running thread.
pub(crate) struct Worker {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Ends the tasks and the thread; nothing is stored after this.
    pub(crate) fn stop(self) {
        self.stop.send_replace(true);
        // A thread that panicked has said so.
        let _ = self.thread.join();
    }
}
