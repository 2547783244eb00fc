//! From a configuration to a running server, and to its end.
//!
//! The end is designed: readiness fails first; subscriptions close one by one over the drain's
//! time, so that those who come back do not come all at once; requests in hand are answered;
//! whatever is left after the grace time ends; then the log is closed, so that the next start finds
//! it in order.

use std::future::poll_fn;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;
use tidings_hub::{Hub, OpenError, Options, PolicyRules, StoreError, TopicPolicy};
use tidings_relay::{Relays, SharedRelays, StartError, TlsError, Work, Worker, shared};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::access::keys::{self, KeysError};
use crate::access::{fetched, maker, revocations};
use crate::app::{App, HANDED_MAX};
use crate::config::Config;
use crate::hook::Hook;
use crate::http::general;
use crate::lanes::Lanes;
use crate::operator;
use crate::outgoing::Outgoing;
use crate::push;
use crate::socket::backfill::Backfill;
use crate::socket::shard::Shard;
use crate::tls::{self, CertificateError, Certificates};
use crate::unbound;
use crate::webhooks::{self, Webhooks};

/// Connections that the kernel completes while the shards are busy.
const BACKLOG: i32 = 4_096;

/// How often the drain looks whether everybody has gone.
const DRAIN_LOOK: Duration = Duration::from_millis(50);

/// The server listens.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Where, with the port that was taken if the configuration said 0.
    pub address: SocketAddr,
    /// Where TLS is spoken, if it is.
    pub tls: Option<SocketAddr>,
    /// Where the operator's endpoints are, if not there.
    pub operator: Option<SocketAddr>,
}

impl Ready {
    /// The address as a URL without a path.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls == Some(self.address) { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

/// Why the server could not start, or did not end well.
#[derive(Debug, Error)]
pub enum RunError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; {}", unbound::advice(*address, source))]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The certificate cannot be used.
    #[error("TLS: {0}")]
    Certificate(#[from] CertificateError),
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
    Shared(#[from] TlsError),
    /// The application cannot be asked.
    #[error("the hook: {0}")]
    Hook(TlsError),
    /// Web Push cannot start.
    #[error(transparent)]
    Push(#[from] push::StartError),
    /// Webhooks cannot start.
    #[error(transparent)]
    Webhooks(#[from] webhooks::StartError),
    /// What was revoked is not known.
    #[error(transparent)]
    Revocations(#[from] revocations::LoadError),
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
    let certificates = config.tls.clone().map(|tls| Certificates::load(tls, &config.data_dir));
    let certificates = certificates.transpose()?;
    let hub = open_hub(&config).map_err(|source| RunError::Open { folder, source })?;
    let listeners = Listeners::open(&config)?;
    let ready = listeners.ready()?;
    let (hyper, handed) = mpsc::channel(HANDED_MAX);
    let (relays, shared, worker) = start_relays(&hub, &config)?;
    let mut outgoing = Outgoing::prepare()?;
    let webhooks = Webhooks::start(&hub, &config, &mut outgoing)?;
    let hook =
        Hook::start(config.hook.as_ref(), &outgoing, hub.now_ms()).map_err(RunError::Hook)?;
    let asks = outgoing.handle().clone();
    let prepared = push::prepare(&hub, config.push.as_ref(), &config.data_dir, &asks)?;
    let mut app = App::new(hub.clone(), config, verifier, relays, shared, prepared, hyper)?;
    app.tells_and_asks(webhooks, hook);
    app.shows(certificates.clone());
    let app = Arc::new(app);
    // Before anything is sent.
    end_revoked(&app)?;
    let outgoing = outgoing.start()?;
    let threads = start_threads(&app, listeners.plain.map(Arc::new))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (lanes, lane_threads) = Lanes::start(runtime.handle().clone(), app.config.io_threads)?;
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        tasks.spawn(general::serve(app.clone(), handed, lanes.clone()));
        let board = app.board.clone();
        tasks.spawn(fetched::keep(app.clone()));
        for (number, lane) in lanes.all().iter().enumerate() {
            let board = board.clone();
            tasks.spawn_on(async move { board.wake_those_of(number).await }, lane);
        }
        tasks.spawn(async move { board.run().await });
        tasks.spawn(crate::dashboard::run(app.clone()));
        if let Some(listener) = listeners.operator {
            tasks.spawn(operator::serve(app.clone(), asynchronous(listener)?));
        }
        if let (Some(certificates), Some(listener)) = (certificates, listeners.tls) {
            let acceptor = certificates.acceptor()?;
            tasks.spawn(tls::serve(app.clone(), asynchronous(listener)?, acceptor, lanes));
            tasks.spawn(certificates.keep(app.clone(), asks));
        }
        let mut stop = std::pin::pin!(stop);
        // Before anybody is told: a signal that comes at once ends it in order too.
        let early = poll_fn(|context| Poll::Ready(stop.as_mut().poll(context))).await;
        on_ready(&ready);
        match early {
            Poll::Ready(stopped) => stopped?,
            Poll::Pending => stop.await?,
        }
        tracing::info!("stopping");
        drain(&app).await;
        Ok::<(), RunError>(())
    })?;
    app.stop();
    lane_threads.stop();
    if let Some(worker) = worker {
        worker.stop();
    }
    // After whatever may still have something to tell.
    outgoing.stop();
    if let Some(push) = &app.push {
        push.note_positions();
    }
    for thread in threads {
        // A thread that panicked has said so.
        let _ = thread.join();
    }
    app.audit.close();
    Ok(hub.close()?)
}

/// Ends what was revoked: the last process may have ended between a revocation and this.
fn end_revoked(app: &App) -> Result<(), RunError> {
    revocations::load(&app.hub, &app.access)?;
    maker::judge(&app.hub, &app.access);
    app.hub.unschedule_of_revoked()?;
    app.push.iter().for_each(|push| push.end_revoked(&app.access));
    Ok(())
}

type Started = (Option<Arc<Relays>>, Option<Arc<SharedRelays>>, Option<Worker>);

/// Starts the relays that are configured, and the one thread that they work on.
fn start_relays(hub: &Arc<Hub>, config: &Config) -> Result<Started, RunError> {
    let (llm, shared) = (config.llm_relays.clone(), config.shared_relays.clone());
    if llm.is_empty() && shared.is_empty() {
        return Ok((None, None, None));
    }
    let work = Work::prepare()?;
    let announce = webhooks::announce(config);
    let start = |llm| Relays::start(hub.clone(), &config.data_dir, llm, &work, announce);
    let relays = Some(llm).filter(|llm| !llm.is_empty()).map(start).transpose()?;
    let start = |shared| SharedRelays::start(hub, shared, &work);
    let streams = Some(shared).filter(|shared| !shared.is_empty()).map(start).transpose()?;
    Ok((relays, streams, Some(work.start()?)))
}

pub(crate) fn open_hub(config: &Config) -> Result<Arc<Hub>, OpenError> {
    let default = TopicPolicy { durability: config.durability, ..TopicPolicy::default() };
    let mut rules = crate::dashboard::policies();
    rules.extend(tidings_relay::policies(&config.llm_relays, config.durability));
    rules.extend(shared::policies(&config.shared_relays, config.durability));
    rules.extend(push::policies(config.durability));
    rules.extend(webhooks::policies(&config.webhooks, config.durability));
    rules.push(revocations::policy());
    rules.extend_from_slice(&config.policies);
    let options = Options {
        rules: PolicyRules { rules, default },
        event_bytes_max: config.limits.event_bytes,
        topics_max: config.limits.topics,
        scheduled_bytes_max: config.limits.scheduled_bytes,
        clock: Arc::new(now_ms),
    };
    Hub::open_folder(&config.data_dir, config.log.segment_bytes, options)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Bytes that the kernel takes for one connection beyond what is on its way. It would take up to
/// 4 MiB, and 2,000 subscribers that read nothing would so drive the machine's whole memory for TCP
/// to its limit, where everybody else's segments are dropped too (measured: 200 ms for an event).
/// What is on its way is not counted, so that a fast line over a long distance stays full.
const UNSENT_BYTES: u32 = 128 << 10;

pub(crate) fn listen(address: SocketAddr) -> std::io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    // Inherited by what is accepted: a lone event is sent at once.
    sockopt::set_tcp_nodelay(&socket, true)?;
    limit_unsent(&socket);
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

fn limit_unsent(socket: &impl AsFd) {
    if let Err(error) = socket2::SockRef::from(socket).set_tcp_notsent_lowat(UNSENT_BYTES) {
        // Not every sandbox knows it, and without it memory is the only thing that suffers.
        tracing::warn!(%error, "what the kernel takes for a client has no limit");
    }
}

/// The listeners.
struct Listeners {
    plain: Option<OwnedFd>,
    tls: Option<OwnedFd>,
    operator: Option<OwnedFd>,
}

impl Listeners {
    fn open(config: &Config) -> Result<Self, RunError> {
        let open = |address| listen(address).map_err(|source| RunError::Listen { address, source });
        let tls = config.tls.as_ref().map(|tls| tls.listen.unwrap_or(config.listen));
        let plain = config.tls.as_ref().is_none_or(|tls| tls.listen.is_some());
        Ok(Self {
            plain: plain.then(|| open(config.listen)).transpose()?,
            tls: tls.map(open).transpose()?,
            operator: config.operator.map(open).transpose()?,
        })
    }

    fn ready(&self) -> Result<Ready, RunError> {
        let address = |listener: &OwnedFd| TcpListener::from(listener.try_clone()?).local_addr();
        let bound = |listener: &Option<OwnedFd>| listener.as_ref().map(address).transpose();
        let (plain, tls, operator) =
            (bound(&self.plain)?, bound(&self.tls)?, bound(&self.operator)?);
        let none = || std::io::Error::other("there is no listener");
        Ok(Ready { address: plain.or(tls).ok_or_else(none)?, tls, operator })
    }
}

/// A listener for the asynchronous world.
fn asynchronous(listener: OwnedFd) -> std::io::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::from_std(TcpListener::from(listener))
}

fn start_threads(
    app: &Arc<App>,
    listener: Option<Arc<OwnedFd>>,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::new();
    for number in 0..app.config.io_threads {
        let shard = Shard::new(app.clone(), number, listener.clone(), app.shards[number].clone())?;
        let backfill = Backfill::new(app.clone(), number, app.backfills[number].clone())?;
        let thread = |name: String| std::thread::Builder::new().name(name);
        threads.push(thread(format!("tidings-io-{number}")).spawn(move || shard.run())?);
        threads.push(thread(format!("tidings-log-{number}")).spawn(move || backfill.run())?);
    }
    if app.limits.has_owners() {
        let app = app.clone();
        let thread = std::thread::Builder::new().name("tidings-limits".into());
        threads.push(thread.spawn(move || app.limits.look(&app))?);
    }
    let (reader, hub) = (app.log_reader.clone(), app.hub.clone());
    let thread = std::thread::Builder::new().name("tidings-log".into());
    threads.push(thread.spawn(move || reader.run(&hub))?);
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// Counts the warnings of this thread.
    struct Warnings(Arc<AtomicU32>);

    impl Subscriber for Warnings {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn event(&self, event: &Event<'_>) {
            let warns = *event.metadata().level() == tracing::Level::WARN;
            self.0.fetch_add(u32::from(warns), Ordering::Relaxed);
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn a_system_that_knows_no_limit_for_what_is_unsent_is_told_and_served() {
        let warnings = Arc::default();
        tracing::subscriber::with_default(Warnings(Arc::clone(&warnings)), || {
            let socket = listen("127.0.0.1:0".parse().unwrap()).unwrap();
            let limit = socket2::SockRef::from(&socket).tcp_notsent_lowat().unwrap();
            assert_eq!((limit, warnings.load(Ordering::Relaxed)), (UNSENT_BYTES, 0));
            // It is an option of TCP.
            limit_unsent(&std::os::unix::net::UnixStream::pair().unwrap().0);
        });
        assert_eq!(warnings.load(Ordering::Relaxed), 1);
    }
}
