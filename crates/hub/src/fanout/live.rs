//! A topic that somebody follows: its tails, and the bells to ring when it has news.
//!
//! It is found by name, because a topic can be followed before its first event creates it, and
//! still is when it was removed and begins anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::bell::Bell;
use super::frame::{FRAMINGS, Framing, View};
use super::tail::{
    FrameInfo, Gathered, Reach, TAIL_BYTES_CROWDED, TAIL_BYTES_MAX, TAILS_BYTES_MAX, Tail,
};

/// A followed topic.
pub struct Live {
    name: Arc<str>,
    /// Unique in this process; a cheap key for tables of followers.
    key: u64,
    news: Mutex<News>,
    /// Bytes in all tails of the hub.
    tails_bytes: Arc<AtomicUsize>,
    /// Whether the topic has ended.
    ended: AtomicBool,
}

#[derive(Default)]
struct News {
    tails: [Option<Tail>; FRAMINGS.len()],
    bells: Vec<Follower>,
}

struct Follower {
    bell: Arc<Bell>,
    /// Which framings it wants. A flag and no count: the bell's owner keeps count of its own.
    framings: [bool; FRAMINGS.len()],
}

impl Live {
    pub(crate) fn new(name: Arc<str>, key: u64, tails_bytes: Arc<AtomicUsize>) -> Arc<Self> {
        let (news, ended) = (Mutex::default(), AtomicBool::new(false));
        Arc::new(Self { name, key, news, tails_bytes, ended })
    }

    /// Whether the topic has ended: nothing will come any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(crate) fn set_ended(&self, ended: bool) {
        self.ended.store(ended, Ordering::Release);
    }

    /// The topic's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// A number that no other followed topic of this process has.
    #[must_use]
    pub fn key(&self) -> u64 {
        self.key
    }

    /// Adds a follower. A tail that begins now holds what is appended after `newest`.
    pub(crate) fn attach(&self, bell: &Arc<Bell>, framing: Framing, newest: u64) {
        let mut news = self.news.lock();
        news.tails[framing.index()].get_or_insert_with(|| Tail::new(newest));
        let follower = match news.bells.iter_mut().position(|f| Arc::ptr_eq(&f.bell, bell)) {
            Some(at) => &mut news.bells[at],
            None => {
                news.bells.push(Follower { bell: bell.clone(), framings: [false; FRAMINGS.len()] });
                news.bells.last_mut().expect("just pushed")
            }
        };
        follower.framings[framing.index()] = true;
    }

    /// Whether `bell` follows in `framing`. Its news may be of a topic that it has let go of.
    #[must_use]
    pub fn is_attached(&self, bell: &Arc<Bell>, framing: Framing) -> bool {
        self.news
            .lock()
            .bells
            .iter()
            .any(|f| Arc::ptr_eq(&f.bell, bell) && f.framings[framing.index()])
    }

    /// Takes a follower away; returns whether nobody is left.
    pub(crate) fn detach(&self, bell: &Arc<Bell>, framing: Framing) -> bool {
        let mut news = self.news.lock();
        if let Some(at) = news.bells.iter().position(|f| Arc::ptr_eq(&f.bell, bell)) {
            let follower = &mut news.bells[at];
            follower.framings[framing.index()] = false;
            if follower.framings == [false; FRAMINGS.len()] {
                news.bells.swap_remove(at);
            }
        }
        if !news.bells.iter().any(|f| f.framings[framing.index()]) {
            if let Some(tail) = news.tails[framing.index()].take() {
                self.tails_bytes.fetch_sub(tail.len(), Ordering::Relaxed);
            }
        }
        news.bells.is_empty()
    }

    /// Which framings have followers.
    pub(crate) fn framings(&self) -> [bool; FRAMINGS.len()] {
        let news = self.news.lock();
        std::array::from_fn(|at| news.tails[at].is_some())
    }

    /// Puts a frame that is visible now into its tail.
    pub(crate) fn push(&self, framing: Framing, info: FrameInfo, frame: &[u8]) {
        let mut news = self.news.lock();
        let Some(tail) = &mut news.tails[framing.index()] else {
            return;
        };
        let before = tail.len();
        let crowded = self.tails_bytes.load(Ordering::Relaxed) > TAILS_BYTES_MAX;
        tail.push(info, frame, if crowded { TAIL_BYTES_CROWDED } else { TAIL_BYTES_MAX });
        self.account(before, tail.len());
    }

    /// Forgets frames that became visible before `time_ms`.
    pub(crate) fn forget_before(&self, time_ms: u64) {
        for tail in self.news.lock().tails.iter_mut().flatten() {
            let before = tail.len();
            tail.forget_before(time_ms);
            self.account(before, tail.len());
        }
    }

    fn account(&self, before: usize, after: usize) {
        if after >= before {
            self.tails_bytes.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.tails_bytes.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    /// The bells of its followers.
    pub(crate) fn each_bell(&self, each: impl FnMut(&Arc<Bell>)) {
        self.news.lock().bells.iter().map(|follower| &follower.bell).for_each(each);
    }

    /// What is due to a subscriber that has everything up to `after`, as far as `through`. A
    /// framing that is not attached is `Behind`.
    #[must_use]
    pub fn reach(&self, after: u64, through: u64, view: View, now_ms: u64) -> Reach {
        match &self.news.lock().tails[view.framing.index()] {
            Some(tail) => tail.reach(after, through, view, now_ms),
            None => Reach::Behind,
        }
    }

    /// Appends to `due` what is due to a subscriber of several topics, frame by frame, so that the
    /// topics can be merged. `false`, with nothing appended, if the position is older than the
    /// tail.
    #[must_use]
    pub fn gather(
        &self,
        after: u64,
        through: u64,
        view: View,
        now_ms: u64,
        due: &mut Gathered,
    ) -> bool {
        match &self.news.lock().tails[view.framing.index()] {
            Some(tail) => tail.gather(after, through, view, now_ms, due),
            None => false,
        }
    }
}
