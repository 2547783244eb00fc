//! The web pages in the binary: the demo of `tidings dev`, and the files it is made of.
//!
//! What is served is fixed when the server is built ([build.rs](../../build.rs)); nothing is read
//! from a disk and no path of a request is ever one of a file system. A page loads nothing from
//! elsewhere, runs nothing that is written into it, and cannot be put into a frame. Files whose
//! names hold a hash are kept by browsers for ever, pages are asked for again each time.

use tidings_frame::ErrorCode;

use crate::error::ApiError;
use crate::head::Head;
use crate::reply::Reply;

/// A file, and its packed forms if they are smaller.
struct File {
    /// Its path below `web/dist`.
    name: &'static str,
    /// Its entity tag, quotes included.
    tag: &'static str,
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

/// What `make web` built; empty if it was not run before this was compiled.
static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/web_files.rs"));

/// The page without the web part.
const UNBUILT: &str = include_str!("../../page/unbuilt.html");

/// Everything from here, nothing inline. `'self'` includes WebSockets to the same host.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; \
    worker-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A year, in seconds: as long as HTTP caches keep anything.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Files whose names change with what is in them.
const HASHED: &str = "assets/";

/// The script of the service worker that shows what is pushed to a closed page.
const WORKER: &str = "push-worker.js";

/// The pages that it may be for; without being told, only those beside its script.
const WORKER_PAGES: &str = "/demo/";

/// What it may load.
const WORKER_POLICY: &str = "default-src 'none'; connect-src 'self'";

/// A page that is not built has this policy: no script, its own style.
const UNBUILT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// One of the pages, such as `demo`.
pub(super) fn page(head: &Head<'_>, name: &str) -> Reply {
    let name = format!("{name}/index.html");
    let Some(file) = FILES.iter().find(|file| file.name == name) else {
        return hardened(Reply::new(200, "text/html; charset=utf-8", UNBUILT))
            .with("content-security-policy", UNBUILT_POLICY)
            .with("cache-control", "no-cache");
    };
    hardened(reply(head, file)).with("content-security-policy", POLICY)
}

/// `GET /_/{file}`: what the pages are made of.
pub(super) fn file(head: &Head<'_>, name: &str) -> Result<Reply, ApiError> {
    let file = FILES.iter().find(|file| file.name == name && !name.ends_with(".html"));
    let file = file.ok_or_else(|| ApiError::new(ErrorCode::NotFound, "there is no such file"))?;
    Ok(with_worker(file.name, reply(head, file)))
}

fn with_worker(name: &str, reply: Reply) -> Reply {
    if name != WORKER {
        return reply;
    }
    reply
        .with("service-worker-allowed", WORKER_PAGES)
        .with("content-security-policy", WORKER_POLICY)
}

fn reply(head: &Head<'_>, file: &File) -> Reply {
    let keep = if file.name.starts_with(HASHED) { FOR_EVER } else { "no-cache" };
    let (coding, body) = packed(head, file);
    let known = head.bytes("if-none-match").and_then(|tags| std::str::from_utf8(tags).ok());
    let known = known.is_some_and(|tags| tags.contains(file.tag));
    let reply = if known {
        Reply::empty(304)
    } else {
        let reply = Reply::new(200, media(file.name), body);
        if coding.is_empty() { reply } else { reply.with("content-encoding", coding) }
    };
    // Weak, because the same tag stands for each of its codings.
    reply
        .with("etag", format!("W/{}", file.tag))
        .with("cache-control", keep)
        .with("vary", "accept-encoding")
        .with("cross-origin-resource-policy", "same-origin")
}

/// The smallest form that the client takes, and its coding.
fn packed(head: &Head<'_>, file: &File) -> (&'static str, &'static [u8]) {
    let accepted = head.bytes("accept-encoding").unwrap_or_default();
    let accepted = std::str::from_utf8(accepted).unwrap_or_default();
    for (coding, bytes) in [("br", file.brotli), ("gzip", file.gzip)] {
        if let Some(bytes) = bytes.filter(|_| takes(accepted, coding)) {
            return (coding, bytes);
        }
    }
    ("", file.plain)
}

/// Whether the header lists the coding and does not refuse it (RFC 9110, section 12.5.3).
fn takes(accepted: &str, coding: &str) -> bool {
    accepted.split(',').any(|item| {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let weight = parameters.trim().strip_prefix("q=").and_then(|q| q.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case(coding) && weight.is_none_or(|weight| weight > 0.0)
    })
}

fn media(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn hardened(reply: Reply) -> Reply {
    reply
        .with("referrer-policy", "no-referrer")
        .with("x-frame-options", "DENY")
        .with("cross-origin-opener-policy", "same-origin")
        .with("permissions-policy", "camera=(), microphone=(), geolocation=()")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Headers;

    fn head<'a>(headers: &'a http::HeaderMap) -> Head<'a> {
        Head::new("GET", "/", Headers::Map(headers))
    }

    fn asking(name: &'static str, value: &str) -> http::HeaderMap {
        [(http::HeaderName::from_static(name), value.parse().unwrap())].into_iter().collect()
    }

    const SAMPLE: File = File {
        name: "assets/a-1.js",
        tag: "\"0011\"",
        plain: b"plain",
        brotli: Some(b"br"),
        gzip: Some(b"gz"),
    };

    fn value<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
        reply.headers.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    #[test]
    fn the_smallest_form_that_is_accepted_is_sent() {
        for (accepted, body, coding) in [
            ("gzip, deflate, br, zstd", "br", Some("br")),
            ("gzip;q=0.5", "gz", Some("gzip")),
            ("br;q=0, GZIP", "gz", Some("gzip")),
            ("br;q=0", "plain", None),
            ("brotli", "plain", None),
            ("", "plain", None),
        ] {
            let headers = asking("accept-encoding", accepted);
            let reply = reply(&head(&headers), &SAMPLE);
            assert_eq!(String::from_utf8_lossy(&reply.body), body, "{accepted}");
            assert_eq!(value(&reply, "content-encoding"), coding, "{accepted}");
            assert_eq!(reply.media, "text/javascript; charset=utf-8");
            assert_eq!(value(&reply, "cache-control"), Some(FOR_EVER));
        }
    }

    #[test]
    fn who_has_it_is_not_sent_it_again() {
        let headers = asking("if-none-match", "W/\"77\", W/\"0011\"");
        let known = reply(&head(&headers), &SAMPLE);
        assert_eq!((known.status, known.body.len()), (304, 0));
        assert_eq!(value(&known, "etag"), Some("W/\"0011\""));
        let headers = asking("if-none-match", "W/\"77\"");
        assert_eq!(reply(&head(&headers), &SAMPLE).status, 200);
    }

    #[test]
    fn only_the_worker_may_be_for_pages_elsewhere() {
        let reply = with_worker(WORKER, Reply::empty(200));
        assert_eq!(value(&reply, "service-worker-allowed"), Some("/demo/"));
        assert_eq!(value(&reply, "content-security-policy"), Some(WORKER_POLICY));
        assert!(with_worker("theme.js", Reply::empty(200)).headers.is_empty());
        assert!(POLICY.contains("worker-src 'self';"));
    }

    #[test]
    fn no_page_and_nothing_outside_of_the_table_is_a_file() {
        let headers = http::HeaderMap::new();
        for name in ["demo/index.html", "../Cargo.toml", "assets/", ""] {
            assert!(file(&head(&headers), name).is_err(), "{name}");
        }
    }
}
