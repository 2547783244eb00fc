//! What only time shows: whether a silent stream is kept open, and whether a long one is.

use std::time::{Duration, Instant};

use crate::doctor::advice::Change;
use crate::doctor::finding::{Check, Finding, shown};
use crate::doctor::record::{Listening, Record, State};
use crate::doctor::wire::{Ask, ask};
use crate::terminal::harmless;

/// The longest that a Tidings server is silent when asked to be (PROTOCOL.md, section 9).
const POLL_MAX: Duration = Duration::from_secs(60);
/// What an answer may take beyond the time that it was to take.
const POLL_GRACE: Duration = Duration::from_secs(10);

/// A request that the server answers with silence.
#[derive(Debug)]
pub(in crate::doctor) struct Silence {
    /// How long it was to be silent.
    wanted: Duration,
    /// How long it was, and how that ended if not well.
    took: Duration,
    cut: Option<String>,
}

/// Has a Tidings server say nothing for a while, not even a heartbeat: a long poll.
pub(in crate::doctor) async fn silence(page: Ask, idle: Duration) -> Silence {
    let wanted = Duration::from_secs(idle.min(POLL_MAX).as_secs().max(1));
    let uri = format!("{}?poll={}", page.uri, wanted.as_secs());
    let mut poll = page.with("accept", "application/json");
    if let Ok(uri) = uri.parse() {
        poll.uri = uri;
    }
    let begun = Instant::now();
    let answer = tokio::time::timeout(wanted + POLL_GRACE, ask(poll)).await;
    let took = begun.elapsed();
    let cut = match answer {
        Ok(Ok(answer)) if answer.head.status.is_success() => None,
        Ok(Ok(answer)) => Some(format!("status {}", answer.head.status.as_u16())),
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("no answer at all".to_owned()),
    };
    Silence { wanted, took, cut }
}

/// Listens to a stream on which nothing happens.
pub(in crate::doctor) async fn listen(ask: Ask, time: Duration) -> Record {
    let mut stream = Listening::start(ask);
    stream.until(time, |_| false).await;
    stream.record()
}

/// What is to be told if there was no stream to watch.
fn no_stream(check: Check, record: &Record) -> Option<Finding> {
    let since = |at: &Instant| shown(at.saturating_duration_since(record.begun));
    match (&record.head, &record.state) {
        (None, State::Broken(at, why)) => {
            let says = format!("cut after {}, before the stream began", since(at));
            Some(Finding::broken(check, says).why(harmless(why)).change(Change::Idle))
        }
        (None, _) => {
            let says = "the stream does not begin before there is something on it: see first-byte";
            Some(Finding::not_tested(check, says))
        }
        (Some((_, at, head)), _) if head.status != 200 => {
            let status = head.status.as_u16();
            let says = format!("answered with status {status} after {}", since(at));
            Some(Finding::broken(check, says).change(Change::Idle))
        }
        (Some(_), _) => None,
    }
}

/// A Tidings stream without events, and the silence beside it.
pub(in crate::doctor) fn idle(record: &Record, silence: &Silence, time: Duration) -> Finding {
    let beats = record.comments.saturating_sub(1);
    let heartbeats = match beats {
        0 => "no heartbeat was due".to_owned(),
        1 => "with 1 heartbeat".to_owned(),
        _ => format!("with {beats} heartbeats"),
    };
    if let Some(finding) = no_stream(Check::Idle, record) {
        return finding;
    }
    let finding = if record.is_over() {
        let last = record.last_silence();
        let says = format!("cut after {} without a byte ({heartbeats})", shown(last));
        Finding::broken(Check::Idle, says)
            .why("a limit on the way is shorter than the time between two heartbeats")
            .change(Change::Idle)
            .measured_ms("cut_after_ms", last)
    } else if let Some(cut) = &silence.cut {
        let says = format!(
            "open for {} ({heartbeats}), but a silence without heartbeats is cut after {}",
            shown(time),
            shown(silence.took)
        );
        Finding::warning(Check::Idle, says)
            .why(format!("a long poll of {} ended with: {}", shown(silence.wanted), harmless(cut)))
            .change(Change::Idle)
            .measured_ms("silence_cut_after_ms", silence.took)
    } else {
        let says = format!(
            "open for {} ({heartbeats}); {} without a byte were not cut",
            shown(time),
            shown(silence.wanted)
        );
        Finding::ok(Check::Idle, says)
    };
    finding
        .measured_ms("tested_ms", time)
        .measured("heartbeats", beats)
        .measured_ms("longest_silence_ms", record.longest_silence())
}

/// A stream of somebody else that was listened to for this time.
pub(in crate::doctor) fn idle_of_any(record: &Record, time: Duration) -> Finding {
    let longest = shown(record.longest_silence());
    let last = record.last_silence();
    let finding = match &record.state {
        State::Waiting => Finding::not_tested(Check::Idle, "no answer came"),
        State::Broken(_, why) => {
            let says = format!("cut after {} without a byte", shown(last));
            Finding::broken(Check::Idle, says).why(harmless(why)).change(Change::Idle)
        }
        State::Ended(at) => {
            let after = shown(at.saturating_duration_since(record.begun));
            let says = format!("it ended after {after}, {} after its last byte", shown(last));
            Finding::warning(Check::Idle, says)
                .why("if the server did not mean to end it, something on the way cut it")
                .change(Change::Idle)
        }
        State::Open | State::Full => {
            let says = format!("open for {}; the longest silence was {longest}", shown(time));
            Finding::ok(Check::Idle, says)
        }
    };
    finding
        .measured_ms("tested_ms", time)
        .measured_ms("longest_silence_ms", record.longest_silence())
}

/// A stream on which something happens all the time, listened to for this time.
pub(in crate::doctor) fn length(record: &Record, time: Duration, tidings: bool) -> Finding {
    if let Some(finding) = no_stream(Check::Length, record) {
        return finding;
    }
    let events = record.events.len();
    let ended = match &record.state {
        State::Ended(at) | State::Broken(at, _) => Some(at.saturating_duration_since(record.begun)),
        _ => None,
    };
    let finding = match (ended, &record.state) {
        (None, _) if tidings && events == 0 => {
            let says = format!("open for {}, but not one event came", shown(time));
            Finding::not_tested(Check::Length, says)
        }
        (None, _) => {
            let says = format!("open for {}, {events} events came", shown(time));
            Finding::ok(Check::Length, says)
        }
        (Some(after), State::Ended(_)) if !tidings => {
            let says = format!("it ended after {}, as HTTP ends an answer", shown(after));
            Finding::warning(Check::Length, says)
                .why("if the server did not mean to end it, something on the way cut it")
                .change(Change::Length)
        }
        (Some(after), _) => {
            let says = format!("cut after {} although events came all the time", shown(after));
            Finding::broken(Check::Length, says)
                .why("clients resume, but each cut costs a reconnection of everybody")
                .change(Change::Length)
                .measured_ms("cut_after_ms", after)
        }
    };
    finding.measured_ms("tested_ms", time).measured("events", events)
}
