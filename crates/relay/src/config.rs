//! What a relay is configured with, once it was checked.

use std::time::Duration;

use http::Uri;
use http::header::{HeaderName, HeaderValue};
use tidings_frame::TopicName;

use crate::allow::{self, Allowed, NotAllowed};

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

/// What is kept at the API and found there by its id, whoever has put it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Uploaded files.
    Files,
    /// Prompts with a name.
    Prompts,
    /// Skills.
    Skills,
    /// Vector stores.
    VectorStores,
    /// Tunnels to private MCP servers.
    Tunnels,
}

impl Kept {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Files, Self::Prompts, Self::Skills, Self::VectorStores, Self::Tunnels];

    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Prompts => "prompts",
            Self::Skills => "skills",
            Self::VectorStores => "vector_stores",
            Self::Tunnels => "tunnels",
        }
    }
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
    /// What below [`path`](Self::path) is passed on.
    pub allow: Vec<Allowed>,
    /// What every caller may name in a request although the operator's key is in front.
    pub share: Vec<Kept>,
    /// Whether the API takes all callers for one; none for where a key of the operator's is in
    /// front.
    pub one_account: Option<bool>,
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
            allow: allow::usual(),
            share: Vec::new(),
            one_account: None,
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

    /// Whether the API takes all callers for one: because a key of the operator's is in front, or
    /// because the operator says so of an upstream that asks nobody for a key.
    #[must_use]
    pub fn is_one_account(&self) -> bool {
        let adds_key = || self.add_headers.iter().any(|(name, _)| KEYS.contains(&name.as_str()));
        self.one_account.unwrap_or_else(|| self.has_own_key() || adds_key())
    }

    /// Whether upstreams are sent a key instead of the client's credentials.
    #[must_use]
    pub fn has_own_key(&self) -> bool {
        self.upstreams.iter().any(|upstream| upstream.api_key.is_some())
    }

    /// Whether a request to this path below the mount is passed on.
    ///
    /// # Errors
    /// See [`NotAllowed`].
    pub fn allows(&self, method: &str, rest: &str) -> Result<(), NotAllowed> {
        allow::check(&self.allow, self.is_one_account(), method, rest)
    }
}

/// Header fields in which APIs are sent their keys: everybody's, Anthropic's, Azure's, Google's,
/// and those of the gateways of Cloudflare and Azure.
pub(crate) const KEYS: [&str; 6] = [
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "cf-aig-authorization",
    "ocp-apim-subscription-key",
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
    fn a_key_of_the_operators_makes_one_account_of_all_callers() {
        let config = |name: &'static str| {
            let base = Uri::from_static("http://127.0.0.1:1/v1");
            let mut config = LlmConfig::new("llm", "/v1", base);
            let name = HeaderName::from_static(name);
            config.add_headers.push((name, HeaderValue::from_static("x")));
            config
        };
        let names = KEYS.map(|name| (name, true));
        for (name, one) in names.into_iter().chain([("x-title", false)]) {
            let mut config = config(name);
            assert_eq!(config.is_one_account(), one, "{name}");
            assert_eq!(config.allows("DELETE", "models/x").is_err(), one, "{name}");
            assert!(!config.has_own_key(), "{name}");
            // What the operator says counts.
            config.one_account = Some(!one);
            assert_eq!(config.is_one_account(), !one, "{name}");
        }
        let mut config = config("x-title");
        config.upstreams[0].api_key = Some(Secret("k".into()));
        assert!(config.is_one_account() && config.has_own_key());
    }

    #[test]
    fn keeps_secrets_out_of_debug() {
        let mut config = LlmConfig::new("llm", "/v1", Uri::from_static("http://127.0.0.1:1/v1"));
        config.upstreams[0].api_key = Some(Secret("sk-planted".into()));
        assert!(!format!("{config:?}").contains("planted"));
    }
}
