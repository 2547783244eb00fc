//! Transcripts as data: what an upstream sends, and what must become of it.
//!
//! A file of cases holds blocks that begin with `== name`, then lines `key: value`, then `<<<` and
//! the upstream's stream as SSE, then `>>>` and what is stored, as SSE too, or nothing of the kind
//! if it is the same. Keys: `dialect` (`chat`, `responses`, `messages`, `ui`), `asked` (a request),
//! `cause` (how it ends where the stream does not say), `end`, `usage` (input, output, deltas; `~`
//! for an estimate), `id`, `complete` (from how many events on a clean end of the body is enough).

use tidings_frame::End;
use tidings_frame::sse_decode::{Decoder, Limits};
use tidings_relay::dialect::{Asked, Cause, Dialect, Progress, Reader, Record};

pub(crate) const FILES: [(&str, &str); 4] = [
    ("chat", include_str!("cases/chat.txt")),
    ("responses", include_str!("cases/responses.txt")),
    ("messages", include_str!("cases/messages.txt")),
    ("ui", include_str!("cases/ui.txt")),
];

pub(crate) type Event = (String, String);

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) dialect: String,
    pub(crate) asked: Asked,
    pub(crate) cause: Option<(bool, Cause)>,
    pub(crate) end: End,
    pub(crate) usage: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) complete: Option<usize>,
    pub(crate) bytes: String,
    pub(crate) upstream: Vec<Event>,
    pub(crate) stored: Vec<Event>,
    pub(crate) verbatim: bool,
}

pub(crate) fn sse(text: &str) -> Vec<Event> {
    let mut events = Vec::new();
    Decoder::new(Limits::default())
        .feed(text.as_bytes(), |event| {
            let name = if event.event_type == "message" { "" } else { event.event_type };
            events.push((name.to_owned(), event.data.to_owned()));
        })
        .unwrap();
    events
}

pub(crate) fn cases() -> Vec<Case> {
    let blocks = FILES.iter().flat_map(|(name, text)| {
        text.split("\n== ").skip(1).map(|block| case(block, name)).collect::<Vec<_>>()
    });
    blocks.collect()
}

fn case(block: &str, dialect: &str) -> Case {
    let (head, rest) = block.split_once("<<<\n").unwrap();
    let (upstream, stored) = rest.split_once(">>>").unwrap_or((rest, ""));
    let (name, keys) = head.split_once('\n').unwrap();
    let key = |wanted: &str| {
        let mut lines = keys.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned())
    };
    let asked_as = if dialect == "ui" { "chat" } else { dialect };
    let body = key("asked").unwrap_or_else(|| "{\"stream\":true}".into());
    let cause = key("cause").map(|cause| match cause.as_str() {
        "clean" => (true, Cause::Broken("the upstream closed early".into())),
        "reset" => (false, Cause::Broken("connection \"reset\"".into())),
        "timeout" => (false, Cause::TimedOut("no token for 30 s".into())),
        "stopped" => (false, Cause::Stopped),
        "lost" => (false, Cause::Lost),
        other => panic!("{name}: cause {other}"),
    });
    let upstream_bytes = format!("{}\n\n", upstream.trim_end());
    let upstream = sse(&upstream_bytes);
    let verbatim = stored.is_empty();
    let stored = if verbatim { upstream.clone() } else { sse(&format!("{}\n\n", stored.trim())) };
    Case {
        name: format!("{dialect}: {name}"),
        dialect: dialect.to_owned(),
        asked: Asked::read(self::dialect(asked_as), body.as_bytes()).unwrap(),
        cause,
        end: End::from_text(&key("end").unwrap()).unwrap(),
        usage: key("usage"),
        id: key("id"),
        complete: key("complete").map(|events| events.parse().unwrap()),
        bytes: upstream_bytes,
        upstream,
        stored,
        verbatim,
    }
}

pub(crate) fn dialect(name: &str) -> Dialect {
    match name {
        "responses" => Dialect::Responses,
        "messages" => Dialect::Messages,
        _ => Dialect::Chat,
    }
}

impl Case {
    pub(crate) fn reader(&self) -> Reader {
        match self.dialect.as_str() {
            "ui" => Reader::ui(&self.asked, "m-1"),
            name => Reader::new(dialect(name), &self.asked),
        }
    }

    /// Whether the last of these records makes an SDK raise.
    pub(crate) fn raises(&self, stored: &[Event]) -> bool {
        let Some((name, data)) = stored.iter().rfind(|(_, data)| data != "[DONE]") else {
            return false;
        };
        let data: serde_json::Value = serde_json::from_str(data).unwrap();
        match self.dialect.as_str() {
            "chat" => data["error"]["message"].is_string(),
            // JavaScript looks at the name, Python at the member.
            "responses" => name == "error" && data["error"]["message"].is_string(),
            "messages" => name == "error" && data["error"]["type"].is_string(),
            _ => data["type"] == "error" && data["errorText"].is_string(),
        }
    }
}

/// A reader's answer: all that it stored, and how it ended, if it did.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) records: Vec<Record>,
    pub(crate) progress: Vec<Progress>,
}

impl Told {
    pub(crate) fn end(&self) -> Option<End> {
        match self.progress.last() {
            Some(Progress::Over(end)) => Some(*end),
            _ => None,
        }
    }

    pub(crate) fn stored(&self) -> Vec<Event> {
        let event =
            |record: &Record| (record.event_type.clone().unwrap_or_default(), record.data.clone());
        self.records.iter().map(event).collect()
    }
}

pub(crate) fn tell(reader: &mut Reader, events: &[Event]) -> Told {
    let mut told = Told::default();
    for (name, data) in events {
        if told.end().is_none() {
            let progress = reader.event(name, data, &mut told.records);
            told.progress.push(progress);
        }
    }
    told
}
