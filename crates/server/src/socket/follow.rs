//! Which topics the subscribers of a shard follow, and who follows each.

use std::collections::HashMap;
use std::sync::Arc;

use tidings_frame::Pattern;
use tidings_hub::{Bell, Framing, Hub, Live, Selection};

use super::slots::Key;

/// How long a topic stays followed after its last subscriber has gone, in milliseconds: those who
/// come back from the log soon find its tail unbroken.
const LINGER_MS: u64 = 5_000;

/// A topic with subscribers here.
pub(super) struct Followed {
    pub(super) live: Arc<Live>,
    /// Framings that the hub was asked for.
    framings: Vec<Framing>,
    /// Subscribers of this topic alone.
    pub(super) singles: Vec<Key>,
    /// Subscribers of several topics.
    pub(super) many: Vec<Key>,
    /// Where the pass over `singles` stands.
    pub(super) next: usize,
    /// Whether a pass is going on or waiting for its turn.
    pub(super) queued: bool,
    /// Whether another pass is needed after it.
    pub(super) again: bool,
    /// Since when nobody follows it here.
    empty_since_ms: u64,
    /// The selection that the subscribers of this topic alone share.
    selection: Option<Arc<Selection>>,
}

/// The topics.
pub(super) struct FollowTable {
    hub: Arc<Hub>,
    bell: Arc<Bell>,
    topics: HashMap<u64, Followed>,
    by_name: HashMap<Arc<str>, u64>,
    /// Patterns with subscribers here.
    patterns: Vec<FollowedPattern>,
}

/// A pattern with subscribers here.
struct FollowedPattern {
    pattern: Pattern,
    framing: Framing,
    keys: Vec<Key>,
    /// What was visible when it began to be followed: of events after this the bell tells, of those
    /// before it only the log.
    since: u64,
    /// Since when nobody follows it here; `u64::MAX` while somebody does.
    empty_since_ms: u64,
}

impl FollowTable {
    pub(super) fn new(hub: Arc<Hub>, bell: Arc<Bell>) -> Self {
        let (topics, by_name) = (HashMap::new(), HashMap::new());
        Self { hub, bell, topics, by_name, patterns: Vec::new() }
    }

    pub(super) fn get(&self, topic: u64) -> Option<&Followed> {
        self.topics.get(&topic)
    }

    pub(super) fn get_mut(&mut self, topic: u64) -> Option<&mut Followed> {
        self.topics.get_mut(&topic)
    }

    /// Has the topic followed in this framing; returns its key.
    pub(super) fn follow(&mut self, name: &str, framing: Framing) -> u64 {
        if let Some(&key) = self.by_name.get(name) {
            if let Some(followed) = self.topics.get_mut(&key) {
                if !followed.framings.contains(&framing) {
                    self.hub.attach(&self.bell, name, framing);
                    followed.framings.push(framing);
                }
                return key;
            }
        }
        let live = self.hub.attach(&self.bell, name, framing);
        let topic = self.insert(live, vec![framing]);
        self.join_those_with_patterns(topic);
        topic
    }

    /// Adds those whose patterns match a topic that is new here, whoever it was that brought it.
    fn join_those_with_patterns(&mut self, topic: u64) {
        let Some(name) = self.topics.get(&topic).map(|followed| followed.live.name().clone())
        else {
            return;
        };
        let matching: Vec<(Framing, Vec<Key>)> = self
            .patterns
            .iter()
            .filter(|followed| followed.pattern.matches(&name))
            .map(|followed| (followed.framing, followed.keys.clone()))
            .collect();
        for (framing, keys) in matching {
            self.follow(&name, framing);
            for key in keys {
                self.join_one_of_many(topic, key);
            }
        }
    }

    fn insert(&mut self, live: Arc<Live>, framings: Vec<Framing>) -> u64 {
        let key = live.key();
        self.by_name.insert(live.name().clone(), key);
        let followed = Followed {
            live,
            framings,
            singles: Vec::new(),
            many: Vec::new(),
            next: 0,
            queued: false,
            again: false,
            empty_since_ms: u64::MAX,
            selection: None,
        };
        self.topics.insert(key, followed);
        key
    }

    /// Adds a subscriber of one topic; shares its selection with the others.
    pub(super) fn join_single(&mut self, topic: u64, key: Key, selection: &mut Arc<Selection>) {
        let Some(followed) = self.topics.get_mut(&topic) else {
            return;
        };
        followed.empty_since_ms = u64::MAX;
        followed.singles.push(key);
        *selection = followed.selection.get_or_insert_with(|| selection.clone()).clone();
    }

    /// Adds a subscriber of several topics: to those named, and to those that its patterns match
    /// and that are known here already. Returns the position that it must have for the bell to tell
    /// it of all that it has not had: what became visible before a pattern was followed here may be
    /// of a topic that nobody here knows.
    pub(super) fn join_many(&mut self, key: Key, selection: &Selection, framing: Framing) -> u64 {
        let mut needed = 0;
        for name in selection.topics() {
            let topic = self.follow(name.as_str(), framing);
            self.join_one_of_many(topic, key);
        }
        for pattern in selection.patterns() {
            needed = self.join_pattern(pattern, framing, key).max(needed);
            let matching =
                |(_, followed): &(&u64, &Followed)| pattern.matches(followed.live.name());
            let known: Vec<u64> =
                self.topics.iter().filter(matching).map(|(&topic, _)| topic).collect();
            for topic in known {
                let name = self.topics[&topic].live.name().clone();
                self.follow(&name, framing);
                self.join_one_of_many(topic, key);
            }
        }
        needed
    }

    /// Adds a subscriber to a pattern; returns since when the pattern is followed here.
    fn join_pattern(&mut self, pattern: &Pattern, framing: Framing, key: Key) -> u64 {
        if let Some(followed) = self.patterns.iter_mut().find(|f| f.is(pattern, framing)) {
            followed.keys.push(key);
            followed.empty_since_ms = u64::MAX;
            return followed.since;
        }
        self.hub.attach_pattern(&self.bell, pattern.clone(), framing);
        let since = self.hub.rung();
        self.patterns.push(FollowedPattern {
            pattern: pattern.clone(),
            framing,
            keys: vec![key],
            since,
            empty_since_ms: u64::MAX,
        });
        since
    }

    fn join_one_of_many(&mut self, topic: u64, key: Key) {
        if let Some(followed) = self.topics.get_mut(&topic) {
            followed.empty_since_ms = u64::MAX;
            if !followed.many.contains(&key) {
                followed.many.push(key);
            }
        }
    }

    /// The topics of a selection that are known here.
    pub(super) fn matching(&self, selection: &Selection) -> Vec<u64> {
        if selection.patterns().is_empty() {
            let by_name =
                |name: &tidings_frame::TopicName| self.by_name.get(name.as_str()).copied();
            return selection.topics().iter().filter_map(by_name).collect();
        }
        let wanted = |(_, followed): &(&u64, &Followed)| selection.matches(followed.live.name());
        self.topics.iter().filter(wanted).map(|(&topic, _)| topic).collect()
    }

    /// Notes that a topic has news; one that is new here is one that a pattern has matched, or was
    /// let go of since it had them, and is nothing to anybody here.
    pub(super) fn news(&mut self, live: &Arc<Live>) -> Option<u64> {
        let topic = live.key();
        if self.topics.contains_key(&topic) {
            return Some(topic);
        }
        // The bell was hung there by the hub, for the framings of the patterns.
        let matches = |followed: &&FollowedPattern| followed.pattern.matches(live.name());
        let framings = self.patterns.iter().filter(matches).map(|followed| followed.framing);
        let mut framings: Vec<Framing> = framings.collect();
        framings.sort_unstable();
        framings.dedup();
        framings.retain(|&framing| live.is_attached(&self.bell, framing));
        if framings.is_empty() {
            // The hub may have hung the bell there for a pattern that is gone since.
            for framing in Framing::ALL {
                self.hub.detach(&self.bell, live, framing);
            }
            return None;
        }
        self.insert(live.clone(), framings);
        self.join_those_with_patterns(topic);
        Some(topic)
    }

    /// Takes a subscriber of one topic away.
    pub(super) fn leave_single(&mut self, topic: u64, key: Key, timer_ms: u64) {
        let Some(followed) = self.topics.get_mut(&topic) else {
            return;
        };
        if let Some(at) = followed.singles.iter().position(|&other| other == key) {
            followed.singles.swap_remove(at);
            // Whoever was moved to the gap may just have been passed over.
            followed.again |= followed.queued;
        }
        followed.note_empty(timer_ms);
    }

    /// Takes a subscriber of several topics away. Its patterns stay for a while too: whoever comes
    /// back from the log needs them to have been followed since.
    pub(super) fn leave_many(
        &mut self,
        key: Key,
        selection: &Selection,
        framing: Framing,
        timer_ms: u64,
    ) {
        let leave = |followed: &mut Followed| {
            followed.many.retain(|&other| other != key);
            followed.note_empty(timer_ms);
        };
        if selection.patterns().is_empty() {
            for name in selection.topics() {
                let topic = self.by_name.get(name.as_str());
                topic.and_then(|topic| self.topics.get_mut(topic)).map(leave);
            }
            return;
        }
        self.topics.values_mut().for_each(leave);
        for pattern in selection.patterns() {
            let Some(followed) = self.patterns.iter_mut().find(|f| f.is(pattern, framing)) else {
                continue;
            };
            followed.keys.retain(|&other| other != key);
            if followed.keys.is_empty() {
                followed.empty_since_ms = timer_ms;
            }
        }
    }

    /// Lets go of topics and patterns that nobody has followed for a while.
    pub(super) fn let_go(&mut self, timer_ms: u64) {
        let (hub, bell, by_name) = (&self.hub, &self.bell, &mut self.by_name);
        // Patterns first: they would match again what is let go of after them.
        self.patterns.retain(|followed| {
            let stays = followed.empty_since_ms.saturating_add(LINGER_MS) > timer_ms;
            if !stays {
                hub.detach_pattern(bell, &followed.pattern, followed.framing);
            }
            stays
        });
        self.topics.retain(|_, followed| {
            if followed.is_empty() && followed.empty_since_ms == u64::MAX {
                // Followed for somebody who went to the log first, and may not come back.
                followed.empty_since_ms = timer_ms;
            }
            if followed.queued || followed.empty_since_ms.saturating_add(LINGER_MS) > timer_ms {
                return true;
            }
            for &framing in &followed.framings {
                hub.detach(bell, &followed.live, framing);
            }
            by_name.remove(followed.live.name());
            false
        });
    }
}

impl FollowedPattern {
    fn is(&self, pattern: &Pattern, framing: Framing) -> bool {
        self.pattern == *pattern && self.framing == framing
    }
}

impl Followed {
    fn is_empty(&self) -> bool {
        self.singles.is_empty() && self.many.is_empty()
    }

    fn note_empty(&mut self, timer_ms: u64) {
        if self.is_empty() {
            self.empty_since_ms = timer_ms;
            self.selection = None;
        }
    }
}
