//! The parts of a run: cases, columns, metrics, and how much of each.

use super::claims::{BARE, FORGETFUL, POLL, SSE, WS};
use super::crowds::{LOADS, Load, PAYLOAD_BYTES};
use super::decode::Way;
use super::drops::Comeback;
use super::payload::KINDS;
use super::proxy::{SETTINGS, Setting};
use super::wires::{BURST, Lane};
use crate::bench::load::Wire;
use crate::bench::result::Metric;

/// One case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Handshake,
    Memory,
    Bytes,
    Packed,
    Fanout(Load),
    Trip,
    Storm,
    Drops,
    Idle,
    Proxy(Setting),
}

/// All of them, in the order of the claims.
pub(super) fn all(quick: bool) -> Vec<Part> {
    let loads = if quick { &LOADS[..1] } else { &LOADS[..] };
    let mut parts = vec![Part::Handshake, Part::Memory, Part::Bytes, Part::Packed];
    parts.extend(loads.iter().map(|load| Part::Fanout(*load)));
    parts.extend([Part::Trip, Part::Storm, Part::Drops, Part::Idle]);
    parts.extend(SETTINGS.iter().map(|how| Part::Proxy(*how)));
    parts
}

/// Idle connections: few and many.
pub(super) fn crowd(quick: bool) -> [usize; 2] {
    if quick { [50, 150] } else { [1_000, 10_000] }
}

/// Connections that come back at once.
pub(super) fn storm(quick: bool) -> usize {
    if quick { 100 } else { 5_000 }
}

/// Warm-up and measured time of a fan-out, milliseconds.
pub(super) fn fanout_ms(quick: bool) -> [u64; 2] {
    if quick { [100, 200] } else { [1_000, 4_000] }
}

/// Connections of the handshake's case.
pub(super) fn openings(quick: bool) -> usize {
    if quick { 5 } else { 100 }
}

/// Messages of each kind, and round trips.
pub(super) fn messages(quick: bool) -> usize {
    if quick { 50 } else { 1_000 }
}

/// Times that a reader is cut off.
pub(super) fn drops(quick: bool) -> usize {
    if quick { 3 } else { 20 }
}

/// Heartbeats.
pub(super) fn beats(quick: bool) -> u32 {
    if quick { 1 } else { 4 }
}

/// Events behind a proxy.
pub(super) fn proxied(quick: bool) -> usize {
    if quick { 5 } else { 20 }
}

impl Part {
    /// The case's name: the claim, and what tells its cases apart.
    pub(super) fn name(self) -> String {
        match self {
            Part::Handshake => "handshake".to_owned(),
            Part::Memory => "H1".to_owned(),
            Part::Bytes => "H2".to_owned(),
            Part::Packed => "H3".to_owned(),
            Part::Fanout(load) => load.name(),
            Part::Trip => "H6".to_owned(),
            Part::Storm => "H7".to_owned(),
            Part::Drops => "H8".to_owned(),
            Part::Idle => "H9".to_owned(),
            Part::Proxy(how) => how.name().to_owned(),
        }
    }

    pub(super) fn title(self, quick: bool) -> String {
        match self {
            Part::Handshake => format!("until a reader is live, {} openings", openings(quick)),
            Part::Memory => {
                let [few, many] = crowd(quick);
                format!("the server's memory between {few} and {many} idle connections")
            }
            Part::Bytes => format!("bytes down beyond the payload, {} messages", messages(quick)),
            Part::Packed => "bytes on the wire when each message is compressed".to_owned(),
            Part::Fanout(load) => format!(
                "fan-out to {} subscribers, {} events/s of {PAYLOAD_BYTES} B",
                load.subscribers, load.rate
            ),
            Part::Trip => "own publish to own event, 100 B, warm connections".to_owned(),
            Part::Storm => format!("{} connections come back at once", storm(quick)),
            Part::Drops => format!("{} cuts while events are published", drops(quick)),
            Part::Idle => "an idle connection, heartbeat 15 s".to_owned(),
            Part::Proxy(how) => how.title().to_owned(),
        }
    }

    /// True when the rows that were asked for need it.
    pub(super) fn wanted(self, rows: &[String]) -> bool {
        let name = self.name();
        let claim = name.split(' ').next().unwrap_or_default();
        let needs = |row: &String| match row.as_str() {
            "H5" => claim == "H4",
            "upstream" => claim == "H6",
            "binary" => claim == "H2",
            row => row.eq_ignore_ascii_case(claim),
        };
        rows.is_empty() || rows.iter().any(needs)
    }

    pub(super) fn columns(self) -> &'static [&'static str] {
        match self {
            Part::Memory | Part::Fanout(_) | Part::Storm | Part::Idle => &[SSE, WS],
            Part::Handshake | Part::Trip | Part::Proxy(_) => &[SSE, WS, POLL],
            Part::Packed => &[SSE, WS, BARE],
            Part::Bytes => &[SSE, WS, BARE, POLL],
            Part::Drops => &[SSE, WS, FORGETFUL, BARE, POLL],
        }
    }

    pub(super) fn wire(self, column: usize) -> Wire {
        if self.columns()[column] == WS { Wire::WebSocket } else { Wire::Sse }
    }

    pub(super) fn way(self, column: usize) -> Way {
        match self.columns()[column] {
            POLL => Way::Poll,
            WS | BARE => Way::WebSocket,
            _ => Way::Sse,
        }
    }

    pub(super) fn lane(self, column: usize) -> Lane {
        if self.columns()[column] == BARE { Lane::Bare } else { Lane::Is(self.way(column)) }
    }

    /// Without a protocol on top, nobody says what it had.
    pub(super) fn comeback(self, column: usize) -> Comeback {
        let resumes = ![BARE, FORGETFUL].contains(&self.columns()[column]);
        Comeback { way: self.way(column), resumes }
    }

    pub(super) fn metrics(self) -> Vec<Metric> {
        let all: &[(&str, &str, usize)] = match self {
            Part::Handshake => &[
                ("up_least", "bytes up, least", 0),
                ("up", "bytes up, as a browser", 0),
                ("down", "bytes down", 0),
                ("writes", "requests and messages", 0),
                ("ms", "ms until live", 2),
            ],
            Part::Memory => &[
                ("kib", "KiB/connection", 2),
                ("few_mib", "MiB for the few", 1),
                ("many_mib", "MiB for the many", 1),
            ],
            Part::Bytes | Part::Packed => return self.byte_metrics(),
            Part::Fanout(_) => &[
                ("p50_ms", "p50 ms", 2),
                ("p99_ms", "p99 ms", 2),
                ("p999_ms", "p99.9 ms", 2),
                ("cpu_us", "CPU µs/delivery", 2),
                ("delivered", "delivered", 0),
                ("lost", "lost or repeated", 0),
            ],
            Part::Trip => &[
                ("p50_us", "p50 µs", 0),
                ("p99_us", "p99 µs", 0),
                ("up", "bytes up, as a browser", 0),
                ("up_least", "bytes up, least", 0),
            ],
            Part::Storm => &[
                ("ms", "ms until all are live", 0),
                ("per_s", "connections/s", 0),
                ("cpu_us", "CPU µs/connection", 1),
                ("closed", "closed by the server", 0),
            ],
            Part::Drops => &[
                ("published", "published", 0),
                ("lost", "lost", 0),
                ("twice", "repeated", 0),
                ("back_ms", "ms until the next event", 1),
            ],
            Part::Idle => &[
                ("packets", "packets with data/min", 0),
                ("up", "of them up", 0),
                ("bytes", "bytes/min", 0),
                ("beat_s", "heartbeat as measured, s", 2),
            ],
            Part::Proxy(_) => &[
                ("sent", "published", 0),
                ("delivered", "delivered", 0),
                ("first_ms", "ms until the first event", 1),
                ("outlives", "outlives a silence", 0),
            ],
        };
        all.iter().map(|(key, label, decimals)| Metric::new(key, label, *decimals)).collect()
    }

    fn byte_metrics(self) -> Vec<Metric> {
        let mut all = Vec::new();
        for kind in KINDS {
            let mut add = |suffix: &str, label: &str| {
                let key = format!("{}{suffix}", kind.name());
                all.push(Metric::new(&key, &format!("{}{label}", kind.label()), 1));
            };
            if self == Part::Bytes {
                add("_over", ", beyond its payload");
                add("_frame", ", of it the frame");
            } else {
                add("_raw", ", as it is");
                add("", ", context kept");
                add("_alone", ", by itself");
            }
        }
        if self == Part::Bytes {
            all.push(Metric::new("burst_over", &format!("price, {BURST} at a time"), 1));
            all.push(Metric::new("binary_over", "1,000 B of binary data", 1));
            all.push(Metric::new("up", "bytes up for each message", 1));
        } else {
            all.push(Metric::new("us", "µs to compress", 1));
        }
        all
    }
}
