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

/// The most that a rate may name: a thousand million.
const MOST: u64 = 1_000_000_000;

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

/// A rate, written with its unit of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace(pub(super) units::Rate);

impl<'de> Deserialize<'de> for Pace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // Bytes have a unit of their own, and both have passed the check of their kind.
        let rate = units::parse_rate(&text).or_else(|_| units::parse_byte_rate(&text));
        rate.map(Self).map_err(serde::de::Error::custom)
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
        pub(in crate::config) struct $name {
            $( $(#[doc = $doc])+ pub(in crate::config) $field: $type, )+
        }

        impl $name {
            /// The fields in the order they are written and shown.
            pub(in crate::config) const FIELDS: &'static [Field] = &[ $( Field {
                name: plain(stringify!($field)),
                doc: &[$($doc),+],
                kind: $kind,
                default: $preset,
            } ),+ ];
        }
    };
}

/// A field's name as it is written, which may be a word of Rust (`r#for`).
const fn plain(name: &'static str) -> &'static str {
    let [b'r', b'#', rest @ ..] = name.as_bytes() else { return name };
    match std::str::from_utf8(rest) {
        Ok(name) => name,
        Err(_) => name,
    }
}

mod acme;
mod issuer;

pub(super) use acme::Acme;
pub(super) use issuer::Issuer;

/// How safe an event is before its publisher is told that it is kept.
const DURABILITIES: &[&str] = &["memory", "written", "synced"];

section! {
    /// A whole configuration file.
    Raw {
        /// What anybody who reaches the port may do. `tidings serve` does not start without it, an
        /// `[[issuer]]` or `[public]`; in `tidings dev` it is everything unless given.
        anonymous: Option<Vec<super::checked::Door>> =
            Kind::Choices(&["subscribe", "publish", "admin"]), Preset::None;
        /// What anybody may do with some topics.
        public: Public = Kind::Section(Public::FIELDS), Preset::None;
        /// Those whose tokens count. Only in the file, not in the environment.
        issuer: Vec<Issuer> = Kind::Sections(Issuer::FIELDS), Preset::Nothing;
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
        /// Web Push: events for browsers that have no page open.
        push: Push = Kind::Section(Push::FIELDS), Preset::None;
        /// How connections are closed when the server stops.
        drain: Drain = Kind::Section(Drain::FIELDS), Preset::None;
        /// The policies of topics by pattern; the first rule whose pattern matches a topic is the
        /// one that counts. Only in the file, not in the environment.
        topics: Vec<Topics> = Kind::Sections(Topics::FIELDS), Preset::Nothing;
        /// Upstreams whose streams become topics: LLM APIs, and programs that speak SSE. Only in
        /// the file and as flags (`--llm`, `--relay`), not in the environment.
        relay: Vec<Relay> = Kind::Sections(Relay::FIELDS), Preset::Nothing;
        /// Who is told what happens here, by signed requests (docs/webhooks.md). Only in the file,
        /// not in the environment.
        webhook: Vec<Webhook> = Kind::Sections(Webhook::FIELDS), Preset::Nothing;
        /// The application that is asked before somebody subscribes or publishes
        /// (docs/webhooks.md).
        hook: Hook = Kind::Section(Hook::FIELDS), Preset::None;
    }
}

section! {
    /// What anybody may do with some topics, besides what `anonymous` opens for all.
    Public {
        /// Patterns of the topics to which anybody may publish.
        publish: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// Patterns of the topics that anybody may follow and read.
        subscribe: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// Patterns of the topics whose presence anybody may see and join.
        presence: Option<Vec<String>> = Kind::Texts, Preset::None;
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
        /// Threads that write to subscribers, and as many for TLS, HTTP/2 and WebSockets.
        io_threads: u64 = Kind::Count(1, 64), Preset::Count(1);
        /// Origins of web pages that may use the server (CORS), as browsers write them, in lower
        /// case and without a usual port: `https://app.example`, or `*` for any. In `tidings dev` it is `*` unless given.
        cors_origins: Vec<String> = Kind::Texts, Preset::Nothing;
        /// How long a topic stays occupied after its last subscriber has gone, and a subject online
        /// after its last subscription: a page that is loaded again is no change (webhooks).
        vacancy_grace: Length = Kind::Length(Duration::from_millis(100), secs(3_600)),
            Preset::Length(secs(5));
        /// The cookie that may hold a token. It counts only on requests of the server's own pages
        /// and of the origins that are listed (`*` lists none).
        token_cookie: Option<String> = Kind::Text, Preset::None;
        /// The file that gets a line of JSON for each administrative act, refused access and new
        /// certificate; standard error unless given. In `tidings dev` there is none unless given.
        audit_log: Option<PathBuf> = Kind::Path, Preset::None;
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
        /// Certificates that the server orders and renews by itself (ACME), instead of files.
        acme: Acme = Kind::Section(Acme::FIELDS), Preset::None;
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
        /// Connections beyond that for one request each that only an operator makes: `/healthz`,
        /// `/readyz`, `/metrics`, `/connections`.
        operator_reserve: u64 = Kind::Count(0, 1_000), Preset::Count(16);
        /// What requests that are not complete and answers that are not taken may hold together.
        /// A request beyond it is refused, and its connection closed.
        request_memory: Size = Kind::Size(MIB, TIB), Preset::Bytes(256 * MIB);
        /// Topics that may exist; a publish that would make another is refused. The server's own
        /// are counted and never refused.
        topics: u64 = Kind::Count(1, 100_000_000), Preset::Count(1_000_000);
        /// What publishes that wait for their time may hold together, as they are stored (a third
        /// more than their data). It is in memory twice. A further one is refused.
        scheduled_bytes: Size = Kind::Size(MIB, TIB), Preset::Bytes(64 * MIB);
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
        /// How long a client may take nothing of an answer that waits for it. Streams are another
        /// matter: what they wait with is bounded.
        stall_timeout: Length = Kind::Length(secs(1), secs(3_600)), Preset::Length(secs(60));
        /// How long a connection may be silent between requests. While three quarters of
        /// `connections` are open, `head_timeout` counts instead; so it always does over HTTP/1.1
        /// in TLS, and once a connection has asked for anything but plain publishes and
        /// subscriptions. A proxy that keeps connections to the server has to let go of them sooner
        /// than `head_timeout`.
        idle_timeout: Length = Kind::Length(secs(1), secs(3_600)), Preset::Length(secs(75));
        /// Requests and subscriptions at the same time on one connection of HTTP/2.
        http2_streams: u64 = Kind::Count(1, 1_000), Preset::Count(128);
        /// Addresses, and networks such as `10.0.0.0/8`, that `[limits.address]` passes over:
        /// proxies, above all, behind which everybody has one address.
        address_except: Vec<String> = Kind::Texts, Preset::Nothing;
        /// What each address may have and do; of IPv6 the first 64 bits. Nothing is limited that is
        /// not given.
        address: Quotas = Kind::Section(Quotas::FIELDS), Preset::None;
        /// What each subject of a token may have and do.
        subject: Quotas = Kind::Section(Quotas::FIELDS), Preset::None;
        /// What each tenant may have and do; a claim of the token names it.
        tenant: Quotas = Kind::Section(Quotas::FIELDS), Preset::None;
    }
}

section! {
    /// What each address, subject or tenant may have and do.
    Quotas {
        /// Connections at the same time; of a subject or a tenant those that have become streams or
        /// WebSockets.
        connections: Option<u64> = Kind::Count(1, 10_000_000), Preset::None;
        /// New connections (addresses only).
        connect_rate: Option<Pace> = Kind::Rate(MOST), Preset::None;
        /// Subscriptions at the same time: streams, and those of WebSockets.
        subscriptions: Option<u64> = Kind::Count(1, 10_000_000), Preset::None;
        /// Events published.
        publish_rate: Option<Pace> = Kind::Rate(MOST), Preset::None;
        /// Events that may come at once; as many as `publish_rate` names if not given.
        publish_burst: Option<u64> = Kind::Count(1, MOST), Preset::None;
        /// Bytes of data published.
        publish_bytes: Option<Pace> = Kind::ByteRate(TIB), Preset::None;
        /// Bytes that may come at once; as many as `publish_bytes` names if not given.
        publish_bytes_burst: Option<Size> = Kind::Size(1, TIB), Preset::None;
        /// Pages of history read, long polls among them.
        history_rate: Option<Pace> = Kind::Rate(MOST), Preset::None;
        /// New topics made by publishing to them.
        topics_rate: Option<Pace> = Kind::Rate(MOST), Preset::None;
        /// Topics that it has made and that exist.
        topics: Option<u64> = Kind::Count(1, 100_000_000), Preset::None;
        /// What the topics that it has made hold in the log.
        stored_bytes: Option<Size> = Kind::Size(KIB, 1_024 * TIB), Preset::None;
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
    /// Web Push: events for browsers that have no page open (docs/push.md).
    Push {
        /// Whether browsers may subscribe. In `tidings dev` it is true unless given.
        enabled: Option<bool> = Kind::Flag, Preset::None;
        /// Who operates this server, for push services that have something to say about it:
        /// `mailto:operator@example.com`, or an https URL. `tidings serve` wants it.
        contact: Option<String> = Kind::Text, Preset::None;
        /// The push services that may be asked: hosts, `*.host`, or whole origins. If not given,
        /// those of the known browsers.
        services: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// How long a message is of use, unless its subscription says otherwise.
        ttl: Length = Kind::Length(secs(1), secs(28 * 86_400)), Preset::Length(secs(86_400));
        /// How long a push service may take to answer.
        timeout: Length = Kind::Length(secs(1), secs(60)), Preset::Length(secs(15));
        /// Subscriptions in all; further ones are refused.
        subscriptions: u64 = Kind::Count(1, 1_000_000), Preset::Count(10_000);
        /// Subscriptions of one topic or pattern; further ones are refused.
        topic_subscriptions: u64 = Kind::Count(1, 1_000_000), Preset::Count(1_000);
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
        /// Paths below `path` that are passed on, `*` at the end for anything, with methods in
        /// front or for all of them: `GET,HEAD files/*` (llm). If not given, those that ask a
        /// model. With `api_key_env`, with a key among `add_headers` or with `one_account` these
        /// are, unless methods are given, only posted, and `models` only read.
        allow: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// What every caller may name in a request although it is kept in the account that all
        /// share, by `api_key_env`, a key among `add_headers` or `one_account`: `files`, `prompts`,
        /// `skills`, `vector_stores`, `tunnels` (llm; none).
        share: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// Whether the upstream takes all callers for one, so that the relay judges what each may
        /// name (llm). If not given: with `api_key_env`, or a key among `add_headers`.
        one_account: Option<bool> = Kind::Flag, Preset::None;
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

section! {
    /// Somebody who is told what happens here.
    Webhook {
        /// Names it in metrics and messages, and its queue in the log: letters, digits, `-`, `_`.
        name: Option<String> = Kind::Text, Preset::None;
        /// Where it is told, by `POST`: `https://app.example/hooks`.
        url: Option<String> = Kind::Text, Preset::None;
        /// A file with the secret that requests are signed with, `whsec_` and base64. Several, the
        /// newest first, while they are being changed.
        secret_file: Option<String> = Kind::Text, Preset::None;
        /// The environment variable with the secret, instead of a file.
        secret_env: Option<String> = Kind::Text, Preset::None;
        /// What it is told.
        events: Option<Vec<super::webhook::Happening>> = Kind::Choices(super::webhook::HAPPENINGS),
            Preset::None;
        /// The topics of which it is told `topic.occupied` and `topic.vacated`, as patterns; all
        /// if not given.
        topics: Option<Vec<String>> = Kind::Texts, Preset::None;
        /// Whether its host name may resolve to a private address. An address that is written as
        /// one, and localhost, always may.
        allow_private: Option<bool> = Kind::Flag, Preset::None;
        /// How long its answer may take (15s).
        timeout: Option<Length> = Kind::Length(Duration::from_millis(100), secs(120)), Preset::None;
        /// How long after it happened something is told again and again before it is given up (1d).
        retry_for: Option<Length> = Kind::Length(secs(1), secs(7 * 86_400)), Preset::None;
        /// Requests to it at a time (8).
        concurrency: Option<u64> = Kind::Count(1, 256), Preset::None;
    }
}

section! {
    /// The application that is asked before somebody subscribes or publishes.
    Hook {
        /// Where it is asked, by `POST`: `http://127.0.0.1:3000/allow`.
        url: Option<String> = Kind::Text, Preset::None;
        /// A file with the secret that questions are signed with, as that of a webhook.
        secret_file: Option<String> = Kind::Text, Preset::None;
        /// The environment variable with the secret, instead of a file.
        secret_env: Option<String> = Kind::Text, Preset::None;
        /// Whether its host name may resolve to a private address. An address that is written as
        /// one, and localhost, always may.
        allow_private: Option<bool> = Kind::Flag, Preset::None;
        /// How long an answer may take (2s).
        timeout: Option<Length> = Kind::Length(Duration::from_millis(10), secs(60)), Preset::None;
        /// How long an answer counts that does not say itself how long, `ttl` (60s). 0s: every
        /// request is asked about.
        cache: Option<Length> = Kind::Length(secs(0), secs(3_600)), Preset::None;
        /// What happens when there is no answer (deny).
        on_error: Option<super::webhook::OnError> = Kind::Choice(&["deny", "allow"]), Preset::None;
        /// What it is asked about (both).
        r#for: Option<Vec<super::webhook::Asks>> = Kind::Choices(&["subscribe", "publish"]),
            Preset::None;
        /// The topics that it is asked about, as patterns; all if not given.
        topics: Option<Vec<String>> = Kind::Texts, Preset::None;
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
