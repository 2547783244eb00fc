//! What whole answers, those that are no stream, have told their askers by the names that the API
//! has given to it. Of streamed answers the log has it all; these are nowhere else, so their names
//! are remembered here, the newest, until the process ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;

use crate::dialect::Dialect;
use crate::relays::Relays;

/// Names of one owner that are remembered: those of some hundred answers.
const OF_OWNER_MAX: usize = 4_096;

/// Names of all owners, some hundred bytes each.
const NAMES_MAX: usize = 100_000;

/// Bytes of a name that is remembered. Those of the APIs have at most a hundred.
const NAME_BYTES_MAX: usize = 256;

/// A name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// Of a response or a message, at the relay of this index.
    Response(usize, Arc<str>),
    /// Of something within an answer to this owner.
    Said(Arc<str>, Dialect, Arc<str>),
}

#[derive(Debug)]
struct Entry {
    owner: Arc<str>,
    key: Key,
    /// Whether its tokens are still to be counted.
    is_due: bool,
}

/// The names, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Told {
    by_key: HashMap<Key, u64>,
    order: BTreeMap<u64, Entry>,
    by_owner: HashMap<Arc<str>, BTreeSet<u64>>,
    next: u64,
}

impl Told {
    /// Notes a name of this owner as the newest. A response's stays with the owner who was told it
    /// first.
    fn note(&mut self, owner: &str, key: Key) {
        let (Key::Response(_, name) | Key::Said(_, _, name)) = &key;
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return;
        }
        let earlier = self.by_key.get(&key).copied();
        if earlier.is_some_and(|at| !self.is_of(at, owner)) {
            return;
        }
        let is_due = earlier.and_then(|at| self.forget(at)).is_some_and(|entry| entry.is_due);
        let (owner, at): (Arc<str>, u64) = (owner.into(), self.next);
        self.next += 1;
        let own = self.by_owner.entry(owner.clone()).or_default();
        own.insert(at);
        let oldest = own.first().copied().filter(|_| own.len() > OF_OWNER_MAX);
        self.by_key.insert(key.clone(), at);
        self.order.insert(at, Entry { owner, key, is_due });
        let of_all = self.order.first_key_value().map(|(&at, _)| at);
        let oldest = oldest.or(of_all.filter(|_| self.order.len() > NAMES_MAX));
        oldest.and_then(|at| self.forget(at));
    }

    fn forget(&mut self, at: u64) -> Option<Entry> {
        let entry = self.order.remove(&at)?;
        self.by_key.remove(&entry.key);
        if let Some(own) = self.by_owner.get_mut(&entry.owner) {
            own.remove(&at);
            if own.is_empty() {
                self.by_owner.remove(&entry.owner);
            }
        }
        Some(entry)
    }

    fn is_of(&self, at: u64, owner: &str) -> bool {
        self.order.get(&at).is_some_and(|entry| &*entry.owner == owner)
    }

    fn response(&mut self, relay: usize, owner: &str, id: &str) -> Option<&mut Entry> {
        let at = self.by_key.get(&Key::Response(relay, id.into()))?;
        self.order.get_mut(at).filter(|entry| &*entry.owner == owner)
    }

    /// Whether an answer to this owner has said this.
    pub(crate) fn has_said(&self, owner: &str, dialect: Dialect, name: &str) -> bool {
        self.by_key.contains_key(&Key::Said(owner.into(), dialect, name.into()))
    }
}

impl Relays {
    /// Whether the upstream has given this id to an answer of this owner's, streamed or not.
    #[must_use]
    pub fn is_response_of(&self, relay: usize, owner: &str, id: &str) -> bool {
        match self.by_response(relay, id) {
            Some(answer) => answer.owner == owner,
            None => self.told.lock().response(relay, owner, id).is_some(),
        }
    }

    /// Notes what a whole answer tells: only what the API itself says, for within a tool's
    /// definition or output anybody could plant a name.
    pub(crate) fn note_told(&self, relay: usize, owner: &str, dialect: Dialect, answer: &Value) {
        self.note_response(relay, owner, answer);
        let list =
            |path: &str| answer.pointer(path).and_then(Value::as_array).into_iter().flatten();
        let (values, paths): (Vec<&Value>, &[&str]) = match dialect {
            Dialect::Responses => {
                (list("/output").collect(), &["/id", "/container_id", "/environment/container_id"])
            }
            Dialect::Chat => (list("/choices").collect(), &["/message/audio/id"]),
            Dialect::Messages => (vec![answer], &["/container/id"]),
        };
        let names = values.iter().flat_map(|value| paths.iter().map(|path| value.pointer(path)));
        let mut told = self.told.lock();
        for name in names.filter_map(|name| name?.as_str()) {
            told.note(owner, Key::Said(owner.into(), dialect, name.into()));
        }
    }

    /// Notes whose a response is, unless it is known to be another's.
    fn note_response(&self, relay: usize, owner: &str, answer: &Value) {
        let Some(id) = answer.get("id").and_then(Value::as_str) else { return };
        if self.by_response(relay, id).is_none_or(|streamed| streamed.owner == owner) {
            self.told.lock().note(owner, Key::Response(relay, id.into()));
        }
    }

    /// Notes that the tokens of a response, which goes on by itself, are to be counted when its end
    /// is seen.
    pub(crate) fn note_due(&self, relay: usize, owner: &str, answer: &Value) {
        self.note_response(relay, owner, answer);
        let id = answer.get("id").and_then(Value::as_str).unwrap_or_default();
        if let Some(entry) = self.told.lock().response(relay, owner, id) {
            entry.is_due = true;
        }
    }

    /// Whether the tokens of a response are still to be counted; they are not from now on.
    pub(crate) fn take_due(&self, relay: usize, owner: &str, answer: &Value) -> bool {
        let id = answer.get("id").and_then(Value::as_str).unwrap_or_default();
        let mut told = self.told.lock();
        told.response(relay, owner, id).is_some_and(|entry| std::mem::take(&mut entry.is_due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Answer, Begin, Known, Phase};
    use crate::bench::Bench;
    use serde_json::json;

    fn said(owner: &str, name: &str) -> Key {
        Key::Said(owner.into(), Dialect::Responses, name.into())
    }

    #[test]
    fn what_a_whole_answer_tells_is_its_askers() {
        let bench = Bench::new(|_| {});
        for (dialect, answer, names, unsaid) in [
            (
                Dialect::Responses,
                json!({"id": "r", "output": [{"id": "i", "tools": [{"id": "planted"}]},
                    {"id": "j", "container_id": "n"}, {"environment": {"container_id": "e"}}]}),
                vec!["i", "j", "n", "e"],
                "planted",
            ),
            (
                Dialect::Chat,
                json!({"id": "c", "choices": [{"message": {}}, {"message": {"audio":
                    {"id": "a"}, "content": {"id": "planted"}}}]}),
                vec!["a"],
                "planted",
            ),
            (
                Dialect::Messages,
                json!({"id": "m", "container": {"id": "n"}, "content": [{"id": "toolu"}]}),
                vec!["n"],
                "toolu",
            ),
        ] {
            bench.relays.note_told(0, "ada", dialect, &answer);
            let id = answer["id"].as_str().unwrap();
            for (owner, mine) in [("ada", true), ("bob", false)] {
                assert_eq!(bench.relays.is_response_of(0, owner, id), mine, "{owner} {answer}");
                let told = bench.relays.told.lock();
                for name in &names {
                    assert_eq!(told.has_said(owner, dialect, name), mine, "{owner} {name}");
                }
                assert!(!told.has_said(owner, dialect, unsaid), "{owner} {answer}");
            }
            assert!(!bench.relays.is_response_of(1, "ada", id), "another relay's");
        }
        bench.relays.note_told(0, "bob", Dialect::Responses, &json!({"id": "r"}));
        assert!(!bench.relays.is_response_of(0, "bob", "r"), "told first to another");
        assert!(bench.relays.is_response_of(0, "ada", "r"));
    }

    #[test]
    fn what_a_streamed_answer_was_told_first_stays_with_it() {
        let bench = Bench::new(|_| {});
        let known = Known { response: Some("r".to_owned()), ..Known::default() };
        let begin = Begin { owner: "ada".to_owned(), ..Bench::begin("a", 60_000) };
        let answer = Answer::new(begin, Phase::Streaming(None), known);
        bench.relays.answers.lock().insert(answer);
        bench.relays.note_told(0, "bob", Dialect::Chat, &json!({"id": "r"}));
        assert!(!bench.relays.is_response_of(0, "bob", "r"));
        assert!(bench.relays.is_response_of(0, "ada", "r"));
        // Nor is it his once the streamed one is no longer kept.
        bench.now_ms.fetch_add(60_000, std::sync::atomic::Ordering::Relaxed);
        assert!(!bench.relays.is_response_of(0, "ada", "r"));
        assert!(!bench.relays.is_response_of(0, "bob", "r"));
    }

    #[test]
    fn tokens_are_due_once() {
        let bench = Bench::new(|_| {});
        let (relays, answer) = (&bench.relays, json!({"id": "r"}));
        assert!(!relays.take_due(0, "ada", &answer), "nothing was begun");
        relays.note_due(0, "ada", &answer);
        // Told once more, as it runs.
        relays.note_told(0, "ada", Dialect::Responses, &answer);
        assert!(!relays.take_due(0, "bob", &answer));
        assert!(relays.take_due(0, "ada", &answer));
        assert!(!relays.take_due(0, "ada", &answer));
    }

    #[test]
    fn the_oldest_names_are_forgotten() {
        let mut told = Told::default();
        let note = |told: &mut Told, owner: &str, number: usize| {
            told.note(owner, said(owner, &number.to_string()));
        };
        let has = |told: &Told, owner: &str, number: usize| {
            told.has_said(owner, Dialect::Responses, &number.to_string())
        };
        note(&mut told, "bob", 0);
        (0..OF_OWNER_MAX).for_each(|number| note(&mut told, "ada", number));
        // Told again: as good as new.
        note(&mut told, "ada", 0);
        assert!(has(&told, "ada", 1));
        note(&mut told, "ada", OF_OWNER_MAX);
        assert!(has(&told, "ada", 0) && !has(&told, "ada", 1) && has(&told, "ada", 2));
        assert!(has(&told, "bob", 0), "another's");
        let owners = NAMES_MAX - OF_OWNER_MAX;
        (1..owners).for_each(|number| note(&mut told, &format!("o{number}"), 0));
        assert!(has(&told, "bob", 0));
        assert_eq!(told.order.len(), NAMES_MAX);
        note(&mut told, "eve", 0);
        assert!(!has(&told, "bob", 0) && has(&told, "ada", 2) && has(&told, "eve", 0));
        let sizes = (told.order.len(), told.by_key.len(), told.by_owner.len());
        assert_eq!(sizes, (NAMES_MAX, NAMES_MAX, owners + 1), "nothing leads nowhere");
        told.note("long", said("long", &"x".repeat(NAME_BYTES_MAX + 1)));
        told.note("long", said("long", ""));
        assert!(!told.by_owner.contains_key("long"));
    }
}
