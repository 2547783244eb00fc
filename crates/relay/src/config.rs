//! What a relay is configured with, once it was checked.

use std::time::Duration;

use http::Uri;
use http::header::{HeaderName, HeaderValue};
use tidings_frame::TopicName;

/// What happens to an answer that nobody reads any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDisconnect {
    /// It is finished: whoever comes back finds it whole.
    #[default]
    Continue,
    /// It is stopped at once.
    Cancel,
    /// It is stopped if nobody has come back after this time.
    CancelAfter(Duration),
}

/// How an upstream goes on with an answer after its connection broke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpstreamResume {
    /// As the API has it: Responses in the background go on after a sequence number.
    #[default]
    Api,
    /// As the server of llama.cpp has it: any answer goes on after so many bytes.
    LlamaServer,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// A server that answers.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// What the path of a request is appended to: `http://host:port/v1`.
    pub base: Uri,
    /// Sent instead of the client's credentials.
    pub api_key: Option<Secret>,
}

/// What one caller may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Answers running at the same time.
    pub concurrent: Option<usize>,
    /// Tokens, read and written, within [`window`](Self::window).
    pub tokens: Option<u64>,
    /// The time over which tokens are counted.
    pub window: Duration,
}

/// The AI SDK's chat routes.
#[derive(Clone, Debug)]
pub struct ChatRoutes {
    /// Where `useChat` posts: `/api/chat`.
    pub path: String,
    /// The model that is asked; none for the first that the upstream lists.
    pub model: Option<String>,
}

/// A relay in front of an LLM API.
#[derive(Clone, Debug)]
pub struct LlmConfig {
    /// Names it in topics, metrics and messages.
    pub name: String,
    /// Where it is mounted: `/v1`.
    pub path: String,
    /// Asked in this order; a later one only while nothing of an answer has come.
    pub upstreams: Vec<Endpoint>,
    /// Times a request is sent again to the same upstream, before anything has come of it.
    pub retries: u32,
    /// Paths below [`path`](Self::path) that are passed on; `*` at the end stands for anything.
    pub allow: Vec<String>,
    /// Header fields added to requests.
    pub add_headers: Vec<(HeaderName, HeaderValue)>,
    /// Header fields of the client that are not passed on.
    pub remove_headers: Vec<HeaderName>,
    /// Whether a host name may resolve to a private address.
    pub allow_private: bool,
    /// Whether chat completions are always asked for their usage.
    pub count_usage: bool,
    /// What happens when nobody reads.
    pub on_disconnect: OnDisconnect,
    /// Longest time until the upstream answers at all.
    pub answer_timeout: Duration,
    /// Time after which a client is answered although the upstream has not: with a stream that
    /// beats.
    pub patience: Duration,
    /// Longest time between two events of an answer.
    pub idle_timeout: Duration,
    /// Longest time for a whole answer.
    pub runtime_max: Duration,
    /// Most bytes of an answer.
    pub answer_bytes_max: usize,
    /// How long an answer can be read after it began, and its capabilities hold.
    pub keep: Duration,
    /// What one caller may use.
    pub quota: Quota,
    /// How the upstreams go on with an answer.
    pub upstream_resume: UpstreamResume,
    /// The AI SDK's routes, if they are wanted.
    pub chat: Option<ChatRoutes>,
}

impl LlmConfig {
    /// The usual settings for an upstream.
    #[must_use]
    pub fn new(name: &str, path: &str, base: Uri) -> Self {
        Self {
            name: name.to_owned(),
            path: path.to_owned(),
            upstreams: vec![Endpoint { base, api_key: None }],
            retries: 1,
            allow: ALLOWED.iter().map(|&path| path.to_owned()).collect(),
            add_headers: Vec::new(),
            remove_headers: Vec::new(),
            allow_private: false,
            count_usage: true,
            on_disconnect: OnDisconnect::Continue,
            answer_timeout: Duration::from_secs(600),
            patience: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            runtime_max: Duration::from_secs(3_600),
            answer_bytes_max: 64 << 20,
            keep: Duration::from_secs(24 * 3_600),
            quota: Quota { window: Duration::from_secs(24 * 3_600), ..Quota::default() },
            upstream_resume: UpstreamResume::default(),
            chat: None,
        }
    }

    /// Whether requests to this path below the mount are passed on.
    #[must_use]
    pub fn allows(&self, rest: &str) -> bool {
        // A segment that means another path to whoever is behind would lead out of what is allowed.
        let read = rest.to_ascii_lowercase();
        let read = read.replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\");
        if read.split(['/', '\\']).any(|segment| matches!(segment, "." | "..")) {
            return false;
        }
        self.allow.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(begin) => rest.starts_with(begin),
            None => rest == allowed,
        })
    }
}

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

/// A relay of one stream that many share.
#[derive(Clone, Debug)]
pub struct SharedConfig {
    /// Where clients reach it: `/stream`.
    pub path: String,
    /// The stream.
    pub upstream: Uri,
    /// The topic that it becomes.
    pub topic: TopicName,
    /// Header fields added to requests.
    pub add_headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether a host name may resolve to a private address.
    pub allow_private: bool,
    /// How long the upstream is read on after the last client has gone.
    pub grace: Duration,
    /// Events that a client without a position gets first.
    pub replay: u64,
    /// Events that are kept.
    pub retain: u64,
}

impl SharedConfig {
    /// The usual settings for a stream.
    #[must_use]
    pub fn new(path: &str, upstream: Uri, topic: TopicName) -> Self {
        Self {
            path: path.to_owned(),
            upstream,
            topic,
            add_headers: Vec::new(),
            allow_private: false,
            grace: Duration::from_secs(30),
            replay: 1,
            retain: 1_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_on_what_asks_a_model() {
        let config = LlmConfig::new("llm", "/v1", Uri::from_static("http://127.0.0.1:1/v1"));
        for (path, allowed) in [
            ("chat/completions", true),
            ("models/a/b", true),
            ("models", true),
            ("modelsx", false),
            ("files", false),
            ("models/../files", false),
            ("models/%2e%2E%2ffiles", false),
            ("models/organisation%2Fmodel", true),
            ("", false),
        ] {
            assert_eq!(config.allows(path), allowed, "{path}");
        }
    }

    #[test]
    fn keeps_secrets_out_of_debug() {
        let mut config = LlmConfig::new("llm", "/v1", Uri::from_static("http://127.0.0.1:1/v1"));
        config.upstreams[0].api_key = Some(Secret("sk-planted".into()));
        assert!(!format!("{config:?}").contains("planted"));
    }
}
