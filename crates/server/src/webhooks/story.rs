//! What is told of something that happened: stored as it is sent.
//!
//! `{"type", "timestamp", "data"}`, as Standard Webhooks asks. What the data are about gives the
//! order: of one topic, or one subject, one thing is told after the other.

use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::{Value, json};
use tidings_frame::End;
use tidings_frame::time::Time;
use tidings_relay::finished::Finished;

use super::occupancy::Thing;
use crate::config::Happening;

/// What is told of a thing that has come or gone.
pub(super) fn presence(thing: &Thing, here: bool, now_ms: u64) -> (Happening, Vec<u8>) {
    let (what, data) = match thing {
        Thing::Topic(name) => {
            let what = if here { Happening::TopicOccupied } else { Happening::TopicVacated };
            (what, json!({"topic": &**name}))
        }
        Thing::Subject(name) => {
            let what = if here { Happening::SubjectOnline } else { Happening::SubjectOffline };
            (what, json!({"subject": &**name}))
        }
    };
    (what, told(what, now_ms, &data))
}

/// What is told of an answer's end.
pub(super) fn answer(finished: &Finished<'_>) -> Vec<u8> {
    let state = match finished.end {
        End::Done => "finished",
        End::Error => "failed",
        End::Cancelled => "stopped",
    };
    let data = json!({
        "topic": finished.topic(),
        "answer": finished.answer,
        "relay": finished.relay,
        "state": state,
        "model": finished.model,
        "chat": finished.chat,
        "response": finished.response,
        "tokens": {
            "input": finished.input_tokens,
            "output": finished.output_tokens,
            "estimated": finished.estimated,
        },
        "duration_ms": finished.ended_ms.saturating_sub(finished.began_ms),
    });
    told(Happening::AnswerFinished, finished.ended_ms, &data)
}

fn told(what: Happening, now_ms: u64, data: &Value) -> Vec<u8> {
    let body = json!({"type": what.name(), "timestamp": Time(now_ms), "data": data});
    body.to_string().into_bytes()
}

/// What something that was stored is about: a fingerprint of the topic or the subject. Two that
/// have the same, by chance, wait for each other and nothing worse.
pub(super) fn about(stored: &[u8]) -> u64 {
    #[derive(Deserialize)]
    struct Stored {
        data: About,
    }
    #[derive(Deserialize, Default)]
    struct About {
        topic: Option<String>,
        subject: Option<String>,
    }
    let about =
        serde_json::from_slice(stored).map_or_else(|_| About::default(), |s: Stored| s.data);
    let (kind, name) = match (about.topic, about.subject) {
        (Some(topic), _) => ('t', topic),
        (None, subject) => ('s', subject.unwrap_or_default()),
    };
    let digest = digest(&SHA256, format!("{kind}{name}").as_bytes());
    u64::from_be_bytes(digest.as_ref()[..8].try_into().expect("a digest has 32 bytes"))
}

/// The key under which it is noted that a thing was told of, and the note. A topic's name may be
/// longer than a key.
pub(super) fn note(thing: &Thing) -> (String, Vec<u8>) {
    let (kind, name) = match thing {
        Thing::Topic(name) => ("topic", name),
        Thing::Subject(name) => ("subject", name),
    };
    let digest = digest(&SHA256, format!("{kind} {name}").as_bytes());
    let key = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    (key, json!({kind: &**name}).to_string().into_bytes())
}

/// Reads a note.
pub(super) fn noted(note: &[u8]) -> Option<Thing> {
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Noted {
        Topic(String),
        Subject(String),
    }
    Some(match serde_json::from_slice(note).ok()? {
        Noted::Topic(name) => Thing::Topic(name.into()),
        Noted::Subject(name) => Thing::Subject(name.into()),
    })
}
