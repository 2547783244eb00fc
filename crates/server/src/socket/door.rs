//! The fast door: which requests this loop takes itself.
//!
//! It takes only what it fully understands. Anything that is unusual or merely long is left to
//! hyper, which gets the same bytes, so there is no second HTTP implementation to keep safe.
//! Parsing the head is httparse's, as it is in hyper; what neither can parse is refused
//! ([`super::heads`]).

use tidings_frame::ErrorCode;

use super::heads::{judge_long, judge_unusual, malformed};
use crate::head::{Head, Headers};
use crate::http2;

use tidings_relay::SharedRelays;

/// Fields in a head that are looked at; browsers send about fifteen.
pub(super) const FIELDS_MAX: usize = 32;

/// Largest head taken here.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// Largest body taken here: what fits into one read with its head.
const BODY_BYTES_MAX: usize = 56 << 10;

/// Most bytes of a request for this door that are collected.
pub(super) const REQUEST_BYTES_MAX: usize = HEAD_BYTES_MAX + BODY_BYTES_MAX;

/// What to do with the bytes at hand.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<'b> {
    /// Wait for the rest.
    More,
    /// Not for this door.
    Hyper,
    /// A publish to one topic; it ends after `len` bytes.
    Publish { body: &'b [u8], len: usize },
    /// A subscription; it ends after `len` bytes.
    Subscribe { len: usize },
    /// No request that anybody could answer in another way.
    Refuse { code: ErrorCode, why: &'static str },
}

/// Judges the request at the beginning of `data`. A head may have `head_bytes_max` bytes.
pub(super) fn judge<'h, 'b>(
    shared: Option<&SharedRelays>,
    data: &'b [u8],
    head_bytes_max: usize,
    fields: &'h mut [httparse::Header<'b>; FIELDS_MAX],
) -> (Verdict<'b>, Option<Head<'h>>)
where
    'b: 'h,
{
    if data.len() < http2::PREFACE.len() && http2::PREFACE.starts_with(data) {
        return (Verdict::More, None);
    }
    if data.starts_with(http2::PREFACE) {
        return (Verdict::Hyper, None);
    }
    let mut request = httparse::Request::new(fields);
    let head_len = match request.parse(data) {
        Ok(httparse::Status::Complete(len)) if len <= HEAD_BYTES_MAX => len,
        Ok(httparse::Status::Partial) if data.len() <= HEAD_BYTES_MAX => {
            return (Verdict::More, None);
        }
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {
            return (judge_long(data, head_bytes_max), None);
        }
        Err(error) => return (malformed(error), None),
    };
    let (method, target) = (request.method.unwrap_or(""), request.path.unwrap_or(""));
    let version = request.version.unwrap_or(1);
    let head = Head::new(method, target, Headers::Raw(request.headers));
    let unusual = || judge_unusual(&head, target, version);
    let Some(body_len) = body_len(&head).filter(|_| version == 1) else {
        return (unusual(), None);
    };
    let verdict = match (method, body_len) {
        // The limit first: the sum with a length of any size could overflow.
        ("POST", Some(body_len)) if body_len > BODY_BYTES_MAX => unusual(),
        ("POST", Some(body_len)) if head.path.starts_with("/topics/") => {
            let len = head_len + body_len;
            match data.get(head_len..len) {
                None => Verdict::More,
                Some(body) => Verdict::Publish { body, len },
            }
        }
        ("GET", None) if is_subscription(shared, &head) => Verdict::Subscribe { len: head_len },
        _ => unusual(),
    };
    (verdict, Some(head))
}

/// The length of the body, if the framing is of the plain kind: at most one `Content-Length`, no
/// coding, nothing to negotiate. `None` for anything else.
fn body_len(head: &Head<'_>) -> Option<Option<usize>> {
    let mut length = None;
    let mut host = false;
    for (name, value) in head.fields() {
        // Most fields are told apart by their length alone.
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => {
                if host || value.is_empty() {
                    return None;
                }
                host = true;
            }
            14 if name.eq_ignore_ascii_case("content-length") => {
                let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
                let text = std::str::from_utf8(value).ok()?;
                if length.is_some() || !digits {
                    return None;
                }
                length = Some(text.parse().ok()?);
            }
            10 if name.eq_ignore_ascii_case("connection") => {
                value.eq_ignore_ascii_case(b"keep-alive").then_some(())?;
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => return None,
            6 if name.eq_ignore_ascii_case("expect") => return None,
            7 if name.eq_ignore_ascii_case("upgrade") => return None,
            2 if name.eq_ignore_ascii_case("te") => return None,
            _ => {}
        }
    }
    host.then_some(length)
}

fn is_subscription(shared: Option<&SharedRelays>, head: &Head<'_>) -> bool {
    // The server's own topics are another matter.
    let topic = head.path.strip_prefix("/topics/");
    let path = topic.is_some_and(|topic| !topic.starts_with(['$', '%']))
        || head.path == "/events"
        || head.path == "/stream"
        || shared.is_some_and(|shared| shared.at(head.path).is_some());
    path && head.accepts("text/event-stream") == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(data: &str) -> String {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        match judge(None, data.as_bytes(), 64 << 10, &mut fields).0 {
            Verdict::More => "more".into(),
            Verdict::Hyper => "hyper".into(),
            Verdict::Publish { body, len } => {
                format!("publish {} {len}", String::from_utf8_lossy(body))
            }
            Verdict::Subscribe { len } => format!("subscribe {len}"),
            Verdict::Refuse { code, .. } => code.to_string(),
        }
    }

    #[test]
    fn takes_only_what_is_plain() {
        let post = "POST /topics/a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n";
        for (extra, wanted) in [
            ("\r\nhi", "publish hi 57"),
            ("\r\nhiPOST", "publish hi 57"),
            ("\r\nh", "more"),
            ("", "more"),
            ("Connection: keep-alive\r\n\r\nhi", "publish hi 81"),
            ("Connection: close\r\n\r\nhi", "hyper"),
            ("Transfer-Encoding: chunked\r\n\r\nhi", "hyper"),
            ("Content-Length: 2\r\n\r\nhi", "hyper"),
            ("Expect: 100-continue\r\n\r\nhi", "hyper"),
            ("Upgrade: h2c\r\n\r\nhi", "hyper"),
            ("Host: other\r\n\r\nhi", "hyper"),
            (" folded: x\r\n\r\nhi", "invalid-request"),
            ("X\u{0}: x\r\n\r\nhi", "invalid-request"),
        ] {
            assert_eq!(verdict(&format!("{post}{extra}")), wanted, "{extra:?}");
        }
    }

    #[test]
    fn leaves_the_rest_to_hyper_unless_it_is_wrong() {
        let sse = "Host: h\r\nAccept: text/event-stream\r\n\r\n";
        for (request, wanted) in [
            (format!("GET /topics/a HTTP/1.1\r\n{sse}"), "subscribe 62"),
            (format!("GET /events?topic=a HTTP/1.1\r\n{sse}"), "subscribe 68"),
            (format!("GET /topics/a HTTP/1.0\r\n{sse}"), "hyper"),
            (format!("HEAD /topics/a HTTP/1.1\r\n{sse}"), "hyper"),
            (format!("GET /other HTTP/1.1\r\n{sse}"), "hyper"),
            ("GET /topics/a HTTP/1.1\r\nHost: h\r\n\r\n".into(), "hyper"),
            ("GET /topics/a HTTP/1.1\r\nAccept: text/event-stream\r\n\r\n".into(), "hyper"),
            (
                "POST /topics/a HTTP/1.1\r\nHost: h\r\nContent-Length: +2\r\n\r\n".into(),
                "invalid-request",
            ),
            ("POST /topics/a HTTP/1.1\r\nHost: h\r\nContent-Length: 99999\r\n\r\n".into(), "hyper"),
            (
                format!(
                    "POST /topics/a HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
                    u64::MAX
                ),
                "invalid-request",
            ),
            ("POST /topics/a HTTP/1.1\r\nHost: h\r\n\r\n".into(), "hyper"),
            ("\u{16}\u{3}\u{1}".into(), "invalid-request"),
            ("P".into(), "more"),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r".into(), "more"),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), "hyper"),
            ("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".into(), "invalid-request"),
            (format!("GET /{} HTTP/1.1\r\n{sse}", "a".repeat(9_000)), "uri-too-long"),
            (format!("GET /{}", "a".repeat(9_000)), "uri-too-long"),
        ] {
            assert_eq!(verdict(&request), wanted, "{request:?}");
        }
    }
}
