//! The thread that all relays do their work on.
//!
//! A thread of its own, so that neither a publish nor a subscriber waits for a thousand answers.

use std::io;
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

/// Where the relays' tasks go before there is a thread: none of them runs until all relays are
/// there.
#[derive(Debug)]
pub struct Work(Runtime);

impl Work {
    /// Makes room for tasks.
    ///
    /// # Errors
    /// When the system refuses descriptors.
    pub fn prepare() -> io::Result<Self> {
        Builder::new_current_thread().enable_all().build().map(Self)
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.0.handle()
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn start(self) -> io::Result<Worker> {
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("tidings-relay".into());
        let thread = thread.spawn(move || {
            // What still runs is dropped with the runtime, and its connections with it.
            let _ = self.0.block_on(stopped);
            // A name that is being looked up is waited for by nobody.
            self.0.shutdown_background();
        })?;
        Ok(Worker { stop, thread })
    }
}

/// The running thread.
#[derive(Debug)]
pub struct Worker {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Closes the connections to the upstreams and ends the thread: nothing is stored after this.
    /// What is unfinished is ended, or gone on with, at the next start.
    pub fn stop(self) {
        drop(self.stop);
        // A thread that panicked has said so.
        let _ = self.thread.join();
    }
}
