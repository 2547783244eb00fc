//! The serving thread: one epoll loop, a table of connections, a heap of moments.
//!
//! Moments are rounded up to a tick, so that a thousand answers at fifty tokens a second wake the
//! thread at most a thousand times a second and not fifty thousand times.

mod conn;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::event::{Timespec, epoll};

use crate::id::Ids;
use crate::script::Script;
use crate::seen::{Board, Received};
use conn::{After, Conn, Shop};

/// Decides what is said to a request.
pub(crate) type Play = dyn Fn(&Received) -> Script + Send + Sync;

/// Moments are rounded up to this, in nanoseconds.
const TICK_NS: u64 = 1_000_000;

/// Connections at a time; more are closed as they come.
const CONNECTIONS_MAX: usize = 65_536;

/// Readiness taken from epoll at a time.
const READY_PER_TURN: usize = 256;

/// How long nobody is accepted after the system has refused.
const ACCEPT_REST: Duration = Duration::from_millis(20);

/// Bytes read from a socket at a time.
const READ_BYTES: usize = 64 << 10;

/// The loop's own entries in epoll.
const LISTENER: u64 = u64::MAX;
const WAKEUP: u64 = u64::MAX - 1;

/// What the thread and the upstream's owner share.
pub(crate) struct Shared {
    pub(crate) board: Board,
    pub(crate) play: Mutex<Arc<Play>>,
    pub(crate) stop: AtomicBool,
    /// Written to when `stop` is set.
    pub(crate) wakeup: OwnedFd,
}

/// The thread's state.
pub(crate) struct Serve {
    shared: Arc<Shared>,
    listener: TcpListener,
    poll: OwnedFd,
    conns: HashMap<u64, Conn>,
    next_key: u64,
    /// Ticks and the connections that want to be called then. A connection that has changed its
    /// mind leaves its entry behind, which its own `timer` tells.
    moments: BinaryHeap<Reverse<(u64, u64)>>,
    began: Instant,
    ids: Ids,
    next_request: u64,
    scratch: Vec<u8>,
}

impl Serve {
    /// Prepares to serve from a listener that does not block.
    pub(crate) fn new(shared: Arc<Shared>, listener: TcpListener) -> std::io::Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = epoll::EventFlags::IN;
        epoll::add(&poll, &listener, epoll::EventData::new_u64(LISTENER), flags)?;
        epoll::add(&poll, &shared.wakeup, epoll::EventData::new_u64(WAKEUP), flags)?;
        Ok(Self {
            shared,
            listener,
            poll,
            conns: HashMap::new(),
            next_key: 0,
            moments: BinaryHeap::new(),
            began: Instant::now(),
            ids: Ids::new(),
            next_request: 0,
            scratch: vec![0; READ_BYTES],
        })
    }

    /// Serves until it is told to stop; then everything is closed.
    pub(crate) fn run(mut self) {
        let mut ready = Vec::with_capacity(READY_PER_TURN);
        while !self.shared.stop.load(Ordering::Acquire) {
            ready.clear();
            let timeout = self.timeout();
            let buffer = rustix::buffer::spare_capacity(&mut ready);
            // An interruption is a turn without readiness.
            let _ = epoll::wait(&self.poll, buffer, timeout.as_ref());
            for event in &ready {
                match event.data.u64() {
                    LISTENER => self.accept(),
                    WAKEUP => {}
                    key => self.call(key, event.flags),
                }
            }
            self.call_due();
        }
    }

    /// How long there is nothing to do.
    fn timeout(&self) -> Option<Timespec> {
        let Reverse((tick, _)) = self.moments.peek()?;
        let wait = moment(*tick).saturating_sub(self.began.elapsed());
        Timespec::try_from(wait).ok()
    }

    fn accept(&mut self) {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.rest_from_accepting(),
            };
            // Who cannot be served is closed, and finds out.
            if self.conns.len() >= CONNECTIONS_MAX || stream.set_nonblocking(true).is_err() {
                continue;
            }
            // Without it tokens are late, which is no reason not to send them.
            let _ = stream.set_nodelay(true);
            let key = self.next_key;
            let data = epoll::EventData::new_u64(key);
            let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
            if epoll::add(&self.poll, &stream, data, flags).is_err() {
                continue;
            }
            self.next_key += 1;
            self.conns.insert(key, Conn::new(stream));
            self.shared.board.update(|seen| {
                seen.connections += 1;
                seen.open_connections += 1;
            });
        }
    }

    /// Leaves the listener alone for a while: the process has no descriptors left, or who wanted
    /// in has gone.
    fn rest_from_accepting(&mut self) {
        if epoll::delete(&self.poll, &self.listener).is_ok() {
            let tick = tick_of(self.began.elapsed() + ACCEPT_REST);
            self.moments.push(Reverse((tick, LISTENER)));
        }
    }

    /// Calls the connections whose moment has come.
    fn call_due(&mut self) {
        let now = self.began.elapsed();
        while let Some(&Reverse((tick, key))) = self.moments.peek() {
            if moment(tick) > now {
                break;
            }
            self.moments.pop();
            if key == LISTENER {
                let data = epoll::EventData::new_u64(LISTENER);
                // It was there before, so that it can be there again.
                let _ = epoll::add(&self.poll, &self.listener, data, epoll::EventFlags::IN);
                continue;
            }
            let Some(conn) = self.conns.get_mut(&key) else { continue };
            if conn.timer == Some(tick) {
                conn.timer = None;
                self.call(key, epoll::EventFlags::empty());
            }
        }
    }

    /// Lets a connection do what it can.
    fn call(&mut self, key: u64, flags: epoll::EventFlags) {
        let Some(conn) = self.conns.get_mut(&key) else { return };
        let play = Arc::clone(&self.shared.play.lock());
        let mut shop = Shop {
            board: &self.shared.board,
            play: &*play,
            ids: &mut self.ids,
            next: &mut self.next_request,
        };
        let reads = flags.intersects(
            epoll::EventFlags::IN
                | epoll::EventFlags::RDHUP
                | epoll::EventFlags::HUP
                | epoll::EventFlags::ERR,
        );
        let after = if reads {
            conn.readable(&mut shop, &mut self.scratch)
        } else {
            conn.go(&mut shop, Instant::now())
        };
        let writable = matches!(after, After::Writable);
        match after {
            After::Gone => return self.close(key),
            After::Moment(at) => {
                let tick = tick_of(at.saturating_duration_since(self.began));
                if conn.timer != Some(tick) {
                    conn.timer = Some(tick);
                    self.moments.push(Reverse((tick, key)));
                }
            }
            After::Client | After::Writable => conn.timer = None,
        }
        if conn.watches_out != writable {
            conn.watches_out = writable;
            conn.note_blocked(&self.shared.board, writable);
            let mut flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
            flags.set(epoll::EventFlags::OUT, writable);
            let data = epoll::EventData::new_u64(key);
            if epoll::modify(&self.poll, &conn.stream, data, flags).is_err() {
                self.close(key);
            }
        }
    }

    fn close(&mut self, key: u64) {
        if self.conns.remove(&key).is_some() {
            self.shared.board.update(|seen| seen.open_connections -= 1);
        }
    }
}

/// A tick as the time since the beginning.
fn moment(tick: u64) -> Duration {
    Duration::from_nanos(tick.saturating_mul(TICK_NS))
}

/// The first tick that is not before this time since the beginning.
fn tick_of(since: Duration) -> u64 {
    u64::try_from(since.as_nanos().div_ceil(u128::from(TICK_NS))).unwrap_or(u64::MAX)
}
