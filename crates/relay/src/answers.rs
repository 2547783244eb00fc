//! The answers that are known, found by what a client has in hand: a name, the upstream's id, a
//! chat, an `Idempotency-Key`, or the same request once more.
//!
//! What a request costs is decided here: whether it is a new one, or one that runs already.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tidings_frame::End;

use crate::answer::{Answer, Phase};
use crate::config::Quota;

/// Answers that are remembered after they have ended, a few hundred bytes each. Of older ones the
/// topic can still be read, by its name.
const REMEMBERED_MAX: usize = 20_000;

/// How long after its beginning an answer is found by the same request once more, in milliseconds:
/// the time after which the official SDKs give a request up, with their two retries.
const RETRY_WINDOW_MS: u64 = 3 * 600_000;

/// Callers whose account is kept before those who have not called for a while are forgotten.
const CALLERS_MAX: usize = 10_000;

/// That while, in milliseconds: the longest time over which tokens are usually counted.
const CALLERS_FORGOTTEN_MS: u64 = 24 * 3_600_000;

/// The answers.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    by_name: HashMap<String, Arc<Answer>>,
    /// Names, oldest first.
    order: VecDeque<String>,
    /// By owner, whose fingerprint tells the relay too: oldest first.
    by_owner: HashMap<String, VecDeque<String>>,
    /// By relay and the upstream's id: of the owner who was told it first.
    by_response: HashMap<(usize, String), String>,
    /// By relay, owner and chat: the latest.
    by_chat: HashMap<(usize, String, String), String>,
    /// By the fingerprint of the key, which tells relay and owner too.
    by_key: HashMap<String, String>,
    /// By the fingerprint of the request, which tells relay and owner too: oldest first.
    by_request: HashMap<String, Vec<String>>,
    spent: HashMap<String, Spent>,
}

/// What a caller has used.
#[derive(Debug, Default)]
struct Spent {
    /// When, in milliseconds since 1970, and how many tokens.
    tokens: VecDeque<(u64, u64)>,
    sum: u64,
    running: usize,
}

/// Why a request may not begin an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    Concurrent { limit: usize },
    Tokens { limit: u64, again_ms: u64 },
}

impl Answers {
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Answer>> {
        self.by_name.get(name)
    }

    pub(crate) fn by_response(&self, relay: usize, response: &str) -> Option<&Arc<Answer>> {
        self.get(self.by_response.get(&(relay, response.to_owned()))?)
    }

    pub(crate) fn by_chat(&self, relay: usize, owner: &str, chat: &str) -> Option<&Arc<Answer>> {
        self.get(self.by_chat.get(&(relay, owner.to_owned(), chat.to_owned()))?)
    }

    pub(crate) fn by_key(&self, key: &str) -> Option<&Arc<Answer>> {
        self.get(self.by_key.get(key)?)
    }

    /// The answer that the same request began before, preferably one whose client has gone: nobody
    /// reads it, or the upstream has not answered and there was nothing to read. One that failed is
    /// no answer; and callers without credentials, who may be several, join none that is read.
    pub(crate) fn by_request(
        &self,
        asked: &str,
        now_ms: u64,
        anonymous: bool,
    ) -> Option<&Arc<Answer>> {
        let names = self.by_request.get(asked)?.iter().rev();
        let usable: Vec<&Arc<Answer>> = names
            .filter_map(|name| self.get(name))
            .filter(|answer| answer.began_ms.saturating_add(RETRY_WINDOW_MS) > now_ms)
            .filter(|answer| answer.is_kept(now_ms))
            .filter(|answer| !matches!(answer.ending(), Some(End::Error | End::Cancelled)))
            .collect();
        let left = |answer: &&&Arc<Answer>| {
            answer.readers.count() == 0 || matches!(answer.phase(), Phase::Asking)
        };
        let read = usable.first().filter(|_| !anonymous);
        usable.iter().find(left).or(read).copied()
    }

    pub(crate) fn insert(&mut self, answer: Arc<Answer>) {
        let name = answer.name.clone();
        if answer.is_running() {
            self.enter(&answer.owner);
        }
        if let Some(key) = &answer.key {
            self.by_key.insert(key.clone(), name.clone());
        }
        if let Some(chat) = &answer.chat {
            let chat = (answer.relay, answer.owner.clone(), chat.clone());
            self.by_chat.insert(chat, name.clone());
        }
        self.by_request.entry(answer.asked.clone()).or_default().push(name.clone());
        self.by_owner.entry(answer.owner.clone()).or_default().push_back(name.clone());
        if let Some(response) = answer.known().response {
            self.named(&answer, &response);
        }
        self.order.push_back(name.clone());
        self.by_name.insert(name, answer);
        self.forget_old();
    }

    /// Notes the upstream's id of an answer. An upstream that gives the same id again does not take
    /// an answer from another owner.
    pub(crate) fn named(&mut self, answer: &Answer, response: &str) {
        let earlier = self.by_response(answer.relay, response);
        if earlier.is_none_or(|earlier| earlier.owner == answer.owner) {
            self.by_response.insert((answer.relay, response.to_owned()), answer.name.clone());
        }
    }

    /// Notes how an answer is about to end: before its readers are told, for they may ask for the
    /// next one at once.
    pub(crate) fn ending(&mut self, answer: &Answer, end: End) {
        if answer.set_ending(end) {
            self.leave(&answer.owner);
        }
    }

    /// Takes a place among the answers that this caller has running.
    pub(crate) fn enter(&mut self, owner: &str) {
        self.spent.entry(owner.to_owned()).or_default().running += 1;
    }

    /// Gives a place back.
    pub(crate) fn leave(&mut self, owner: &str) {
        if let Some(spent) = self.spent.get_mut(owner) {
            spent.running = spent.running.saturating_sub(1);
        }
    }

    /// Notes that an answer is over and what it cost.
    pub(crate) fn ended(&mut self, answer: &Answer, end: End, now_ms: u64, tokens: u64) {
        self.ending(answer, end);
        self.spend(&answer.owner, now_ms, tokens);
    }

    /// Notes tokens that were used, and forgets callers who have none on their account.
    pub(crate) fn spend(&mut self, owner: &str, at_ms: u64, tokens: u64) {
        if self.spent.len() > CALLERS_MAX {
            let begin_ms = at_ms.saturating_sub(CALLERS_FORGOTTEN_MS);
            self.spent.retain(|_, spent| {
                spent.running > 0 || spent.tokens.back().is_some_and(|&(at_ms, _)| at_ms > begin_ms)
            });
        }
        if tokens > 0 {
            let spent = self.spent.entry(owner.to_owned()).or_default();
            spent.tokens.push_back((at_ms, tokens));
            spent.sum = spent.sum.saturating_add(tokens);
        }
    }

    /// Whether a caller may begin another answer now.
    pub(crate) fn check(
        &mut self,
        owner: &str,
        quota: &Quota,
        now_ms: u64,
    ) -> Result<(), Exceeded> {
        let Some(spent) = self.spent.get_mut(owner) else { return Ok(()) };
        if let Some(limit) = quota.concurrent.filter(|&limit| spent.running >= limit) {
            return Err(Exceeded::Concurrent { limit });
        }
        let window_ms = u64::try_from(quota.window.as_millis()).unwrap_or(u64::MAX);
        let begin_ms = now_ms.saturating_sub(window_ms);
        while spent.tokens.front().is_some_and(|&(at_ms, _)| at_ms <= begin_ms) {
            let (_, tokens) = spent.tokens.pop_front().unwrap_or_default();
            spent.sum = spent.sum.saturating_sub(tokens);
        }
        if let Some(limit) = quota.tokens.filter(|&limit| spent.sum >= limit) {
            let first_ms = spent.tokens.front().map_or(now_ms, |&(at_ms, _)| at_ms);
            let again_ms = first_ms.saturating_add(window_ms).saturating_sub(now_ms);
            return Err(Exceeded::Tokens { limit, again_ms });
        }
        Ok(())
    }

    /// Forgets an answer that came to nothing.
    pub(crate) fn remove(&mut self, answer: &Answer) {
        self.ending(answer, End::Error);
        self.order.retain(|name| *name != answer.name);
        self.unlink(&answer.name);
    }

    /// The newest so many, newest first.
    pub(crate) fn newest(&self, limit: usize) -> Vec<Arc<Answer>> {
        let names = self.order.iter().rev().take(limit);
        let mut newest: Vec<Arc<Answer>> =
            names.filter_map(|name| self.get(name)).cloned().collect();
        // Those that run are put behind when older ones are forgotten.
        newest.sort_by_key(|answer| std::cmp::Reverse(answer.began_ms));
        newest
    }

    /// The newest so many of an owner's, newest first.
    pub(crate) fn newest_of(&self, owner: &str, limit: usize) -> Vec<Arc<Answer>> {
        let own = self.by_owner.get(owner).into_iter().flatten().rev();
        own.filter_map(|name| self.get(name)).take(limit).cloned().collect()
    }

    /// The answers that run.
    pub(crate) fn running(&self) -> Vec<Arc<Answer>> {
        self.by_name.values().filter(|answer| answer.is_running()).cloned().collect()
    }

    fn forget_old(&mut self) {
        // Those that run stay, however old: they are few, and stop by themselves.
        for _ in REMEMBERED_MAX..self.order.len() {
            let Some(name) = self.order.pop_front() else { return };
            if self.by_name.get(&name).is_some_and(|answer| answer.is_running()) {
                self.order.push_back(name);
            } else {
                self.unlink(&name);
            }
        }
    }

    fn unlink(&mut self, name: &str) {
        let Some(answer) = self.by_name.remove(name) else { return };
        if let Some(key) = &answer.key {
            remove_if(&mut self.by_key, key, name);
        }
        if let Some(chat) = &answer.chat {
            let chat = (answer.relay, answer.owner.clone(), chat.clone());
            remove_if(&mut self.by_chat, &chat, name);
        }
        if let Some(response) = answer.known().response {
            remove_if(&mut self.by_response, &(answer.relay, response), name);
        }
        if let Some(names) = self.by_request.get_mut(&answer.asked) {
            names.retain(|other| other != name);
            if names.is_empty() {
                self.by_request.remove(&answer.asked);
            }
        }
        if let Some(names) = self.by_owner.get_mut(&answer.owner) {
            if let Some(at) = names.iter().position(|other| other == name) {
                names.remove(at);
            }
            if names.is_empty() {
                self.by_owner.remove(&answer.owner);
            }
        }
    }
}

/// Removes what leads to `name`, not what leads to a later one.
fn remove_if<K: std::hash::Hash + Eq>(map: &mut HashMap<K, String>, key: &K, name: &str) {
    if map.get(key).is_some_and(|found| found == name) {
        map.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Begin, Known};
    use crate::bench::{BEGIN_MS, Bench};

    /// Tokens of so many callers at this time.
    fn spend(answers: &mut Answers, callers: std::ops::Range<usize>, at_ms: u64) {
        callers.for_each(|caller| answers.spend(&caller.to_string(), at_ms, 1));
    }

    #[test]
    fn callers_who_have_not_called_for_a_while_are_forgotten() {
        let mut answers = Answers::default();
        let running = Answer::new(Bench::begin("a", 1), Phase::Asking, Known::default());
        answers.insert(running);
        spend(&mut answers, 0..CALLERS_MAX - 1, BEGIN_MS);
        let later_ms = BEGIN_MS + CALLERS_FORGOTTEN_MS;
        spend(&mut answers, 0..1, later_ms);
        assert_eq!(answers.spent.len(), CALLERS_MAX, "so many are kept, however old");
        spend(&mut answers, CALLERS_MAX..CALLERS_MAX + 1, later_ms - 1);
        assert_eq!(answers.spent.len(), CALLERS_MAX + 1, "nobody is older than a while");
        spend(&mut answers, CALLERS_MAX..CALLERS_MAX + 1, later_ms);
        let mut left: Vec<&str> = answers.spent.keys().map(String::as_str).collect();
        left.sort_unstable();
        // Who spends, who has called, and who has an answer running.
        assert_eq!(left, ["0", "10000", "owner"]);
        let quota = Quota { tokens: Some(1), window: std::time::Duration::MAX, ..Quota::default() };
        assert!(answers.check("0", &quota, later_ms).is_err(), "what was counted is counted still");
        let quota = Quota { concurrent: Some(1), ..Quota::default() };
        assert_eq!(
            answers.check("owner", &quota, later_ms),
            Err(Exceeded::Concurrent { limit: 1 })
        );
    }

    #[test]
    fn tokens_come_free_after_their_window() {
        let window = std::time::Duration::from_secs(10);
        let quota = Quota { tokens: Some(10), window, ..Quota::default() };
        let mut answers = Answers::default();
        let at = |seconds: u64| BEGIN_MS + seconds * 1_000;
        answers.spend("a", at(0), 4);
        answers.spend("a", at(6), 6);
        let refused = |again_ms| Err(Exceeded::Tokens { limit: 10, again_ms });
        assert_eq!(answers.check("a", &quota, at(6)), refused(4_000));
        assert_eq!(answers.check("b", &quota, at(6)), Ok(()));
        assert_eq!(answers.check("a", &quota, at(10) - 1), refused(1));
        assert_eq!(answers.check("a", &quota, at(10)), Ok(()));
        answers.spend("a", at(10), 4);
        assert_eq!(answers.check("a", &quota, at(10)), refused(6_000));
    }

    #[test]
    fn only_so_many_answers_are_remembered_and_those_that_run() {
        let mut answers = Answers::default();
        let insert = |answers: &mut Answers, name: &str, phase| {
            let mut begin = Bench::begin(name, 1);
            (begin.key, begin.chat) = (Some(name.to_owned()), Some(name.to_owned()));
            begin.asked = name.to_owned();
            let known = Known { response: Some(name.to_owned()), ..Known::default() };
            answers.insert(Answer::new(begin, phase, known));
        };
        insert(&mut answers, "runs", Phase::Asking);
        insert(&mut answers, "first", Phase::Ended(End::Done));
        for number in 2..REMEMBERED_MAX {
            insert(&mut answers, &number.to_string(), Phase::Ended(End::Done));
        }
        let found = |answers: &Answers, name: &str| {
            [
                answers.get(name),
                answers.by_key(name),
                answers.by_chat(0, "owner", name),
                answers.by_response(0, name),
                answers.by_request(name, BEGIN_MS, false),
            ]
            .map(|found| found.is_some())
        };
        assert_eq!(found(&answers, "first"), [true; 5]);
        insert(&mut answers, "one more", Phase::Ended(End::Done));
        insert(&mut answers, "and one", Phase::Ended(End::Done));
        assert_eq!(found(&answers, "first"), [false; 5]);
        for name in ["runs", "one more", "and one"] {
            assert_eq!(found(&answers, name), [true; 5], "{name}");
        }
        assert_eq!(answers.by_name.len(), REMEMBERED_MAX);
        assert_eq!(answers.by_request.len(), REMEMBERED_MAX, "nothing leads nowhere");
        let own: Vec<_> = answers.newest_of("owner", 2).iter().map(|it| it.name.clone()).collect();
        assert_eq!(own, ["and one", "one more"]);
        assert_eq!(answers.by_owner["owner"].len(), REMEMBERED_MAX);
    }

    #[test]
    fn an_id_stays_with_the_owner_who_was_told_it_first() {
        let mut answers = Answers::default();
        let mut insert = |name: &str, owner: &str, relay, response: Option<&str>| {
            let begin = Begin { owner: owner.to_owned(), relay, ..Bench::begin(name, 1) };
            let known = Known { response: response.map(str::to_owned), ..Known::default() };
            let answer = Answer::new(begin, Phase::Asking, known);
            answers.insert(answer.clone());
            answer
        };
        let first = insert("first", "ada", 0, Some("resp"));
        let others = insert("others", "bob", 0, Some("resp"));
        let again = insert("again", "ada", 0, None);
        insert("elsewhere", "bob", 1, Some("resp"));
        let found = |answers: &Answers, relay| {
            answers.by_response(relay, "resp").map(|answer| answer.name.clone())
        };
        assert_eq!(found(&answers, 0).as_deref(), Some("first"));
        answers.named(&others, "resp");
        assert_eq!(found(&answers, 0).as_deref(), Some("first"));
        answers.named(&again, "resp");
        assert_eq!(found(&answers, 0).as_deref(), Some("again"), "her own newest");
        answers.remove(&first);
        assert_eq!(found(&answers, 0).as_deref(), Some("again"));
        assert_eq!(found(&answers, 1).as_deref(), Some("elsewhere"), "another relay's");
    }
}
