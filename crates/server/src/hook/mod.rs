//! The application is asked before somebody subscribes or publishes, where the configuration says
//! so: it may refuse what tokens and open doors would allow, and allow nothing that they refuse.
//!
//! An answer counts for a while, so a question is asked once for each topic and subject; those who
//! come with the same question while it is asked wait for the same answer. When there is none, what
//! the configuration says happens, which is usually nothing. Everything that waits has a limit, and
//! an application that is down is not asked by everybody ([`circuit`]).
//!
//! Whoever holds sockets never waits here: [`Hook::known`] says at once what is known, and what is
//! not known is asked on the thread of outgoing requests.

mod cache;
mod circuit;
pub(crate) mod judge;
mod metrics;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tidings_relay::TlsError;
use tidings_relay::fetch::{Bounds, Client, FetchError};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config::{Asks, HookConfig, OnError};
use crate::outgoing::{Outgoing, post};
use cache::{Cache, Key, Owned};
pub(crate) use cache::{ForWhom, What};
use circuit::Circuit;
pub(crate) use metrics::Metrics;
pub(crate) use wire::Asker;
use wire::Decision;

/// Questions under way.
const QUESTIONS_MAX: usize = 256;

/// Questions under way of one caller, so that nobody takes all of them.
const QUESTIONS_PER_CALLER_MAX: usize = 64;

/// Names in one question; more of them are asked about in several, one after the other.
const QUESTION_NAMES_MAX: usize = 64;

/// Bytes of the names in one question, unless it is about one name alone.
const QUESTION_NAMES_BYTES_MAX: usize = 16 << 10;

/// Requests that wait for an answer.
const WAITING_MAX: usize = 4_096;

/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// What the application says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    Refused,
    /// There is no answer, and without one nothing is allowed.
    Unanswered,
}

/// What is known without asking.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known<'a> {
    Allowed,
    Refused,
    /// These it has to be asked about.
    Ask(Vec<What<'a>>),
}

/// Why a question was not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotAsked {
    /// There are too many, which callers can cause.
    NoRoom,
    /// The application is down.
    LeftAlone,
}

/// What came of a question.
#[derive(Debug)]
enum Said {
    Decided(Decision),
    /// It could not be asked that (a status from 400 to 499): that is no word in favour, and no
    /// failure of the application either. Callers, who choose the names, could cause it.
    Rejected(String),
    Failed(String),
}

/// Asks the application.
pub(crate) struct Hook {
    config: HookConfig,
    client: Client,
    runtime: Handle,
    state: Mutex<State>,
    waiting: AtomicUsize,
    asked: AtomicU64,
    /// Tells the ids of this process's questions from those of others.
    began_ms: u64,
    pub(crate) metrics: Metrics,
}

#[derive(Default)]
struct State {
    cache: Cache,
    circuit: Circuit,
    under_way: HashMap<Key, watch::Receiver<Option<Verdict>>>,
    /// How many of those each caller has.
    callers: HashMap<Key, usize>,
}

impl Hook {
    /// The hook, if there is one; its requests are made on that thread.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn start(
        config: Option<&HookConfig>,
        outgoing: &Outgoing,
        now_ms: u64,
    ) -> Result<Option<Arc<Self>>, TlsError> {
        let Some(config) = config else { return Ok(None) };
        Ok(Some(Arc::new(Self {
            client: Client::new(config.target.is_tls())?,
            config: config.clone(),
            runtime: outgoing.handle().clone(),
            state: Mutex::default(),
            waiting: AtomicUsize::new(0),
            asked: AtomicU64::new(0),
            began_ms: now_ms,
            metrics: Metrics::default(),
        })))
    }

    /// Whether it is asked about this at all.
    pub(crate) fn asks_about(&self, action: Asks) -> bool {
        self.config.asks.contains(&action)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Whether it is asked about these topics.
    fn concerns(&self, what: &What<'_>) -> bool {
        self.config.topics.iter().any(|known| match what {
            What::Topic(name) => known.matches(name),
            What::Pattern(text) => overlap(known.as_str(), text),
        })
    }

    /// What is known of a request, without waiting.
    pub(crate) fn known<'a>(
        &self,
        action: Asks,
        for_whom: ForWhom<'_>,
        what: impl Iterator<Item = What<'a>>,
    ) -> Known<'a> {
        if !self.asks_about(action) {
            return Known::Allowed;
        }
        let mut unknown: Vec<What<'a>> = what.filter(|what| self.concerns(what)).collect();
        if unknown.is_empty() {
            return Known::Allowed;
        }
        unknown.sort_unstable();
        unknown.dedup();
        let (now, state) = (Instant::now(), self.state.lock());
        let mut refused = false;
        unknown.retain(|what| {
            match state.cache.get(&Key::of(action, for_whom, std::slice::from_ref(what)), now) {
                Some(allow) => {
                    refused |= !allow;
                    false
                }
                None => true,
            }
        });
        // Of several it has said something about the whole question, if it has refused it.
        refused |= questions(&unknown).any(|some| {
            some.len() > 1 && state.cache.get(&Key::of(action, for_whom, some), now) == Some(false)
        });
        drop(state);
        if refused {
            self.metrics.known.inc();
            self.metrics.refused.inc();
            Known::Refused
        } else if unknown.is_empty() {
            self.metrics.known.inc();
            Known::Allowed
        } else {
            Known::Ask(unknown)
        }
    }

    /// Asks about what is not known.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        action: Asks,
        asker: &Asker,
        what: &[What<'_>],
    ) -> Verdict {
        for some in questions(what) {
            let verdict = self.ask_once(action, asker, some).await;
            if verdict != Verdict::Allowed {
                return verdict;
            }
        }
        Verdict::Allowed
    }

    async fn ask_once(self: &Arc<Self>, action: Asks, asker: &Asker, what: &[What<'_>]) -> Verdict {
        let verdict = match self.begin(action, asker, what) {
            Ok(answer) => self.wait(answer).await,
            Err(not_asked) => Err(not_asked),
        };
        match verdict {
            Ok(Verdict::Allowed) => Verdict::Allowed,
            Ok(Verdict::Refused) => {
                self.metrics.refused.inc();
                Verdict::Refused
            }
            Err(NotAsked::NoRoom) => {
                self.metrics.unanswered.inc();
                Verdict::Unanswered
            }
            Ok(Verdict::Unanswered) | Err(NotAsked::LeftAlone) => {
                self.metrics.unanswered.inc();
                match self.config.on_error {
                    OnError::Deny => Verdict::Unanswered,
                    OnError::Allow => Verdict::Allowed,
                }
            }
        }
    }

    async fn wait(
        &self,
        mut answer: watch::Receiver<Option<Verdict>>,
    ) -> Result<Verdict, NotAsked> {
        let waiting = Waiting(&self.waiting);
        if waiting.0.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            return Err(NotAsked::NoRoom);
        }
        // Without its task there is no answer.
        let verdict = answer.wait_for(Option::is_some).await.ok().and_then(|verdict| *verdict);
        Ok(verdict.unwrap_or(Verdict::Unanswered))
    }

    /// Finds the question, or asks it.
    fn begin(
        self: &Arc<Self>,
        action: Asks,
        asker: &Asker,
        what: &[What<'_>],
    ) -> Result<watch::Receiver<Option<Verdict>>, NotAsked> {
        let key = Key::of(action, asker.for_whom(), what);
        let mut state = self.state.lock();
        if let Some(answer) = state.under_way.get(&key) {
            return Ok(answer.clone());
        }
        let caller = Key::of(action, asker.for_whom().of_network(), &[]);
        let of_caller = state.callers.get(&caller).copied().unwrap_or(0);
        if state.under_way.len() >= QUESTIONS_MAX || of_caller >= QUESTIONS_PER_CALLER_MAX {
            return Err(NotAsked::NoRoom);
        }
        if !state.circuit.may_ask(Instant::now(), self.config.timeout) {
            return Err(NotAsked::LeftAlone);
        }
        let (tell, answer) = watch::channel(None);
        state.under_way.insert(key, answer.clone());
        state.callers.insert(caller, of_caller + 1);
        drop(state);
        let for_whom = asker.for_whom();
        let one = |what: &What<'_>| Key::of(action, for_whom, std::slice::from_ref(what));
        let each: Vec<Key> = what.iter().map(one).collect();
        let (hook, body) = (self.clone(), wire::question(action, what, asker).into());
        // A task of its own: whoever asked may go, and others wait with them.
        self.runtime.spawn(async move {
            let decided = hook.question(body).await;
            let verdict = hook.note((key, caller), &each, decided);
            tell.send_replace(Some(verdict));
        });
        Ok(answer)
    }

    /// Keeps what was decided.
    fn note(&self, (key, caller): (Key, Key), each: &[Key], said: Said) -> Verdict {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.under_way.remove(&key);
        if let Some(count) = state.callers.get_mut(&caller) {
            *count -= 1;
            if *count == 0 {
                state.callers.remove(&caller);
            }
        }
        match said {
            Said::Decided(Decision { allow, ttl, reason }) => {
                state.circuit.answered();
                let ttl = ttl.unwrap_or(self.config.cache);
                state.cache.put(key, allow, ttl, now);
                // What is allowed together is allowed alone; what is refused may be one of them.
                for one in each.iter().filter(|_| allow) {
                    state.cache.put(*one, allow, ttl, now);
                }
                drop(state);
                if allow {
                    return Verdict::Allowed;
                }
                tracing::info!(?reason, "the application has refused a request");
                Verdict::Refused
            }
            // It is asked again by the next request: this is no decision to be kept.
            Said::Rejected(why) => {
                drop(state);
                self.metrics.failed.inc();
                tracing::warn!(%why, "the application takes a question for none");
                Verdict::Refused
            }
            Said::Failed(why) => {
                state.circuit.failed(now);
                drop(state);
                self.metrics.failed.inc();
                tracing::warn!(%why, "the application has not decided");
                Verdict::Unanswered
            }
        }
    }

    /// One question and its answer. A kept connection that turns out to be closed is no answer, and
    /// to ask again does no harm.
    async fn question(&self, body: Bytes) -> Said {
        let (began, place) = (Instant::now(), self.config.target.place());
        let send = || {
            let deadline = self.config.timeout.saturating_sub(began.elapsed());
            self.send(body.clone(), Bounds { deadline, body_bytes_max: ANSWER_BYTES_MAX })
        };
        let answer = match send().await {
            Err(FetchError::Broken(_)) => send().await,
            answer => answer,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Said::Failed(format!("{place}: {error}")),
        };
        self.metrics.duration.observe(began.elapsed().as_secs_f64());
        let status = answer.status();
        // Of these two it says itself that it could not answer in time.
        let busy = matches!(status.as_u16(), 408 | 429);
        if status.is_client_error() && !busy {
            return Said::Rejected(format!("{place} answered {status}"));
        }
        if !status.is_success() {
            return Said::Failed(format!("{place} answered {status}"));
        }
        match wire::decision(answer.body()) {
            Some(decision) => Said::Decided(decision),
            None => Said::Failed(format!("{place} answered nothing clear")),
        }
    }

    async fn send(&self, body: Bytes, bounds: Bounds) -> Result<http::Response<Bytes>, FetchError> {
        self.metrics.asked.inc();
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let id = format!("ask_{}-{number}", self.began_ms);
        let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seconds = seconds.unwrap_or_default().as_secs();
        let fields = self.config.secrets.sign(&id, seconds, &body);
        post(&self.client, &self.config.target, &fields, body, bounds).await
    }
}

/// What is asked about at once. Once the first part is known, the others are cut where they were.
fn questions<'w, 'a>(mut what: &'w [What<'a>]) -> impl Iterator<Item = &'w [What<'a>]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = what.iter().take(QUESTION_NAMES_MAX).take_while(|what| {
            let (What::Topic(text) | What::Pattern(text)) = what;
            bytes += text.len();
            bytes <= QUESTION_NAMES_BYTES_MAX
        });
        let count = fits.count().max(1).min(what.len());
        let (some, rest) = what.split_at(count);
        what = rest;
        (!some.is_empty()).then_some(some)
    })
}

/// Counts one that waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether there can be a topic that both patterns mean. In doubt there can.
fn overlap(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (None, Some(_)) | (Some(_), None) => return false,
            (Some("**"), Some(_)) | (Some(_), Some("**")) => return true,
            (Some(a), Some(b)) if a != b && !a.contains('*') && !b.contains('*') => return false,
            (Some(_), Some(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_so_many_names_and_bytes() {
        let names: Vec<String> = (0..QUESTION_NAMES_MAX * 2 + 1).map(|n| n.to_string()).collect();
        let what: Vec<What<'_>> = names.iter().map(|name| What::Topic(name)).collect();
        let lengths = |what: &[What<'_>]| questions(what).map(<[_]>::len).collect::<Vec<_>>();
        assert_eq!(lengths(&what), [QUESTION_NAMES_MAX, QUESTION_NAMES_MAX, 1]);
        assert_eq!(lengths(&what[..1]), [1]);
        assert_eq!(lengths(&[]), [0; 0]);
        let (half, long) = ("x".repeat(QUESTION_NAMES_BYTES_MAX / 2), "x".repeat(1 << 20));
        let (half, long) = (What::Topic(&half), What::Pattern(&long));
        assert_eq!(lengths(&[half, half, half, long, half]), [2, 1, 1, 1]);
    }

    #[test]
    fn patterns_overlap_where_a_topic_can_be_meant_by_both() {
        for (one, other, wanted) in [
            ("a", "a", true),
            ("a", "b", false),
            ("a/*", "a/b", true),
            ("a/*", "b/*", false),
            ("a/*", "*/b", true),
            ("a/**", "a", false),
            ("a/**", "a/b/c", true),
            ("a/**", "*/b/*", true),
            ("**", "a/*", true),
            ("a/*/c", "a/b", false),
            ("a/*/c", "a/**", true),
            ("a/b/*", "a/*", false),
        ] {
            assert_eq!(overlap(one, other), wanted, "{one} {other}");
            assert_eq!(overlap(other, one), wanted, "{other} {one}");
        }
    }
}
