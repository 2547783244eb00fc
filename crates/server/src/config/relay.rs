//! `[[relay]]` sections, and the flags `--llm` and `--relay` that write short ones.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use serde_json::json;
use tidings_frame::TopicName;
use tidings_relay::config::{
    ChatRoutes, Endpoint, Kept, LlmConfig, OnDisconnect, Secret, SharedConfig, UpstreamResume,
};

use super::checked::complain;
use super::layers::Layers;
use super::raw::{Relay, RelayKind, Resume};
use super::settings::refused_url;
use super::source::Source;
use super::units;
use super::{Flag, Mode};

/// The full name of the flag `--llm`.
pub const LLM_FLAG: &str = "relay.llm";

/// The full name of the flag `--relay`.
pub const SHARED_FLAG: &str = "relay.shared";

/// Where `--llm` is reached: the path that the official clients expect.
const LLM_PATH: &str = "/v1";

/// Where the AI SDK posts unless told otherwise.
const CHAT_PATH: &str = "/api/chat";

/// Paths of the server's own, which a relay cannot stand in for.
const TAKEN: [&str; 13] = [
    "/topics",
    "/publish",
    "/events",
    "/connections",
    "/schedules",
    "/answers",
    "/traces",
    "/configuration",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/_",
];

/// The relays of a configuration.
#[derive(Debug, Default)]
pub(super) struct Relays {
    pub(super) llm: Vec<LlmConfig>,
    pub(super) shared: Vec<SharedConfig>,
}

/// Writes the section that a flag stands for; `false` if it is another flag.
pub(super) fn add_flag(layers: &mut Layers, flag: &Flag) -> bool {
    let at = layers.items("relay");
    let source = Source::Flag(flag.name.to_owned());
    let mut set = |name: &str, value: serde_json::Value| {
        layers.set(format!("relay[{at}].{name}"), value, source.clone());
    };
    match flag.path {
        LLM_FLAG => {
            set("kind", json!("llm"));
            set("path", json!(LLM_PATH));
            set("upstream", json!(flag.value));
            set("chat_path", json!(CHAT_PATH));
        }
        SHARED_FLAG => {
            let (path, upstream) = flag.value.split_once('=').unwrap_or((&flag.value, ""));
            set("kind", json!("shared"));
            set("path", json!(path));
            set("upstream", json!(upstream));
        }
        _ => return false,
    }
    true
}

/// Checks the sections.
pub(super) fn check(raw: Vec<Relay>, mode: Mode, layers: &mut Layers) -> Relays {
    let mut relays = Relays::default();
    let mut paths: Vec<String> = Vec::new();
    for (index, relay) in raw.into_iter().enumerate() {
        let mut problems = Problems { index, layers };
        let Some(path) = problems.path("path", relay.path.as_deref()) else { continue };
        if paths.contains(&path) {
            problems.add("path", format!("{path}: another relay has this path"));
        }
        paths.push(path.clone());
        match relay.kind {
            Some(RelayKind::Llm) => {
                let Some(llm) = llm(relay, path, mode, &mut problems) else { continue };
                if relays.llm.iter().any(|other| other.name == llm.name) {
                    problems.add("name", format!("{}: another relay has this name", llm.name));
                }
                if let Some(chat) = llm.chat.as_ref().filter(|chat| paths.contains(&chat.path)) {
                    let message = format!("{}: another relay has this path", chat.path);
                    problems.add("chat_path", message);
                }
                paths.extend(llm.chat.as_ref().map(|chat| chat.path.clone()));
                relays.llm.push(llm);
            }
            Some(RelayKind::Shared) => relays.shared.extend(shared(relay, path, &mut problems)),
            None => problems.add("kind", "it must be given: llm or shared".to_owned()),
        }
    }
    relays
}

/// Where the problems of a section go.
struct Problems<'a> {
    index: usize,
    layers: &'a mut Layers,
}

impl Problems<'_> {
    fn add(&mut self, name: &str, message: String) {
        complain(self.layers, &format!("relay[{}].{name}", self.index), message);
    }

    /// A value that must be right, or a problem and none.
    fn take<T>(&mut self, name: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|message| self.add(name, message)).ok()
    }

    fn path(&mut self, name: &str, given: Option<&str>) -> Option<String> {
        let Some(path) = given else {
            self.add(name, "it must be given: where clients reach the relay, `/v1`".to_owned());
            return None;
        };
        let taken = |own: &&&str| path == **own || path.starts_with(&format!("{own}/"));
        let plain = path.bytes().all(|b| b.is_ascii_graphic() && !b"?#%\"\\".contains(&b));
        let message = if !path.starts_with('/') || path.len() < 2 || path.ends_with('/') || !plain {
            format!("`{path}`: a path such as `/v1`, with a slash in front and none behind")
        } else if let Some(own) = TAKEN.iter().find(taken) {
            format!("`{path}`: the server's own paths ({own}) cannot be a relay's")
        } else {
            return Some(path.to_owned());
        };
        self.add(name, message);
        None
    }

    fn headers(&mut self, lines: Vec<String>) -> Vec<(HeaderName, HeaderValue)> {
        let header = |line: &String| {
            let (name, value) = line.split_once(':')?;
            let mut value = HeaderValue::from_str(value.trim()).ok()?;
            // It may be a key: it is never shown.
            value.set_sensitive(true);
            Some((HeaderName::try_from(name.trim()).ok()?, value))
        };
        let read: Option<Vec<_>> = lines.iter().map(header).collect();
        // The line itself is not repeated: there may be a key in it.
        let read = read.ok_or_else(|| "each is written `Name: value`".to_owned());
        self.take("add_headers", read).unwrap_or_default()
    }
}

pub(super) fn uri(text: &str) -> Result<Uri, String> {
    let told = refused_url(text);
    let uri: Uri = text.parse().map_err(|error| format!("`{told}`: {error}"))?;
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if scheme && plain {
        return Ok(uri);
    }
    Err(format!("`{told}`: a URL such as http://127.0.0.1:8000/v1, without a user in it"))
}

/// Whether a URL names an address of this machine by itself.
pub(super) fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn upstream(given: Option<&str>, problems: &mut Problems<'_>) -> Option<Uri> {
    let given = given.ok_or_else(|| "it must be given: the URL that is asked".to_owned());
    problems.take("upstream", given.and_then(uri))
}

fn or(given: Option<super::raw::Length>, usual: Duration) -> Duration {
    given.map_or(usual, |given| given.0)
}

fn llm(raw: Relay, path: String, mode: Mode, problems: &mut Problems<'_>) -> Option<LlmConfig> {
    let base = upstream(raw.upstream.as_deref(), problems)?;
    let mut llm = LlmConfig::new(&raw.name.unwrap_or_else(|| name(&path)), &path, base);
    for fallback in raw.fallbacks.unwrap_or_default() {
        let base = problems.take("fallbacks", uri(&fallback))?;
        llm.upstreams.push(Endpoint { base, api_key: None });
    }
    if let Some(variable) = raw.api_key_env {
        let key = std::env::var(&variable);
        let missing = || format!("the environment variable {variable} is not set");
        let key = problems.take("api_key_env", key.map_err(|_| missing()))?;
        for endpoint in &mut llm.upstreams {
            endpoint.api_key = Some(Secret(key.clone()));
        }
    }
    llm.add_headers = problems.headers(raw.add_headers.unwrap_or_default());
    for name in raw.remove_headers.unwrap_or_default() {
        let name = HeaderName::try_from(&name).map_err(|_| format!("`{name}`: no header's name"));
        llm.remove_headers.extend(problems.take("remove_headers", name));
    }
    if let Some(text) = raw.on_disconnect {
        llm.on_disconnect = problems.take("on_disconnect", on_disconnect(&text))?;
    }
    if let Some(allow) = raw.allow {
        let allow = allow.iter().map(|entry| entry.parse()).collect();
        llm.allow = problems.take("allow", allow)?;
    }
    for name in raw.share.unwrap_or_default() {
        llm.share.extend(problems.take("share", kept(&name)));
    }
    llm.one_account = raw.one_account;
    // What is on this machine was meant when it was written into a flag of `tidings dev`.
    let own = mode == Mode::Dev && llm.upstreams.iter().all(|upstream| is_loopback(&upstream.base));
    llm.allow_private = raw.allow_private.unwrap_or(own);
    llm.retries = raw.retries.map_or(llm.retries, |retries| u32::try_from(retries).unwrap_or(0));
    llm.count_usage = raw.count_usage.unwrap_or(llm.count_usage);
    llm.answer_timeout = or(raw.answer_timeout, llm.answer_timeout);
    llm.patience = or(raw.patience, llm.patience);
    llm.idle_timeout = or(raw.idle_timeout, llm.idle_timeout);
    llm.runtime_max = or(raw.runtime_max, llm.runtime_max);
    llm.upstream_resume = match raw.upstream_resume {
        Some(Resume::LlamaServer) => UpstreamResume::LlamaServer,
        Some(Resume::Api) | None => UpstreamResume::Api,
    };
    llm.keep = or(raw.keep, llm.keep);
    llm.quota.window = or(raw.tokens_window, llm.quota.window);
    llm.quota.tokens = raw.tokens_max;
    llm.quota.concurrent = raw.concurrent_max.and_then(|most| usize::try_from(most).ok());
    if let Some(bytes) = raw.answer_bytes {
        llm.answer_bytes_max = usize::try_from(bytes.0).unwrap_or(usize::MAX);
    }
    if llm.keep < llm.runtime_max {
        let message = "an answer cannot be kept for less time than it may take (runtime_max)";
        problems.add("keep", message.to_owned());
    }
    if let Some(path) = raw.chat_path {
        let path = problems.path("chat_path", Some(&path))?;
        llm.chat = Some(ChatRoutes { path, model: raw.chat_model });
    }
    Some(llm)
}

fn kept(name: &str) -> Result<Kept, String> {
    let found = Kept::ALL.into_iter().find(|kept| kept.name() == name);
    let names = Kept::ALL.map(Kept::name).join(", ");
    found.ok_or_else(|| format!("`{name}`: one of {names}"))
}

fn shared(raw: Relay, path: String, problems: &mut Problems<'_>) -> Option<SharedConfig> {
    let upstream = upstream(raw.upstream.as_deref(), problems)?;
    let topic = raw.topic.unwrap_or_else(|| name(&path));
    let topic = TopicName::new(&topic).map_err(|error| format!("`{topic}`: {error}"));
    let topic = problems.take("topic", topic)?;
    if tidings_frame::is_internal(topic.as_str()) {
        let message = "names that begin with $ are the server's own".to_owned();
        problems.add("topic", message);
    }
    let mut shared = SharedConfig::new(&path, upstream, topic);
    shared.add_headers = problems.headers(raw.add_headers.unwrap_or_default());
    shared.allow_private = raw.allow_private.unwrap_or(is_loopback(&shared.upstream));
    shared.grace = or(raw.grace, shared.grace);
    shared.replay = raw.replay.unwrap_or(shared.replay);
    shared.retain = raw.retain.unwrap_or(shared.retain);
    Some(shared)
}

fn name(path: &str) -> String {
    path.trim_start_matches('/').to_owned()
}

/// `continue`, `cancel` or `cancel-after=30s`.
pub(crate) fn on_disconnect(text: &str) -> Result<OnDisconnect, String> {
    let wrong = || "continue, cancel, or cancel-after= and a time such as 30s".to_owned();
    match text.trim() {
        "continue" => Ok(OnDisconnect::Continue),
        "cancel" => Ok(OnDisconnect::Cancel),
        other => {
            let grace = other.strip_prefix("cancel-after=").ok_or_else(wrong)?;
            let grace = units::parse_duration(grace).map_err(|_| wrong())?;
            Ok(OnDisconnect::CancelAfter(grace))
        }
    }
}
