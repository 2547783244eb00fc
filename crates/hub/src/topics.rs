//! Topics as things of their own: described, listed, given a policy, forked, removed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidings_frame::{End, TopicName};
use tidings_log as log;

use crate::error::{StoreError, TopicError};
use crate::hub::Hub;
use crate::policy::{self, TopicPolicy, TtlMode};
use crate::publish::end_from_log;

/// Topics looked at in one step when all are gone through.
const TOPICS_STEP: usize = 1_000;

/// Says whose a topic is that is being made, as text that means nothing here.
pub type OwnerNames = Box<dyn Fn(&str, Option<&str>) -> Option<String> + Send + Sync>;

/// A topic, described.
#[derive(Clone, Debug)]
pub struct TopicDescription {
    /// Its name.
    pub name: Arc<str>,
    /// Its policy.
    pub policy: TopicPolicy,
    /// Whether the policy was set for this very topic.
    pub own_policy: bool,
    /// When it was made, milliseconds since 1970.
    pub created_ms: u64,
    /// How it ended, if it has.
    pub closed: Option<End>,
    /// Sequence of the oldest event that is kept.
    pub oldest: Option<u64>,
    /// Sequence of the newest event there was; 0 for none.
    pub newest: u64,
    /// Events kept.
    pub events: u64,
    /// Bytes they take in the log.
    pub bytes: u64,
    /// Name of the topic that it began with, and up to which sequence.
    pub forked_from: Option<(Arc<str>, u64)>,
}

/// A topic to begin with the events of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkOf {
    /// The other.
    pub source: TopicName,
    /// The last sequence to take from it; `None` for all it has now.
    pub through: Option<u64>,
}

impl Hub {
    /// Describes a topic.
    #[must_use]
    pub fn describe(&self, name: &TopicName) -> Option<TopicDescription> {
        self.log.describe(self.log.topic(name.as_str())?).map(|info| self.description(info))
    }

    /// How many topics there are.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.log.topic_count()
    }

    /// Whether there is a topic of this name.
    #[must_use]
    pub fn has_topic(&self, name: &str) -> bool {
        self.log.topic(name).is_some()
    }

    /// Bytes that a topic takes in the log; `None` if there is no such topic.
    #[must_use]
    pub fn topic_bytes(&self, name: &str) -> Option<u64> {
        self.log.topic_bytes(name)
    }

    /// Up to `limit` topics in the order of their names, after the one named `after`.
    #[must_use]
    pub fn topics(&self, after: Option<&str>, limit: usize) -> Vec<TopicDescription> {
        let infos = self.log.topics(after, limit);
        infos.into_iter().map(|info| self.description(info)).collect()
    }

    /// How many topics there are, without the server's own.
    #[must_use]
    pub fn topics_of_others(&self) -> u64 {
        // `%` is the character after `$`, with which the server's own begin.
        let own = self.log.count_named("$", "%") as u64;
        self.log.status().topics.saturating_sub(own)
    }

    fn description(&self, info: log::TopicInfo) -> TopicDescription {
        let (policy, own_policy) = policy::from_log(&info.policy);
        let fork = info.forked_from;
        TopicDescription {
            name: info.name,
            policy,
            own_policy,
            created_ms: info.created_ms,
            closed: info.closed.map(end_from_log),
            oldest: info.oldest,
            newest: info.newest,
            events: info.count,
            bytes: info.bytes,
            forked_from: fork
                .and_then(|fork| Some((self.log.describe(fork.source)?.name, fork.through))),
        }
    }

    /// Has whoever makes a topic kept with it for as long as it is there. Only the first to say so
    /// counts. It is called with the topic and, where a publish that was for later makes it, with
    /// the owner that was said when it was asked for; and with the hub's lock held, so it must not
    /// ask the hub.
    pub fn name_owners(&self, names: OwnerNames) {
        // A second one would be a mistake of the caller's that changes nothing.
        let _ = self.owners.set(names);
    }

    pub(crate) fn owner_of(&self, topic: &str, asked: Option<&str>) -> Option<String> {
        self.owners.get()?(topic, asked)
    }

    /// Goes through all topics of which an owner is kept, in the order of their names.
    pub fn each_owned(&self, mut visit: impl FnMut(&Arc<str>, &str)) {
        let mut after: Option<Arc<str>> = None;
        loop {
            let infos = self.log.topics(after.as_deref(), TOPICS_STEP);
            let Some(last) = infos.last() else { return };
            after = Some(last.name.clone());
            for info in &infos {
                if let Some(owner) = policy::owner(&info.policy) {
                    visit(&info.name, &owner);
                }
            }
        }
    }

    /// Gives a topic a policy of its own, making it if need be. Returns whether it was made.
    ///
    /// # Errors
    /// `fork` is given and the topic exists, or the source has no such event; or the log refuses.
    pub fn set_topic(
        &self,
        name: &TopicName,
        policy: &TopicPolicy,
        fork: Option<&ForkOf>,
    ) -> Result<bool, TopicError> {
        let mut round = self.round();
        let made = match self.log.topic(name.as_str()) {
            Some(_) if fork.is_some() => return Err(TopicError::Exists),
            Some(id) => {
                let owner = self.log.describe(id).and_then(|info| policy::owner(&info.policy));
                let stored = policy::to_log(policy, true, owner);
                let state = round.state();
                state
                    .writer
                    .set_policy(&mut state.batch, id, &stored)
                    .map_err(|error| refused(&error))?;
                false
            }
            None => {
                let limit = self.topics_max;
                if self.topic_count() >= limit {
                    self.counters.topics_refused.fetch_add(1, Ordering::Relaxed);
                    return Err(TopicError::NoMore { limit });
                }
                let forked_from = fork.map(|fork| self.fork_point(fork)).transpose()?;
                let stored = policy::to_log(policy, true, self.owner_of(name.as_str(), None));
                round.make(name, stored, forked_from)?;
                true
            }
        };
        round.append_control()?;
        round.state().forget(name.as_str());
        let _ = round.commit();
        Ok(made)
    }

    fn fork_point(&self, fork: &ForkOf) -> Result<log::Fork, TopicError> {
        let source = self.log.topic(fork.source.as_str()).ok_or(TopicError::NotFound)?;
        let visible = self.visible();
        let through = fork.through.unwrap_or(visible);
        if through > visible {
            return Err(TopicError::ForkAhead);
        }
        Ok(log::Fork { source, through })
    }

    /// Removes a topic and its events. Its followers stay and will get what a new topic of this
    /// name brings.
    ///
    /// # Errors
    /// There is no such topic, others are forked from it, or the log refuses.
    pub fn remove_topic(&self, name: &TopicName) -> Result<(), TopicError> {
        let mut round = self.round();
        let id = self.log.topic(name.as_str()).ok_or(TopicError::NotFound)?;
        let state = round.state();
        state.writer.delete_topic(&mut state.batch, id).map_err(|error| refused(&error))?;
        round.append_control()?;
        round.state().forget(name.as_str());
        self.topics_version.fetch_add(1, Ordering::Release);
        let _ = round.commit();
        Ok(())
    }

    /// Has topics that follow the configuration's rules follow the present ones.
    pub(crate) fn follow_rules(&self) -> Result<(), StoreError> {
        let mut after: Option<Arc<str>> = None;
        loop {
            let infos = self.log.topics(after.as_deref(), TOPICS_STEP);
            let Some(last) = infos.last() else {
                return Ok(());
            };
            after = Some(last.name.clone());
            let mut round = self.round();
            for info in &infos {
                let (policy, own) = policy::from_log(&info.policy);
                let rule = self.rules.of(&info.name);
                if own || policy == *rule {
                    continue;
                }
                let state = round.state();
                let stored = policy::to_log(rule, false, policy::owner(&info.policy));
                // What the log refuses (conflation cannot be changed later) stays as it was.
                if let Err(error) = state.writer.set_policy(&mut state.batch, info.id, &stored) {
                    tracing::warn!(topic = %info.name, %error, "the topic keeps its policy");
                }
            }
            round.append_control()?;
            let _ = round.commit();
        }
    }

    /// Removes topics whose time to live is over.
    pub(crate) fn remove_outlived_topics(&self) {
        let now_ms = self.now_ms();
        let mut after: Option<Arc<str>> = None;
        loop {
            let infos = self.log.topics(after.as_deref(), TOPICS_STEP);
            let Some(last) = infos.last() else { return };
            after = Some(last.name.clone());
            for info in infos {
                let (policy, _) = policy::from_log(&info.policy);
                let Some(ttl) = policy.ttl else { continue };
                let since_ms = match ttl.mode {
                    TtlMode::Fixed => info.created_ms,
                    TtlMode::Sliding => self.time_of(info.id, info.newest).max(info.created_ms),
                };
                if since_ms.saturating_add(ttl.ms) <= now_ms {
                    if let Err(error) = TopicName::new(&info.name)
                        .map_err(TopicError::from)
                        .and_then(|name| self.remove_topic(&name))
                    {
                        tracing::debug!(topic = %info.name, %error, "an outlived topic stays");
                    }
                }
            }
        }
    }

    /// When the event was stored, milliseconds since 1970; 0 if it is gone.
    fn time_of(&self, topic: log::TopicId, sequence: u64) -> u64 {
        let mut time_ms = 0;
        let limit = log::ReadLimit { events: 1, bytes: usize::MAX };
        let after = sequence.saturating_sub(1);
        let read = self.log.read(&[topic], after, sequence, limit, 0, &mut |event| {
            time_ms = event.time_ms;
        });
        if read.is_err() { self.now_ms() } else { time_ms }
    }
}

impl crate::publish::Round<'_> {
    /// Puts a new topic into the batch.
    fn make(
        &mut self,
        name: &TopicName,
        policy: log::Policy,
        forked_from: Option<log::Fork>,
    ) -> Result<(), TopicError> {
        let time_ms = self.now_ms();
        let new = log::NewTopic { name: name.as_str(), policy, forked_from, time_ms };
        let state = self.state();
        let made = state.writer.create_topic(&mut state.batch, &new);
        let id = made.map_err(|error| refused(&error))?;
        self.made_topic(id);
        Ok(())
    }
}

fn refused(error: &log::TopicError) -> TopicError {
    match error {
        log::TopicError::HasForks(_) => TopicError::HasForks,
        log::TopicError::Exists(_) => TopicError::Exists,
        log::TopicError::Unknown(_) => TopicError::NotFound,
        other => TopicError::Refused(other.to_string()),
    }
}
