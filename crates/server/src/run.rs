//! From a configuration to a running server, and to its end.
//!
//! The end is designed: readiness fails first; subscriptions close one by one over the drain's
//! time, so that those who come back do not come all at once; requests in hand are answered;
//! whatever is left after the grace time ends; then the log is closed, so that the next start finds
//! it in order.

use std::future::poll_fn;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;
use tidings_hub::{Hub, OpenError, Options, PolicyRules, StoreError, TopicPolicy};
use tidings_relay::{Relays, SharedRelays, StartError, shared};
use tokio::sync::mpsc;

use crate::access::keys::{self, KeysError};
use crate::access::revocations;
use crate::app::{App, HANDED_MAX};
use crate::config::Config;
use crate::http::general;
use crate::socket::backfill::Backfill;
use crate::socket::shard::Shard;

/// Connections that the kernel completes while the shards are busy.
const BACKLOG: i32 = 4_096;

/// How often the drain looks whether everybody has gone.
const DRAIN_LOOK: Duration = Duration::from_millis(50);

/// The server listens.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Where, with the port that was taken if the configuration said 0.
    pub address: SocketAddr,
}

/// Why the server could not start, or did not end well.
#[derive(Debug, Error)]
pub enum RunError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another with --listen")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The data folder cannot be opened.
    #[error("the data folder {folder}: {source}; choose another with --data-dir")]
    Open {
        /// Which.
        folder: String,
        /// Why not.
        source: OpenError,
    },
    /// An issuer's keys cannot be had.
    #[error("the keys of an issuer: {0}")]
    Keys(#[from] KeysError),
    /// A relay cannot start.
    #[error(transparent)]
    Relay(#[from] StartError),
    /// The shared streams cannot start.
    #[error(transparent)]
    Shared(#[from] shared::StartError),
    /// The log refuses its last writes.
    #[error("the log: {0}")]
    Log(#[from] StoreError),
    /// The system refuses threads, descriptors or timers.
    #[error("the system: {0}")]
    System(#[from] std::io::Error),
}

/// Runs the server until SIGTERM or SIGINT; returns when it has ended in order.
///
/// `on_ready` is called once it listens.
///
/// # Errors
/// See [`RunError`].
pub fn run(config: Config, on_ready: impl FnOnce(&Ready)) -> Result<(), RunError> {
    run_until(config, on_ready, stop_signal())
}

/// Runs the server until `stop` is ready; it is polled first when the server listens and nobody has
/// been told so.
pub(crate) fn run_until(
    config: Config,
    on_ready: impl FnOnce(&Ready),
    stop: impl Future<Output = std::io::Result<()>>,
) -> Result<(), RunError> {
    raise_descriptor_limit();
    let folder = config.data_dir.display().to_string();
    let verifier = keys::load(&config.issuers)?;
    let hub = open_hub(&config).map_err(|source| RunError::Open { folder, source })?;
    let address = config.listen;
    let listener =
        Arc::new(listen(address).map_err(|source| RunError::Listen { address, source })?);
    let (hyper, handed) = mpsc::channel(HANDED_MAX);
    let relays = start_relays(&hub, &config)?;
    let shared = start_shared(&hub, &config)?;
    let app = Arc::new(App::new(hub.clone(), config, verifier, relays, shared, hyper)?);
    revocations::load(&hub, &app.access)?;
    let threads = start_threads(&app, &listener)?;
    let bound = TcpListener::from(listener.try_clone()?).local_addr()?;
    drop(listener);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let served = tokio::spawn(general::serve(app.clone(), handed));
        let mut stop = std::pin::pin!(stop);
        // Before anybody is told: a signal that comes at once ends it in order too.
        let early = poll_fn(|context| Poll::Ready(stop.as_mut().poll(context))).await;
        on_ready(&Ready { address: bound });
        match early {
            Poll::Ready(stopped) => stopped?,
            Poll::Pending => stop.await?,
        }
        tracing::info!("stopping");
        drain(&app).await;
        served.abort();
        Ok::<(), std::io::Error>(())
    })?;
    app.stop();
    if let Some(relays) = &app.relays {
        relays.shut_down();
    }
    if let Some(shared) = &app.shared {
        shared.stop();
    }
    for thread in threads {
        // A thread that panicked has said so.
        let _ = thread.join();
    }
    Ok(hub.close()?)
}

fn start_relays(hub: &Arc<Hub>, config: &Config) -> Result<Option<Arc<Relays>>, StartError> {
    if config.llm_relays.is_empty() {
        return Ok(None);
    }
    Relays::start(hub.clone(), &config.data_dir, config.llm_relays.clone()).map(Some)
}

fn start_shared(
    hub: &Arc<Hub>,
    config: &Config,
) -> Result<Option<Arc<SharedRelays>>, shared::StartError> {
    if config.shared_relays.is_empty() {
        return Ok(None);
    }
    SharedRelays::start(hub, config.shared_relays.clone()).map(Some)
}

pub(crate) fn open_hub(config: &Config) -> Result<Arc<Hub>, OpenError> {
    let default = TopicPolicy { durability: config.durability, ..TopicPolicy::default() };
    let mut rules = tidings_relay::policies(&config.llm_relays, config.durability);
    rules.extend(shared::policies(&config.shared_relays, config.durability));
    rules.push(revocations::policy());
    rules.extend_from_slice(&config.policies);
    let options = Options {
        rules: PolicyRules { rules, default },
        event_bytes_max: config.limits.event_bytes,
        clock: Arc::new(now_ms),
    };
    Hub::open_folder(&config.data_dir, config.log.segment_bytes, options)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn listen(address: SocketAddr) -> std::io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    // Inherited by what is accepted: a lone event is sent at once.
    sockopt::set_tcp_nodelay(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn start_threads(app: &Arc<App>, listener: &Arc<OwnedFd>) -> std::io::Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::new();
    for number in 0..app.config.io_threads {
        let shard = Shard::new(app.clone(), number, listener.clone(), app.shards[number].clone())?;
        let backfill = Backfill::new(app.clone(), number, app.backfills[number].clone())?;
        let thread = |name: String| std::thread::Builder::new().name(name);
        threads.push(thread(format!("tidings-io-{number}")).spawn(move || shard.run())?);
        threads.push(thread(format!("tidings-log-{number}")).spawn(move || backfill.run())?);
    }
    Ok(threads)
}

async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Lets everybody go, within the grace time; Ctrl-C once more ends it.
async fn drain(app: &App) {
    app.begin_drain();
    let deadline = tokio::time::Instant::now() + app.config.drain.grace;
    let mut impatient = std::pin::pin!(tokio::signal::ctrl_c());
    while app.connections() > 0 && tokio::time::Instant::now() < deadline {
        tokio::select! {
            () = tokio::time::sleep(DRAIN_LOOK) => {}
            _ = &mut impatient => return,
        }
    }
}

/// As many connections as the system lets this process have.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}
