//! The doorbell: which topics of a group of subscribers have news.
//!
//! One bell belongs to one thread (or one waiting request), not to one subscriber, so a publish to
//! a topic with ten thousand followers on one thread rings once. It only collects; what is due is
//! then read from the tails.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::live::Live;

/// Collects topics with news and wakes whoever waits for them.
pub struct Bell {
    rung: Mutex<Rung>,
    /// Set while the owner sleeps; only then is waking it worth a system call.
    asleep: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

/// Bounded by the number of topics that are followed: a topic is noted once until it is taken.
#[derive(Default)]
struct Rung {
    topics: Vec<Arc<Live>>,
    /// Keys of `topics`.
    noted: HashSet<u64>,
    visible: u64,
}

impl Bell {
    /// A bell whose owner sees everything up to `visible` as old. `wake` is called when there is
    /// news while the owner has said that it sleeps; it must not block.
    pub fn new(visible: u64, wake: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            rung: Mutex::new(Rung { visible, ..Rung::default() }),
            asleep: AtomicBool::new(false),
            wake: Box::new(wake),
        })
    }

    /// Notes topics with news and what is visible now. The topics' tails already hold the frames.
    ///
    /// Both under one lock: an owner that took the topics without the position would find nothing
    /// due yet, and nobody would tell it again.
    pub(crate) fn ring(&self, topics: &mut Vec<Arc<Live>>, visible: u64) {
        {
            let mut rung = self.rung.lock();
            let rung = &mut *rung;
            rung.topics.extend(topics.drain(..).filter(|topic| rung.noted.insert(topic.key())));
            rung.visible = visible;
        }
        self.wake();
    }

    /// Wakes the owner if it sleeps.
    pub fn wake(&self) {
        // Pairs with `sleep`: the note is written before the flag is read.
        if self.asleep.swap(false, Ordering::SeqCst) {
            (self.wake)();
        }
    }

    /// Moves the noted topics to `topics` and returns the position up to which they are complete.
    pub fn take(&self, topics: &mut Vec<Arc<Live>>) -> u64 {
        let mut rung = self.rung.lock();
        topics.append(&mut rung.topics);
        rung.noted.clear();
        rung.visible
    }

    /// Says that the owner is about to sleep. If this returns `false` there is news already, and it
    /// must not.
    pub fn sleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let quiet = self.rung.lock().topics.is_empty();
        if !quiet {
            self.asleep.store(false, Ordering::SeqCst);
        }
        quiet
    }

    /// Says that the owner is awake.
    pub fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }
}
