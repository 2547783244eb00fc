//! The head of the stream's answer: status, media type, and what caches and proxies are told.

use crate::doctor::advice::Change;
use crate::doctor::finding::{Check, Finding};
use crate::doctor::proxy::{Proxy, Sign};
use crate::doctor::record::{Record, State};
use crate::terminal::harmless;

/// The status at which `EventSource` accepts the answer (WHATWG HTML 9.2.2).
const STATUS: u16 = 200;

/// The status of an answer to somebody who has shown no token that counts.
const UNAUTHORIZED: u16 = 401;

/// Whether the answer is an event stream at all. Everything else needs this one.
pub(in crate::doctor) fn stream(record: &Record) -> Finding {
    let Some((_, _, head)) = &record.head else {
        return match &record.state {
            State::Broken(_, why) => {
                Finding::broken(Check::Stream, format!("no answer came: {}", harmless(why)))
            }
            _ => Finding::broken(Check::Stream, "no answer came, not even its head")
                .why("it is held on the way, or the server never sends it")
                .change(Change::Buffering),
        };
    };
    let status = head.status.as_u16();
    let media = record.header("content-type").unwrap_or("none");
    let version = format!("{:?}", head.version);
    let measured = |finding: Finding| {
        finding
            .measured("status", status)
            .measured("content_type", harmless(media))
            .measured("version", version.as_str())
    };
    let media = harmless(media);
    if head.status.is_redirection() {
        let to = record.header("location").unwrap_or("nowhere");
        let says = format!("status {status}, a redirect to {}: ask there", harmless(to));
        return measured(Finding::warning(Check::Stream, says));
    }
    if status != STATUS {
        let says =
            format!("status {status}: EventSource accepts 200 and gives up at anything else");
        let finding = Finding::broken(Check::Stream, says);
        if status == UNAUTHORIZED {
            return measured(
                finding.why("a token goes in with --header 'Authorization: Bearer …'"),
            );
        }
        return measured(finding.change(Change::Media));
    }
    let mut parts = media.split(';').map(str::trim);
    if !parts.next().unwrap_or("").eq_ignore_ascii_case("text/event-stream") {
        let says = format!("the content type is {media}, and EventSource gives up");
        return measured(Finding::broken(Check::Stream, says).change(Change::Media));
    }
    let charset = parts
        .find_map(|part| part.split_once('=').filter(|p| p.0.eq_ignore_ascii_case("charset")))
        .map(|(_, value)| value.trim_matches('"'));
    match charset {
        Some(charset) if !charset.eq_ignore_ascii_case("utf-8") => measured(
            Finding::warning(Check::Stream, format!("{version} 200, {media}"))
                .why("an event stream is always UTF-8: this charset is ignored by browsers"),
        ),
        _ => measured(Finding::ok(Check::Stream, format!("{version} 200, {media}"))),
    }
}

/// What caches and further proxies are told. Of a Tidings server it is known what it sent.
pub(in crate::doctor) fn headers(record: &Record, tidings: bool, signs: &[Sign]) -> Finding {
    let cache = record.header("cache-control").map(str::to_ascii_lowercase);
    let accel = record.header("x-accel-buffering");
    let shown = |value: Option<&str>| harmless(value.unwrap_or("none"));
    let says =
        format!("Cache-Control: {}; X-Accel-Buffering: {}", shown(cache.as_deref()), shown(accel));
    let has =
        |word: &str| cache.as_deref().is_some_and(|c| c.split(',').any(|part| part.trim() == word));
    let uncached = has("no-cache") || has("no-store");
    let nginx = signs.iter().any(|sign| sign.proxy == Some(Proxy::Nginx));
    let problem = if !uncached {
        Some("without no-cache or no-store a cache may answer with an old stream")
    } else if tidings && !has("no-transform") {
        Some("no-transform was sent and did not arrive: compression on the way is allowed again")
    } else if tidings && accel.is_none() && !nginx {
        Some("X-Accel-Buffering: no was sent and did not arrive: an nginx nearer to here buffers")
    } else {
        None
    };
    let finding = match problem {
        Some(why) => Finding::warning(Check::Headers, says).why(why).change(Change::Headers),
        None if accel.is_none() && nginx => Finding::ok(Check::Headers, says)
            .why("nginx obeys X-Accel-Buffering and keeps it to itself"),
        None => Finding::ok(Check::Headers, says),
    };
    finding.measured("cache_control", cache).measured("x_accel_buffering", accel)
}
