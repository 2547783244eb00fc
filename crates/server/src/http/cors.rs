//! Which pages of other origins may use the server from a browser (Fetch standard, CORS protocol).

use crate::app::App;
use crate::dates::EXPOSED;
use crate::head::Head;
use crate::reply::Reply;

/// The value of `Access-Control-Allow-Origin`, if the request has an origin that may read the
/// answer. It is echoed only when it was listed; `tidings dev`, which only this machine reaches,
/// lists `*` unless told otherwise.
pub(crate) fn allowed(app: &App, head: &Head<'_>) -> Option<String> {
    let origin = std::str::from_utf8(head.bytes("origin")?).ok()?;
    let listed = |wanted: &str| app.config.cors_origins.iter().find(|listed| *listed == wanted);
    // By its name it may do more than as one of all.
    listed(origin).or_else(|| listed("*")).cloned()
}

/// The answer to a preflight request; `methods` are those of the path.
pub(crate) fn preflight(app: &App, head: &Head<'_>, methods: &str) -> Reply {
    let reply = Reply::empty(204).with("allow", methods);
    if allowed(app, head).is_none() || head.bytes("access-control-request-method").is_none() {
        return reply;
    }
    // What was asked for, if it is a list of header names; a fixed list would have to know every
    // option header by heart.
    let headers = head
        .bytes("access-control-request-headers")
        .and_then(|list| std::str::from_utf8(list).ok())
        .filter(|list| list.bytes().all(is_list_byte))
        .unwrap_or("last-event-id, content-type, idempotency-key");
    reply
        .with("access-control-allow-methods", methods)
        .with("access-control-allow-headers", headers)
        .with("access-control-max-age", "86400")
        .with("vary", "access-control-request-headers")
}

fn is_list_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b',' | b' ')
}

/// Whether a page of an `allowed` origin may send its cookies along: one that was listed by its
/// name may, as an `EventSource` with `withCredentials` asks for; `*` says nothing about whom to
/// trust.
pub(crate) fn with_credentials(allowed: &str) -> bool {
    allowed != "*"
}

/// Adds what lets the page read the answer.
pub(crate) fn expose(reply: Reply, origin: Option<String>) -> Reply {
    let Some(origin) = origin else { return reply };
    let reply = if with_credentials(&origin) {
        reply.with("access-control-allow-credentials", "true")
    } else {
        reply
    };
    reply
        .with("access-control-allow-origin", origin)
        .with("access-control-expose-headers", EXPOSED)
        .with("vary", "origin")
}
