//! The threads of connections that are tasks: one runtime for each, and connections dealt out to
//! them in turn.
//!
//! A connection over TLS or HTTP/2, a WebSocket, whatever hyper serves: each stays with all that
//! belongs to it on the thread it was dealt to, as a connection of a shard does, so nothing of it
//! is ever moved between cores. There are as many lanes as shards (`io_threads`). The first is the
//! runtime that does everything else besides, so one lane is one thread in all.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

thread_local! {
    static PRESENT: Cell<usize> = const { Cell::new(0) };
}

/// The lane that this is; 0 is the first, and whatever is no lane.
pub(crate) fn present() -> usize {
    PRESENT.get()
}

/// This thread is that lane.
pub(crate) fn enter(number: usize) {
    PRESENT.set(number);
}

/// The lanes, for whoever has a connection to deal out.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    handles: Arc<[Handle]>,
    next: Arc<AtomicUsize>,
}

/// The threads of all lanes but the first.
#[derive(Debug)]
pub(crate) struct Threads(Vec<(oneshot::Sender<()>, JoinHandle<()>)>);

impl Lanes {
    /// So many lanes, of which `first` is there already.
    ///
    /// # Errors
    /// The system refuses a thread or what a runtime is made of.
    pub(crate) fn start(first: Handle, count: usize) -> std::io::Result<(Self, Threads)> {
        let (mut handles, mut threads) = (vec![first], Threads(Vec::new()));
        for number in 1..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            handles.push(runtime.handle().clone());
            let (stop, stopped) = oneshot::channel::<()>();
            let thread = std::thread::Builder::new().name(format!("tidings-tasks-{number}"));
            let thread = thread.spawn(move || {
                enter(number);
                // Told or let go of: both end it, and its connections with it.
                let _ = runtime.block_on(stopped);
            })?;
            threads.0.push((stop, thread));
        }
        Ok((Self { handles: handles.into(), next: Arc::default() }, threads))
    }

    /// All of them, in order.
    pub(crate) fn all(&self) -> &[Handle] {
        &self.handles
    }

    /// Whose turn it is.
    pub(crate) fn next(&self) -> &Handle {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        &self.handles[turn % self.handles.len()]
    }
}

impl Threads {
    /// Ends them, and whatever still runs there.
    pub(crate) fn stop(self) {
        for (stop, thread) in self.0 {
            drop(stop);
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use std::collections::HashMap;

    use super::*;

    #[test]
    fn connections_are_dealt_out_in_turn_and_end_with_their_threads() {
        let first = Builder::new_current_thread().enable_all().build().unwrap();
        let (lanes, threads) = Lanes::start(first.handle().clone(), 3).unwrap();
        let (told, tell) = std::sync::mpsc::channel();
        let (held, mut ends) = tokio::sync::mpsc::channel::<()>(1);
        for _ in 0..12 {
            let (told, held) = (told.clone(), held.clone());
            lanes.next().spawn(async move {
                told.send((present(), std::thread::current().id())).unwrap();
                std::future::pending::<()>().await;
                drop(held);
            });
        }
        drop(held);
        let mut dealt: HashMap<_, usize> = HashMap::new();
        for place in first.block_on(async move {
            tokio::task::yield_now().await;
            tell.into_iter().take(12)
        }) {
            *dealt.entry(place).or_default() += 1;
        }
        assert_eq!(dealt.len(), 3);
        assert_eq!(dealt.keys().map(|place| place.0).sum::<usize>(), 3, "0, 1 and 2");
        assert!(dealt.values().all(|count| *count == 4), "{dealt:?}");
        threads.stop();
        drop(first);
        assert!(ends.blocking_recv().is_none(), "nothing of them is left");
    }
}
