//! `[[webhook]]` sections and `[hook]`: whom the server tells what happens, and whom it asks.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tidings_frame::Pattern;

use super::checked::complain;
use super::layers::Layers;
use super::raw::{Hook, Length, Webhook};
use super::relay::uri;
use crate::outgoing::Target;
use crate::outgoing::signature::Secrets;

/// Most webhooks: every event that more of them want is stored once for each.
const WEBHOOKS_MAX: usize = 16;

/// Most bytes of a webhook's name.
const NAME_BYTES_MAX: usize = 64;

/// Something that a webhook tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum Happening {
    /// The first subscriber of a topic has come.
    #[serde(rename = "topic.occupied")]
    TopicOccupied,
    /// The last subscriber of a topic has gone.
    #[serde(rename = "topic.vacated")]
    TopicVacated,
    /// The first subscription of a token's subject has come.
    #[serde(rename = "subject.online")]
    SubjectOnline,
    /// The last subscription of a token's subject has gone.
    #[serde(rename = "subject.offline")]
    SubjectOffline,
    /// An LLM's answer is over.
    #[serde(rename = "answer.finished")]
    AnswerFinished,
}

/// What happenings are called, in the order of their declaration.
pub(super) const HAPPENINGS: &[&str] =
    &["topic.occupied", "topic.vacated", "subject.online", "subject.offline", "answer.finished"];

impl Happening {
    /// What it is called on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        HAPPENINGS[self as usize]
    }
}

/// A receiver of happenings.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Names it in metrics and messages, and its queue in the log.
    pub name: String,
    /// Where it is told.
    pub target: Arc<Target>,
    /// What requests are signed with.
    pub secrets: Secrets,
    /// What it is told.
    pub events: Vec<Happening>,
    /// The topics of which it is told `topic.occupied` and `topic.vacated`.
    pub topics: Vec<Pattern>,
    /// How long its answer may take.
    pub timeout: Duration,
    /// How long after it happened something is told again and again before it is given up.
    pub retry_for: Duration,
    /// The wait before the first repeat; each further one is twice as long, up to a quarter of an
    /// hour.
    pub first_retry: Duration,
    /// Requests at a time.
    pub concurrency: usize,
}

/// What happens when the application does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// Nothing is allowed.
    Deny,
    /// Everything is allowed.
    Allow,
}

/// What the application is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asks {
    /// Subscribing and reading.
    Subscribe,
    /// Publishing.
    Publish,
}

/// The application that decides.
#[derive(Clone, Debug)]
pub struct HookConfig {
    /// Where it is asked.
    pub target: Arc<Target>,
    /// What questions are signed with.
    pub secrets: Secrets,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How long an answer counts that does not say itself.
    pub cache: Duration,
    /// What happens when there is no answer.
    pub on_error: OnError,
    /// What it is asked about.
    pub asks: Vec<Asks>,
    /// Which topics it is asked about.
    pub topics: Vec<Pattern>,
}

const URL_HINT: &str = "it must be given: the URL that is posted to, `https://app.example/hooks`";

/// Where the problems of a section go.
struct Problems<'a> {
    section: String,
    layers: &'a mut Layers,
}

impl Problems<'_> {
    fn add(&mut self, name: &str, message: String) {
        complain(self.layers, &format!("{}.{name}", self.section), message);
    }

    fn target(&mut self, url: Option<&str>, allow_private: Option<bool>) -> Option<Arc<Target>> {
        let url = url.ok_or_else(|| URL_HINT.to_owned()).and_then(uri);
        let url = url.map_err(|message| self.add("url", message)).ok()?;
        Some(Arc::new(Target::new(url, allow_private.unwrap_or_default())))
    }

    fn secrets(&mut self, file: Option<&str>, variable: Option<&str>) -> Option<Secrets> {
        let (name, text) = match (file, variable) {
            (Some(file), None) => {
                let read = std::fs::read_to_string(file);
                ("secret_file", read.map_err(|error| format!("cannot read {file}: {error}")))
            }
            (None, Some(variable)) => {
                let missing = |_| format!("the environment variable {variable} is not set");
                ("secret_env", std::env::var(variable).map_err(missing))
            }
            _ => {
                let message = "give secret_file or secret_env, one of them: a secret to sign with, \
                    such as the line that `echo whsec_$(openssl rand -base64 32)` prints";
                ("secret_file", Err(message.to_owned()))
            }
        };
        let secrets = text.and_then(|text| {
            Secrets::read(&text)
                .map_err(|error| format!("{}: {error}", file.or(variable).unwrap_or_default()))
        });
        secrets.map_err(|message| self.add(name, message)).ok()
    }

    /// The patterns; every topic if there are none.
    fn topics(&mut self, texts: Option<Vec<String>>) -> Vec<Pattern> {
        let mut patterns = Vec::new();
        for (index, text) in texts.unwrap_or_else(|| vec!["**".to_owned()]).iter().enumerate() {
            match Pattern::new(text) {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => self.add(&format!("topics[{index}]"), format!("`{text}`: {error}")),
            }
        }
        patterns
    }
}

fn or(given: Option<Length>, usual: u64) -> Duration {
    given.map_or(Duration::from_secs(usual), |given| given.0)
}

/// Checks the sections.
pub(super) fn check(raw: Vec<Webhook>, layers: &mut Layers) -> Vec<WebhookConfig> {
    let mut checked: Vec<WebhookConfig> = Vec::new();
    if raw.len() > WEBHOOKS_MAX {
        complain(layers, "webhook", format!("there are at most {WEBHOOKS_MAX} webhooks"));
    }
    for (index, webhook) in raw.into_iter().enumerate() {
        let mut problems = Problems { section: format!("webhook[{index}]"), layers };
        let name = webhook.name.unwrap_or_default();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
            let message = "it must be given: letters, digits, - and _; it names the queue, which \
                is lost when the name changes";
            problems.add("name", message.to_owned());
        } else if checked.iter().any(|other| other.name == name) {
            problems.add("name", format!("{name}: another webhook has this name"));
        }
        let events = webhook.events.unwrap_or_default();
        if events.is_empty() {
            let message = format!("it must be given: any of {}", HAPPENINGS.join(", "));
            problems.add("events", message);
        }
        let target = problems.target(webhook.url.as_deref(), webhook.allow_private);
        let (file, variable) = (webhook.secret_file.as_deref(), webhook.secret_env.as_deref());
        let secrets = problems.secrets(file, variable);
        let topics = problems.topics(webhook.topics);
        let (Some(target), Some(secrets)) = (target, secrets) else { continue };
        checked.push(WebhookConfig {
            name,
            target,
            secrets,
            events,
            topics,
            timeout: or(webhook.timeout, 15),
            retry_for: or(webhook.retry_for, 24 * 3_600),
            first_retry: Duration::from_secs(1),
            concurrency: webhook
                .concurrency
                .and_then(|most| usize::try_from(most).ok())
                .unwrap_or(8),
        });
    }
    checked
}

/// Checks the section.
pub(super) fn check_hook(raw: Hook, layers: &mut Layers) -> Option<HookConfig> {
    // A section with nothing in it is a mistake, not the wish that nobody is asked.
    if raw.is_empty() && !layers.leaves.contains_key("hook") {
        return None;
    }
    let mut problems = Problems { section: "hook".to_owned(), layers };
    let target = problems.target(raw.url.as_deref(), raw.allow_private);
    let secrets = problems.secrets(raw.secret_file.as_deref(), raw.secret_env.as_deref());
    let topics = problems.topics(raw.topics);
    Some(HookConfig {
        target: target?,
        secrets: secrets?,
        timeout: or(raw.timeout, 2),
        cache: or(raw.cache, 60),
        on_error: raw.on_error.unwrap_or(OnError::Deny),
        asks: raw.r#for.unwrap_or_else(|| vec![Asks::Subscribe, Asks::Publish]),
        topics,
    })
}

impl Hook {
    /// Whether nothing is set.
    fn is_empty(&self) -> bool {
        let texts = [&self.url, &self.secret_file, &self.secret_env];
        texts.iter().all(|text| text.is_none())
            && self.allow_private.is_none()
            && self.timeout.is_none()
            && self.cache.is_none()
            && self.on_error.is_none()
            && self.r#for.is_none()
            && self.topics.is_none()
    }
}
