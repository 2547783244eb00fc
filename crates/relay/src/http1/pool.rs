//! Connections between two requests.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead as _, ReadBuf};
use tokio::time::Instant;

use super::conn::Io;

/// How long an idle connection is kept: below the time after which servers close it themselves.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Idle connections kept for each place.
const IDLE_MAX: usize = 64;

/// Where a connection leads: scheme and authority, and whether the place may be a private one. What
/// was connected for those who may is not given to those who may not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) origin: String,
    pub(crate) allow_private: bool,
}

/// Idle connections.
#[derive(Default)]
pub(crate) struct Pool {
    idle: Mutex<HashMap<Place, Vec<Idle>>>,
}

struct Idle {
    io: Io,
    since: Instant,
}

impl Idle {
    /// Whether the other side has neither closed the connection nor said what nobody asked for.
    fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut context = Context::from_waker(Waker::noop());
        let read = Pin::new(&mut self.io).poll_read(&mut context, &mut ReadBuf::new(&mut byte));
        read.is_pending() && self.since.elapsed() < IDLE_TIMEOUT
    }
}

impl Pool {
    /// A connection that leads to this place, if there is one.
    pub(crate) fn take(&self, place: &Place) -> Option<Io> {
        let mut idle = self.idle.lock();
        let there = idle.get_mut(place)?;
        while let Some(mut idle) = there.pop() {
            if idle.is_quiet() {
                return Some(idle.io);
            }
        }
        None
    }

    /// Keeps a connection for the next request to this place.
    pub(crate) fn put(self: &Arc<Self>, place: Place, io: Io) {
        let mut idle = self.idle.lock();
        if idle.is_empty() {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
        let there = idle.entry(place).or_default();
        if there.len() < IDLE_MAX {
            there.push(Idle { io, since: Instant::now() });
        }
    }
}

/// Closes what nobody needs any more, until there is nothing left.
async fn sweep(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(IDLE_TIMEOUT).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut idle = pool.idle.lock();
        idle.retain(|_, there| {
            there.retain_mut(Idle::is_quiet);
            !there.is_empty()
        });
        if idle.is_empty() {
            return;
        }
    }
}
