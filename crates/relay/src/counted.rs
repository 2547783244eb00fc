//! Whole answers, those that are no stream: passed on as they are, counted as streamed ones are.

use std::sync::Arc;

use http::{HeaderMap, Method};
use serde_json::Value;

use crate::answer::{Answer, Plain};
use crate::dialect::Dialect;
use crate::generation::unreachable;
use crate::outgoing::Outgoing;
use crate::relays::{AskError, Relays};

/// What a response in the background is while it has not ended.
const UNFINISHED: [&str; 2] = ["queued", "in_progress"];

/// A place among the answers that a caller has running, until it is dropped.
struct Place {
    relays: Arc<Relays>,
    owner: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.relays.answers.lock().leave(&self.owner);
    }
}

/// A request for a whole answer.
struct Whole {
    relay: usize,
    owner: String,
    /// Whether it asks a model, and so takes a place; else it asks for what was asked before.
    asks: bool,
    /// The API in whose answers names are read that are to be remembered.
    named: Option<Dialect>,
    now_ms: u64,
}

impl Relays {
    /// Passes a request on and returns the whole answer, of which usage is counted. While it runs
    /// it is one of the caller's answers, also after the caller has gone. A caller who has used up
    /// what it may is refused. The tokens of a response that goes on in the background are counted
    /// when this is how its end is seen, once. With `named` what the answer names is its asker's.
    ///
    /// # Errors
    /// [`AskError::Budget`] and [`AskError::TooMany`]. Nothing was sent.
    pub async fn pass_counted(
        self: &Arc<Self>,
        relay: usize,
        request: Outgoing,
        caller: Option<&str>,
        headers: &HeaderMap,
        named: Option<Dialect>,
    ) -> Result<Plain, AskError> {
        let owner = self.owner(relay, caller, headers);
        let now_ms = self.hub.now_ms();
        let asks = asks_a_model(&request);
        let place = asks.then(|| self.place(relay, &owner, now_ms)).transpose()?;
        let (relays, whole) = (self.clone(), Whole { relay, owner, asks, named, now_ms });
        let passed = self.runtime.spawn(async move {
            let answered = relays.pass(relay, request).await;
            relays.account(&whole, &answered);
            // Whoever reads the answer asks for the next one at once.
            drop(place);
            answered
        });
        Ok(passed.await.unwrap_or_else(|error| unreachable(502, &error.to_string())))
    }

    fn place(self: &Arc<Self>, relay: usize, owner: &str, now_ms: u64) -> Result<Place, AskError> {
        let mut answers = self.answers.lock();
        answers.check(owner, &self.configs[relay].quota, now_ms)?;
        answers.enter(owner);
        Ok(Place { relays: self.clone(), owner: owner.to_owned() })
    }

    /// Notes what an answer has cost and named that was to be a stream and is none.
    pub(crate) fn account_unstreamed(&self, answer: &Answer, plain: &Plain) {
        let (relay, owner) = (answer.relay, answer.owner.clone());
        let named = self.configs[relay].is_one_account().then_some(answer.dialect);
        let whole = Whole { relay, owner, asks: true, named, now_ms: self.hub.now_ms() };
        self.account(&whole, plain);
    }

    /// Notes what a whole answer has cost and named.
    fn account(&self, whole: &Whole, answered: &Plain) {
        let Whole { relay, ref owner, asks, named, now_ms } = *whole;
        let said = document(&answered.body).unwrap_or_default();
        let is_good = (200..300).contains(&answered.status);
        if let Some(dialect) = named.filter(|_| is_good) {
            self.note_told(relay, owner, dialect, &said);
        }
        let usage = said.get("usage").filter(|usage| !usage.is_null());
        let status = said.get("status").and_then(Value::as_str);
        let is_unfinished = status.is_some_and(|status| UNFINISHED.contains(&status));
        if is_unfinished && usage.is_none() {
            if asks && is_good {
                self.note_due(relay, owner, &said);
            }
            return;
        }
        let is_end = || status.is_some() && !is_unfinished && self.take_due(relay, owner, &said);
        if !asks && !is_end() {
            return;
        }
        let count = |name: &str| usage.and_then(|usage| usage.get(name)?.as_u64()).unwrap_or(0);
        let of = |names: [&'static str; 2]| names.into_iter().map(count).max().unwrap_or(0);
        let input = of(["prompt_tokens", "input_tokens"]);
        let output = of(["completion_tokens", "output_tokens"]);
        self.answers.lock().spend(owner, now_ms, input.saturating_add(output));
        self.metrics.tokens(input, output);
    }
}

/// Whether a request asks a model; to stop is to ask for nothing.
fn asks_a_model(request: &Outgoing) -> bool {
    let path = request.rest.split('?').next().unwrap_or_default();
    let stops = path.starts_with("responses/") && path.ends_with("/cancel");
    request.method == Method::POST && !stops
}

/// What an answer says: its body, or of a stream the response at its end.
fn document(body: &[u8]) -> Option<Value> {
    if let Ok(said) = serde_json::from_slice(body) {
        return Some(said);
    }
    let text = std::str::from_utf8(body).ok()?;
    let mut data = text.lines().rev().filter_map(|line| line.strip_prefix("data:"));
    let data = data.find(|data| data.trim_start().starts_with('{'))?;
    let event: Value = serde_json::from_str(data).ok()?;
    event.get("response").cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{BEGIN_MS, Bench};
    use crate::config::Quota;
    use bytes::Bytes;
    use serde_json::json;

    fn whole(asks: bool) -> Whole {
        let (owner, named) = ("ada".to_owned(), Some(Dialect::Responses));
        Whole { relay: 0, owner, asks, named, now_ms: BEGIN_MS }
    }

    fn plain(status: u16, body: impl Into<Bytes>) -> Plain {
        Plain { status, headers: HeaderMap::new(), body: body.into() }
    }

    /// Whether so many tokens are on her account.
    fn spent(bench: &Bench) -> u64 {
        let mut answers = bench.relays.answers.lock();
        let window = std::time::Duration::MAX;
        let exceeds = |answers: &mut crate::answers::Answers, tokens: u64| {
            let quota = Quota { tokens: Some(tokens), window, concurrent: None };
            answers.check("ada", &quota, BEGIN_MS).is_err()
        };
        (1..100).take_while(|&tokens| exceeds(&mut answers, tokens)).last().unwrap_or(0)
    }

    #[test]
    fn tokens_in_the_background_are_counted_once_when_their_end_is_seen() {
        let bench = Bench::new(|_| {});
        let response = |id: &str, status: &str, usage: Value| {
            plain(200, json!({"id": id, "status": status, "usage": usage}).to_string())
        };
        let account = |asks, answered: &Plain| bench.relays.account(&whole(asks), answered);
        let usage = || json!({"input_tokens": 3, "output_tokens": 4});
        account(true, &response("r", "queued", Value::Null));
        account(false, &response("r", "in_progress", Value::Null));
        assert_eq!(spent(&bench), 0);
        account(false, &response("r", "completed", usage()));
        assert_eq!(spent(&bench), 7);
        account(false, &response("r", "completed", usage()));
        account(false, &response("other", "completed", usage()));
        assert_eq!(spent(&bench), 7, "once, and only what was begun so");
        account(true, &response("whole", "completed", usage()));
        assert_eq!(spent(&bench), 14);
        account(false, &response("whole", "completed", usage()));
        assert_eq!(spent(&bench), 14);
        // Its end may also be read as a stream.
        account(true, &response("s", "queued", Value::Null));
        let end = json!({"response": {"id": "s", "status": "completed", "usage": usage()}});
        let stream = format!(
            "event: response.created\ndata: {{}}\n\nevent: x\ndata: {end}\n\ndata: [DONE]\n\n"
        );
        account(false, &plain(200, stream));
        assert_eq!(spent(&bench), 21);
        // What was stopped has cost what it says.
        account(true, &response("c", "queued", Value::Null));
        account(false, &response("c", "cancelled", Value::Null));
        account(false, &response("c", "completed", usage()));
        assert_eq!(spent(&bench), 21);
        account(true, &plain(500, "no JSON"));
        assert_eq!(spent(&bench), 21);
    }

    #[test]
    fn only_a_good_answer_names_anything() {
        let bench = Bench::new(|_| {});
        let answer = json!({"id": "r", "output": [{"id": "i"}]}).to_string();
        let knows = || bench.relays.is_response_of(0, "ada", "r");
        bench.relays.account(&whole(true), &plain(400, answer.clone()));
        assert!(!knows());
        bench.relays.account(&Whole { named: None, ..whole(true) }, &plain(200, answer.clone()));
        assert!(!knows());
        bench.relays.account(&whole(false), &plain(200, answer));
        assert!(knows());
        assert!(bench.relays.told.lock().has_said("ada", Dialect::Responses, "i"));
    }

    #[test]
    fn to_stop_takes_no_place() {
        let config =
            crate::config::LlmConfig::new("llm", "/v1", http::Uri::from_static("http://h"));
        for (method, rest, asks) in [
            (Method::POST, "responses", true),
            (Method::POST, "responses/r/cancel?a=b", false),
            (Method::POST, "chat/completions?a=/cancel", true),
            (Method::GET, "responses/r", false),
        ] {
            let rest = rest.to_owned();
            let out = Outgoing::new(&config, method, rest, &HeaderMap::new(), Bytes::new());
            assert_eq!(asks_a_model(&out), asks, "{}", out.rest);
        }
    }
}
