//! Who is here: how many subscriptions each topic and each subject has.
//!
//! Counted by whoever holds subscribers, on whatever thread: a short lock and never a wait. What
//! follows from a change is the `teller`'s business. Subscriptions by pattern occupy nothing: a
//! topic is occupied by those who have named it.
//!
//! As large as what is subscribed to; what nobody is subscribed to stays for the grace time only.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tidings_frame::is_internal;
use tidings_hub::Selection;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Wishes;
use crate::config::Happening;

/// What can be here or not.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Thing {
    Topic(Arc<str>),
    Subject(Arc<str>),
}

/// How it is with one.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Subscriptions.
    pub(super) count: u32,
    /// Whether it was told that it is here.
    pub(super) told: bool,
    /// Whether it has come since the teller looked, however short its stay was.
    pub(super) came: bool,
    /// Whether it is in [`Table::changed`].
    changed: bool,
    /// When it is told to have gone, unless it comes back, and the departure's number.
    pub(super) leaves: Option<(Instant, u64)>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) entries: HashMap<Thing, Entry>,
    /// What has come or gone since the teller looked.
    changed: Vec<Thing>,
}

impl Table {
    /// Has the teller look at it.
    pub(super) fn change(&mut self, thing: &Thing) {
        if let Some(entry) = self.entries.get_mut(thing) {
            if !std::mem::replace(&mut entry.changed, true) {
                self.changed.push(thing.clone());
            }
        }
    }

    /// What has changed since this was asked last.
    pub(super) fn take_changed(&mut self) -> Vec<Thing> {
        let changed = std::mem::take(&mut self.changed);
        for thing in &changed {
            if let Some(entry) = self.entries.get_mut(thing) {
                entry.changed = false;
            }
        }
        changed
    }

    fn enter(&mut self, thing: &Thing) {
        let entry = self.entries.entry(thing.clone()).or_default();
        entry.count += 1;
        if entry.count == 1 {
            entry.came = true;
            self.change(thing);
        }
    }

    fn leave(&mut self, thing: &Thing) {
        let Some(entry) = self.entries.get_mut(thing) else { return };
        entry.count = entry.count.saturating_sub(1);
        if entry.count == 0 {
            self.change(thing);
        }
    }
}

/// Counts subscriptions.
pub(crate) struct Occupancy {
    wishes: Wishes,
    table: Mutex<Table>,
    news: Notify,
    /// Whether the server stops: everybody leaves, and will come back.
    closed: AtomicBool,
}

impl Occupancy {
    pub(super) fn new(wishes: Wishes) -> Arc<Self> {
        let (table, closed) = (Mutex::default(), AtomicBool::new(false));
        Arc::new(Self { wishes, table, news: Notify::new(), closed })
    }

    /// Counts a subscription for as long as what is returned lives; none if nobody wants to know.
    pub(crate) fn attend(
        self: &Arc<Self>,
        selection: &Selection,
        subject: Option<&str>,
    ) -> Option<Box<Attending>> {
        use Happening::{SubjectOffline, SubjectOnline, TopicOccupied, TopicVacated};
        let wanted = |name: &&str| {
            !is_internal(name) && self.wishes.any([TopicOccupied, TopicVacated], Some(name))
        };
        let topics = selection.topics().iter().map(|topic| topic.as_str()).filter(wanted);
        let mut things: Vec<Thing> = topics.map(|name| Thing::Topic(name.into())).collect();
        let subject = subject.filter(|_| self.wishes.any([SubjectOnline, SubjectOffline], None));
        things.extend(subject.map(|name| Thing::Subject(name.into())));
        if things.is_empty() {
            return None;
        }
        {
            let mut table = self.table.lock();
            things.iter().for_each(|thing| table.enter(thing));
        }
        self.news.notify_one();
        Some(Box::new(Attending { occupancy: self.clone(), things }))
    }

    /// From now on nobody is told that anything has gone.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock()
    }

    /// Returns when something has changed since it was asked last.
    pub(super) async fn changed(&self) {
        self.news.notified().await;
    }
}

/// A subscription that is counted, until it is dropped.
pub(crate) struct Attending {
    occupancy: Arc<Occupancy>,
    things: Vec<Thing>,
}

impl Attending {
    /// The subscription is to something else now: what it keeps it has not left.
    pub(crate) fn changed(this: &mut Option<Box<Self>>, selection: &Selection) {
        let Some(old) = this else { return };
        let subject = old.things.iter().find_map(|thing| match thing {
            Thing::Subject(name) => Some(name.clone()),
            Thing::Topic(_) => None,
        });
        // Entered before the old one is dropped.
        *this = old.occupancy.clone().attend(selection, subject.as_deref());
    }
}

impl Drop for Attending {
    fn drop(&mut self) {
        {
            let mut table = self.occupancy.table.lock();
            self.things.iter().for_each(|thing| table.leave(thing));
        }
        self.occupancy.news.notify_one();
    }
}
