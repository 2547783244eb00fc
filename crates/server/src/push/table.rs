//! Which subscriptions there are, how many want a topic, and whose position is to be noted.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tidings_hub::Selection;
use tokio::task::AbortHandle;

use super::entry::Owner;
use super::subscription::{SubscribeError, Subscription, Terms};
use crate::config::PushConfig;

struct Seat {
    subscription: Arc<Subscription>,
    task: AbortHandle,
}

/// The table.
#[derive(Default)]
pub(super) struct Table {
    seats: HashMap<Arc<str>, Seat>,
    /// How many subscriptions name a topic or pattern.
    wanted: HashMap<String, usize>,
    /// How many subscriptions each party has.
    parties: HashMap<String, usize>,
    reached: HashSet<Arc<str>>,
}

/// A pattern that looks like a topic has a wildcard, so the two never meet.
fn names(selection: &Selection) -> impl Iterator<Item = &str> {
    let topics = selection.topics().iter().map(|name| name.as_str());
    topics.chain(selection.patterns().iter().map(|text| text.as_str()))
}

fn one_less(counts: &mut HashMap<String, usize>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count -= 1;
        if *count == 0 {
            counts.remove(name);
        }
    }
}

impl Table {
    pub(super) fn len(&self) -> i64 {
        i64::try_from(self.seats.len()).unwrap_or(i64::MAX)
    }

    pub(super) fn get(&self, id: &str) -> Option<&Arc<Subscription>> {
        self.seats.get(id).map(|seat| &seat.subscription)
    }

    /// Whether there is room for a subscription, in the place of what has its id.
    pub(super) fn room_for(
        &self,
        id: &str,
        terms: &Terms,
        config: &PushConfig,
    ) -> Result<(), SubscribeError> {
        let old_terms = self.get(id).map(|old| old.terms());
        let old_party = old_terms.as_ref().and_then(|old| old.party());
        if let Some((party, most)) = terms.party().filter(|new| old_party.as_ref() != Some(new)) {
            if self.parties.get(&party).is_some_and(|count| *count >= most) {
                return Err(SubscribeError::PartyFull(most));
            }
        }
        let old = old_terms.map(|old| old.selection.clone());
        if old.is_none() && self.seats.len() >= config.subscriptions {
            return Err(SubscribeError::Full(config.subscriptions));
        }
        let limit = config.topic_subscriptions;
        for name in names(&terms.selection) {
            let counted = old.as_ref().is_some_and(|old| names(old).any(|known| known == name));
            if !counted && self.wanted.get(name).is_some_and(|count| *count >= limit) {
                return Err(SubscribeError::TopicFull { name: name.to_owned(), limit });
            }
        }
        Ok(())
    }

    /// Adds one, in the place of what has its id.
    pub(super) fn insert(&mut self, subscription: Arc<Subscription>, task: AbortHandle) {
        self.remove(&subscription.id.clone());
        self.count(&subscription.terms());
        self.seats.insert(subscription.id.clone(), Seat { subscription, task });
    }

    /// Its topics are others now.
    pub(super) fn change(&mut self, id: &str, before: &Terms, now: &Terms) {
        if self.seats.contains_key(id) {
            self.discount(before);
            self.count(now);
        }
    }

    /// Takes one away and ends its task.
    pub(super) fn remove(&mut self, id: &str) {
        self.reached.remove(id);
        if let Some(seat) = self.seats.remove(id) {
            self.discount(&seat.subscription.terms());
            seat.task.abort();
        }
    }

    /// The ids of those with such an owner.
    pub(super) fn of_whom(&self, is_it: impl Fn(&Owner) -> bool) -> Vec<Arc<str>> {
        let found = self
            .seats
            .iter()
            .filter(|(_, seat)| seat.subscription.terms().owner.as_ref().is_some_and(&is_it));
        found.map(|(id, _)| id.clone()).collect()
    }

    fn count(&mut self, terms: &Terms) {
        for name in names(&terms.selection) {
            *self.wanted.entry(name.to_owned()).or_default() += 1;
        }
        if let Some((party, _)) = terms.party() {
            *self.parties.entry(party).or_default() += 1;
        }
    }

    fn discount(&mut self, terms: &Terms) {
        for name in names(&terms.selection) {
            one_less(&mut self.wanted, name);
        }
        if let Some((party, _)) = terms.party() {
            one_less(&mut self.parties, &party);
        }
    }

    /// Its position is to be noted.
    pub(super) fn reached(&mut self, subscription: &Arc<Subscription>) {
        let is_it = |now: &Arc<Subscription>| Arc::ptr_eq(now, subscription);
        if self.get(&subscription.id).is_some_and(is_it) {
            self.reached.insert(subscription.id.clone());
        }
    }

    /// The positions that are to be noted; they count as noted from now on.
    pub(super) fn take_reached(&mut self) -> Vec<(Arc<str>, u64)> {
        let reached = std::mem::take(&mut self.reached).into_iter();
        reached.filter_map(|id| self.get(&id).map(|one| (id.clone(), one.after()))).collect()
    }

    /// They were not noted after all.
    pub(super) fn reached_again(&mut self, reached: Vec<(Arc<str>, u64)>) {
        self.reached.extend(reached.into_iter().map(|(id, _)| id));
    }
}
