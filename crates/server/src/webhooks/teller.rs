//! From who is here to what is told: the task that makes events of changes.
//!
//! That something has come is told at once; that it has gone, after it has stayed away for the
//! grace time. What was told is noted in the same batch as the telling, so that after a restart,
//! when nobody is here yet, those who do not come back are told to have gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidings_frame::limits::BATCH_EVENTS_MAX;
use tidings_hub::{Backlog, Hub, NewEvent, ReadLimit, Selection, StoreError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::occupancy::{Occupancy, Table, Thing};
use super::{TOLD, Wishes, publish, story, topic};

/// Grace times that those who were here before a restart have to come back.
const GRACES_AFTER_START: u32 = 6;

/// Wait before what the log has refused is stored once more.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// How long the note stays that something has gone, in milliseconds: it is there to take the place
/// of the one that it was here.
const GONE_KEPT_MS: u64 = 1_000;

/// Notes read at a time.
const READ: ReadLimit = ReadLimit { events: 1_000, bytes: 1 << 20 };

/// The task's state.
pub(super) struct Teller {
    hub: Arc<Hub>,
    occupancy: Arc<Occupancy>,
    wishes: Wishes,
    grace: Duration,
    /// What has gone and may come back, by when that is told.
    leaving: BTreeMap<(Instant, u64), Thing>,
    departures: u64,
}

impl Teller {
    /// The teller, which remembers what was told before.
    ///
    /// # Errors
    /// When that cannot be read.
    pub(super) fn new(
        hub: &Arc<Hub>,
        occupancy: &Arc<Occupancy>,
        wishes: Wishes,
        grace: Duration,
    ) -> Result<Self, StoreError> {
        let mut teller = Self {
            hub: hub.clone(),
            occupancy: occupancy.clone(),
            wishes,
            grace,
            leaving: BTreeMap::new(),
            departures: 0,
        };
        let mut backlog = Backlog::new(Arc::new(Selection::one(topic(TOLD))));
        let (mut after, through) = (0, hub.visible());
        let mut things = BTreeMap::new();
        loop {
            let (read_to, more) =
                backlog.objects(hub, (after, through), READ, true, &mut |event| {
                    let key = event.key.clone().unwrap_or_default().into_owned();
                    // The newest counts, and says nothing if it has gone.
                    things.insert(key, story::noted(&event.data));
                })?;
            after = read_to;
            if !more {
                break;
            }
        }
        let deadline = Instant::now() + grace * GRACES_AFTER_START;
        let mut table = occupancy.table();
        for thing in things.into_values().flatten() {
            table.entries.entry(thing.clone()).or_default().told = true;
            teller.departs(&mut table, thing, deadline);
        }
        drop(table);
        Ok(teller)
    }

    pub(super) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        loop {
            let (mut told, mut wait) = (self.look(), None);
            if !told.is_empty() {
                let stored = self.store(&mut told);
                if let Err(error) = stored {
                    tracing::error!(%error, "what happened is not stored for webhooks");
                    wait = Some(Instant::now() + STORE_RETRY);
                }
                if self.note(told) {
                    continue;
                }
            }
            let next = wait.or_else(|| self.leaving.keys().next().map(|(at, _)| *at));
            tokio::select! {
                () = self.occupancy.changed(), if wait.is_none() => {}
                () = async {
                    match next {
                        Some(at) => sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                } => {}
                _ = stopping.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// What is to be told now.
    fn look(&mut self) -> Vec<(Thing, bool)> {
        let (now, occupancy) = (Instant::now(), self.occupancy.clone());
        let mut table = occupancy.table();
        let mut told = Vec::new();
        for thing in table.take_changed() {
            let Some(entry) = table.entries.get_mut(&thing) else { continue };
            let came = std::mem::take(&mut entry.came);
            match (entry.count > 0 || (came && !entry.told), entry.told) {
                (true, false) => told.push((thing, true)),
                (false, true) => self.departs(&mut table, thing, now + self.grace),
                (false, false) => drop(table.entries.remove(&thing)),
                // It has come back.
                (true, true) => {
                    let stays = entry.leaves.take();
                    stays.and_then(|departure| self.leaving.remove(&departure));
                }
            }
        }
        while let Some(first) = self.leaving.first_entry().filter(|first| first.key().0 <= now) {
            let thing = first.remove();
            if table.entries.get(&thing).is_some_and(|entry| entry.count == 0) {
                told.push((thing, false));
            }
        }
        if self.occupancy.is_closed() {
            // It is remembered that they were here.
            told.retain(|(_, here)| *here);
        }
        told
    }

    fn departs(&mut self, table: &mut Table, thing: Thing, at: Instant) {
        let Some(entry) = table.entries.get_mut(&thing).filter(|entry| entry.leaves.is_none())
        else {
            return;
        };
        self.departures += 1;
        entry.leaves = Some((at, self.departures));
        self.leaving.insert((at, self.departures), thing);
    }

    /// Stores what is told; leaves in `told` what is not stored.
    fn store(&self, told: &mut Vec<(Thing, bool)>) -> Result<(), tidings_hub::PublishError> {
        let now_ms = self.hub.now_ms();
        let mut stored = 0;
        let at_once = BATCH_EVENTS_MAX / (1 + self.wishes.0.len());
        let result = told.chunks(at_once).try_for_each(|some| {
            let events: Vec<NewEvent<'static>> =
                some.iter().flat_map(|(thing, here)| self.events(thing, *here, now_ms)).collect();
            publish(&self.hub, &events)?;
            stored += some.len();
            Ok(())
        });
        let unstored = told.split_off(stored);
        let stored = std::mem::replace(told, unstored);
        let mut table = self.occupancy.table();
        for (thing, here) in stored {
            if let Some(entry) = table.entries.get_mut(&thing) {
                (entry.told, entry.leaves) = (here, None);
            }
            // It may have changed meanwhile, and what has gone is forgotten.
            table.change(&thing);
        }
        result
    }

    /// Has what is not stored looked at again. Whether there is something to look at now.
    fn note(&mut self, unstored: Vec<(Thing, bool)>) -> bool {
        if unstored.is_empty() {
            return true;
        }
        let mut table = self.occupancy.table();
        for (thing, here) in unstored {
            if let Some(entry) = table.entries.get_mut(&thing).filter(|_| !here) {
                entry.leaves = None;
            }
            table.change(&thing);
        }
        false
    }

    fn events(&self, thing: &Thing, here: bool, now_ms: u64) -> Vec<NewEvent<'static>> {
        let (what, data) = story::presence(thing, here, now_ms);
        let of = match thing {
            Thing::Topic(name) => Some(&**name),
            Thing::Subject(_) => None,
        };
        let (key, note) = story::note(thing);
        let noted = NewEvent {
            topic: TOLD.into(),
            key: Some(key.into()),
            data: if here { note.into() } else { (&b"gone"[..]).into() },
            ttl_ms: (!here).then_some(GONE_KEPT_MS),
            ..NewEvent::default()
        };
        let queued = self.wishes.of(what, of);
        let queued = queued.map(|webhook| super::queued(webhook, what, &data));
        queued.chain([noted]).collect()
    }
}
