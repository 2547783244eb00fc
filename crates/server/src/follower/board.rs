//! Who of the asynchronous followers is due what: one bell for all of them.
//!
//! The hub rings once per publish, however many follow; a task of its own takes the news from the
//! bell and notes, for each follower of those topics, which of its topics have something, and wakes
//! it. A topic's followers are woken only for that topic.
//!
//! Invariant, on which a follower relies: under the board's lock, every follower that joined before
//! an event of its topics became visible has that topic noted if the event is not after
//! [`Table::visible`]. Joining hangs up the bell first and asks the hub only then what is visible,
//! so an event is either visible by then, or rings.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;
use tidings_frame::Pattern;
use tidings_hub::{Bell, Framing, Hub, Live, Reach, Selection, Span, View};
use tokio::sync::Notify;

use crate::lanes;
use crate::socket::slots::{Key, Slots};

/// The board.
pub(crate) struct Board {
    pub(super) hub: Arc<Hub>,
    bell: Arc<Bell>,
    /// Told when the bell rings while the task sleeps.
    rung: Arc<Notify>,
    table: Mutex<Table>,
    /// For each lane who is to be woken there.
    lanes: Vec<Woken>,
}

/// Whom a lane is to wake. It does so itself: a thread that is woken for the first of a thousand
/// would write to that one alone, and what the streams of a connection share would be lost.
#[derive(Default)]
struct Woken {
    wakers: Mutex<Vec<Waker>>,
    told: Notify,
}

/// What is known of followers and their topics.
pub(super) struct Table {
    /// Everything up to here is noted.
    pub(super) visible: u64,
    pub(super) seats: Slots<Seat>,
    topics: HashMap<u64, Topic>,
    by_name: HashMap<Arc<str>, u64>,
    patterns: Vec<FollowedPattern>,
    /// The last span taken from a tail. Followers of a topic are woken one after the other and
    /// stand at the same position: one copy serves them all.
    kept: Option<Kept>,
}

/// A follower's place.
#[derive(Default)]
pub(super) struct Seat {
    /// Topics with news since it has looked.
    pub(super) due: HashSet<u64>,
    pub(super) waker: Option<Waker>,
    /// Where it is polled.
    pub(super) lane: usize,
}

struct Topic {
    live: Arc<Live>,
    followers: Vec<(Key, Framing)>,
}

struct FollowedPattern {
    pattern: Pattern,
    framing: Framing,
    followers: Vec<Key>,
}

struct Kept {
    topic: u64,
    after: u64,
    through: u64,
    view: View,
    now_ms: u64,
    span: Span,
}

/// What a follower has once it has joined.
pub(super) struct Joined {
    pub(super) key: Key,
    /// What was visible when the bell hung everywhere.
    pub(super) visible: u64,
}

impl Board {
    /// The board of followers on so many lanes.
    pub(crate) fn new(hub: Arc<Hub>, lanes: usize) -> Self {
        let rung = Arc::new(Notify::new());
        let ring = rung.clone();
        let visible = hub.visible();
        let bell = Bell::new(visible, move || ring.notify_one());
        let table = Table {
            visible,
            seats: Slots::new(),
            topics: HashMap::new(),
            by_name: HashMap::new(),
            patterns: Vec::new(),
            kept: None,
        };
        let lanes = (0..lanes).map(|_| Woken::default()).collect();
        Self { hub, bell, rung, table: Mutex::new(table), lanes }
    }

    /// Wakes those of a lane for ever; runs there.
    pub(crate) async fn wake_those_of(&self, lane: usize) {
        let Some(woken) = self.lanes.get(lane) else { return };
        loop {
            // Told before it waits, it does not wait.
            woken.told.notified().await;
            let wakers = std::mem::take(&mut *woken.wakers.lock());
            wakers.into_iter().for_each(Waker::wake);
        }
    }

    /// Takes news from the bell for ever.
    pub(crate) async fn run(&self) {
        loop {
            self.take_news(&mut self.table.lock());
            if self.bell.sleep() {
                // A ring between the two leaves a permit: it is not slept through.
                self.rung.notified().await;
                self.bell.awake();
            }
        }
    }

    /// The table. The hub may be asked while it is held, and never the other way round.
    pub(super) fn table(&self) -> parking_lot::MutexGuard<'_, Table> {
        self.table.lock()
    }

    /// Notes what the bell tells, so that all that was visible before is noted.
    pub(super) fn take_news(&self, table: &mut Table) {
        let mut news = Vec::new();
        let here = lanes::present();
        let mut elsewhere: Vec<Vec<Waker>> = vec![Vec::new(); self.lanes.len()];
        table.visible = self.bell.take(&mut news).max(table.visible);
        table.kept = None;
        for live in news {
            let topic = live.key();
            if !table.topics.contains_key(&topic) {
                self.learn(table, live);
            }
            let Some(known) = table.topics.get(&topic) else { continue };
            for &(key, _) in &known.followers {
                let Some(seat) = table.seats.get_mut(key) else { continue };
                seat.due.insert(topic);
                let Some(waker) = seat.waker.take() else { continue };
                match elsewhere.get_mut(seat.lane) {
                    Some(wakers) if seat.lane != here => wakers.push(waker),
                    _ => waker.wake(),
                }
            }
        }
        for (woken, wakers) in self.lanes.iter().zip(elsewhere) {
            if !wakers.is_empty() {
                woken.wakers.lock().extend(wakers);
                woken.told.notify_one();
            }
        }
    }

    /// A topic that a pattern has matched: the hub has hung the bell there by itself.
    fn learn(&self, table: &mut Table, live: Arc<Live>) {
        let matching = table.patterns.iter().filter(|p| p.pattern.matches(live.name()));
        let mut followers: Vec<(Key, Framing)> =
            matching.flat_map(|p| p.followers.iter().map(|&key| (key, p.framing))).collect();
        followers.sort_unstable();
        followers.dedup();
        // What was rung for before it was let go of is in the log for whoever has joined since. Its
        // tails are gone, and would never reach back to anybody's position.
        followers.retain(|&(_, framing)| live.is_attached(&self.bell, framing));
        if followers.is_empty() {
            // Whoever followed it has gone since.
            for framing in Framing::ALL {
                self.hub.detach(&self.bell, &live, framing);
            }
            return;
        }
        table.by_name.insert(live.name().clone(), live.key());
        table.topics.insert(live.key(), Topic { live, followers });
    }

    /// Adds a follower: to the topics named, to those that its patterns match, and to the patterns.
    /// All of its topics are noted as due.
    pub(super) fn join(&self, selection: &Selection, framing: Framing) -> Joined {
        let mut table = self.table.lock();
        let table = &mut *table;
        let key = table.seats.insert(Seat::default());
        for name in selection.topics() {
            self.join_topic(table, name.as_str(), framing, key);
        }
        for pattern in selection.patterns() {
            match table.patterns.iter_mut().find(|p| p.is(pattern, framing)) {
                Some(followed) => followed.followers.push(key),
                None => {
                    self.hub.attach_pattern(&self.bell, pattern.clone(), framing);
                    let (pattern, followers) = (pattern.clone(), vec![key]);
                    table.patterns.push(FollowedPattern { pattern, framing, followers });
                }
            }
            let names = table.by_name.keys().filter(|name| pattern.matches(name));
            let names: Vec<Arc<str>> = names.cloned().collect();
            for name in names {
                self.join_topic(table, &name, framing, key);
            }
        }
        Joined { key, visible: self.hub.rung() }
    }

    fn join_topic(&self, table: &mut Table, name: &str, framing: Framing, key: Key) {
        let known = table.by_name.get(name).copied();
        let hangs = known
            .and_then(|topic| table.topics.get(&topic))
            .is_some_and(|topic| topic.followers.iter().any(|&(_, followed)| followed == framing));
        let topic = match known {
            Some(topic) if hangs => topic,
            _ => {
                let live = self.hub.attach(&self.bell, name, framing);
                let topic = live.key();
                let new = || Topic { live: live.clone(), followers: Vec::new() };
                table.topics.entry(topic).or_insert_with(new);
                table.by_name.insert(live.name().clone(), topic);
                if known.is_none() {
                    self.join_those_with_patterns(table, topic, name);
                }
                topic
            }
        };
        if let Some(known) = table.topics.get_mut(&topic) {
            if !known.followers.contains(&(key, framing)) {
                known.followers.push((key, framing));
            }
        }
        if let Some(seat) = table.seats.get_mut(key) {
            seat.due.insert(topic);
        }
    }

    /// A topic that is new here has those whose patterns match it for followers too, whoever it was
    /// that brought it.
    fn join_those_with_patterns(&self, table: &mut Table, topic: u64, name: &str) {
        let matching = table.patterns.iter().filter(|p| p.pattern.matches(name));
        let mut followers: Vec<(Key, Framing)> =
            matching.flat_map(|p| p.followers.iter().map(|&key| (key, p.framing))).collect();
        followers.sort_unstable();
        followers.dedup();
        for framing in Framing::ALL {
            if followers.iter().any(|&(_, followed)| followed == framing) {
                self.hub.attach(&self.bell, name, framing);
            }
        }
        if let Some(known) = table.topics.get_mut(&topic) {
            known.followers.extend(followers);
        }
    }

    /// Takes a follower away.
    pub(super) fn leave(&self, key: Key, selection: &Selection, framing: Framing) {
        let mut table = self.table.lock();
        let table = &mut *table;
        table.seats.remove(key);
        // Patterns first: they would match again what is let go of after them.
        for pattern in selection.patterns() {
            let Some(at) = table.patterns.iter().position(|p| p.is(pattern, framing)) else {
                continue;
            };
            table.patterns[at].followers.retain(|&other| other != key);
            if table.patterns[at].followers.is_empty() {
                self.hub.detach_pattern(&self.bell, pattern, framing);
                table.patterns.swap_remove(at);
            }
        }
        let topics: Vec<u64> = if selection.patterns().is_empty() {
            let by_name = |name: &tidings_frame::TopicName| table.by_name.get(name.as_str());
            selection.topics().iter().filter_map(by_name).copied().collect()
        } else {
            let followed = |(_, topic): &(&u64, &Topic)| topic.followers.contains(&(key, framing));
            table.topics.iter().filter(followed).map(|(&topic, _)| topic).collect()
        };
        for topic in topics {
            let Some(known) = table.topics.get_mut(&topic) else { continue };
            known.followers.retain(|&(other, _)| other != key);
            if !known.followers.iter().any(|&(_, followed)| followed == framing) {
                self.hub.detach(&self.bell, &known.live, framing);
            }
            if known.followers.is_empty() {
                let name = known.live.name().clone();
                table.topics.remove(&topic);
                table.by_name.remove(&name);
            }
        }
    }
}

impl Table {
    /// A topic that is followed.
    pub(super) fn live(&self, topic: u64) -> Option<&Arc<Live>> {
        self.topics.get(&topic).map(|topic| &topic.live)
    }

    /// What is due to a follower of this topic alone.
    pub(super) fn reach(
        &mut self,
        topic: u64,
        after: u64,
        through: u64,
        view: View,
        now_ms: u64,
    ) -> Reach {
        if let Some(kept) = &self.kept {
            let same = (kept.topic, kept.after, kept.through, kept.view, kept.now_ms);
            if same == (topic, after, through, view, now_ms) {
                return Reach::Due(kept.span.clone());
            }
        }
        let Some(live) = self.live(topic) else { return Reach::Behind };
        let reach = live.reach(after, through, view, now_ms);
        if let Reach::Due(span) = &reach {
            let span = span.clone();
            self.kept = Some(Kept { topic, after, through, view, now_ms, span });
        }
        reach
    }
}

impl FollowedPattern {
    fn is(&self, pattern: &Pattern, framing: Framing) -> bool {
        self.pattern == *pattern && self.framing == framing
    }
}
