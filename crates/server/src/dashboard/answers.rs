//! The LLM answers as an operator sees them: how far they are and how fast, and nothing of what
//! they say.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::{Value, json};
use tidings_frame::End;
use tidings_frame::time::Time;
use tidings_hub::NewEvent;
use tidings_relay::{Answer, Phase};

use super::ANSWERS;
use super::trace::{Of, Record};
use crate::access::Who;
use crate::app::App;
use crate::error::ApiError;
use crate::reply::Reply;

/// Answers in one list, newest first.
const LISTED_MAX: usize = 200;

/// `GET /answers`.
pub(crate) fn list(app: &App, who: &Who) -> Result<Reply, ApiError> {
    who.may_operate()?;
    let answers: Vec<Value> = newest(app).iter().map(|answer| object(app, answer)).collect();
    Ok(Reply::json(200, &json!({"answers": answers})).with("cache-control", "no-store"))
}

/// What was told last.
#[derive(Default)]
pub(super) struct Told {
    /// Of the list in the topic.
    hash: u64,
    /// The states of answers, for traces; empty while nothing is traced.
    states: HashMap<String, &'static str>,
}

impl Told {
    /// Writes the list if somebody follows it and it is another than before, and tells the traces
    /// of answers that are in another state than before.
    pub(super) fn look(&mut self, app: &App) {
        let (followed, traced) = (app.hub.is_followed(ANSWERS), app.dashboard.traces.on());
        if !traced {
            self.states = HashMap::new();
        }
        if app.relays.is_none() || !(followed || traced) {
            self.hash = 0;
            return;
        }
        let answers: Vec<Value> = newest(app).iter().map(|answer| object(app, answer)).collect();
        if traced {
            self.trace(app, &answers);
        }
        let text = Value::Array(answers.clone()).to_string();
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = hasher.finish().max(1);
        if !followed || self.hash == hash {
            return;
        }
        self.hash = hash;
        let data = json!({"at": Time(app.hub.now_ms()), "answers": answers});
        app.dashboard.write(
            &app.hub,
            &[NewEvent {
                topic: Cow::Borrowed(ANSWERS),
                event_type: Some(Cow::Borrowed("answers")),
                data: Cow::Owned(data.to_string().into_bytes()),
                ..NewEvent::default()
            }],
        );
    }

    fn trace(&mut self, app: &App, answers: &[Value]) {
        let mut states = HashMap::new();
        for answer in answers {
            let text = |name: &str| answer[name].as_str().unwrap_or_default();
            let state = state_named(text("state"));
            if self.states.get(text("id")) != Some(&state) && !self.states.is_empty() {
                let detail = Some(state);
                let record = Record { id: Some(text("id")), detail, ..Record::of("answer") };
                app.dashboard.traces.note(app.hub.now_ms(), Of::Topic(text("topic")), &record);
            }
            states.insert(text("id").to_owned(), state);
        }
        // Marks that there was a look, even if there was nothing to see.
        states.insert(String::new(), "");
        self.states = states;
    }
}

fn newest(app: &App) -> Vec<std::sync::Arc<Answer>> {
    app.relays.as_ref().map_or_else(Vec::new, |relays| relays.newest(LISTED_MAX))
}

fn object(app: &App, answer: &Answer) -> Value {
    let route = app.relays.as_ref().and_then(|relays| relays.configs().get(answer.relay));
    let progress = answer.progress();
    let running = answer.is_running();
    let now_ms = app.hub.now_ms();
    // From the first token on: how long the model thinks is no part of how fast it writes.
    let ended_ms = progress.ended_ms.filter(|_| !running);
    let until_ms = ended_ms.or(running.then_some(now_ms));
    let took = progress.first_ms.zip(until_ms).map(|(from, to)| to.saturating_sub(from));
    let rate = took.filter(|&ms| ms > 0).map_or(0.0, |ms| {
        // Tokens and milliseconds of one answer are far below what a float keeps exactly.
        (progress.tokens as f64 * 10_000.0 / ms as f64).round() / 10.0
    });
    json!({
        "id": answer.name,
        "topic": answer.topic(),
        "route": route.map(|route| route.path.as_str()),
        "state": state(answer),
        "model": answer.known().model,
        "tokens": progress.tokens,
        "tokens_s": rate,
        "bytes": progress.bytes,
        "readers": answer.readers.count(),
        "started": Time(answer.began_ms),
        "ended": ended_ms.map(Time),
    })
}

const STATES: [&str; 4] = ["streaming", "finished", "stopped", "failed"];

fn state(answer: &Answer) -> &'static str {
    match answer.phase() {
        Phase::Asking | Phase::Streaming(_) => STATES[0],
        Phase::Ended(End::Done) => STATES[1],
        Phase::Ended(End::Cancelled) => STATES[2],
        Phase::Plain(_) | Phase::Ended(End::Error) => STATES[3],
    }
}

fn state_named(name: &str) -> &'static str {
    STATES.into_iter().find(|known| *known == name).unwrap_or_default()
}
