//! The upstream as its owner sees it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};
use rustix::time::{ClockId, clock_gettime};

use crate::dialect::{Dialect, models};
use crate::script::Script;
use crate::seen::{Board, Received, Seen};
use crate::serve::{Play, Serve, Shared};

/// How long [`Upstream::wait_for`] waits before it gives up.
pub const WAIT_MAX: Duration = Duration::from_secs(20);

/// An upstream that listens on loopback and plays scripts. Dropping it closes its listener and
/// all its connections at once; its address can then be listened on again.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Listens on a free port of 127.0.0.1 and plays [`default_script`].
    ///
    /// # Errors
    ///
    /// When the system has no port, no descriptor or no thread left.
    pub fn start() -> io::Result<Self> {
        Self::start_on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Listens on this address, such as the one of an upstream that has been dropped.
    ///
    /// # Errors
    ///
    /// When the address is taken, or as [`Upstream::start`].
    pub fn start_on(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let play: Arc<Play> = Arc::new(default_script);
        let shared = Arc::new(Shared {
            board: Board::new(),
            play: Mutex::new(play),
            stop: AtomicBool::new(false),
            wakeup: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        });
        let serve = Serve::new(Arc::clone(&shared), listener)?;
        let thread = std::thread::Builder::new().name("scripted".to_owned());
        let thread = Some(thread.spawn(move || serve.run())?);
        Ok(Self { address, shared, thread })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL of an LLM's API, `http://127.0.0.1:PORT/v1`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Decides what is said to the requests from now on. It is called on the serving thread, once
    /// for each request, and must not block.
    pub fn play(&self, script: impl Fn(&Received) -> Script + Send + Sync + 'static) {
        *self.shared.play.lock() = Arc::new(script);
    }

    /// Remembers at most this many requests from now on instead of 65,536; 0 for an upstream that
    /// nobody observes.
    pub fn remember(&self, max: usize) {
        self.shared.board.remember(max);
    }

    /// The requests so far, in order.
    #[must_use]
    pub fn received(&self) -> Vec<Arc<Received>> {
        self.look(|seen| seen.answers.iter().map(|answer| Arc::clone(&answer.request)).collect())
    }

    /// What has been seen so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.look(Seen::clone)
    }

    /// Looks at what has been seen, without copying it. The serving thread waits meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        self.shared.board.look(look)
    }

    /// Waits until `condition` holds, at most [`WAIT_MAX`]; whether it does. It is looked at again
    /// whenever something changes.
    #[must_use]
    pub fn wait_for(&self, condition: impl FnMut(&Seen) -> bool) -> bool {
        self.wait_for_within(WAIT_MAX, condition)
    }

    /// Waits until `condition` holds, at most `bound`; whether it does.
    #[must_use]
    pub fn wait_for_within(&self, bound: Duration, condition: impl FnMut(&Seen) -> bool) -> bool {
        self.shared.board.wait(bound, condition)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        // It can only be full, and then the thread is awake already.
        let _ = rustix::io::write(&self.shared.wakeup, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has closed everything too, and has been printed.
            let _ = thread.join();
        }
    }
}

/// What an upstream says unless told otherwise: a short answer in the dialect of the path, the
/// list of models, and 404 to everything else.
#[must_use]
pub fn default_script(request: &Received) -> Script {
    match request.method.as_str() {
        "POST" if Dialect::of(&request.path).is_some() => {
            Script::text("The tide comes in, the tide goes out, and the log keeps every wave.")
        }
        "GET" if request.path.ends_with("/models") => {
            Script::body(200, "application/json", models(&["scripted"]))
        }
        _ => Script::refuse(404, "there is nothing here"),
    }
}

/// The system's monotonic clock in nanoseconds, the same for all processes of a machine.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let (seconds, nanos) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
    seconds * 1_000_000_000 + nanos
}
