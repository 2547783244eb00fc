//! How many subscriptions there are, of which kind, and which of them are behind: counted where
//! they begin, end and stumble, so that nobody has to go through them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Subscriptions over HTTP.
    pub(crate) sse: AtomicUsize,
    /// Requests that wait for an event.
    pub(crate) long_poll: AtomicUsize,
    /// Connections that speak HTTP/2.
    pub(crate) http2: AtomicUsize,
    /// Subscriptions on them; each counts as a connection.
    pub(crate) http2_streams: AtomicUsize,
    /// Encrypted connections.
    pub(crate) tls: AtomicUsize,
    /// Subscriptions whose sockets take nothing more, or that read the log.
    pub(crate) behind: AtomicUsize,
}

/// One more, for as long as this lives.
#[derive(Debug)]
pub(crate) struct OneMore {
    counts: Arc<Counts>,
    of: fn(&Counts) -> &AtomicUsize,
}

impl OneMore {
    pub(crate) fn new(counts: &Arc<Counts>, of: fn(&Counts) -> &AtomicUsize) -> Self {
        of(counts).fetch_add(1, Ordering::Relaxed);
        Self { counts: counts.clone(), of }
    }
}

impl Drop for OneMore {
    fn drop(&mut self) {
        (self.of)(&self.counts).fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether one subscription is behind, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Standing {
    counts: Arc<Counts>,
    /// Whether it is counted among those over HTTP; WebSockets are counted by connection.
    sse: bool,
    blocked: AtomicBool,
    catching_up: AtomicBool,
}

impl Standing {
    pub(crate) fn new(counts: &Arc<Counts>, sse: bool) -> Self {
        counts.sse.fetch_add(usize::from(sse), Ordering::Relaxed);
        let (blocked, catching_up) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { counts: counts.clone(), sse, blocked, catching_up }
    }

    /// Its socket takes nothing more, or takes something again; whether that is new.
    pub(crate) fn blocked(&self, now: bool) -> bool {
        self.change(&self.blocked, now, &self.catching_up)
    }

    /// It reads the log, or does not any more.
    pub(crate) fn catching_up(&self, now: bool) {
        self.change(&self.catching_up, now, &self.blocked);
    }

    /// Only the thread that holds the subscription changes it.
    fn change(&self, flag: &AtomicBool, now: bool, other: &AtomicBool) -> bool {
        if flag.load(Ordering::Relaxed) == now {
            return false;
        }
        flag.store(now, Ordering::Relaxed);
        if !other.load(Ordering::Relaxed) {
            if now {
                self.counts.behind.fetch_add(1, Ordering::Relaxed);
            } else {
                self.counts.behind.fetch_sub(1, Ordering::Relaxed);
            }
        }
        true
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.blocked(false);
        self.catching_up(false);
        self.counts.sse.fetch_sub(usize::from(self.sse), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_is_counted_once_and_given_back() {
        let counts = Arc::new(Counts::default());
        let behind = || counts.behind.load(Ordering::Relaxed);
        let (one, two) = (Standing::new(&counts, true), Standing::new(&counts, false));
        assert!(one.blocked(true) && !one.blocked(true));
        one.catching_up(true);
        two.catching_up(true);
        assert_eq!(behind(), 2);
        one.blocked(false);
        assert_eq!(behind(), 2, "it still reads the log");
        one.catching_up(false);
        assert_eq!(behind(), 1);
        assert_eq!(counts.sse.load(Ordering::Relaxed), 1);
        drop((one, two));
        assert_eq!((behind(), counts.sse.load(Ordering::Relaxed)), (0, 0));
    }
}
