//! What the application has decided, for as long as it counts.
//!
//! A decision is known by a digest of what was asked, so that an entry is small whatever the names
//! are. There are at most [`ENTRIES_MAX`]; when there is no room, any other is forgotten, which
//! costs a question.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use ring::digest::{Context, SHA256};
use tokio::time::Instant;

use crate::config::Asks;

/// Decisions that are kept.
pub(super) const ENTRIES_MAX: usize = 20_000;

/// How often what counts no more is looked for at most.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// For whom an answer counts: for everybody of whom all of this is the same. An address tells those
/// apart who have shown no token; those who have are who they are wherever they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ForWhom<'a> {
    pub(super) identity: Option<&'a str>,
    pub(super) tenant: Option<&'a str>,
    pub(super) address: Option<IpAddr>,
}

impl ForWhom<'_> {
    /// The same, where all addresses that one customer of a network is usually given are one.
    pub(super) fn of_network(self) -> Self {
        let network = |address: IpAddr| match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
            address => address,
        };
        Self { address: self.address.map(network), ..self }
    }
}

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// Of a question about all of these at once. Topics and patterns are told apart, and what is
    /// asked of nobody from what is asked of somebody without a name.
    pub(super) fn of(action: Asks, for_whom: ForWhom<'_>, what: &[What<'_>]) -> Self {
        let ForWhom { identity, tenant, address } = for_whom;
        let mut context = Context::new(&SHA256);
        let mut part = |kind: u8, text: &str| {
            context.update(&[kind]);
            context.update(&(text.len() as u64).to_le_bytes());
            context.update(text.as_bytes());
        };
        part(if action == Asks::Publish { b'p' } else { b's' }, "");
        part(if identity.is_some() { b'+' } else { b'-' }, identity.unwrap_or_default());
        part(if tenant.is_some() { b'+' } else { b'-' }, tenant.unwrap_or_default());
        match address.filter(|_| identity.is_none()) {
            Some(address) => part(b'@', &address.to_canonical().to_string()),
            None => part(b'-', ""),
        }
        for what in what {
            match what {
                What::Topic(name) => part(b't', name),
                What::Pattern(text) => part(b'*', text),
            }
        }
        let digest = context.finish();
        Self(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

/// What somebody wants to subscribe or publish to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What<'a> {
    Topic(&'a str),
    Pattern(&'a str),
}

/// The same, of a request that is not waited for.
pub(super) enum Owned {
    Topic(String),
    Pattern(String),
}

impl From<What<'_>> for Owned {
    fn from(what: What<'_>) -> Self {
        match what {
            What::Topic(name) => Self::Topic(name.to_owned()),
            What::Pattern(text) => Self::Pattern(text.to_owned()),
        }
    }
}

impl Owned {
    pub(super) fn borrow(&self) -> What<'_> {
        match self {
            Self::Topic(name) => What::Topic(name),
            Self::Pattern(text) => What::Pattern(text),
        }
    }
}

#[derive(Debug)]
struct Entry {
    allow: bool,
    until: Instant,
}

/// The decisions.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<Key, Entry>,
    swept: Option<Instant>,
}

impl Cache {
    /// What was decided, if it counts still.
    pub(super) fn get(&self, key: &Key, now: Instant) -> Option<bool> {
        self.entries.get(key).filter(|entry| entry.until > now).map(|entry| entry.allow)
    }

    /// Keeps a decision.
    pub(super) fn put(&mut self, key: Key, allow: bool, ttl: Duration, now: Instant) {
        if ttl.is_zero() {
            self.entries.remove(&key);
            return;
        }
        if self.entries.len() >= ENTRIES_MAX && !self.entries.contains_key(&key) {
            self.make_room(now);
        }
        self.entries.insert(key, Entry { allow, until: now + ttl });
    }

    fn make_room(&mut self, now: Instant) {
        if self.swept.is_none_or(|swept| swept + SWEEP_EVERY <= now) {
            self.swept = Some(now);
            self.entries.retain(|_, entry| entry.until > now);
        }
        if self.entries.len() >= ENTRIES_MAX {
            let any = self.entries.keys().next().copied();
            any.and_then(|any| self.entries.remove(&any));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_apart_what_is_not_the_same() {
        use What::{Pattern, Topic};
        let of = |action, identity, what: &[What<'_>]| {
            Key::of(action, ForWhom { identity, ..ForWhom::default() }, what)
        };
        let at = |identity, tenant, address: &str| {
            let for_whom = ForWhom { identity, tenant, address: address.parse().ok() };
            Key::of(Asks::Subscribe, for_whom, &[Topic("a")])
        };
        let (publish, subscribe) = (Asks::Publish, Asks::Subscribe);
        let keys = [
            of(publish, None, &[Topic("a")]),
            of(subscribe, None, &[Topic("a")]),
            of(subscribe, Some(""), &[Topic("a")]),
            of(subscribe, Some("a"), &[Topic("a")]),
            of(subscribe, Some("a"), &[Pattern("a")]),
            of(subscribe, Some("a"), &[Topic("a"), Topic("b")]),
            of(subscribe, Some("a"), &[Topic("ab")]),
            of(subscribe, Some("aa"), &[]),
            at(Some("a"), Some("t"), ""),
            at(Some("a"), Some("u"), ""),
            at(None, None, "192.0.2.1"),
            at(None, None, "192.0.2.2"),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key), "{at}");
        }
        assert_eq!(of(publish, None, &[Topic("a")]), keys[0]);
        let somewhere = |address| at(Some("a"), Some("t"), address);
        assert_eq!(somewhere("192.0.2.1"), somewhere("192.0.2.2"), "a token's address is nothing");
    }

    #[test]
    fn a_customers_addresses_are_one_caller_and_not_one_question() {
        let of = |address: &str| ForWhom { address: address.parse().ok(), ..ForWhom::default() };
        let question = |for_whom| Key::of(Asks::Publish, for_whom, &[What::Topic("a")]);
        for (one, other, same) in [
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
        ] {
            let caller = |address| question(of(address).of_network());
            assert_eq!(caller(one) == caller(other), same, "{one} {other}");
        }
        assert_ne!(question(of("2001:db8::1")), question(of("2001:db8::2")));
    }

    #[test]
    fn decisions_count_for_their_time_and_there_are_only_so_many() {
        let now = Instant::now();
        let (second, mut cache) = (Duration::from_secs(1), Cache::default());
        let nobody = ForWhom::default();
        let key =
            |number: usize| Key::of(Asks::Publish, nobody, &[What::Topic(&number.to_string())]);
        cache.put(key(0), true, second, now);
        cache.put(key(1), false, second * 2, now);
        assert_eq!((cache.get(&key(0), now), cache.get(&key(1), now)), (Some(true), Some(false)));
        assert_eq!(cache.get(&key(0), now + second), None);
        assert_eq!(cache.get(&key(1), now + second), Some(false));
        // A later decision takes its place, also one that does not count beyond itself.
        cache.put(key(1), true, Duration::ZERO, now);
        assert_eq!(cache.get(&key(1), now), None);
        for number in 0..ENTRIES_MAX + 10 {
            cache.put(key(number), true, second, now);
            assert!(cache.entries.len() <= ENTRIES_MAX);
        }
        assert_eq!(cache.get(&key(ENTRIES_MAX + 9), now), Some(true));
        // When all are over there is room again.
        let later = now + second * 2;
        cache.put(key(1 << 40), true, second, later);
        assert_eq!(cache.entries.len(), 1);
    }
}
