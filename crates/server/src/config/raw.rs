//! The configuration as it is written: one struct a section, every field with its text, kind and
//! default.
//!
//! A value here has the right shape and lies within its bounds, because the reader checked it
//! against the recorded kind; what several values say together is decided in [`super::checked`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use tidings_frame::limits;
use tidings_hub::policy::{Durability, EndBy, TtlMode};

use super::schema::{Field, Kind, Preset};
use super::units;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const YEAR: u64 = 365 * 86_400;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// A duration, written with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Length(pub(super) Duration);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        units::parse_duration(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A size in bytes, written with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        units::parse_size(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Writes a section once, as a struct and as the table that the reader and the schema use.
macro_rules! section {
    ($(#[doc = $about:literal])+ $name:ident {
        $( $(#[doc = $doc:literal])+ $field:ident: $type:ty = $kind:expr, $preset:expr; )+
    }) => {
        $(#[doc = $about])+
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name { $( $(#[doc = $doc])+ pub(super) $field: $type, )+ }

        impl $name {
            /// The fields in the order they are written and shown.
            pub(super) const FIELDS: &'static [Field] = &[ $( Field {
                name: stringify!($field),
                doc: &[$($doc),+],
                kind: $kind,
                default: $preset,
            } ),+ ];
        }
    };
}

/// How safe an event is before its publisher is told that it is kept.
const DURABILITIES: &[&str] = &["memory", "written", "synced"];

section! {
    /// A whole configuration file.
    Raw {
        /// What anybody who reaches the port may do. `tidings serve` does not start without it; in
        /// `tidings dev` it is everything unless given.
        anonymous: Option<Vec<super::checked::Door>> =
            Kind::Choices(&["subscribe", "publish", "admin"]), Preset::None;
        /// What the server listens on and where it keeps its data.
        server: Server = Kind::Section(Server::FIELDS), Preset::None;
        /// TLS towards clients, with HTTP/1.1 and HTTP/2.
        tls: Tls = Kind::Section(Tls::FIELDS), Preset::None;
        /// Proxies that are believed when they say who their client is.
        proxy: Proxy = Kind::Section(Proxy::FIELDS), Preset::None;
        /// A listener of the operator's own.
        operator: Operator = Kind::Section(Operator::FIELDS), Preset::None;
        /// What one client may ask for, and how long it may take.
        limits: Limits = Kind::Section(Limits::FIELDS), Preset::None;
        /// How events are kept on disk.
        log: Log = Kind::Section(Log::FIELDS), Preset::None;
        /// How connections are closed when the server stops.
        drain: Drain = Kind::Section(Drain::FIELDS), Preset::None;
        /// The policies of topics by pattern; the first rule whose pattern matches a topic is the
        /// one that counts. Only in the file, not in the environment.
        topics: Vec<Topics> = Kind::Sections(Topics::FIELDS), Preset::Nothing;
        /// Upstreams whose streams become topics: LLM APIs, and programs that speak SSE. Only in
        /// the file and as flags (`--llm`, `--relay`), not in the environment.
        relay: Vec<Relay> = Kind::Sections(Relay::FIELDS), Preset::Nothing;
    }
}

section! {
    /// What the server listens on and where it keeps its data.
    Server {
        /// Address and port to listen on; port 0 takes a free one. `tidings dev` takes only
        /// loopback addresses.
        listen: SocketAddr = Kind::Address, Preset::Text("127.0.0.1:8080");
        /// Folder of the event log, created if missing. A relative path starts at the working
        /// directory.
        data_dir: PathBuf = Kind::Path, Preset::Text("./tidings-data");
        /// When a publisher is told that its event is kept, unless its topic says otherwise:
        /// `memory` (in the process), `written` (survives the end of the process), `synced`
        /// (survives power loss).
        durability: Durability = Kind::Choice(DURABILITIES), Preset::Text("written");
        /// How often a silent subscription gets a comment, so that proxies keep it open.
        heartbeat: Length = Kind::Length(limits::HEARTBEAT_MIN, secs(300)),
            Preset::Length(limits::HEARTBEAT_DEFAULT);
        /// Threads that write to subscribers.
        io_threads: u64 = Kind::Count(1, 64), Preset::Count(1);
        /// Origins of web pages that may use the server (CORS): `https://app.example`, or `*` for
        /// any. In `tidings dev` it is `*` unless given.
        cors_origins: Vec<String> = Kind::Texts, Preset::Nothing;
    }
}

section! {
    /// TLS towards clients, with HTTP/1.1 and HTTP/2.
    Tls {
        /// File with the certificate and the chain behind it (PEM). It is read again when it
        /// changes. With it, `server.listen` speaks TLS, unless `tls.listen` is given.
        certificate: Option<PathBuf> = Kind::Path, Preset::None;
        /// File with the certificate's private key (PEM).
        key: Option<PathBuf> = Kind::Path, Preset::None;
        /// Address and port where TLS is spoken; `server.listen` stays plain then.
        listen: Option<SocketAddr> = Kind::Address, Preset::None;
    }
}

section! {
    /// Proxies that are believed when they say who their client is.
    Proxy {
        /// Their addresses: `10.0.0.0/8`, `127.0.0.1`. What others say in `Forwarded` or
        /// `X-Forwarded-For` is passed over.
        trusted: Vec<String> = Kind::Texts, Preset::Nothing;
        /// Where they say who asks: `x-forwarded-for` (with `X-Forwarded-Proto`) or `forwarded`
        /// (RFC 7239). The other one is passed over, because a proxy passes it on as a client has
        /// written it.
        header: super::network::ForwardedBy =
            Kind::Choice(&["x-forwarded-for", "forwarded"]), Preset::Text("x-forwarded-for");
        /// Whether each connection from them begins with a PROXY header (version 1 or 2).
        protocol: Option<bool> = Kind::Flag, Preset::None;
    }
}

section! {
    /// A listener of the operator's own.
    Operator {
        /// Address and port, such as `127.0.0.1:9090`. With it, `/metrics`, the list of
        /// connections and the dashboard are there, and not where the public comes in.
        listen: Option<SocketAddr> = Kind::Address, Preset::None;
    }
}

section! {
    /// What one client may ask for, and how long it may take.
    Limits {
        /// The data of one event.
        event_bytes: Size =
            Kind::Size(1, limits::EVENT_DATA_BYTES_MAX as u64),
            Preset::Bytes(limits::EVENT_DATA_BYTES_DEFAULT as u64);
        /// Events in one batch.
        batch_events: u64 = Kind::Count(1, limits::BATCH_EVENTS_MAX as u64),
            Preset::Count(limits::BATCH_EVENTS_MAX as u64);
        /// The body of one request.
        body_bytes: Size = Kind::Size(KIB, 64 * MIB),
            Preset::Bytes(limits::REQUEST_BODY_BYTES_MAX as u64);
        /// The head of one request.
        head_bytes: Size = Kind::Size(8 * KIB, MIB), Preset::Bytes(64 * KIB);
        /// Connections at the same time; further ones are refused.
        connections: u64 = Kind::Count(1, 10_000_000), Preset::Count(100_000);
        /// Topics in one subscription.
        subscription_topics: u64 = Kind::Count(1, limits::SUBSCRIPTION_TOPICS_MAX as u64),
            Preset::Count(limits::SUBSCRIPTION_TOPICS_MAX as u64);
        /// Events in one page of history.
        history_page_max: u64 = Kind::Count(1, limits::HISTORY_PAGE_EVENTS_MAX as u64),
            Preset::Count(limits::HISTORY_PAGE_EVENTS_MAX as u64);
        /// The longest wait of one long poll.
        long_poll_max: Length = Kind::Length(secs(1), limits::LONG_POLL_MAX),
            Preset::Length(limits::LONG_POLL_MAX);
        /// How long a client may take to send the head of a request.
        head_timeout: Length = Kind::Length(secs(1), secs(300)), Preset::Length(secs(10));
        /// How long a client may take to send the body of a request.
        body_timeout: Length = Kind::Length(secs(1), secs(3_600)), Preset::Length(secs(60));
        /// How long a connection may be idle between requests.
        idle_timeout: Length = Kind::Length(secs(1), secs(3_600)), Preset::Length(secs(75));
        /// Requests and subscriptions at the same time on one connection of HTTP/2.
        http2_streams: u64 = Kind::Count(1, 1_000), Preset::Count(128);
    }
}

section! {
    /// How events are kept on disk.
    Log {
        /// The size at which a segment file is closed and the next one begun. Space is given back a
        /// segment at a time.
        segment_bytes: Size = Kind::Size(MIB, 2 * GIB), Preset::Bytes(64 * MIB);
    }
}

section! {
    /// How connections are closed when the server stops.
    Drain {
        /// The time over which connections are closed, each at a random moment, so that clients do
        /// not all come back at once.
        jitter: Length = Kind::Length(secs(0), secs(600)), Preset::Length(secs(5));
        /// The time after which the server stops whatever is still open.
        grace: Length = Kind::Length(secs(0), secs(3_600)), Preset::Length(secs(30));
    }
}

section! {
    /// The policy of the topics that match a pattern.
    Topics {
        /// Which topics: `*` stands for one segment, a final `**` for one or more.
        pattern: Option<String> = Kind::Text, Preset::None;
        /// When a publisher is told that its event is kept; as `server.durability` if not given.
        durability: Option<Durability> = Kind::Choice(DURABILITIES), Preset::None;
        /// How much is kept; what is over any of the given bounds is removed, oldest first. Without
        /// it events are kept for seven days.
        retain: Option<Retain> = Kind::Section(Retain::FIELDS), Preset::None;
        /// Keep and send only the latest event of each key.
        conflate: Option<bool> = Kind::Flag, Preset::None;
        /// The topic is removed after this time.
        ttl: Option<Length> = Kind::Length(secs(1), secs(10 * YEAR)), Preset::None;
        /// When the `ttl` starts: `fixed` at the topic's first event, `sliding` at its latest.
        ttl_mode: Option<TtlMode> = Kind::Choice(&["fixed", "sliding"]), Preset::None;
        /// Events are private unless their publisher says otherwise.
        private: Option<bool> = Kind::Flag, Preset::None;
        /// The media type of the events' data.
        content_type: Option<String> = Kind::Text, Preset::None;
        /// Who may end the topic: whoever may publish to it, or only an operator.
        end_by: Option<EndBy> = Kind::Choice(&["publisher", "operator"]), Preset::None;
    }
}

section! {
    /// How much of a topic is kept.
    Retain {
        /// Events.
        count: Option<u64> = Kind::Count(1, u64::MAX >> 1), Preset::None;
        /// Time since an event was published.
        age: Option<Length> = Kind::Length(secs(1), secs(100 * YEAR)), Preset::None;
        /// Bytes of data.
        bytes: Option<Size> = Kind::Size(1, 1_024 * TIB), Preset::None;
        /// Keep everything; without the other bounds.
        forever: Option<bool> = Kind::Flag, Preset::None;
    }
}

section! {
    /// A relay in front of an upstream.
    Relay {
        /// `llm`: an API in the manner of OpenAI or Anthropic; each streamed answer is a topic.
        /// `shared`: one stream that many clients follow as one topic.
        kind: Option<RelayKind> = Kind::Choice(&["llm", "shared"]), Preset::None;
        /// Names it in metrics and messages; as its path if not given.
        name: Option<String> = Kind::Text, Preset::None;
        /// Where clients reach it: `/v1`, `/stream`.
        path: Option<String> = Kind::Text, Preset::None;
        /// What is asked: `http://host:port/v1` (the rest of the path is appended), or the URL of
        /// the stream.
        upstream: Option<String> = Kind::Text, Preset::None;
        /// Asked in turn when the upstream fails before it has said anything (llm).
        fallbacks: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// The environment variable with the key that the upstreams are sent instead of the
        /// client's (llm).
        api_key_env: Option<String> = Kind::Text, Preset::None;
        /// Header fields that are added to requests: `Name: value`.
        add_headers: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// Names of the client's header fields that are not passed on (llm).
        remove_headers: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// Paths below `path` that are passed on, `*` at the end for anything (llm). If not given,
        /// those that ask a model.
        allow: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// Whether the upstream's host name may resolve to a private address. An address that is
        /// written as one, and localhost, always may.
        allow_private: Option<bool> = Kind::Flag, Preset::None;
        /// Times a request is sent again to an upstream that cannot be reached (llm; 1).
        retries: Option<u64> = Kind::Count(0, 10), Preset::None;
        /// Whether chat completions are always asked for their usage (llm; true). Clients that
        /// read llama.cpp's `timings` need `false`.
        count_usage: Option<bool> = Kind::Flag, Preset::None;
        /// What happens to an answer that nobody reads any more (llm): `continue`, `cancel`, or
        /// `cancel-after=30s`.
        on_disconnect: Option<String> = Kind::Text, Preset::None;
        /// Longest time until the upstream answers at all (llm; 10m).
        answer_timeout: Option<Length> = Kind::Length(secs(1), secs(3_600)), Preset::None;
        /// Time after which a client gets its stream although the upstream has not answered (llm;
        /// 10s).
        patience: Option<Length> = Kind::Length(secs(0), secs(3_600)), Preset::None;
        /// Longest silence of the upstream within an answer (llm; 2m).
        idle_timeout: Option<Length> = Kind::Length(secs(1), secs(3_600)), Preset::None;
        /// Longest time for one answer (llm; 1h).
        runtime_max: Option<Length> = Kind::Length(secs(1), secs(86_400)), Preset::None;
        /// Most bytes of one answer (llm; 64MiB).
        answer_bytes: Option<Size> = Kind::Size(KIB, GIB), Preset::None;
        /// How the upstream goes on with an answer after its connection broke (llm): `api`, as
        /// Responses in the background do, or `llama-server`, as the server of llama.cpp does with
        /// every answer. Anything else ends with an error.
        upstream_resume: Option<Resume> = Kind::Choice(&["api", "llama-server"]), Preset::None;
        /// How long an answer can be read again (llm; 1d).
        keep: Option<Length> = Kind::Length(secs(60), secs(YEAR)), Preset::None;
        /// Answers that one caller may have running at a time (llm).
        concurrent_max: Option<u64> = Kind::Count(1, 1_000_000), Preset::None;
        /// Tokens that one caller may use in `tokens_window` (llm).
        tokens_max: Option<u64> = Kind::Count(1, u64::MAX >> 1), Preset::None;
        /// The time over which tokens are counted (llm; 1d).
        tokens_window: Option<Length> = Kind::Length(secs(60), secs(YEAR)), Preset::None;
        /// Where the AI SDK's `useChat` posts (llm): `/api/chat`.
        chat_path: Option<String> = Kind::Text, Preset::None;
        /// The model that `useChat` talks to; the first that the upstream lists if not given (llm).
        chat_model: Option<String> = Kind::Text, Preset::None;
        /// The topic of a shared stream; its path without the slash if not given (shared).
        topic: Option<String> = Kind::Text, Preset::None;
        /// How long the upstream is read on after the last client has gone (shared; 30s).
        grace: Option<Length> = Kind::Length(secs(0), secs(86_400)), Preset::None;
        /// Events that a client without a `Last-Event-ID` gets first, newest last (shared; 1).
        replay: Option<u64> = Kind::Count(0, limits::START_LAST_EVENTS_MAX), Preset::None;
        /// Events of a shared stream that are kept (shared; 1000).
        retain: Option<u64> = Kind::Count(1, u64::MAX >> 1), Preset::None;
    }
}

/// What a relay does with its upstream's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RelayKind {
    /// Each answer is a topic.
    Llm,
    /// One stream is one topic.
    Shared,
}

/// How an upstream goes on with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Resume {
    Api,
    LlamaServer,
}
