//! Who has made which topic, and what the topics of each hold.
//!
//! Kept with each topic in the log, from the batch that makes it, and in memory as long as the
//! server runs; of topics that were made while nobody was limited in this, nobody is the maker. A
//! topic that is gone (removed, outlived, or refused by the log after all) is forgotten at the next
//! look, and what retention has given back is given back then too. As many entries as there may be
//! topics (`limits.topics`).

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tidings_hub::Hub;

use super::Party;

/// Topics looked at between two pauses, so that nobody waits long for the lock.
const LOOKED_AT_ONCE: usize = 1_000;

/// What the topics of one hold.
#[derive(Clone, Copy, Default)]
struct Sum {
    topics: usize,
    /// Bytes when they were looked at last, and what was published since.
    bytes: u64,
    since: u64,
}

#[derive(Clone, Copy)]
struct Made {
    by: Party,
    /// Whether the next look finds it old enough to exist.
    settled: bool,
}

#[derive(Default)]
struct State {
    topics: HashMap<Arc<str>, Made>,
    /// By scope and key.
    sums: [HashMap<u64, Sum>; 3],
}

/// The makers.
#[derive(Default)]
pub(crate) struct Owners {
    state: Mutex<State>,
}

impl Owners {
    /// Those of the topics that are there, and of those that are made from now on.
    pub(crate) fn of_topics(hub: &Hub) -> Arc<Self> {
        let owners = Arc::new(Self::default());
        hub.each_owned(|topic, owner| {
            if let Some(by) = party(owner) {
                owners.state.lock().topics.insert(topic.clone(), Made { by, settled: true });
            }
        });
        owners.look(hub);
        let names = owners.clone();
        hub.name_owners(Box::new(move |topic, asked| names.owner(topic, asked)));
        owners
    }

    /// How many topics each of a party has made, and how many bytes they hold.
    pub(crate) fn of(&self, party: Party) -> [(usize, u64); 3] {
        let state = self.state.lock();
        std::array::from_fn(|scope| {
            let sum = state.sums[scope].get(&party.keys[scope]).copied().unwrap_or_default();
            (sum.topics, sum.bytes + sum.since)
        })
    }

    /// Who has made a topic, if that is known.
    pub(crate) fn maker(&self, topic: &str) -> Option<Party> {
        self.state.lock().topics.get(topic).map(|made| made.by)
    }

    /// Whether somebody is about to make it: a topic that is known and not there is one that was
    /// removed, or refused, unless the next look has yet to come.
    pub(crate) fn is_claimed(&self, topic: &str) -> bool {
        self.state.lock().topics.get(topic).is_some_and(|made| !made.settled)
    }

    /// Whose a topic is that is made now, as it is kept with it. Of one that a publish for later
    /// makes, whoever has `asked` for that.
    fn owner(&self, topic: &str, asked: Option<&str>) -> Option<String> {
        if let Some(by) = asked.and_then(party).filter(|_| !self.is_claimed(topic)) {
            self.make(topic, by);
        }
        self.maker(topic).map(text)
    }

    /// Somebody makes a topic; nobody in particular where there is no number of theirs.
    pub(crate) fn make(&self, topic: &str, by: Party) {
        let mut state = self.state.lock();
        if by == Party::default() {
            state.topics.remove(topic);
            return;
        }
        let before = state.topics.insert(topic.into(), Made { by, settled: false });
        if before.is_none_or(|before| before.by != by) {
            for (scope, sums) in state.sums.iter_mut().enumerate() {
                if by.keys[scope] != 0 {
                    sums.entry(by.keys[scope]).or_default().topics += 1;
                }
            }
        }
    }

    /// So many bytes go into topics of this maker.
    pub(crate) fn add(&self, maker: Party, bytes: u64) {
        let mut state = self.state.lock();
        for (scope, sums) in state.sums.iter_mut().enumerate() {
            if let Some(sum) = sums.get_mut(&maker.keys[scope]) {
                sum.since += bytes;
            }
        }
    }

    /// Looks at every topic: forgets those that are gone, and adds up the others.
    pub(crate) fn look(&self, hub: &Hub) {
        let names: Vec<Arc<str>> = self.state.lock().topics.keys().cloned().collect();
        let mut sums: [HashMap<u64, Sum>; 3] = Default::default();
        for some in names.chunks(LOOKED_AT_ONCE) {
            let sizes: Vec<Option<u64>> = some.iter().map(|name| hub.topic_bytes(name)).collect();
            let mut state = self.state.lock();
            for (name, bytes) in some.iter().zip(sizes) {
                let Some(made) = state.topics.get_mut(name) else { continue };
                // Between its maker's being noted and its being in the log lies a round.
                if bytes.is_none() && made.settled {
                    state.topics.remove(name);
                    continue;
                }
                made.settled = true;
                for (scope, key) in made.by.keys.into_iter().enumerate().filter(|(_, k)| *k != 0) {
                    let sum = sums[scope].entry(key).or_default();
                    sum.topics += 1;
                    sum.bytes += bytes.unwrap_or(0);
                }
            }
        }
        let mut state = self.state.lock();
        // Those made meanwhile are counted by the next look; until then they are not forgotten.
        let unseen = state.topics.values().filter(|made| !made.settled).map(|made| made.by);
        for by in unseen.collect::<Vec<_>>() {
            for (scope, key) in by.keys.into_iter().enumerate().filter(|(_, key)| *key != 0) {
                sums[scope].entry(key).or_default().topics += 1;
            }
        }
        state.sums = sums;
    }
}

/// Who has made a topic, as it is kept with it: a number for each kind of quota.
fn text(Party { keys: [address, subject, tenant] }: Party) -> String {
    format!("{address:x} {subject:x} {tenant:x}")
}

fn party(text: &str) -> Option<Party> {
    let mut keys = text.split(' ').map(|number| u64::from_str_radix(number, 16).ok());
    let party = Party { keys: [keys.next()??, keys.next()??, keys.next()??] };
    keys.next().is_none().then_some(party)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_and_nothing_else() {
        let made = Party { keys: [1, 0, u64::MAX] };
        assert_eq!(party(&text(made)), Some(made));
        for wrong in ["", "1", "1 2", "1 2 3 4", "1 2 x", "1 2 10000000000000000"] {
            assert_eq!(party(wrong), None, "{wrong}");
        }
    }

    fn of(address: u64, tenant: u64) -> Party {
        Party { keys: [address, 0, tenant] }
    }

    #[test]
    fn each_is_counted_what_it_has_made() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = crate::config::Config::dev();
        config.data_dir = folder.path().to_owned();
        let hub = crate::run::open_hub(&config).unwrap();
        let owners = Owners::default();
        owners.make("a", of(1, 7));
        owners.make("b", of(2, 7));
        owners.make("b", of(2, 7));
        owners.add(of(1, 7), 10);
        assert_eq!(owners.of(of(1, 7)), [(1, 10), (0, 0), (2, 10)]);
        assert_eq!(owners.maker("b"), Some(of(2, 7)));
        // Neither is in the log: once they could be, they are forgotten.
        owners.look(&hub);
        assert_eq!(owners.of(of(1, 7))[0], (1, 0));
        owners.look(&hub);
        assert_eq!(owners.of(of(1, 7)), [(0, 0); 3]);
        assert_eq!(owners.maker("a"), None);
        hub.close().unwrap();
    }
}
