//! The configuration as the server uses it: types that cannot be wrong, and what values say
//! together.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tidings_access::Grants;
use tidings_frame::Pattern;
use tidings_hub::policy::{Durability, PolicyRule, Retain, TopicPolicy, TopicTtl, TtlMode};

use tidings_relay::config::{LlmConfig, SharedConfig};

use super::access::{self, IssuerConfig};
use super::layers::Layers;
use super::network::{self, ProxyConfig, TlsConfig};
use super::push::{self, PushConfig};
use super::quotas::{self, QuotaConfig};
use super::raw::{Limits as RawLimits, Raw, Retain as RawRetain, Topics};
use super::relay;
use super::settings::Setting;
use super::source::{Problem, Source};
use super::webhook::{self, HookConfig, WebhookConfig};

/// How the server was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `tidings dev`: everything is open, and only to this machine.
    Dev,
    /// `tidings serve`: nothing is open that was not asked for.
    Serve,
}

/// Something that anybody who reaches the port may do, as it is written in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Door {
    Subscribe,
    Publish,
    Admin,
}

/// What anybody who reaches the port may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Anonymous {
    /// Subscribe to topics and read their history.
    pub(super) subscribe: bool,
    /// Publish events.
    pub(super) publish: bool,
    /// Set policies, remove topics, list and end connections.
    pub(super) admin: bool,
}

/// What one client may ask for, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of data in one event.
    pub event_bytes: usize,
    /// Events in one batch.
    pub batch_events: usize,
    /// Bytes in the body of one request.
    pub body_bytes: usize,
    /// Bytes in the head of one request.
    pub head_bytes: usize,
    /// Connections at the same time.
    pub connections: usize,
    /// Topics and patterns in one subscription.
    pub subscription_topics: usize,
    /// Events in one page of history.
    pub history_page_max: usize,
    /// The longest wait of one long poll.
    pub long_poll_max: Duration,
    /// How long a client may take to send the head of a request.
    pub head_timeout: Duration,
    /// How long a client may take to send the body of a request.
    pub body_timeout: Duration,
    /// Connections beyond `connections` for what only operators ask.
    pub operator_reserve: usize,
    /// Bytes that incomplete requests and answers that are not taken may hold together.
    pub request_memory: usize,
    /// Topics that may exist.
    pub topics: usize,
    /// Bytes of publishes that wait for their time.
    pub scheduled_bytes: usize,
    /// How long a client may take nothing of an answer.
    pub stall_timeout: Duration,
    /// How long a connection may be silent between requests.
    pub idle_timeout: Duration,
    /// Streams at the same time on one connection of HTTP/2.
    pub http2_streams: usize,
    /// What addresses, subjects and tenants may have and do.
    pub quotas: QuotaConfig,
}

/// How events are kept on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Bytes at which a segment file is closed and the next one begun.
    pub segment_bytes: u64,
}

/// How connections are closed when the server stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// The time over which connections are closed, each at a random moment.
    pub jitter: Duration,
    /// The time after which the server stops whatever is still open.
    pub grace: Duration,
}

/// The configuration of one server.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the server was started.
    pub mode: Mode,
    /// Address and port to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// TLS towards clients.
    pub tls: Option<TlsConfig>,
    /// Which proxies are believed.
    pub proxy: ProxyConfig,
    /// Where the operator's endpoints are, if they are not where the public comes in.
    pub operator: Option<SocketAddr>,
    /// Folder of the event log.
    pub data_dir: PathBuf,
    /// The durability of topics whose policy names none.
    pub durability: Durability,
    /// What anybody who reaches the port may do.
    pub anonymous: Grants,
    /// Those whose tokens count.
    pub issuers: Vec<IssuerConfig>,
    /// The cookie that may hold a token.
    pub token_cookie: Option<String>,
    /// The file of the audit log; none for standard error.
    pub audit_log: Option<PathBuf>,
    /// How often a silent subscription gets a comment.
    pub heartbeat: Duration,
    /// Threads that write to subscribers.
    pub io_threads: usize,
    /// What one client may ask for, and how long it may take.
    pub limits: Limits,
    /// How events are kept on disk.
    pub log: LogConfig,
    /// How connections are closed when the server stops.
    pub drain: Drain,
    /// The policies of topics by pattern; the first that matches counts.
    pub policies: Vec<PolicyRule>,
    /// Origins of web pages that may use the server; `*` is any.
    pub cors_origins: Vec<String>,
    /// Relays in front of LLM APIs.
    pub llm_relays: Vec<LlmConfig>,
    /// Relays of streams that many share.
    pub shared_relays: Vec<SharedConfig>,
    /// All of it once more, as it was written and where.
    pub settings: Arc<[Setting]>,
    /// Web Push, if it is on.
    pub push: Option<PushConfig>,
    /// How long a topic stays occupied after its last subscriber has gone.
    pub vacancy_grace: Duration,
    /// Who is told what happens.
    pub webhooks: Vec<WebhookConfig>,
    /// Who decides who may subscribe and publish, besides.
    pub hook: Option<HookConfig>,
}

/// What to add when `tidings serve` is started without a word about who may do what.
const NO_ANONYMOUS: &str = "it must be given: `tidings serve` is closed until it is told \
    who may come in. Add an [[issuer]] whose tokens count (`tidings token keys` makes keys and \
    shows the section), or [public] with patterns, or `anonymous = [\"subscribe\"]` at the top of \
    the configuration file (any of \"subscribe\", \"publish\", \"admin\", for whoever reaches the \
    port; [] for nothing), or set \
    TIDINGS_ANONYMOUS=subscribe,publish, or pass --anonymous subscribe,publish";

/// Turns raw values into a configuration. Problems are added to those of the layers.
pub(super) fn check(raw: Raw, mode: Mode, layers: &mut Layers) -> Config {
    check_doors(&raw, mode, layers);
    network::listeners(&raw, layers);
    if let Some(Err(message)) = raw.server.token_cookie.as_deref().map(access::check_cookie) {
        complain(layers, "server.token_cookie", message);
    }
    for (index, origin) in raw.server.cors_origins.iter().enumerate() {
        if let Err(message) = check_origin(origin) {
            complain(layers, &format!("server.cors_origins[{index}]"), message);
        }
    }
    if raw.limits.event_bytes.0 > raw.limits.body_bytes.0 {
        let message = "an event cannot be larger than the body that brings it (limits.body_bytes)";
        complain(layers, "limits.event_bytes", message.to_owned());
    }
    if raw.drain.jitter.0 > raw.drain.grace.0 {
        let message = "it cannot be longer than drain.grace, which ends everything";
        complain(layers, "drain.jitter", message.to_owned());
    }
    let policies = raw
        .topics
        .into_iter()
        .enumerate()
        .filter_map(|(index, topics)| policy(topics, index, raw.server.durability, layers))
        .collect();
    let relays = relay::check(raw.relay, mode, layers);
    let push = push::check(raw.push, mode, layers);
    let webhooks = webhook::check(raw.webhook, layers);
    let hook = webhook::check_hook(raw.hook, layers);
    let quotas = quotas::check(&raw.limits, layers);
    let doors = raw.anonymous.unwrap_or_default();
    let anonymous = Anonymous {
        subscribe: doors.contains(&Door::Subscribe),
        publish: doors.contains(&Door::Publish),
        admin: doors.contains(&Door::Admin),
    };
    let anonymous = access::open_to_all(anonymous, raw.public, layers);
    Config {
        mode,
        listen: raw.server.listen,
        tls: network::tls(raw.tls, mode, layers),
        proxy: network::proxy(&raw.proxy, layers),
        operator: network::operator(&raw.operator, mode, layers),
        data_dir: raw.server.data_dir,
        durability: raw.server.durability,
        anonymous,
        issuers: access::check(raw.issuer, layers),
        token_cookie: raw.server.token_cookie,
        audit_log: raw.server.audit_log,
        heartbeat: raw.server.heartbeat.0,
        io_threads: number(raw.server.io_threads),
        limits: limits(&raw.limits, quotas),
        log: LogConfig { segment_bytes: raw.log.segment_bytes.0 },
        drain: Drain { jitter: raw.drain.jitter.0, grace: raw.drain.grace.0 },
        policies,
        cors_origins: raw.server.cors_origins,
        llm_relays: relays.llm,
        shared_relays: relays.shared,
        settings: Arc::default(),
        push,
        vacancy_grace: raw.server.vacancy_grace.0,
        webhooks,
        hook,
    }
}

fn limits(raw: &RawLimits, quotas: QuotaConfig) -> Limits {
    Limits {
        event_bytes: number(raw.event_bytes.0),
        batch_events: number(raw.batch_events),
        body_bytes: number(raw.body_bytes.0),
        head_bytes: number(raw.head_bytes.0),
        connections: number(raw.connections),
        subscription_topics: number(raw.subscription_topics),
        history_page_max: number(raw.history_page_max),
        long_poll_max: raw.long_poll_max.0,
        head_timeout: raw.head_timeout.0,
        body_timeout: raw.body_timeout.0,
        operator_reserve: number(raw.operator_reserve),
        request_memory: number(raw.request_memory.0),
        topics: number(raw.topics),
        scheduled_bytes: number(raw.scheduled_bytes.0),
        stall_timeout: raw.stall_timeout.0,
        idle_timeout: raw.idle_timeout.0,
        http2_streams: number(raw.http2_streams),
        quotas,
    }
}

/// Who may come in, against how the server was started.
fn check_doors(raw: &Raw, mode: Mode, layers: &mut Layers) {
    match mode {
        Mode::Dev if !raw.server.listen.ip().is_loopback() => {
            let message = format!(
                "`tidings dev` opens everything to whoever reaches the port, so it listens only on \
                 this machine (127.0.0.1 or [::1]), not on {}; to let others in, `tidings serve`",
                raw.server.listen
            );
            complain(layers, "server.listen", message);
        }
        // Nobody knows what a file says that cannot be read.
        Mode::Serve if layers.problems.iter().any(is_of_a_text) => {}
        Mode::Serve if raw.anonymous.is_none() && raw.issuer.is_empty() && !raw.public.any() => {
            complain(layers, "anonymous", NO_ANONYMOUS.to_owned());
        }
        Mode::Dev | Mode::Serve => {}
    }
}

/// Whether a file's text cannot be read at all.
fn is_of_a_text(problem: &Problem) -> bool {
    problem.path.is_empty() && matches!(problem.source, Some(Source::File { .. }))
}

/// A size on a machine whose addresses are shorter than 64 bits is as large as it can be.
pub(super) fn number(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// Adds a problem with the source of the value, or of the list it stands in.
pub(super) fn complain(layers: &mut Layers, path: &str, message: String) {
    let list = path.rsplit_once('[').map_or(path, |(list, _)| list);
    // A section with nothing in it has a place too.
    let section = path.rsplit_once('.').map_or(path, |(section, _)| section);
    let leaf = [path, list, section].iter().find_map(|path| layers.leaves.get(*path));
    let source = leaf.map(|leaf| leaf.source.clone());
    // The same value may already have been refused at a higher layer; one complaint is enough.
    if !layers.problems.iter().any(|problem| problem.path == path) {
        layers.problem(source, path.to_owned(), message);
    }
}

/// One `[[topics]]` section as a rule; none if it was refused.
fn policy(
    topics: Topics,
    index: usize,
    durability: Durability,
    layers: &mut Layers,
) -> Option<PolicyRule> {
    let at = |name: &str| format!("topics[{index}].{name}");
    if topics.ttl_mode.is_some() && topics.ttl.is_none() {
        complain(layers, &at("ttl_mode"), "it means nothing without `ttl`".to_owned());
    }
    if let Some(Err(message)) = topics.content_type.as_deref().map(check_content_type) {
        complain(layers, &at("content_type"), message);
    }
    let retain = topics.retain.map_or(Ok(None), retain).unwrap_or_else(|message| {
        complain(layers, &at("retain.forever"), message);
        None
    });
    // Without a pattern the reader has already complained.
    let text = topics.pattern?;
    let pattern = match Pattern::new(&text) {
        Ok(pattern) => pattern,
        Err(error) => {
            complain(layers, &at("pattern"), format!("`{text}`: {error}"));
            return None;
        }
    };
    let usual = TopicPolicy::default();
    let mode = topics.ttl_mode.unwrap_or(TtlMode::Fixed);
    let policy = TopicPolicy {
        durability: topics.durability.unwrap_or(durability),
        retain: retain.unwrap_or(usual.retain),
        conflate: topics.conflate.unwrap_or_default(),
        ttl: topics.ttl.map(|ttl| TopicTtl { ms: millis(ttl.0), mode }),
        private: topics.private.unwrap_or_default(),
        content_type: topics.content_type,
        end_by: topics.end_by.unwrap_or_default(),
    };
    Some(PolicyRule { pattern, policy })
}

/// The bounds as given; none if the section is empty, so that the usual ones apply.
fn retain(raw: RawRetain) -> Result<Option<Retain>, String> {
    let given = Retain {
        count: raw.count,
        age_ms: raw.age.map(|age| millis(age.0)),
        bytes: raw.bytes.map(|bytes| bytes.0),
    };
    match (raw.forever.unwrap_or_default(), given == Retain::default()) {
        (true, false) => Err("it contradicts the other bounds; remove it or them".to_owned()),
        (true, true) => Ok(Some(given)),
        (false, empty) => Ok((!empty).then_some(given)),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The longest media type, in bytes: it is kept with every topic.
const CONTENT_TYPE_BYTES_MAX: usize = 255;

fn check_content_type(text: &str) -> Result<(), String> {
    let visible = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let (kind, rest) = text.split_once('/').unwrap_or_default();
    if visible && !kind.is_empty() && !rest.is_empty() && text.len() <= CONTENT_TYPE_BYTES_MAX {
        return Ok(());
    }
    Err(format!("`{text}` is not a media type; write for example \"application/json\""))
}

/// How browsers write the origin of this URL: in lower case, and without the port that the scheme
/// has anyway (RFC 6454, section 6.1).
fn as_sent(text: &str) -> Option<String> {
    let uri: http::Uri = text.parse().ok()?;
    let host = uri.host().filter(|host| !host.is_empty())?;
    let (scheme, host) = (uri.scheme_str()?, host.to_ascii_lowercase());
    let more = uri.authority()?.as_str().len() - host.len();
    match (more, uri.port_u16()) {
        (0, None) => Some(format!("{scheme}://{host}")),
        (_, Some(port)) if (scheme, port) == ("https", 443) || (scheme, port) == ("http", 80) => {
            Some(format!("{scheme}://{host}"))
        }
        (_, Some(port)) => Some(format!("{scheme}://{host}:{port}")),
        (_, None) => None,
    }
}

/// An origin as browsers send it (RFC 6454, section 6.1): scheme, host and port, and nothing after.
fn check_origin(text: &str) -> Result<(), String> {
    if text == "*" {
        return Ok(());
    }
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host_is_plain = |host: &str| {
        !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
    };
    match host {
        Some(host) if host_is_plain(host) && as_sent(text).as_deref() == Some(text) => Ok(()),
        Some(host) if host_is_plain(host) && as_sent(text).is_some() => Err(format!(
            "`{text}` is not how browsers write this origin, so it would match nothing; write \
             \"{}\"",
            as_sent(text).unwrap_or_default()
        )),
        _ => Err(format!(
            "`{text}` is not an origin; write for example \"https://app.example\" (no path, no \
             slash at the end) or \"*\""
        )),
    }
}
