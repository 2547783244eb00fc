//! The hub: one log, the topics that are in use, and the order in which things become visible.
//!
//! Everything that changes the order or the set of followers happens under one lock, [`State`], so
//! that "attach, then read what is visible" is one step as seen from a publish. Reads of the log
//! and of the tails take no part in it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use siphasher::sip::SipHasher13;
use tidings_frame::{End, Epoch, Pattern};
use tidings_log as log;
use tidings_log::{Batch, Log, TopicId, Writer};

use crate::error::StoreError;
use crate::fanout::spans::Spans;
use crate::fanout::{Bell, Framing, Live};
use crate::keeper::Keeper;
use crate::policy::{self, PolicyRules, TopicPolicy};
use crate::publish::{NewEvent, Round};
use crate::release::{Frames, Unreleased};
use crate::schedule::{MakerJudge, Schedules};
use crate::topics::OwnerNames;

/// Topics whose policy is kept at hand. Beyond that those that nobody follows are looked up anew.
const TOPICS_AT_HAND_MAX: usize = 100_000;

/// Tells the time in milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What a hub is opened with.
pub struct Options {
    /// Policies by pattern.
    pub rules: PolicyRules,
    /// Most bytes of data in one event.
    pub event_bytes_max: usize,
    /// Most topics that may exist; the server's own are counted, and made all the same.
    pub topics_max: usize,
    /// Most bytes of publishes that wait for their time, as they are stored.
    pub scheduled_bytes_max: usize,
    /// The time.
    pub clock: Clock,
}

/// Counts since the process began.
#[derive(Debug, Default)]
pub struct Counters {
    /// Events that have become visible.
    pub events_visible: AtomicU64,
    /// Frames that were encoded: one for each event and framing that somebody follows, however many
    /// do, and those read from the log for subscribers that catch up.
    pub frames_encoded: AtomicU64,
    /// Bytes of data in events that were appended.
    pub bytes_appended: AtomicU64,
    /// Requests refused because they would have made one topic too many.
    pub topics_refused: AtomicU64,
    /// Requests refused because too much waits for its time already.
    pub schedules_refused: AtomicU64,
}

/// The hub.
pub struct Hub {
    pub(crate) log: Log,
    epoch: Epoch,
    pub(crate) state: Mutex<State>,
    /// [`State::visible`], for those who need not be exact.
    pub(crate) visible: AtomicU64,
    /// Counts topics made and removed.
    pub(crate) topics_version: AtomicU64,
    /// All ids of topics are smaller.
    pub(crate) topics_made: AtomicU32,
    pub(crate) rules: PolicyRules,
    pub(crate) event_bytes_max: usize,
    pub(crate) topics_max: usize,
    pub(crate) scheduled_bytes_max: usize,
    clock: Clock,
    pub(crate) spans: Spans,
    tails_bytes: Arc<AtomicUsize>,
    pub(crate) keeper: Keeper,
    /// See [`Hub::judge_makers`].
    pub(crate) maker_judge: OnceLock<MakerJudge>,
    /// See [`Hub::name_owners`].
    pub(crate) owners: OnceLock<OwnerNames>,
    pub(crate) counters: Counters,
    recovery: log::Recovery,
}

/// What changes in order.
pub(crate) struct State {
    pub(crate) writer: Writer,
    pub(crate) batch: Batch,
    /// Topics in use, by name.
    pub(crate) topics: HashMap<Arc<str>, Topic>,
    /// Followed topics, by name, whether they exist or not.
    lives: HashMap<Arc<str>, Arc<Live>>,
    /// Followers of patterns.
    patterns: Vec<PatternFollower>,
    /// Counts changes of `patterns`.
    patterns_version: u64,
    live_keys: u64,
    pub(crate) unreleased: Unreleased,
    /// The newest visible sequence.
    pub(crate) visible: u64,
    pub(crate) schedules: Schedules,
    pub(crate) sync_failed: Option<StoreError>,
    /// A buffer to use again.
    pub(crate) spare: Frames,
}

struct PatternFollower {
    bell: Arc<Bell>,
    pattern: Pattern,
    framing: Framing,
}

/// A topic as the publish path needs it.
pub(crate) struct Topic {
    pub(crate) id: TopicId,
    pub(crate) policy: Arc<TopicPolicy>,
    pub(crate) closed: Option<End>,
    pub(crate) binary: bool,
    live: Option<Arc<Live>>,
    /// [`State::patterns_version`] when the patterns were held against its name.
    patterns_version: u64,
}

impl Hub {
    /// Opens the hub over a log that was opened, and starts its threads.
    ///
    /// # Errors
    /// When a policy that the rules ask for cannot be stored.
    pub fn open(opened: log::Opened, options: Options) -> Result<Arc<Self>, StoreError> {
        let log::Opened { writer, log, recovery } = opened;
        let epoch = log.epoch().parse().map_err(|_| {
            StoreError::Failed(format!("the log's epoch {:?} is not one", log.epoch()))
        })?;
        let visible = log.newest();
        let made = log.topic_ids().last().map_or(0, |id| id.0 + 1);
        let schedules = Schedules::from_log(log.schedules());
        let hub = Arc::new(Self {
            epoch,
            visible: AtomicU64::new(visible),
            topics_version: AtomicU64::new(0),
            topics_made: AtomicU32::new(made),
            rules: options.rules,
            event_bytes_max: options.event_bytes_max,
            topics_max: options.topics_max,
            scheduled_bytes_max: options.scheduled_bytes_max,
            clock: options.clock,
            spans: Spans::default(),
            tails_bytes: Arc::default(),
            keeper: Keeper::default(),
            maker_judge: OnceLock::new(),
            owners: OnceLock::new(),
            counters: Counters::default(),
            recovery,
            state: Mutex::new(State {
                writer,
                batch: Batch::new(),
                topics: HashMap::new(),
                lives: HashMap::new(),
                patterns: Vec::new(),
                patterns_version: 0,
                live_keys: 0,
                unreleased: Unreleased::default(),
                visible,
                schedules,
                sync_failed: None,
                spare: Frames::default(),
            }),
            log,
        });
        hub.follow_rules()?;
        crate::keeper::start(&hub);
        Ok(hub)
    }

    /// Begins a round of publishes.
    pub fn round(&self) -> Round<'_> {
        Round::new(self, self.state.lock())
    }

    /// The log's life.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The newest sequence that subscribers may see.
    #[must_use]
    pub fn visible(&self) -> u64 {
        self.visible.load(Ordering::Acquire)
    }

    /// Now, milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        (self.clock)()
    }

    /// The policy that the configuration gives a topic of this name.
    #[must_use]
    pub fn rule(&self, name: &str) -> &TopicPolicy {
        self.rules.of(name)
    }

    /// What opening the log found.
    #[must_use]
    pub fn recovery(&self) -> &log::Recovery {
        &self.recovery
    }

    /// The log in numbers.
    #[must_use]
    pub fn log_status(&self) -> log::Status {
        self.log.status()
    }

    /// Counts since the process began.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Bytes of frames in all tails.
    #[must_use]
    pub fn tails_bytes(&self) -> usize {
        self.tails_bytes.load(Ordering::Relaxed)
    }

    /// Follows a topic: `bell` is rung for every event of it that becomes visible from now on.
    pub fn attach(&self, bell: &Arc<Bell>, name: &str, framing: Framing) -> Arc<Live> {
        let mut state = self.state.lock();
        // The topic's own newest event, shown or not: whoever has that is not behind, however much
        // is published elsewhere.
        let info = self.log.topic(name).and_then(|topic| self.log.describe(topic));
        let newest = info.as_ref().map_or(0, |info| info.newest);
        // Of a deleted topic of this name it has nothing: whoever was behind it has to be told.
        let newest = newest.max(self.log.deleted(name));
        let live = state.live(self, name);
        live.set_ended(info.is_some_and(|info| info.closed.is_some()));
        live.attach(bell, framing, newest);
        live
    }

    /// Ends what [`attach`](Self::attach) began. May be asked again of a topic that was let go of:
    /// news of it can still lie in a bell.
    pub fn detach(&self, bell: &Arc<Bell>, live: &Arc<Live>, framing: Framing) {
        let mut state = self.state.lock();
        let left = live.detach(bell, framing);
        // Others may follow one of that name which has begun since.
        if left && state.lives.get(live.name()).is_some_and(|now| Arc::ptr_eq(now, live)) {
            state.lives.remove(live.name());
            if let Some(topic) = state.topics.get_mut(live.name()) {
                topic.live = None;
            }
        }
    }

    /// Follows every topic that matches, also those to come. The owner of the bell learns of a
    /// topic when the bell is rung for it the first time.
    pub fn attach_pattern(&self, bell: &Arc<Bell>, pattern: Pattern, framing: Framing) {
        let mut state = self.state.lock();
        state.patterns.push(PatternFollower { bell: bell.clone(), pattern, framing });
        state.patterns_version += 1;
    }

    /// Ends what [`attach_pattern`](Self::attach_pattern) began. The topics that it had matched are
    /// still attached; their followers detach them one by one.
    pub fn detach_pattern(&self, bell: &Arc<Bell>, pattern: &Pattern, framing: Framing) {
        let mut state = self.state.lock();
        let is_it = |follower: &PatternFollower| {
            Arc::ptr_eq(&follower.bell, bell)
                && follower.framing == framing
                && follower.pattern == *pattern
        };
        if let Some(at) = state.patterns.iter().position(is_it) {
            state.patterns.swap_remove(at);
            state.patterns_version += 1;
        }
    }

    /// Whether somebody follows the topic of this name, by itself or by a pattern. Who reads the
    /// log to catch up is not counted yet.
    #[must_use]
    pub fn is_followed(&self, name: &str) -> bool {
        let state = self.state.lock();
        state.lives.contains_key(name)
            || state.patterns.iter().any(|follower| follower.pattern.matches(name))
    }

    /// Lets go of frames that everybody who reads has had.
    pub fn forget_old_frames(&self) {
        let before = self.now_ms().saturating_sub(crate::fanout::tail::TAIL_AGE_MS);
        let lives: Vec<Arc<Live>> = self.state.lock().lives.values().cloned().collect();
        for live in lives {
            live.forget_before(before);
        }
        self.spans.trim();
    }

    /// Sequence of the topic's newest event, 0 if it has none.
    pub(crate) fn newest_of(&self, topic: TopicId) -> u64 {
        self.log.describe(topic).map_or(0, |info| info.newest)
    }

    pub(crate) fn policy_of(&self, state: &State, name: &str) -> Arc<TopicPolicy> {
        match state.topics.get(name) {
            Some(topic) => topic.policy.clone(),
            None => Arc::new(self.rules.of(name).clone()),
        }
    }

    /// A hash of a key within its topic, never 0. Only compared within this process.
    pub(crate) fn key_hash(&self, topic: TopicId, key: &str) -> u64 {
        let hasher = SipHasher13::new_with_keys(u64::from(topic.0), 0x7469_6469_6e67_7321);
        hasher.hash(key.as_bytes()).max(1)
    }

    /// What a request says, for telling a repeat from another request with the same key. Stored, so
    /// it must never change.
    pub(crate) fn fingerprint(&self, events: &[NewEvent<'_>]) -> u64 {
        use std::hash::Hasher as _;
        let mut hasher = SipHasher13::new();
        let mut part = |bytes: &[u8]| {
            hasher.write(&(bytes.len() as u64).to_le_bytes());
            hasher.write(bytes);
        };
        for event in events {
            part(event.topic.as_bytes());
            part(&(event.alternates.len() as u64).to_le_bytes());
            event.alternates.iter().for_each(|name| part(name.as_bytes()));
            part(&event.data);
            for text in [&event.event_type, &event.key, &event.publisher_id] {
                part(text.as_deref().unwrap_or("").as_bytes());
            }
            part(&event.ttl_ms.unwrap_or(u64::MAX).to_le_bytes());
            part(&[u8::from(event.private)]);
            part(event.end.map_or("", End::as_str).as_bytes());
        }
        hasher.finish()
    }
}

impl State {
    /// Has the topic at hand if it exists.
    pub(crate) fn learn(&mut self, hub: &Hub, name: &str) -> bool {
        if self.topics.contains_key(name) {
            return true;
        }
        let Some(info) = hub.log.topic(name).and_then(|id| hub.log.describe(id)) else {
            return false;
        };
        let (policy, _) = policy::from_log(&info.policy);
        let closed = info.closed.map(crate::publish::end_from_log);
        self.remember(info.name.clone(), info.id, policy, closed);
        true
    }

    pub(crate) fn remember(
        &mut self,
        name: Arc<str>,
        id: TopicId,
        policy: TopicPolicy,
        closed: Option<End>,
    ) {
        if self.topics.len() >= TOPICS_AT_HAND_MAX {
            self.topics.retain(|_, topic| topic.live.is_some());
        }
        let live = self.lives.get(&name).cloned();
        let binary = policy.is_binary();
        let policy = Arc::new(policy);
        // Differs from the current version, so that patterns are looked at once.
        let patterns_version = self.patterns_version.wrapping_sub(1);
        self.topics.insert(name, Topic { id, policy, closed, binary, live, patterns_version });
    }

    /// Looks it up anew the next time.
    pub(crate) fn forget(&mut self, name: &str) {
        self.topics.remove(name);
        if let Some(live) = self.lives.get(name) {
            live.set_ended(false);
        }
    }

    /// The followers of a topic, those by pattern included. A tail that begins here holds what is
    /// after `newest`.
    pub(crate) fn live_of(&mut self, hub: &Hub, name: &str, newest: u64) -> Option<Arc<Live>> {
        let matched = |topic: &&Topic| topic.patterns_version == self.patterns_version;
        if let Some(topic) = self.topics.get(name).filter(matched) {
            return topic.live.clone();
        }
        self.match_patterns(hub, name, newest);
        self.lives.get(name).cloned()
    }

    fn match_patterns(&mut self, hub: &Hub, name: &str, newest: u64) {
        let wanted: Vec<(Arc<Bell>, Framing)> = self
            .patterns
            .iter()
            .filter(|follower| follower.pattern.matches(name))
            .map(|follower| (follower.bell.clone(), follower.framing))
            .collect();
        for (bell, framing) in wanted {
            let live = self.live(hub, name);
            if !live.is_attached(&bell, framing) {
                live.attach(&bell, framing, newest);
            }
        }
        if let Some(topic) = self.topics.get_mut(name) {
            topic.patterns_version = self.patterns_version;
        }
    }

    pub(crate) fn live_named(&self, name: &str) -> Option<&Arc<Live>> {
        self.lives.get(name)
    }

    fn live(&mut self, hub: &Hub, name: &str) -> Arc<Live> {
        if let Some(live) = self.lives.get(name) {
            return live.clone();
        }
        self.live_keys += 1;
        let live = Live::new(name.into(), self.live_keys, hub.tails_bytes.clone());
        self.lives.insert(live.name().clone(), live.clone());
        if let Some(topic) = self.topics.get_mut(name) {
            topic.live = Some(live.clone());
        }
        live
    }
}
