//! Every limit of the wire in one place, each with its unit and the reason for its size.
//!
//! A limit that can be configured is named `…_DEFAULT`; a limit that cannot is named `…_MAX`.
//! The ones that depend on each other are held together by the assertions at the end, so that a
//! change of one that would contradict another does not compile.

use std::time::Duration;

/// Longest topic name, in bytes of UTF-8. Percent-encoding triples a name of non-ASCII letters:
/// 3 KiB, well below the 8 KiB that proxies allow a request line.
pub const TOPIC_BYTES_MAX: usize = 1_024;

/// Most topics one event may belong to: its canonical topic and 15 alternates.
pub const EVENT_TOPICS_MAX: usize = 16;

/// Longest event type, in bytes. It is repeated in every frame, so it should be a word.
pub const EVENT_TYPE_BYTES_MAX: usize = 128;

/// Longest key of an event (the unit of conflation), in bytes. It has room for a URL-like
/// identifier, and four of them still fit the 1 KiB that an index entry may take.
pub const KEY_BYTES_MAX: usize = 256;

/// Longest id that a publisher may give an event of its own, in bytes. A `urn:uuid:` takes 45.
pub const PUBLISHER_ID_BYTES_MAX: usize = 256;

/// Longest `Idempotency-Key`, in bytes. Stripe allows 255; a UUID takes 36.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;

/// Longest id of a producer (the one whose epoch fences zombies), in bytes.
pub const PRODUCER_ID_BYTES_MAX: usize = 256;

/// Longest text form of a position, in bytes: an 8-character epoch, a hyphen and 20 digits need 29.
/// 64 leaves room for an epoch that names a partition.
pub const POSITION_BYTES_MAX: usize = 64;

/// Largest data of one event, in bytes, unless configured: 1 MiB. An LLM's whole answer is rarely
/// above 100 KiB; what is larger belongs in object storage, with a link in the event.
pub const EVENT_DATA_BYTES_DEFAULT: usize = 1 << 20;

/// The largest value that [`EVENT_DATA_BYTES_DEFAULT`] may be configured to, in bytes: 16 MiB. The
/// fan-out pins at most one such chunk for each stuck peer.
pub const EVENT_DATA_BYTES_MAX: usize = 16 << 20;

/// Most events in one batch. At 1,000 the cost of the request is below 1 % of the batch.
pub const BATCH_EVENTS_MAX: usize = 1_000;

/// Largest request body, in bytes: 8 MiB, so eight events of the largest default size, or 1,000
/// events of 8 KiB.
pub const REQUEST_BODY_BYTES_MAX: usize = 8 << 20;

/// Most topics that one subscription may name. 1,024 is ten times what a busy page follows; who
/// needs more wants a pattern.
pub const SUBSCRIPTION_TOPICS_MAX: usize = 1_024;

/// Most patterns of one subscription. Every new topic is matched against each of them once.
pub const SUBSCRIPTION_PATTERNS_MAX: usize = 64;

/// Events in a page of history when the request does not say.
pub const HISTORY_PAGE_EVENTS_DEFAULT: usize = 100;

/// Most events in a page of history.
pub const HISTORY_PAGE_EVENTS_MAX: usize = 1_000;

/// Most bytes of data in a page of history: 4 MiB. A page ends early rather than passing it, but
/// always holds at least one event.
pub const HISTORY_PAGE_BYTES_MAX: usize = 4 << 20;

/// Topics in a page of the list of topics when the request does not say.
pub const TOPIC_PAGE_DEFAULT: usize = 100;

/// Most topics in a page of the list of topics.
pub const TOPIC_PAGE_MAX: usize = 1_000;

/// Topics that are looked at for a page of the list of topics, shown or not: whoever may know of
/// few gets a page with fewer entries, and where to go on.
pub const TOPICS_LOOKED_AT_MAX: usize = 4_000;

/// Most events that `last=N` may ask for at the start of a subscription. A reader who wants more
/// wants `earliest` or a position.
pub const START_LAST_EVENTS_MAX: u64 = 10_000;

/// Longest wait of a long-poll: 60 s, the idle time after which nginx and AWS ALB cut.
pub const LONG_POLL_MAX: Duration = Duration::from_secs(60);

/// Time between heartbeats of a silent stream: 15 s, a quarter of the 60 s after which proxies cut.
pub const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(15);

/// Shortest heartbeat that may be configured: 1 s. Below it the heartbeats are the load.
pub const HEARTBEAT_MIN: Duration = Duration::from_secs(1);

/// Silence after which a client takes the connection for dead: three heartbeats.
pub const SILENCE_DEFAULT: Duration = Duration::from_secs(45);

/// Time a client waits before its first reconnection when the server has not said (`retry:`).
pub const RETRY_DEFAULT: Duration = Duration::from_secs(1);

/// Longest wait between two reconnections, whatever the back-off says: 30 s.
pub const RETRY_MAX: Duration = Duration::from_secs(30);

/// Longest `delay` or furthest `at` of a scheduled event: 366 days.
pub const SCHEDULE_AHEAD_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);

/// Longest `ttl` of an event: 366 days. What lives longer needs no expiry but retention.
pub const TTL_MAX: Duration = Duration::from_secs(366 * 24 * 3_600);

/// Longest line the SSE decoder takes, in bytes, unless configured. It must hold a `data:` line
/// with an event of the default size in an envelope, where a control character takes six bytes: 8
/// MiB.
pub const DECODED_LINE_BYTES_DEFAULT: usize = 8 << 20;

/// Largest event (all its data lines) the SSE decoder takes, in bytes, unless configured.
pub const DECODED_EVENT_BYTES_DEFAULT: usize = 8 << 20;

/// Longest problem document a client reads, in bytes; the rest of an error's body is not read.
pub const PROBLEM_BYTES_MAX: usize = 64 << 10;

/// Most subscriptions of one WebSocket connection: each may have as many topics as a stream.
pub const WEBSOCKET_SUBSCRIPTIONS_MAX: usize = 64;

/// Most publishes of one WebSocket connection that wait for the disk. What a client sends beyond
/// them is read once there are receipts: two rounds of a sync's time at 25,000 publishes a second.
pub const WEBSOCKET_PUBLISHES_MAX: usize = 256;

/// Longest name of a subscription, or of a request, on a WebSocket connection, in bytes.
pub const WEBSOCKET_REF_BYTES_MAX: usize = 128;

const _: () = {
    assert!(EVENT_DATA_BYTES_DEFAULT <= EVENT_DATA_BYTES_MAX);
    assert!(REQUEST_BODY_BYTES_MAX >= EVENT_DATA_BYTES_DEFAULT);
    assert!(HISTORY_PAGE_EVENTS_DEFAULT <= HISTORY_PAGE_EVENTS_MAX);
    assert!(HISTORY_PAGE_BYTES_MAX >= EVENT_DATA_BYTES_DEFAULT);
    assert!(SILENCE_DEFAULT.as_secs() >= 2 * HEARTBEAT_DEFAULT.as_secs());
    assert!(HEARTBEAT_DEFAULT.as_secs() * 2 < LONG_POLL_MAX.as_secs());
    assert!(DECODED_LINE_BYTES_DEFAULT >= 7 * EVENT_DATA_BYTES_DEFAULT);
    assert!(DECODED_EVENT_BYTES_DEFAULT >= 7 * EVENT_DATA_BYTES_DEFAULT);
    assert!(8 + 1 + 20 <= POSITION_BYTES_MAX);
};
