//! A client's request as it goes to an upstream: what is passed on, what is kept back, whose key it
//! carries.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri};

use crate::config::{Endpoint, KEYS, LlmConfig};
use crate::dialect::Dialect;

/// Fields that concern one connection (RFC 9110, section 7.6.1), that are written on the way, or
/// that are between the client and this server.
const KEPT_BACK: [&str; 17] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "content-length",
    // What comes must be readable here.
    "accept-encoding",
    "cookie",
    "origin",
    "referer",
    "last-event-id",
    "expect",
];

/// Fields of an upstream's answer that are not the client's business, besides those of a
/// connection.
const ANSWER_KEPT_BACK: [&str; 13] = [
    "set-cookie",
    "date",
    "server",
    // These speak for a whole origin, which is not the upstream's.
    "strict-transport-security",
    "alt-svc",
    "content-security-policy",
    "content-security-policy-report-only",
    "nel",
    "report-to",
    "reporting-endpoints",
    "clear-site-data",
    "x-frame-options",
    "content-encoding",
];

/// Fields that are the operator's to choose where all callers are one account: whose project and
/// workspace a request is part of, and what is asked instead of what was judged.
const ACCOUNTS: [&str; 9] = [
    "openai-project",
    "openai-organization",
    "anthropic-workspace-id",
    "anthropic-user-profile-id",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// Where the key goes in Anthropic's API.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A request that can be sent to one upstream after the other.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The method.
    pub method: Method,
    /// Path below the mount and query, without a slash in front.
    pub rest: String,
    /// The client's fields, already without those that are kept back.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Outgoing {
    /// A client's request, without what must not be passed on.
    #[must_use]
    pub fn new(
        config: &LlmConfig,
        method: Method,
        rest: String,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Self {
        let mut passed = HeaderMap::with_capacity(headers.len());
        let (one_account, own_key) = (config.is_one_account(), config.has_own_key());
        let is_operators = |name: &HeaderName| {
            // `Authorization` and `x-api-key` tell which API is spoken: they are replaced later.
            one_account && ACCOUNTS.contains(&name.as_str())
                || own_key && KEYS[2..].contains(&name.as_str())
        };
        for (name, value) in headers {
            if is_passed_on(name, headers)
                && !config.remove_headers.contains(name)
                && !is_operators(name)
            {
                passed.append(name.clone(), value.clone());
            }
        }
        for (name, value) in &config.add_headers {
            passed.insert(name.clone(), value.clone());
        }
        Self { method, rest, headers: passed, body }
    }

    /// Gives up what it takes to send the request again.
    pub(crate) fn forget(&mut self) {
        (self.headers, self.body) = (HeaderMap::new(), Bytes::new());
    }

    /// The request as this upstream gets it.
    ///
    /// # Errors
    /// When base and path together are no URL.
    pub(crate) fn to(
        &self,
        endpoint: &Endpoint,
        dialect: Option<Dialect>,
    ) -> Result<Request<Bytes>, http::Error> {
        let base = endpoint.base.to_string();
        let uri: Uri = format!("{}/{}", base.trim_end_matches('/'), self.rest).parse()?;
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        if let Some(key) = &endpoint.api_key {
            let headers = request.headers_mut();
            // Anthropic's clients say so, also where the path does not.
            let anthropic = dialect == Some(Dialect::Messages)
                || headers.contains_key("anthropic-version")
                || headers.contains_key(X_API_KEY);
            headers.remove(header::AUTHORIZATION);
            headers.remove(X_API_KEY);
            let (name, value) = if anthropic {
                (X_API_KEY, key.0.clone())
            } else {
                (header::AUTHORIZATION, format!("Bearer {}", key.0))
            };
            let mut value = HeaderValue::from_str(&value)?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(request)
    }
}

fn is_passed_on(name: &HeaderName, headers: &HeaderMap) -> bool {
    let text = name.as_str();
    let named_in_connection = || {
        let fields = headers.get_all(header::CONNECTION).iter();
        fields
            .filter_map(|field| field.to_str().ok())
            .any(|field| field.split(',').any(|named| named.trim().eq_ignore_ascii_case(text)))
    };
    !(KEPT_BACK.contains(&text)
        || text.starts_with("tidings-")
        || text.starts_with("sec-")
        || text.starts_with("x-forwarded-")
        || text == "forwarded"
        || named_in_connection())
}

/// The fields of an upstream's answer that are passed on.
pub(crate) fn answer_headers(headers: &HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        if is_passed_on(name, headers)
            && !ANSWER_KEPT_BACK.contains(&name.as_str())
            && !name.as_str().starts_with("access-control-")
        {
            passed.append(name.clone(), value.clone());
        }
    }
    passed
}

/// The credentials of a request, for telling callers apart: of the fields in which APIs are sent
/// their keys the first that is there.
#[must_use]
pub fn credentials(headers: &HeaderMap) -> &[u8] {
    let found = KEYS.iter().find_map(|&name| headers.get(name));
    found.map_or(b"", HeaderValue::as_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|&(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
            .collect()
    }

    #[test]
    fn passes_on_what_is_the_clients_and_nothing_else() {
        let mut config = LlmConfig::new("llm", "/v1", Uri::from_static("http://h:1/v1/"));
        config.remove_headers.push(HeaderName::from_static("x-secret"));
        config.add_headers.push((HeaderName::from_static("x-team"), HeaderValue::from_static("a")));
        let given = headers(&[
            ("authorization", "Bearer client"),
            ("host", "tidings"),
            ("cookie", "a=b"),
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "1"),
            ("x-secret", "1"),
            ("x-forwarded-for", "1.2.3.4"),
            ("accept-encoding", "gzip"),
            ("tidings-on-disconnect", "cancel"),
            ("x-stainless-retry-count", "0"),
        ]);
        let rest = "chat/completions?a=b".to_owned();
        let out = Outgoing::new(&config, Method::POST, rest, &given, Bytes::new());
        let mut request = out.to(&config.upstreams[0], Some(Dialect::Chat)).unwrap();
        assert_eq!(request.uri(), "http://h:1/v1/chat/completions?a=b");
        let mut names: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["authorization", "x-stainless-retry-count", "x-team"]);
        config.upstreams[0].api_key = Some(Secret("sk-ours".into()));
        request = out.to(&config.upstreams[0], Some(Dialect::Chat)).unwrap();
        assert_eq!(request.headers()["authorization"], "Bearer sk-ours");
        request = out.to(&config.upstreams[0], Some(Dialect::Messages)).unwrap();
        assert_eq!(request.headers()["x-api-key"], "sk-ours");
        assert!(!request.headers().contains_key("authorization"));
    }

    #[test]
    fn whose_account_it_is_says_the_operator() {
        let mut config = LlmConfig::new("llm", "/v1", Uri::from_static("http://h:1/v1/"));
        let given: Vec<(&str, &str)> = ACCOUNTS.iter().map(|&name| (name, "theirs")).collect();
        let given =
            headers(&[&given[..], &[("api-key", "theirs"), ("x-title", "theirs")]].concat());
        let passed = |config: &LlmConfig| {
            let rest = "models".to_owned();
            let out = Outgoing::new(config, Method::GET, rest, &given, Bytes::new());
            let mut names: Vec<String> =
                out.headers.iter().map(|(n, v)| format!("{n} {}", v.to_str().unwrap())).collect();
            names.sort_unstable();
            names.join(",")
        };
        assert_eq!(passed(&config).matches("theirs").count(), ACCOUNTS.len() + 2);
        config.one_account = Some(true);
        assert_eq!(passed(&config), "api-key theirs,x-title theirs");
        config.upstreams[0].api_key = Some(Secret("sk-ours".into()));
        assert_eq!(passed(&config), "x-title theirs");
        // What the operator adds is meant.
        let add = |name| (HeaderName::from_static(name), HeaderValue::from_static("ours"));
        config.add_headers = vec![add("openai-project"), add("api-key")];
        assert_eq!(passed(&config), "api-key ours,openai-project ours,x-title theirs");
    }

    #[test]
    fn callers_are_told_apart_by_whatever_key_they_bring() {
        for name in KEYS {
            assert_eq!(credentials(&headers(&[("x-title", "a"), (name, "b")])), b"b", "{name}");
        }
        let both = [("api-key", "b"), ("authorization", "a")];
        assert_eq!(credentials(&headers(&both)), b"a");
        assert_eq!(credentials(&headers(&[("x-title", "a")])), b"");
    }

    #[test]
    fn keeps_back_what_is_the_upstreams() {
        let passed = answer_headers(&headers(&[
            ("set-cookie", "a=b"),
            ("transfer-encoding", "chunked"),
            ("x-request-id", "r1"),
            ("access-control-allow-origin", "*"),
        ]));
        assert_eq!(passed.len(), 1);
        assert_eq!(passed["x-request-id"], "r1");
    }
}
