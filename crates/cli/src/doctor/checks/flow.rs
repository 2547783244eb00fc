//! When the bytes come: the first one, the paced ones, and the compressed ones.

use std::time::{Duration, Instant};

use crate::doctor::advice::Change;
use crate::doctor::finding::{Check, Finding, counted, shown};
use crate::doctor::pace::{Bursts, Evenness, Pace, next_pieces};
use crate::doctor::proxy::{Proxy, Sign};
use crate::doctor::record::Record;

/// From this time on the first byte of a server that sends one at once is late. Far above a round
/// trip around the world, TLS included.
const FIRST_BYTE_LATE: Duration = Duration::from_millis(1_000);
/// From this time on it was held.
pub(in crate::doctor) const FIRST_BYTE_HELD: Duration = Duration::from_secs(3);
/// From this time on a server that need not send a byte at once has waited long enough for
/// something on the way to give up.
const SILENT_START: Duration = Duration::from_secs(5);

/// The first byte of a Tidings server, which sends one at once.
pub(in crate::doctor) fn first_byte(record: &Record) -> Finding {
    let Some(took) = record.first_byte() else {
        return Finding::broken(Check::FirstByte, "none came").change(Change::Buffering);
    };
    let says = format!("{} after the request; the server sends one at once", shown(took));
    let finding = if took >= FIRST_BYTE_HELD {
        Finding::broken(Check::FirstByte, says)
            .why("the beginning is held on the way: onopen fires this late")
            .change(Change::Buffering)
    } else if took >= FIRST_BYTE_LATE {
        Finding::warning(Check::FirstByte, says).change(Change::Buffering)
    } else {
        Finding::ok(Check::FirstByte, says)
    };
    finding.measured_ms("first_byte_ms", took)
}

/// The first byte of any other server; `waited` is how long was listened.
pub(in crate::doctor) fn first_byte_of_any(record: &Record, waited: Duration) -> Finding {
    let Some(took) = record.first_byte() else {
        let says = format!("none came in {}", shown(waited));
        return Finding::warning(Check::FirstByte, says)
            .why("a server that sends a comment at once shows that the way is open")
            .change(Change::Buffering);
    };
    let says = format!("{} after the request", shown(took));
    let finding = match took >= SILENT_START {
        true => Finding::warning(Check::FirstByte, says)
            .why("it was made late or held on the way; a comment at once would tell")
            .change(Change::Buffering),
        false => Finding::ok(Check::FirstByte, says),
    };
    finding.measured_ms("first_byte_ms", took)
}

/// The paced probe.
pub(in crate::doctor) fn pace(pace: &Pace, gap: Duration, over: bool, signs: &[Sign]) -> Finding {
    let sent = counted(pace.sent, "event");
    let apart = format!("{sent} published {} apart", shown(gap));
    let says = if pace.came == 0 {
        format!("{apart}: none came")
    } else if pace.came < pace.sent {
        format!("{apart}: {} came", pace.came)
    } else if pace.together + 1 == pace.sent {
        let end = if over { ", when the stream ended" } else { "" };
        format!("{apart} came all at once, {} after the first{end}", shown(pace.first))
    } else if pace.evenness() == Evenness::Even {
        format!("{apart} came one by one, {} after each (median)", shown(pace.delay_median))
    } else {
        let (late, together) = (pace.late, pace.together);
        format!("{apart}: {together} came together with the one before, {late} were held")
    };
    let finding = match pace.evenness() {
        Evenness::Even => Finding::ok(Check::Pace, says),
        Evenness::Uneven => Finding::warning(Check::Pace, says)
            .why("something holds events for a moment, or the machines are busy")
            .change(Change::Buffering),
        Evenness::Held => {
            Finding::broken(Check::Pace, says).why(culprit(signs)).change(Change::Buffering)
        }
    };
    finding
        .measured("sent", pace.sent)
        .measured("came", pace.came)
        .measured("together", pace.together)
        .measured("late", pace.late)
        .measured_ms("delay_min_ms", pace.delay_min)
        .measured_ms("delay_median_ms", pace.delay_median)
        .measured_ms("delay_max_ms", pace.delay_max)
        .measured_ms("gap_ms", gap)
}

/// Who is likely to hold the stream.
fn culprit(signs: &[Sign]) -> String {
    let Some(sign) = signs.first() else {
        return "something on the way buffers the stream and leaves no sign of itself".to_owned();
    };
    let how = match sign.proxy {
        Some(Proxy::Nginx) => "proxy_buffering is on and X-Accel-Buffering is not obeyed",
        Some(Proxy::Caddy) => "response_buffers, or `encode`, holds it",
        Some(Proxy::Haproxy) => "a rule waits for the body",
        Some(Proxy::Alb) => "a lambda target is answered whole",
        Some(Proxy::Cloudflare) => "the response is buffered there, or in its tunnel",
        None => "it, or something behind it, buffers the stream",
    };
    format!("probably {} ({}): {how}", sign.name, sign.evidence)
}

/// How a stream came whose sender is not ours.
pub(in crate::doctor) fn arrival(record: &Record, signs: &[Sign]) -> Finding {
    let bursts = Bursts::of(&record.pieces, &record.events);
    let events = counted(record.events.len(), "event");
    let times = counted(bursts.bursts, "time");
    let late = record.first_byte().is_some_and(|took| took >= FIRST_BYTE_LATE);
    let finding = match bursts.evenness() {
        _ if record.events.len() < 3 => {
            let says = format!("{events} came; it takes three to see a pace");
            Finding::not_tested(Check::Pace, says)
        }
        Evenness::Held => {
            let cut = bursts.cut;
            let says = format!("{events} came at {times}, and {cut} blocks end within a line");
            Finding::broken(Check::Pace, says).why(culprit(signs)).change(Change::Buffering)
        }
        Evenness::Uneven => {
            let says = format!("{events} came at {times}, up to {} at once", bursts.most);
            Finding::warning(Check::Pace, says)
                .why("they were made together, or something collects them")
                .change(Change::Buffering)
        }
        Evenness::Even if bursts.bursts == 1 && late => {
            let says = format!("all of {events} came at once, after a silence");
            Finding::warning(Check::Pace, says)
                .why("they were made together, or something held them until the end")
                .change(Change::Buffering)
        }
        Evenness::Even => Finding::ok(Check::Pace, format!("{events} came at {times}")),
    };
    let pause = bursts.pause.unwrap_or_default();
    finding
        .measured("events", record.events.len())
        .measured("bursts", bursts.bursts)
        .measured("cut_blocks", bursts.cut)
        .measured_ms("pause_ms", pause)
}

/// The stream that was asked for with `Accept-Encoding: gzip, br`, while events were published at
/// these times.
pub(in crate::doctor) fn compression(record: &Record, sent: &[Instant], gap: Duration) -> Finding {
    if record.head.is_none() {
        return Finding::broken(Check::Compression, "no answer when gzip and br are accepted")
            .change(Change::Compression);
    }
    let Some(coding) = encoding(record) else {
        return Finding::ok(
            Check::Compression,
            "not compressed, also where gzip and br are accepted",
        )
        .measured("content_encoding", None::<String>);
    };
    let pace = Pace::of(sent, &next_pieces(sent, &record.pieces), gap);
    let finding = match pace.evenness() {
        Evenness::Held => {
            let says = format!("compressed ({coding}), and the events are held for it");
            Finding::broken(Check::Compression, says)
        }
        Evenness::Even | Evenness::Uneven => {
            let says = format!("compressed ({coding}) although no-transform forbids it; it flows");
            Finding::warning(Check::Compression, says)
                .why("it costs memory for each stream, and flows only while each event is flushed")
        }
    };
    finding
        .change(Change::Compression)
        .measured("content_encoding", coding)
        .measured_ms("delay_max_ms", pace.delay_max)
}

/// Compression of a stream whose sender is not ours: whether it is, and how it came.
pub(in crate::doctor) fn compression_of_any(record: &Record) -> Finding {
    let Some(coding) = encoding(record) else {
        return Finding::ok(
            Check::Compression,
            "not compressed, also where gzip and br are accepted",
        )
        .measured("content_encoding", None::<String>);
    };
    let says =
        format!("compressed ({coding}); it came at {}", counted(record.pieces.len(), "time"));
    Finding::warning(Check::Compression, says)
        .why("an event is shown only when the compressor is flushed behind it")
        .change(Change::Compression)
        .measured("content_encoding", coding)
        .measured("pieces", record.pieces.len())
}

fn encoding(record: &Record) -> Option<String> {
    let coding = record.header("content-encoding")?;
    (!coding.eq_ignore_ascii_case("identity")).then(|| crate::terminal::harmless(coding))
}
