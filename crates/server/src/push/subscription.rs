//! Subscriptions while the server runs: made, changed, taken up after a restart, removed.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use ring::digest;
use tidings_frame::{Pattern, TopicName};
use tidings_hub::{Selection, StoreError};
use tidings_push::{Endpoint, EndpointError, Receiver, ReceiverError};
use tokio::sync::Notify;

use super::entry::{self, Entry, Owner, Urgency};
use super::{Push, deliver};
use crate::access::Access;
use crate::hook::judge::By;

/// Most topics and patterns of one subscription.
pub(crate) const TOPICS_MAX: usize = 64;

/// Most subscriptions of one subject: browsers of one person.
pub(crate) const PER_SUBJECT_MAX: usize = 64;

/// Most subscriptions that were made without a token from one address, of IPv6 from one network
/// of 64 bits, since the server has started. Behind an address there may be a whole office.
pub(crate) const PER_ADDRESS_MAX: usize = 1_000;

/// Bytes of an id before it is text. It cannot be guessed by who does not know the endpoint, which
/// is as secret (RFC 8030, section 8.3).
const ID_BYTES: usize = 16;

/// Why there is no subscription.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubscribeError {
    /// The endpoint.
    #[error("endpoint: {0}")]
    Endpoint(#[from] EndpointError),
    /// The keys.
    #[error("keys.{0}")]
    Receiver(#[from] ReceiverError),
    /// More topics and patterns than one subscription takes.
    #[error("at most {TOPICS_MAX} topics and patterns")]
    Topics,
    /// As many subscriptions as the server takes.
    #[error("this server has {0} push subscriptions, as many as it takes")]
    Full(usize),
    /// As many subscriptions as a subject, or an address, may have.
    #[error(
        "there are {0} push subscriptions of the same subject or address, as many as it may have"
    )]
    PartyFull(usize),
    /// As many subscriptions as a topic or pattern takes.
    #[error("{name} has {limit} push subscriptions, as many as it takes")]
    TopicFull {
        /// The topic or pattern.
        name: String,
        /// How many.
        limit: usize,
    },
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is asked for.
pub(crate) struct Asked<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) p256dh: &'a str,
    pub(crate) auth: &'a str,
    pub(crate) selection: Selection,
    /// How long a message is of use, in seconds; as configured if not given.
    pub(crate) ttl_s: Option<u64>,
    pub(crate) urgency: Urgency,
    pub(crate) by: By<'a>,
}

/// A subscription that was made or changed.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) id: String,
    /// There was none for this endpoint.
    pub(crate) new: bool,
    /// The batch that must be on disk before anybody is told.
    pub(crate) wait: Option<u64>,
}

/// What is delivered, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) selection: Arc<Selection>,
    pub(super) ttl_s: u64,
    pub(super) urgency: Urgency,
    /// Whose token it was asked for with.
    pub(super) owner: Option<Owner>,
    /// Where it was asked for without one. Not stored: addresses are nobody's to keep.
    pub(super) address: Option<IpAddr>,
}

impl Terms {
    /// Whom it counts for, and how many that may have.
    pub(super) fn party(&self) -> Option<(String, usize)> {
        match (&self.owner, self.address.map(|address| address.to_canonical())) {
            (Some(owner), _) => Some((format!("subject {}", owner.identity), PER_SUBJECT_MAX)),
            (None, Some(IpAddr::V6(address))) => {
                Some((format!("network {}", u128::from(address) >> 64), PER_ADDRESS_MAX))
            }
            (None, Some(address)) => Some((format!("address {address}"), PER_ADDRESS_MAX)),
            (None, None) => None,
        }
    }
}

/// A subscription.
pub(super) struct Subscription {
    pub(super) id: Arc<str>,
    /// Any number, its own.
    pub(super) number: u64,
    pub(super) endpoint: Endpoint,
    pub(super) receiver: Receiver,
    terms: Mutex<Arc<Terms>>,
    /// It has, or does not want, every event up to here.
    after: AtomicU64,
    refused: AtomicU32,
    /// Told when its topics change.
    pub(super) changed: Notify,
}

impl Subscription {
    pub(super) fn terms(&self) -> Arc<Terms> {
        self.terms.lock().clone()
    }

    pub(super) fn after(&self) -> u64 {
        self.after.load(Ordering::Relaxed)
    }

    pub(super) fn was_taken(&self) {
        self.refused.store(0, Ordering::Relaxed);
    }

    /// How often in a row.
    pub(super) fn was_refused(&self) -> u32 {
        self.refused.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn entry(&self, endpoint: &str) -> Entry {
        let terms = self.terms();
        let topics = terms.selection.topics().iter().map(|name| name.as_str().to_owned());
        let patterns = terms.selection.patterns().iter().map(|text| text.as_str().to_owned());
        Entry {
            id: self.id.to_string(),
            endpoint: endpoint.to_owned(),
            p256dh: self.receiver.p256dh(),
            auth: self.receiver.auth(),
            topics: topics.collect(),
            patterns: patterns.collect(),
            ttl_s: terms.ttl_s,
            urgency: terms.urgency,
            after: self.after(),
            owner: terms.owner.clone(),
        }
    }
}

/// The id of an endpoint, however its URL is written: case of the host and the usual port say
/// nothing (RFC 3986, section 6.2.3).
fn id_of(endpoint: &Endpoint) -> String {
    let path = endpoint.url.path_and_query().map_or("/", |path| path.as_str());
    let endpoint = format!("{}{path}", endpoint.origin);
    let hash = digest::digest(&digest::SHA256, format!("tidings push {endpoint}").as_bytes());
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..ID_BYTES])
}

impl Push {
    /// Makes a subscription, or changes the one that its endpoint has. It gets what becomes visible
    /// from now on; one that is changed keeps its place.
    pub(crate) fn subscribe(self: &Arc<Self>, asked: Asked<'_>) -> Result<Made, SubscribeError> {
        let endpoint = self.config.services.endpoint(asked.endpoint)?;
        let receiver = Receiver::new(asked.p256dh, asked.auth)?;
        let selection = Arc::new(asked.selection);
        if selection.topics().len() + selection.patterns().len() > TOPICS_MAX {
            return Err(SubscribeError::Topics);
        }
        let ttl_s = asked.ttl_s.unwrap_or(self.config.ttl.as_secs());
        let By { caller, peer } = asked.by;
        let owner = caller.map(|caller| Owner::of(caller));
        let address = peer.filter(|_| owner.is_none()).map(|peer| peer.address.ip());
        let terms = Arc::new(Terms { selection, ttl_s, urgency: asked.urgency, owner, address });
        let id = id_of(&endpoint);
        let mut table = self.table.lock();
        table.room_for(&id, &terms, &self.config)?;
        let old = table.get(&id).cloned();
        let new = old.is_none();
        let after = old.as_ref().map_or_else(|| self.hub.visible(), |old| old.after());
        let same_keys = old.filter(|old| old.receiver == receiver);
        let subscription = match &same_keys {
            Some(old) => old.clone(),
            None => self.subscription(&id, endpoint, receiver, terms.clone(), after),
        };
        let before = std::mem::replace(&mut *subscription.terms.lock(), terms.clone());
        let stored = entry::write(&self.hub, &subscription.entry(asked.endpoint));
        let wait = match stored {
            Ok(wait) => wait,
            Err(error) => {
                *subscription.terms.lock() = before;
                return Err(error.into());
            }
        };
        if same_keys.is_some() {
            table.change(&id, &before, &terms);
            subscription.changed.notify_one();
        } else {
            self.seat(&mut table, subscription);
        }
        Ok(Made { id, new, wait })
    }

    /// Removes a subscription; `None` if there is none, and otherwise as [`Made::wait`].
    pub(crate) fn unsubscribe(&self, id: &str) -> Result<Option<Option<u64>>, StoreError> {
        let mut table = self.table.lock();
        if table.get(id).is_none() {
            return Ok(None);
        }
        let wait = entry::write_removed(&self.hub, id)?;
        table.remove(id);
        self.metrics.subscriptions.set(table.len());
        Ok(Some(wait))
    }

    /// Ends the subscriptions whose token, or whose subject, was revoked.
    pub(crate) fn end_revoked(&self, access: &Access) {
        let mut table = self.table.lock();
        let is_revoked = |owner: &Owner| access.is_revoked(&owner.caller());
        for id in table.of_whom(is_revoked) {
            // If this cannot be written, it is ended again after the next start.
            if let Err(error) = entry::write_removed(&self.hub, &id) {
                tracing::warn!(%error, "a push subscription of somebody who was revoked");
            }
            table.remove(&id);
        }
        self.metrics.subscriptions.set(table.len());
    }

    /// The push service does not know it any more.
    pub(super) fn forget(&self, subscription: &Arc<Subscription>) {
        let mut table = self.table.lock();
        // Another one may have its endpoint by now.
        if !table.get(&subscription.id).is_some_and(|now| Arc::ptr_eq(now, subscription)) {
            return;
        }
        self.metrics.gone.inc();
        // If this cannot be written, the push service will say it again after the next start.
        if let Err(error) = entry::write_removed(&self.hub, &subscription.id) {
            tracing::warn!(%error, "a push subscription that is gone");
        }
        table.remove(&subscription.id);
        self.metrics.subscriptions.set(table.len());
    }

    /// Goes on with what an earlier process left.
    pub(super) fn take_up(self: &Arc<Self>, entries: Vec<Entry>) {
        let mut table = self.table.lock();
        for entry in entries {
            match self.restored(&entry) {
                Some(subscription) => self.seat(&mut table, subscription),
                // It is left in the log: the list of services may be mended.
                None => tracing::warn!(id = %entry.id, "a push subscription cannot be served"),
            }
        }
    }

    fn restored(&self, entry: &Entry) -> Option<Arc<Subscription>> {
        let endpoint = self.config.services.endpoint(&entry.endpoint).ok()?;
        let receiver = Receiver::new(&entry.p256dh, &entry.auth).ok()?;
        let topics = entry.topics.iter().map(|name| TopicName::new(name)).collect::<Result<_, _>>();
        let patterns =
            entry.patterns.iter().map(|text| Pattern::new(text)).collect::<Result<_, _>>();
        let selection = Arc::new(Selection::new(topics.ok()?, patterns.ok()?).ok()?);
        let terms = Arc::new(Terms {
            selection,
            ttl_s: entry.ttl_s,
            urgency: entry.urgency,
            owner: entry.owner.clone(),
            address: None,
        });
        Some(self.subscription(&entry.id, endpoint, receiver, terms, entry.after))
    }

    fn subscription(
        &self,
        id: &str,
        endpoint: Endpoint,
        receiver: Receiver,
        terms: Arc<Terms>,
        after: u64,
    ) -> Arc<Subscription> {
        let number = id.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
        Arc::new(Subscription {
            id: id.into(),
            number,
            endpoint,
            receiver,
            terms: Mutex::new(terms),
            after: AtomicU64::new(after),
            refused: AtomicU32::new(0),
            changed: Notify::new(),
        })
    }

    /// Has it delivered to, in the place of what had its id.
    fn seat(self: &Arc<Self>, table: &mut super::Table, subscription: Arc<Subscription>) {
        let task = self.tasks.spawn(deliver::deliver(self.clone(), subscription.clone()));
        table.insert(subscription, task.abort_handle());
        self.metrics.subscriptions.set(table.len());
    }

    /// It has, or does not want, every event up to `after`.
    pub(super) fn reached(&self, subscription: &Arc<Subscription>, after: u64) {
        if subscription.after.fetch_max(after, Ordering::Relaxed) < after {
            self.table.lock().reached(subscription);
        }
    }
}
