//! Limits and quotas: what each address, subject and tenant may have and do, and what all of them
//! together may take.
//!
//! Where nothing is configured, nothing is done: one branch. Where something is, a request costs a
//! hash of its address and, for each rate, a lock that is shared with nobody but the same address
//! ([`table`]). What is kept for each does not grow with their number: buckets are in a table of a
//! fixed size, counts are as many as there are connections.
//!
//! A request is refused before it has changed anything, and what other limits had counted for it is
//! given back. Each limit has a name that a refusal tells, and under which it is counted
//! ([`name`]); docs/limits.md has them all.

mod bucket;
mod counts;
pub(crate) mod guarded;
mod key;
mod memory;
mod meters;
pub(crate) mod name;
mod owners;
mod table;

use std::collections::HashMap;
use std::iter;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tidings_access::Caller;
use tidings_hub::{Hub, NewEvent};

use crate::app::App;
use crate::config::{self, Config, Network, QuotaConfig, Quotas};
use bucket::{Pace, ticks};
use counts::{Counts, Place};
use key::Key;
pub(crate) use memory::{Held, RequestMemory};
pub(crate) use meters::Meters;
use name::{Limit, Scope, What};
use owners::Owners;
use table::{RATES, Table};

/// How long a connection is not read from after it has asked more than it may, in milliseconds:
/// refusing costs something too.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// How often what topics hold is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// When to come again after a refusal that time alone does not mend.
const AGAIN_LATER: Duration = Duration::from_secs(5);

/// A rate that nothing is taken of.
const NONE: (What, u64) = (What::NewTopics, 0);

/// Who asks, as limits see it: a number for each kind of quota, 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Party {
    keys: [u64; 3],
}

/// A limit was reached. Nothing was changed.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) limit: Limit,
    /// When it is worth trying again.
    pub(crate) after: Duration,
}

impl Refused {
    pub(crate) fn later(limit: Limit) -> Self {
        Self { limit, after: AGAIN_LATER }
    }

    /// What was too much, for people.
    pub(crate) fn detail(&self) -> String {
        let (what, scope) = match self.limit {
            Limit::Connections => return "the server holds as many connections as it may".into(),
            Limit::RequestMemory => {
                return "requests in hand take as much memory as they may".into();
            }
            Limit::Topics => return "the server has as many topics as it may".into(),
            Limit::Scheduled => {
                return "publishes that wait for their time take as much as they may".into();
            }
            Limit::Quota(what, scope) => (what, scope.noun()),
        };
        match what {
            What::Connect => format!("this {scope} opens connections faster than it may"),
            What::Publish => format!("this {scope} publishes more events than it may"),
            What::PublishBytes => format!("this {scope} publishes more bytes than it may"),
            What::History => format!("this {scope} reads history more often than it may"),
            What::NewTopics => format!("this {scope} makes topics faster than it may"),
            What::Connections => format!("this {scope} has as many connections as it may"),
            What::Subscriptions => format!("this {scope} has as many subscriptions as it may"),
            What::Topics => format!("this {scope} has made as many topics as it may"),
            What::Stored => format!("the topics of this {scope} hold as much as they may"),
        }
    }
}

/// The quotas of one scope.
struct Quota {
    scope: Scope,
    /// By the numbers of [`What`].
    paces: [Option<Pace>; RATES],
    table: Option<Table>,
    connections: Option<Arc<Counts>>,
    subscriptions: Option<Arc<Counts>>,
    /// Topics that it may have made, and bytes that they may hold.
    topics: Option<usize>,
    stored: Option<u64>,
}

impl Quota {
    /// `None` if nothing is limited.
    fn new(scope: Scope, quotas: &Quotas) -> Option<Self> {
        if *quotas == Quotas::default() {
            return None;
        }
        let whole = |rate: Option<config::Rate>| rate.map(|rate| Pace::new(rate, rate.count));
        let burst = |rate: Option<(config::Rate, u64)>| rate.map(|(rate, b)| Pace::new(rate, b));
        let paces = [
            whole(quotas.connect_rate),
            burst(quotas.publish_rate),
            burst(quotas.publish_bytes),
            whole(quotas.history_rate),
            whole(quotas.topics_rate),
        ];
        let counts = |limit: Option<usize>| limit.map(|limit| Arc::new(Counts::new(limit)));
        Some(Self {
            scope,
            table: paces.iter().any(Option::is_some).then(Table::new),
            paces,
            connections: counts(quotas.connections),
            subscriptions: counts(quotas.subscriptions),
            topics: quotas.topics,
            stored: quotas.stored_bytes,
        })
    }

    /// The limits that are in force.
    fn limits(&self) -> impl Iterator<Item = Limit> {
        let rates = What::ALL.into_iter().zip(&self.paces).filter(|(_, pace)| pace.is_some());
        let counts = [
            (What::Connections, self.connections.is_some()),
            (What::Subscriptions, self.subscriptions.is_some()),
            (What::Topics, self.topics.is_some()),
            (What::Stored, self.stored.is_some()),
        ];
        let counts = counts.into_iter().filter(|(_, there)| *there).map(|(what, _)| what);
        rates.map(|(what, _)| what).chain(counts).map(|what| Limit::Quota(what, self.scope))
    }
}

fn topics_of<'e>(event: &'e NewEvent<'_>) -> impl Iterator<Item = &'e str> {
    iter::once(&*event.topic).chain(event.alternates.iter().map(|name| &**name))
}

/// The topics of these events that there are not yet, each once, in their order.
fn new_topics<'e>(hub: &Hub, events: &'e [NewEvent<'_>]) -> Vec<&'e str> {
    let mut new: Vec<&str> =
        events.iter().flat_map(topics_of).filter(|name| !hub.has_topic(name)).collect();
    new.sort_unstable();
    new.dedup();
    new
}

/// What somebody has taken of counted limits; given back when the last copy is dropped.
#[derive(Clone, Default)]
pub(crate) struct Admission {
    _places: Option<Arc<[Place]>>,
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admission")
    }
}

/// How a connection came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Free,
    /// On a place that is kept for operators: for one request, and only of those that they make.
    Reserved,
}

/// All limits.
pub(crate) struct Limits {
    /// Whether there are any quotas.
    active: bool,
    began: Instant,
    key: Key,
    quotas: [Option<Quota>; 3],
    except: Vec<Network>,
    /// Whether new topics are limited.
    counts_new: bool,
    /// Who has made which topic, if that is limited.
    owners: Option<Arc<Owners>>,
    pub(crate) meters: Meters,
    pub(crate) memory: Arc<RequestMemory>,
}

impl Limits {
    /// The limits of this configuration; the hub says who has made the topics that are there.
    ///
    /// # Errors
    /// The key of those who ask cannot be read or made.
    pub(crate) fn new(config: &Config, hub: &Hub) -> std::io::Result<Self> {
        let limits = &config.limits;
        let QuotaConfig { address, subject, tenant, address_except, .. } = &limits.quotas;
        let quotas = [
            Quota::new(Scope::Address, address),
            Quota::new(Scope::Subject, subject),
            Quota::new(Scope::Tenant, tenant),
        ];
        let mut shown: Vec<Limit> = quotas.iter().flatten().flat_map(Quota::limits).collect();
        shown.extend([Limit::Connections, Limit::RequestMemory, Limit::Topics, Limit::Scheduled]);
        let owned =
            quotas.iter().flatten().any(|quota| quota.topics.is_some() || quota.stored.is_some());
        Ok(Self {
            active: quotas.iter().any(Option::is_some),
            counts_new: quotas
                .iter()
                .flatten()
                .any(|q| q.paces[What::NewTopics as usize].is_some()),
            owners: owned.then(|| Owners::of_topics(hub)),
            began: Instant::now(),
            key: if owned { Key::open(&config.data_dir) } else { Key::random() }?,
            quotas,
            except: address_except.clone(),
            meters: Meters::new(shown),
            memory: Arc::new(RequestMemory::new(limits.request_memory)),
        })
    }

    /// Brings what is counted to where metrics are read.
    pub(crate) fn tell(&self, app: &App) {
        let limits = &app.config.limits;
        let (held, most) = self.memory.held();
        self.meters.counted(Limit::RequestMemory, held, most);
        self.meters.counted(Limit::Connections, app.connections(), limits.connections);
        self.meters.counted(Limit::Topics, app.hub.topic_count(), limits.topics);
        self.meters.counted(Limit::Scheduled, app.hub.scheduled_bytes(), limits.scheduled_bytes);
        // The hub counts its own.
        let counters = app.hub.counters();
        let of_hub = [
            (Limit::Topics, &counters.topics_refused),
            (Limit::Scheduled, &counters.schedules_refused),
        ];
        for (limit, refused) in of_hub {
            self.meters.refused_in_all(limit, refused.load(Ordering::Relaxed));
        }
        self.meters.tell(app.hub.now_ms());
    }

    /// Who asks from this address, without a token.
    pub(crate) fn at(&self, address: IpAddr) -> Party {
        let mut party = Party::default();
        if self.active {
            party.keys[Scope::Address as usize] = self.address_key(address);
        }
        party
    }

    /// Who asks with this token.
    pub(crate) fn of(&self, mut party: Party, caller: Option<&Arc<Caller>>) -> Party {
        let Some(caller) = caller.filter(|_| self.active) else {
            return party;
        };
        let tenant = caller.tenant.as_ref();
        for (scope, name) in [(Scope::Subject, Some(&caller.identity)), (Scope::Tenant, tenant)] {
            let at = scope as usize;
            if let (Some(_), Some(name)) = (&self.quotas[at], name) {
                party.keys[at] = self.key.number(name.as_bytes());
            }
        }
        party
    }

    fn address_key(&self, address: IpAddr) -> u64 {
        if self.quotas[Scope::Address as usize].is_none()
            || self.except.iter().any(|network| network.contains(address))
        {
            return 0;
        }
        let number = match address.to_canonical() {
            IpAddr::V4(address) => u64::from(u32::from(address)),
            // What one customer of a network is usually given.
            IpAddr::V6(address) => (u128::from(address) >> 64) as u64 | 1 << 63,
        };
        self.key.number(&number.to_le_bytes())
    }

    /// Takes `amount` at a rate, for each scope.
    fn take(&self, party: Party, rates: &[(What, u64)]) -> Result<(), Refused> {
        let now = ticks(self.began.elapsed());
        let mut taken = [(0, 0); 3 * RATES];
        let mut count = 0;
        for (at, quota) in self.quotas.iter().enumerate() {
            let (Some(quota), key @ 1..) = (quota, party.keys[at]) else { continue };
            let Some(table) = &quota.table else { continue };
            for (number, &(what, amount)) in rates.iter().enumerate() {
                let Some(pace) = &quota.paces[what as usize] else { continue };
                let limit = Limit::Quota(what, quota.scope);
                match table.take(key, what as usize, pace, now, amount) {
                    Ok(done) => {
                        self.meters.used(limit, done.used);
                        if done.forgot {
                            self.meters.forgot();
                        }
                    }
                    Err(too_soon) => {
                        self.give_back(party, rates, &taken[..count]);
                        self.meters.used(limit, 1_000);
                        self.meters.refused(limit);
                        return Err(Refused { limit, after: too_soon.after });
                    }
                }
                taken[count] = (at, number);
                count += 1;
            }
        }
        Ok(())
    }

    fn give_back(&self, party: Party, rates: &[(What, u64)], taken: &[(usize, usize)]) {
        for &(at, number) in taken {
            let (what, amount) = rates[number];
            if let Some(quota) = &self.quotas[at] {
                if let (Some(table), Some(pace)) = (&quota.table, &quota.paces[what as usize]) {
                    table.give_back(party.keys[at], what as usize, pace, amount);
                }
            }
        }
    }

    /// Takes a place among what is counted; of all scopes or of none.
    fn count(
        &self,
        party: Party,
        what: What,
        counts: impl Fn(&Quota) -> Option<&Arc<Counts>>,
        places: &mut Vec<Place>,
    ) -> Result<(), Refused> {
        for (at, quota) in self.quotas.iter().enumerate() {
            let (Some(quota), key @ 1..) = (quota, party.keys[at]) else { continue };
            let Some(counts) = counts(quota) else { continue };
            let limit = Limit::Quota(what, quota.scope);
            let Some((place, count)) = Place::take(counts, key) else {
                self.meters.used(limit, 1_000);
                self.meters.refused(limit);
                return Err(Refused::later(limit));
            };
            self.meters.counted(limit, count, counts.limit());
            places.push(place);
        }
        Ok(())
    }

    /// Whether these events may be published now.
    pub(crate) fn publish(
        &self,
        hub: &Hub,
        party: Party,
        events: &[NewEvent<'_>],
    ) -> Result<(), Refused> {
        // What has no quota of its own may go into the topics of somebody who has.
        if !self.active || party == Party::default() && self.owners.is_none() {
            return Ok(());
        }
        let bytes = events.iter().map(|event| event.data.len() as u64).sum();
        let mut rates = [(What::Publish, events.len() as u64), (What::PublishBytes, bytes), NONE];
        if !self.counts_new && self.owners.is_none() {
            return self.take(party, &rates[..2]);
        }
        let new = new_topics(hub, events);
        rates[2] = (What::NewTopics, new.len() as u64);
        let rates = if new.is_empty() { &rates[..2] } else { &rates[..] };
        let Some(owners) = &self.owners else {
            return self.take(party, rates);
        };
        let new: Vec<&str> = new.into_iter().filter(|name| !owners.is_claimed(name)).collect();
        self.may_have(owners.of(party), party, new.len(), 0)?;
        // What is put into a topic counts for whoever has made it.
        let mut makers: HashMap<Party, u64> = HashMap::new();
        for event in events {
            for name in topics_of(event) {
                let is_new = new.binary_search(&name).is_ok();
                let maker = if is_new { Some(party) } else { owners.maker(name) };
                if let Some(maker) = maker {
                    *makers.entry(maker).or_default() += event.data.len() as u64;
                }
            }
        }
        for (&maker, &bytes) in &makers {
            self.may_have(owners.of(maker), maker, 0, bytes)?;
        }
        self.take(party, rates)?;
        new.iter().for_each(|name| owners.make(name, party));
        makers.iter().for_each(|(maker, bytes)| owners.add(*maker, *bytes));
        Ok(())
    }

    /// What was allowed goes on after something else was waited for: meanwhile a look may have
    /// forgotten who makes its topics, because they are not there.
    pub(crate) fn goes_on(&self, hub: &Hub, party: Party, events: &[NewEvent<'_>]) {
        let Some(owners) = &self.owners else { return };
        let new = new_topics(hub, events).into_iter().filter(|name| !owners.is_claimed(name));
        new.for_each(|name| owners.make(name, party));
    }

    /// Whether a topic of this name may be set now: one that is new counts for whoever makes it.
    pub(crate) fn set_topic(&self, hub: &Hub, party: Party, name: &str) -> Result<(), Refused> {
        let there = !self.active || hub.has_topic(name);
        if there || self.owners.as_ref().is_some_and(|owners| owners.is_claimed(name)) {
            return Ok(());
        }
        if let Some(owners) = &self.owners {
            self.may_have(owners.of(party), party, 1, 0)?;
        }
        self.take(party, &[(What::NewTopics, 1)])?;
        self.owners.iter().for_each(|owners| owners.make(name, party));
        Ok(())
    }

    /// Whether each may have so many topics and bytes more than it has.
    fn may_have(
        &self,
        has: [(usize, u64); 3],
        party: Party,
        topics: usize,
        bytes: u64,
    ) -> Result<(), Refused> {
        for (at, quota) in self.quotas.iter().enumerate() {
            let (Some(quota), 1..) = (quota, party.keys[at]) else { continue };
            let (had, held) = has[at];
            let wants = [
                (What::Topics, topics as u64, had as u64, quota.topics.map(|most| most as u64)),
                (What::Stored, bytes, held, quota.stored),
            ];
            for (what, more, there, most) in wants {
                let (Some(most), 1..) = (most, more) else { continue };
                let limit = Limit::Quota(what, quota.scope);
                let share = there.saturating_add(more).saturating_mul(1_000) / most.max(1);
                self.meters.used(limit, u32::try_from(share.min(1_000)).unwrap_or(1_000));
                if there.saturating_add(more) > most {
                    self.meters.refused(limit);
                    return Err(Refused::later(limit));
                }
            }
        }
        Ok(())
    }

    /// Whether there is something to [`look`](Self::look) after.
    pub(crate) fn has_owners(&self) -> bool {
        self.owners.is_some()
    }

    /// Adds up from time to time what topics hold, until the app has stopped.
    pub(crate) fn look(&self, app: &App) {
        let mut looked = Instant::now();
        while !app.has_stopped() {
            std::thread::sleep(PAUSE);
            if looked.elapsed() >= LOOK {
                self.owners.iter().for_each(|owners| owners.look(&app.hub));
                looked = Instant::now();
            }
        }
    }

    /// Whether a page of history may be read now.
    pub(crate) fn history(&self, party: Party) -> Result<(), Refused> {
        if self.active { self.take(party, &[(What::History, 1)]) } else { Ok(()) }
    }

    /// Whether there may be another stream: a subscription, and a connection of its subject and
    /// its tenant. That of its address was counted when it came.
    pub(crate) fn stream(&self, party: Party) -> Result<Admission, Refused> {
        self.admit(party, true, true)
    }

    /// Whether there may be another WebSocket.
    pub(crate) fn websocket(&self, party: Party) -> Result<Admission, Refused> {
        self.admit(party, true, false)
    }

    /// Whether there may be another subscription on a WebSocket.
    pub(crate) fn subscription(&self, party: Party) -> Result<Admission, Refused> {
        self.admit(party, false, true)
    }

    fn admit(&self, party: Party, connects: bool, follows: bool) -> Result<Admission, Refused> {
        if !self.active {
            return Ok(Admission::default());
        }
        let mut places = Vec::new();
        if connects {
            let mut known = party;
            known.keys[Scope::Address as usize] = 0;
            self.count(known, What::Connections, |q| q.connections.as_ref(), &mut places)?;
        }
        if follows {
            self.count(party, What::Subscriptions, |q| q.subscriptions.as_ref(), &mut places)?;
        }
        Ok(Admission { _places: (!places.is_empty()).then(|| places.into()) })
    }

    /// Says that there are as many connections as there may be.
    pub(crate) fn full(&self) -> Refused {
        self.meters.refused(Limit::Connections);
        Refused::later(Limit::Connections)
    }

    /// Says that requests in hand hold as much as they may.
    pub(crate) fn no_memory(&self) -> Refused {
        self.meters.refused(Limit::RequestMemory);
        Refused::later(Limit::RequestMemory)
    }

    /// Whether another connection may come, when there are so many already.
    pub(crate) fn enter(&self, before: usize, limits: &config::Limits) -> Result<Entry, Refused> {
        if before < limits.connections {
            return Ok(Entry::Free);
        }
        if before < limits.connections.saturating_add(limits.operator_reserve) {
            return Ok(Entry::Reserved);
        }
        Err(self.full())
    }

    /// Whether another connection may come from this address. What is counted is given back with
    /// [`disconnected`](Self::disconnected).
    pub(crate) fn connect(&self, address: IpAddr) -> Result<(), Refused> {
        let Some(quota) = &self.quotas[Scope::Address as usize] else {
            return Ok(());
        };
        let key = self.address_key(address);
        if key == 0 {
            return Ok(());
        }
        let party = Party { keys: [key, 0, 0] };
        self.take(party, &[(What::Connect, 1)])?;
        let Some(counts) = &quota.connections else {
            return Ok(());
        };
        let limit = Limit::Quota(What::Connections, Scope::Address);
        match counts.take(key) {
            Some(count) => {
                self.meters.counted(limit, count, counts.limit());
                Ok(())
            }
            None => {
                self.meters.used(limit, 1_000);
                self.meters.refused(limit);
                Err(Refused::later(limit))
            }
        }
    }

    /// A connection from this address has ended.
    pub(crate) fn disconnected(&self, address: IpAddr) {
        let quota = self.quotas[Scope::Address as usize].as_ref();
        if let Some(counts) = quota.and_then(|quota| quota.connections.as_ref()) {
            let key = self.address_key(address);
            if key != 0 {
                counts.give_back(key);
            }
        }
    }
}
