//! The LLM relays of a server: what it calls.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use parking_lot::Mutex;
use tidings_frame::{End, EventObject, Position};
use tidings_hub::{Hub, PublishError, StoreError};
use tokio::runtime::Handle;

use crate::answer::{Answer, Begin, Known, Phase, Plain};
use crate::answers::{Answers, Exceeded};
use crate::appender::Appender;
use crate::capability::{Capabilities, KeyError, Right};
use crate::config::{ChatRoutes, LlmConfig, OnDisconnect};
use crate::dialect::{Asked, Dialect, Digest, Reader, Usage, ask_for_usage};
use crate::finished::{Announce, announced};
use crate::generation::{Asks, Generation, plain, unreachable};
use crate::ledger::{self, Entry};
use crate::metrics::Metrics;
use crate::outgoing::{Outgoing, credentials};
use crate::readers::Lease;
use crate::store;
use crate::told::Told;
use crate::upstream::{TlsError, Upstreams};
use crate::work::Work;

#[cfg(test)]
mod tests;

/// The file in the data folder that holds the key of capabilities.
const KEY_FILE: &str = "capability.key";

/// Why the relays could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The key of capabilities.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What was stored cannot be read.
    #[error("the ledger of answers: {0}")]
    Ledger(#[from] StoreError),
    /// What was begun before cannot be ended.
    #[error("the ledger of answers: {0}")]
    Publish(#[from] PublishError),
}

/// Why a request begins no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The same `Idempotency-Key` came with another request.
    #[error("this Idempotency-Key came with another request before")]
    KeyUsed,
    /// The caller has as many answers running as it may.
    #[error("there are {limit} answers running already, as many as there may be at a time")]
    TooMany {
        /// How many.
        limit: usize,
    },
    /// The caller has used up what it may.
    #[error("the {limit} tokens of this time are used up")]
    Budget {
        /// Tokens.
        limit: u64,
        /// Milliseconds until some come free.
        again_ms: u64,
    },
    /// It cannot be noted, so it is not begun: nobody should pay for what may be forgotten.
    #[error(transparent)]
    Store(#[from] PublishError),
}

impl From<Exceeded> for AskError {
    fn from(exceeded: Exceeded) -> Self {
        match exceeded {
            Exceeded::Concurrent { limit } => Self::TooMany { limit },
            Exceeded::Tokens { limit, again_ms } => Self::Budget { limit, again_ms },
        }
    }
}

/// A request for a streamed answer.
#[derive(Debug)]
pub struct Ask {
    /// Index of the relay.
    pub relay: usize,
    /// The API that it speaks.
    pub dialect: Dialect,
    /// What the body asks for.
    pub asked: Asked,
    /// The chat that it belongs to, if the answer is told to the AI SDK in its own protocol.
    pub chat: Option<Chat>,
    /// Path below the mount and query.
    pub rest: String,
    /// Who asks, where the server knows its callers by name.
    pub caller: Option<String>,
    /// The client's header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// What happens when nobody reads; none for the relay's own setting.
    pub on_disconnect: Option<OnDisconnect>,
}

/// A chat of the AI SDK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chat {
    /// The client's name for it.
    pub id: String,
    /// The message that the answer goes on with; none for a message of its own.
    pub continues: Option<String>,
}

/// An answer, begun or found.
#[derive(Debug)]
pub struct Found {
    /// The answer.
    pub answer: Arc<Answer>,
    /// Counts the one who asked among its readers.
    pub lease: Lease,
    /// Whether it was begun before, by the same request.
    pub attached: bool,
}

/// The relays.
pub struct Relays {
    pub(crate) hub: Arc<Hub>,
    pub(crate) appender: Arc<Appender>,
    pub(crate) configs: Vec<Arc<LlmConfig>>,
    capabilities: Capabilities,
    pub(crate) upstreams: Upstreams,
    pub(crate) answers: Mutex<Answers>,
    /// What answers that are no stream have told.
    pub(crate) told: Mutex<Told>,
    /// The first model that each relay's upstream lists.
    listed: Mutex<HashMap<usize, String>>,
    /// What is counted.
    pub metrics: Metrics,
    pub(crate) runtime: Handle,
    /// What is stored together with an answer's end.
    pub(crate) announce: Option<Announce>,
}

impl std::fmt::Debug for Relays {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relays").field("configs", &self.configs).finish_non_exhaustive()
    }
}

impl Relays {
    /// Has the relays work there: answers that an earlier process left unfinished are ended first.
    /// Of every answer's end `announce` is told, before it is stored.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(
        hub: Arc<Hub>,
        folder: &Path,
        configs: Vec<LlmConfig>,
        work: &Work,
        announce: Option<Announce>,
    ) -> Result<Arc<Self>, StartError> {
        let tls = configs.iter().flat_map(|config| &config.upstreams);
        let tls = tls.into_iter().any(|upstream| upstream.base.scheme_str() == Some("https"));
        let relays = Arc::new(Self {
            capabilities: Capabilities::open(&folder.join(KEY_FILE))?,
            upstreams: Upstreams::new(tls)?,
            answers: Mutex::default(),
            told: Mutex::default(),
            listed: Mutex::default(),
            metrics: Metrics::default(),
            configs: configs.into_iter().map(Arc::new).collect(),
            appender: Appender::new(hub.clone()),
            hub,
            announce,
            runtime: work.handle().clone(),
        });
        relays.recover()?;
        relays.runtime.spawn(relays.appender.clone().run());
        Ok(relays)
    }

    /// The settings, in the order of their indices.
    #[must_use]
    pub fn configs(&self) -> &[Arc<LlmConfig>] {
        &self.configs
    }

    /// Begins an answer, or finds the one that this request began before.
    ///
    /// # Errors
    /// See [`AskError`]. Nothing was begun.
    pub fn ask(self: &Arc<Self>, ask: Ask) -> Result<Found, AskError> {
        let config = self.configs[ask.relay].clone();
        let mut ask = ask;
        let adds_usage =
            config.count_usage && ask.dialect == Dialect::Chat && !ask.asked.wants_usage;
        // What the relay has not asked for is not its to hide.
        ask.asked.wants_usage |= !adds_usage;
        let now_ms = self.hub.now_ms();
        let owner = self.owner(ask.relay, ask.caller.as_deref(), &ask.headers);
        let asked = self.capabilities.fingerprint(&[
            b"asked",
            owner.as_bytes(),
            ask.rest.as_bytes(),
            &[u8::from(ask.chat.is_some())],
            &ask.body,
        ]);
        let key = ask
            .headers
            .get("idempotency-key")
            .map(|key| self.capabilities.fingerprint(&[b"key", owner.as_bytes(), key.as_bytes()]));
        let mut answers = self.answers.lock();
        if let Some(found) = earlier(&answers, key.as_deref(), &asked, &ask, now_ms)? {
            let found = Found { lease: found.readers.lease(), answer: found, attached: true };
            self.metrics.attached();
            return Ok(found);
        }
        answers.check(&owner, &config.quota, now_ms)?;
        let begin = Begin {
            name: self.capabilities.new_name(),
            relay: ask.relay,
            dialect: ask.dialect,
            ui: ask.chat.is_some(),
            owner,
            asked,
            key,
            chat: ask.chat.as_ref().map(|chat| chat.id.clone()),
            began_ms: now_ms,
            before: self.hub.visible(),
            until_ms: now_ms.saturating_add(millis(config.keep)),
            background: ask.asked.background,
        };
        let answer = Answer::new(begin, Phase::Asking, Known::default());
        let begun = entry(&answer, None, &Usage::default());
        ledger::write(&self.hub, &config.name, &begun, Vec::new())?;
        let lease = answer.readers.lease();
        answers.insert(answer.clone());
        drop(answers);
        self.metrics.began();
        let message = ask.chat.map(|chat| chat.continues.unwrap_or_else(|| answer.name.clone()));
        let asks = Asks { dialect: ask.dialect, asked: ask.asked, message };
        let body = if adds_usage { ask_for_usage(&ask.body).into() } else { ask.body };
        let outgoing = Outgoing::new(&config, Method::POST, ask.rest, &ask.headers, body);
        let policy = ask.on_disconnect.unwrap_or(config.on_disconnect);
        let generation = Generation::new(self.clone(), config, answer.clone(), asks);
        self.runtime.spawn(generation.run(outgoing, policy));
        Ok(Found { answer, lease, attached: false })
    }

    /// Passes a request on and returns the whole answer.
    pub async fn pass(self: &Arc<Self>, relay: usize, request: Outgoing) -> Plain {
        let (relays, config) = (self.clone(), self.configs[relay].clone());
        let dialect = Dialect::of_path(request.rest.split('?').next().unwrap_or_default());
        let passed = self.runtime.spawn(async move {
            let mut last = unreachable(502, "no upstream is configured");
            for endpoint in &config.upstreams {
                let sent = match request.to(endpoint, dialect) {
                    Ok(http) => relays.upstreams.send(http, config.allow_private),
                    Err(error) => return unreachable(502, &error.to_string()),
                };
                let answered = tokio::time::timeout(config.answer_timeout, async {
                    plain(sent.await.map_err(|error| error.to_string())?).await
                });
                last = match answered.await {
                    Ok(Ok(plain)) if plain.status < 500 => return plain,
                    Ok(Ok(plain)) => plain,
                    Ok(Err(why)) => unreachable(502, &why),
                    Err(_) => unreachable(504, "the upstream did not answer in time"),
                };
            }
            last
        });
        passed.await.unwrap_or_else(|error| unreachable(502, &error.to_string()))
    }

    /// The model that chats are asked of: the one that is configured, or the first that the
    /// upstream lists.
    pub async fn model(self: &Arc<Self>, relay: usize, chat: &ChatRoutes) -> Option<String> {
        if let Some(model) = &chat.model {
            return Some(model.clone());
        }
        if let Some(model) = self.listed.lock().get(&relay) {
            return Some(model.clone());
        }
        let config = &self.configs[relay];
        let rest = "models".to_owned();
        let headers = HeaderMap::new();
        let outgoing = Outgoing::new(config, Method::GET, rest, &headers, Bytes::new());
        let listed = self.pass(relay, outgoing).await;
        let listed: serde_json::Value = serde_json::from_slice(&listed.body).ok()?;
        let model = listed.pointer("/data/0/id")?.as_str()?.to_owned();
        self.listed.lock().insert(relay, model.clone());
        Some(model)
    }

    /// The fingerprint of who asks: of the caller, where the server knows its callers by name, else
    /// of the credentials that the request brings for the API.
    #[must_use]
    pub fn owner(&self, relay: usize, caller: Option<&str>, headers: &HeaderMap) -> String {
        let relay = self.configs[relay].name.as_bytes();
        let parts: [&[u8]; 3] = match caller {
            Some(caller) => [b"caller", relay, caller.as_bytes()],
            None => [b"owner", relay, credentials(headers)],
        };
        self.capabilities.fingerprint(&parts)
    }

    /// The answer of this name.
    #[must_use]
    pub fn answer(&self, name: &str) -> Option<Arc<Answer>> {
        self.kept(self.answers.lock().get(name))
    }

    /// The answer that the upstream has given this id.
    #[must_use]
    pub fn by_response(&self, relay: usize, response: &str) -> Option<Arc<Answer>> {
        self.kept(self.answers.lock().by_response(relay, response))
    }

    /// The latest answer of a chat.
    #[must_use]
    pub fn by_chat(&self, relay: usize, owner: &str, chat: &str) -> Option<Arc<Answer>> {
        self.kept(self.answers.lock().by_chat(relay, owner, chat))
    }

    /// An answer whose topic is still there.
    fn kept(&self, found: Option<&Arc<Answer>>) -> Option<Arc<Answer>> {
        let now_ms = self.hub.now_ms();
        found.filter(|answer| answer.is_kept(now_ms)).cloned()
    }

    pub(crate) fn newest_of(&self, owner: &str, limit: usize) -> Vec<Arc<Answer>> {
        let now_ms = self.hub.now_ms();
        let mut own = self.answers.lock().newest_of(owner, limit);
        own.retain(|answer| answer.is_kept(now_ms));
        own
    }

    /// The answers that run.
    #[must_use]
    pub fn running(&self) -> Vec<Arc<Answer>> {
        self.answers.lock().running()
    }

    /// The newest so many answers, newest first.
    #[must_use]
    pub fn newest(&self, limit: usize) -> Vec<Arc<Answer>> {
        self.answers.lock().newest(limit)
    }

    /// A capability for an answer, for as long as its relay keeps it.
    #[must_use]
    pub fn capability(&self, answer: &Answer, right: Right) -> String {
        let keep = self.configs[answer.relay].keep.as_secs();
        self.capabilities.sign(&answer.name, right, answer.began_ms / 1_000 + keep)
    }

    /// Whether a capability gives this right to the answer of this name.
    #[must_use]
    pub fn allows(&self, capability: &str, name: &str, right: Right) -> bool {
        self.capabilities.allows(capability, name, right, self.hub.now_ms() / 1_000)
    }

    /// Hands out the stored events of the answer of this name, oldest first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn events(
        &self,
        name: &str,
        each: &mut dyn FnMut(&EventObject<'_>),
    ) -> Result<(), StoreError> {
        store::read(&self.hub, &format!("{}{name}", crate::answer::ANSWERS), 0, each).map(drop)
    }

    /// Counts a reader of the answer of this name who comes back after the event with this id, and
    /// how far behind it is. An id of nothing is not counted as being behind.
    pub fn resumed(&self, name: &str, id: &str) {
        let mut behind = 0;
        let position = id.parse::<Position>().ok().filter(|id| id.epoch == self.hub.epoch());
        if let Some(position) = position {
            let topic = format!("{}{name}", crate::answer::ANSWERS);
            // A log that cannot be read tells the reader itself.
            let _ = store::read(&self.hub, &topic, position.sequence, &mut |_| behind += 1);
        }
        self.metrics.resumed(behind);
    }

    /// What was said so far, compacted, and the position of the last event of it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn digest(&self, answer: &Answer) -> Result<(Digest, u64), StoreError> {
        let mut digest = Digest::new(answer.dialect);
        let mut last = answer.before;
        self.events(&answer.name, &mut |event| {
            if event.end.is_none() {
                last = event.id.sequence;
                if let Ok(data) = std::str::from_utf8(&event.data) {
                    digest.record(event.event_type.as_deref(), data);
                }
            }
        })?;
        Ok((digest, last))
    }

    pub(crate) fn named(&self, answer: &Answer, response: &str) {
        self.answers.lock().named(answer, response);
    }

    /// Notes how an answer is about to end, before that is stored.
    pub(crate) fn ending(&self, answer: &Answer, end: End) {
        self.answers.lock().ending(answer, end);
    }

    /// Answers with what is no stream and forgets the answer, of which no topic was made; `false`
    /// if its client has been promised a stream. Whoever is told finds it forgotten.
    pub(crate) fn refuse(&self, answer: &Answer, plain: Plain) -> bool {
        let mut answers = self.answers.lock();
        if !answer.enter(Phase::Plain(Arc::new(plain))) {
            return false;
        }
        answers.remove(answer);
        drop(answers);
        let refused = Entry { refused: true, ..entry(answer, Some(End::Error), &Usage::default()) };
        self.note(answer, &refused);
        self.metrics.refused();
        true
    }

    /// Notes how an answer ended and what it cost, once. An end that is not `stored` is left to the
    /// next start.
    pub(crate) fn finished(
        &self,
        answer: &Answer,
        reader: &Reader,
        end: End,
        (begun, stored): (bool, bool),
    ) {
        let usage = reader.usage();
        answer.known.lock().usage = usage;
        {
            let mut progress = answer.progress.lock();
            progress.tokens = usage.output_tokens.unwrap_or(0);
            progress.ended_ms = Some(self.hub.now_ms());
        }
        if stored {
            self.note(answer, &entry(answer, Some(end), &usage));
        }
        let now_ms = self.hub.now_ms();
        self.answers.lock().ended(answer, end, now_ms, tokens(&usage));
        self.metrics.finished(end, &usage, answer.readers.count() == 0, begun);
        answer.end(end);
    }

    fn note(&self, answer: &Answer, entry: &Entry) {
        let relay = &self.configs[answer.relay].name;
        if let Err(error) = self.note_end(relay, entry) {
            tracing::error!(answer = %answer.name, %error, "the end of an answer was not noted");
        }
    }

    /// Writes the last entry of an answer, and what is said of its end elsewhere, in one batch.
    pub(crate) fn note_end(&self, relay: &str, entry: &Entry) -> Result<(), PublishError> {
        let said = announced(self.announce.as_ref(), relay, entry, self.hub.now_ms());
        ledger::write(&self.hub, relay, entry, said).map(drop)
    }
}

/// The answer that this request is to be answered with, if it began before.
fn earlier(
    answers: &Answers,
    key: Option<&str>,
    asked: &str,
    ask: &Ask,
    now_ms: u64,
) -> Result<Option<Arc<Answer>>, AskError> {
    if let Some(key) = key {
        return match answers.by_key(key).filter(|answer| answer.is_kept(now_ms)) {
            Some(answer) if answer.asked == asked => Ok(Some(answer.clone())),
            Some(_) => Err(AskError::KeyUsed),
            None => Ok(None),
        };
    }
    // The official SDKs send a request again without a word, except for this one.
    let retry = ask.headers.get("x-stainless-retry-count").and_then(|count| count.to_str().ok());
    if retry.and_then(|count| count.trim().parse::<u32>().ok()).is_some_and(|count| count > 0) {
        let anonymous = ask.caller.is_none() && credentials(&ask.headers).is_empty();
        return Ok(answers.by_request(asked, now_ms, anonymous).cloned());
    }
    Ok(None)
}

pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn tokens(usage: &Usage) -> u64 {
    usage.input_tokens.unwrap_or(0).saturating_add(usage.output_tokens.unwrap_or(0))
}

fn entry(answer: &Answer, end: Option<End>, usage: &Usage) -> Entry {
    let known = answer.known();
    Entry {
        answer: answer.name.clone(),
        dialect: answer.dialect,
        ui: answer.ui,
        owner: answer.owner.clone(),
        asked: answer.asked.clone(),
        key: answer.key.clone(),
        chat: answer.chat.clone(),
        response: known.response,
        model: known.model,
        began_ms: answer.began_ms,
        before: answer.before,
        background: answer.background,
        refused: false,
        end,
        input_tokens: usage.input_tokens.unwrap_or(0),
        output_tokens: usage.output_tokens.unwrap_or(0),
        estimated: usage.estimated,
    }
}
