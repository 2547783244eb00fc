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
        /// What one client may ask for, and how long it may take.
        limits: Limits = Kind::Section(Limits::FIELDS), Preset::None;
        /// How events are kept on disk.
        log: Log = Kind::Section(Log::FIELDS), Preset::None;
        /// How connections are closed when the server stops.
        drain: Drain = Kind::Section(Drain::FIELDS), Preset::None;
        /// The policies of topics by pattern; the first rule whose pattern matches a topic is the
        /// one that counts. Only in the file, not in the environment.
        topics: Vec<Topics> = Kind::Sections(Topics::FIELDS), Preset::Nothing;
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
