//! What of an API is passed on: paths below a relay's mount, and by which methods.
//!
//! With the operator's key in front, the API takes all callers for one. So there, what asks a model
//! is only posted and models are only read: the other methods of the same paths list and delete
//! what is everybody's.

use std::str::FromStr;

use http::Method;
use percent_encoding::percent_decode_str;

/// What is passed on unless configured: what asks a model. With a key of the operator's in front,
/// anything more (files, fine-tuning, an organisation's settings) would be open to every caller.
pub const ALLOWED: [&str; 9] = [
    "chat/completions",
    "completions",
    "responses",
    "responses/*",
    "messages",
    "messages/count_tokens",
    "embeddings",
    "models",
    "models/*",
];

/// By which methods these are asked where the operator's key is in front; the first that fits.
const METHODS: [(&str, &[Method]); 11] = [
    ("chat/completions", &[Method::POST]),
    ("completions", &[Method::POST]),
    ("responses", &[Method::POST]),
    ("responses/compact", &[Method::POST]),
    ("responses/input_tokens", &[Method::POST]),
    ("responses/*", &[Method::GET, Method::HEAD, Method::POST, Method::DELETE]),
    ("messages", &[Method::POST]),
    ("messages/count_tokens", &[Method::POST]),
    ("embeddings", &[Method::POST]),
    ("models", &[Method::GET, Method::HEAD]),
    ("models/*", &[Method::GET, Method::HEAD]),
];

/// What is never passed on: an upstream answers `TRACE` with the request, and so with the key that
/// was added to it (RFC 9110, section 9.3.8); `CONNECT` asks for a tunnel.
const NEVER: [&str; 2] = ["TRACE", "CONNECT"];

/// By which methods something is asked that has an entry for all.
const ANY: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// Where the paths of these APIs begin, whatever is before (`v1`, a deployment's name).
const HEADS: [&str; 6] = ["chat", "completions", "responses", "messages", "embeddings", "models"];

/// Places of one path that are looked at: more than any path of these APIs has.
const BEGINS_MAX: usize = 8;

/// Paths that are passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Empty for every method, except where the operator's key narrows them.
    pub methods: Vec<Method>,
    /// Below the mount; `*` at the end stands for anything.
    pub path: String,
}

/// Why a request is not passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// Nothing allows its path.
    #[error("does not pass this path on")]
    Path,
    /// Its path is allowed, by other methods.
    #[error("passes this path on with {0} only")]
    Method(String),
}

impl FromStr for Allowed {
    type Err = String;

    /// `models/*`, or with methods in front: `GET,HEAD models/*`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (methods, path) = text.trim().rsplit_once(' ').unwrap_or(("", text.trim()));
        let method = |method: &str| {
            let upper = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase());
            Method::from_bytes(method.as_bytes()).ok().filter(|_| upper)
        };
        let read = methods.split(',').map(str::trim).filter(|_| !methods.is_empty()).map(method);
        let methods = read.collect::<Option<Vec<Method>>>();
        let methods = methods.filter(|_| !path.is_empty());
        let methods = methods.ok_or_else(|| {
            format!("`{text}`: a path, or methods and a path: `GET,HEAD files/*`")
        })?;
        Ok(Self { methods, path: path.to_owned() })
    }
}

/// What is passed on unless configured.
#[must_use]
pub fn usual() -> Vec<Allowed> {
    ALLOWED.iter().map(|path| Allowed { methods: Vec::new(), path: (*path).to_owned() }).collect()
}

/// Whether `allow` passes this on; `one_account` says whether the operator's key is in front.
///
/// # Errors
/// See [`NotAllowed`].
pub fn check(
    allow: &[Allowed],
    one_account: bool,
    method: &str,
    rest: &str,
) -> Result<(), NotAllowed> {
    // A segment that means another path to whoever is behind would lead out of what is allowed.
    let read = rest.to_ascii_lowercase();
    if is_escaped_twice(&read) {
        return Err(NotAllowed::Path);
    }
    let read = [("%2e", "."), ("%2f", "/"), ("%5c", "\\"), ("%3b", ";")]
        .iter()
        .fold(read, |read, (escape, plain)| read.replace(escape, plain));
    // Some behind drop a segment's parameters before they look (`..;a=b`).
    let mut segments = read.split(['/', '\\']).map(|it| it.split(';').next().unwrap_or_default());
    if segments.any(|segment| matches!(segment, "." | "..")) {
        return Err(NotAllowed::Path);
    }
    let narrowed = one_account.then(|| methods(rest)).flatten();
    let mut by: Vec<&Method> = Vec::new();
    let mut entries = allow.iter().filter(|allowed| fits(&allowed.path, rest)).peekable();
    if entries.peek().is_none() {
        return Err(NotAllowed::Path);
    }
    let never = NEVER.iter().any(|never| method.eq_ignore_ascii_case(never));
    for Allowed { methods, .. } in entries {
        match (&**methods, narrowed) {
            ([], None) if never => by.extend(&ANY),
            ([], None) => return Ok(()),
            ([], Some(methods)) => by.extend(methods),
            (methods, _) => by.extend(methods),
        }
    }
    by.retain(|by| !NEVER.contains(&by.as_str()));
    if by.iter().any(|by| by.as_str() == method) {
        return Ok(());
    }
    let names: Vec<&str> = by.into_iter().map(Method::as_str).collect();
    Err(NotAllowed::Method(names.join(", ")))
}

/// Whether a segment's end, a dot or a parameter is hidden from who decodes once, and is there for
/// who decodes more often.
fn is_escaped_twice(lower: &str) -> bool {
    lower.match_indices("%25").any(|(at, _)| {
        let mut rest = &lower[at + 3..];
        while let Some(further) = rest.strip_prefix("25") {
            rest = further;
        }
        ["2e", "2f", "5c", "3b"].iter().any(|hidden| rest.starts_with(hidden))
    })
}

fn fits(allowed: &str, rest: &str) -> bool {
    match allowed.strip_suffix('*') {
        Some(begin) => rest.starts_with(begin),
        None => rest == allowed,
    }
}

fn methods(rest: &str) -> Option<&'static [Method]> {
    api_paths(rest).iter().find_map(|path| {
        let path = path.join("/");
        METHODS.iter().find(|(allowed, _)| fits(allowed, &path)).map(|&(_, methods)| methods)
    })
}

/// The segments of the path as whoever is behind might read it: decoded, without empty ones and
/// parameters, in small letters, from each place where a path of these APIs can begin.
#[must_use]
pub fn api_paths(rest: &str) -> Vec<Vec<String>> {
    let decoded = percent_decode_str(rest).decode_utf8_lossy().to_ascii_lowercase();
    let segments = decoded.split(['/', '\\']).map(|it| it.split(';').next().unwrap_or_default());
    let segments: Vec<String> =
        segments.filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
    let begins = (0..segments.len()).filter(|&at| HEADS.contains(&&*segments[at]));
    begins.take(BEGINS_MAX).map(|at| segments[at..].to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_by(allow: &[&str], one_account: bool, method: &str, rest: &str) -> String {
        let allow: Vec<Allowed> = allow.iter().map(|text| text.parse().unwrap()).collect();
        match check(&allow, one_account, method, rest) {
            Ok(()) => "yes".to_owned(),
            Err(NotAllowed::Path) => "no".to_owned(),
            Err(NotAllowed::Method(methods)) => methods,
        }
    }

    #[test]
    fn passes_on_what_asks_a_model() {
        for (path, allowed) in [
            ("chat/completions", "yes"),
            ("models/a/b", "yes"),
            ("models", "yes"),
            ("modelsx", "no"),
            ("files", "no"),
            ("models/../files", "no"),
            ("models/%2e%2E%2ffiles", "no"),
            ("models/..;/files", "no"),
            ("models/..;a=b/files", "no"),
            ("models/..%3Ba/files", "no"),
            ("models/.%2e;%2ffiles", "no"),
            ("models/%252e%252e/files", "no"),
            ("models/..%252Ffiles", "no"),
            ("models/..%25255cfiles", "no"),
            ("models/a;b/c", "yes"),
            ("models/a%25b", "yes"),
            ("models/a%2525", "yes"),
            ("models/organisation%2Fmodel", "yes"),
            ("", "no"),
        ] {
            for method in ["GET", "POST", "DELETE"] {
                assert_eq!(check_by(&ALLOWED, false, method, path), allowed, "{method} {path}");
            }
        }
    }

    #[test]
    fn the_operators_key_asks_models_and_does_nothing_else() {
        let (post, read) = ("POST", "GET, HEAD");
        for (path, methods) in [
            ("chat/completions", post),
            ("completions", post),
            ("responses", post),
            ("responses/compact", post),
            ("responses/input_tokens", post),
            ("messages", post),
            ("messages/count_tokens", post),
            ("embeddings", post),
            ("models", read),
            ("models/x", read),
            ("models/ft:x/y", read),
            ("models//x", read),
            ("responses/resp_1", "GET, HEAD, POST, DELETE"),
            ("responses/resp_1/cancel", "GET, HEAD, POST, DELETE"),
        ] {
            for method in [
                "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "post", "QUERY", "TRACE",
                "CONNECT", "OPTIONS",
            ] {
                let passes = methods.split(", ").any(|it| it == method);
                let wanted = if passes { "yes" } else { methods };
                assert_eq!(check_by(&ALLOWED, true, method, path), wanted, "{method} {path}");
            }
        }
        for path in ["files", "chat/completions/x", "messages/batches", "fine_tuning/jobs"] {
            assert_eq!(check_by(&ALLOWED, true, "GET", path), "no", "{path}");
        }
    }

    #[test]
    fn nobody_is_shown_the_key_that_was_added() {
        let any = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
        for (allow, rest, wanted) in [
            ("*", "files", any),
            ("files", "files", any),
            ("models/*", "models/x", "GET, HEAD"),
            ("GET,TRACE files", "files", "GET"),
            ("TRACE files", "files", ""),
        ] {
            for method in ["TRACE", "CONNECT", "trace"] {
                let told = check_by(&[allow], true, method, rest);
                assert_eq!(told, wanted, "{allow}: {method} {rest}");
            }
        }
        assert_eq!(check_by(&["*"], false, "TRACE", "chat/completions"), any);
    }

    #[test]
    fn an_entry_says_its_methods_or_leaves_them_to_the_path() {
        for (allow, method, rest, wanted) in [
            ("files", "GET", "files", "yes"),
            ("files", "DELETE", "files", "yes"),
            ("POST files", "POST", "files", "yes"),
            ("POST files", "GET", "files", "POST"),
            ("GET,HEAD files/*", "DELETE", "files/x", "GET, HEAD"),
            ("GET, HEAD files/*", "HEAD", "files/x", "yes"),
            ("GET, HEAD files/*", "GET", "files", "no"),
            // However wide, and however the path is written.
            ("*", "GET", "files", "yes"),
            ("*", "GET", "chat/completions", "POST"),
            ("*", "GET", "Chat%2fCompletions", "POST"),
            ("*", "GET", "chat//completions/", "POST"),
            ("*", "GET", "v1/chat;a=b/completions", "POST"),
            ("*", "DELETE", "deployments/d/models/x", "GET, HEAD"),
            ("*", "GET", "deployments/chat/chat/completions", "POST"),
            ("*", "GET", "deployments/messages/responses", "POST"),
            ("*", "DELETE", "models/chat/completions", "GET, HEAD"),
            // What the operator writes out is meant.
            ("DELETE models/*", "DELETE", "models/x", "yes"),
            ("DELETE models/*", "GET", "models/x", "DELETE"),
        ] {
            assert_eq!(check_by(&[allow], true, method, rest), wanted, "{allow}: {method} {rest}");
        }
        let both = ["models", "DELETE models"];
        assert_eq!(check_by(&both, true, "PUT", "models"), "GET, HEAD, DELETE");
        assert_eq!(check_by(&["POST files"], false, "GET", "files"), "POST", "without a key too");
        for wrong in ["", " ", "get files", "GET,, files", "GET;HEAD files", "GET POST files"] {
            assert!(wrong.parse::<Allowed>().is_err(), "{wrong:?}");
        }
    }
}
