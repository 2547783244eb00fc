//! OpenAI Responses: named events from `response.created` to a terminal one, each with a
//! `sequence_number`.
//!
//! Clients find the place of a delta by `output_index` and `content_index`, and resume by
//! `sequence_number`. Some servers (llama.cpp's among them) omit these, and the official clients'
//! `responses.stream` then crashes. So what is missing is added at the end of the event's object,
//! the rest of it untouched; what is there is never changed.

mod repair;

use std::borrow::Cow;
use std::fmt::Write as _;

use tidings_frame::End;

use super::failure::Failure;
use super::json::{self, Raw, object};
use super::reader::{Facts, NAME_BYTES_MAX, is_nothing, record};
use super::{Cause, Progress, Record};

/// Most output items of one answer whose place is remembered; what follows counts as the last.
pub(super) const ITEMS_MAX: usize = 1_024;

object! {
    /// An event of an answer.
    struct Event {
        kind: Raw<'a> = "type",
        sequence_number: Raw<'a> = "sequence_number",
        output_index: Raw<'a> = "output_index",
        content_index: Raw<'a> = "content_index",
        summary_index: Raw<'a> = "summary_index",
        item_id: Raw<'a> = "item_id",
        delta: Raw<'a> = "delta",
        text: Raw<'a> = "text",
        item: Raw<'a> = "item",
        part: Raw<'a> = "part",
        response: Raw<'a> = "response",
        error: Raw<'a> = "error",
    }
    /// An item of the output, by its names: calls are known by `call_id` too.
    struct Item {
        kind: Raw<'a> = "type",
        id: Raw<'a> = "id",
        call_id: Raw<'a> = "call_id",
    }
    /// The answer as a whole.
    struct Response {
        id: Raw<'a> = "id",
        model: Raw<'a> = "model",
        usage: Raw<'a> = "usage",
    }
    struct Usage {
        input_tokens: Raw<'a> = "input_tokens",
        output_tokens: Raw<'a> = "output_tokens",
    }
    struct Numbered {
        sequence_number: Raw<'a> = "sequence_number",
    }
}

impl<'a> Event<'a> {
    /// What kind of event this is: its `type`, or else the name it came under.
    pub(super) fn named(&self, event_type: &'a str) -> Cow<'a, str> {
        json::text(self.kind).unwrap_or(event_type.into())
    }
}

/// The number of an event of a Responses stream, for `starting_after`.
#[must_use]
pub fn sequence_number(data: &str) -> Option<u64> {
    json::whole(json::read::<Numbered<'_>>(data)?.sequence_number)
}

/// What an event of some kind must carry besides its number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It concerns the answer as a whole.
    Answer,
    /// An output item opens or closes.
    Item,
    /// Something within an item, a call's arguments for instance.
    Within,
    /// A part of an item's content.
    Content,
    /// A part of a reasoning item's summary.
    Summary,
}

impl Place {
    fn of(kind: &str) -> Self {
        let Some(kind) = kind.strip_prefix("response.") else { return Self::Answer };
        let Some((family, _)) = kind.rsplit_once('.') else { return Self::Answer };
        match family {
            "output_item" => Self::Item,
            "output_text"
            | "content_part"
            | "refusal"
            | "reasoning_text"
            | "output_text.annotation" => Self::Content,
            "reasoning_summary_text" | "reasoning_summary_part" => Self::Summary,
            "function_call_arguments"
            | "custom_tool_call_input"
            | "mcp_call_arguments"
            | "mcp_call"
            | "mcp_list_tools"
            | "code_interpreter_call"
            | "code_interpreter_call_code"
            | "file_search_call"
            | "web_search_call"
            | "image_generation_call" => Self::Within,
            _ => Self::Answer,
        }
    }
}

/// An output item that has opened, and where its content has got to.
#[derive(Debug)]
struct Open {
    /// `id` and `call_id`, as they are written.
    names: [Option<Box<str>>; 2],
    index: u64,
    content: Option<u64>,
    summary: Option<u64>,
}

impl Open {
    /// What the item is called, as it is written.
    fn name(&self) -> Cow<'static, str> {
        let own = self.names.iter().flatten().next();
        own.map_or_else(|| format!("item_{}", self.index), |name| name.to_string()).into()
    }
}

/// The reader of one answer.
#[derive(Debug, Default)]
pub(super) struct Responses {
    pub(super) facts: Facts,
    items: Vec<Open>,
    next_number: u64,
}

impl Responses {
    pub(super) fn event(
        &mut self,
        event_type: &str,
        data: &str,
        out: &mut Vec<Record>,
    ) -> Progress {
        if is_nothing(event_type, data) {
            return Progress::Opening;
        }
        let event = json::read::<Event<'_>>(data).filter(|_| data.trim_ascii().starts_with('{'));
        let Some(event) = event else {
            if super::chat::is_done(data) {
                out.push(
                    Failure::cut("the upstream ended its answer early")
                        .responses(self.number(None)),
                );
                return Progress::Over(End::Error);
            }
            out.push(record(event_type, data));
            let failed = event_type == "error";
            return if failed { Progress::Over(End::Error) } else { Progress::Opening };
        };
        let kind = event.named(event_type);
        let mut missing = String::new();
        let place = Place::of(&kind);
        if place != Place::Answer {
            let unopened = self.locate(&kind, place, &event, &mut missing);
            if let Some(mut opening) = unopened.and_then(|at| repair::opening(&kind, &at)) {
                let number = format!("\"sequence_number\":{}", self.number(None));
                opening.data = json::append(&opening.data, &number).unwrap_or(opening.data);
                out.push(opening);
            }
        }
        let number = self.number(json::whole(event.sequence_number));
        if event.sequence_number.is_none() {
            add(&mut missing, "sequence_number", &number.to_string());
        }
        let named = repair::identify_calls(data, &event);
        let data = named.as_deref().unwrap_or(data);
        let whole = if missing.is_empty() { None } else { json::append(data, &missing) };
        let mut stored = record(event_type, "");
        stored.data = whole.unwrap_or_else(|| data.to_owned());
        out.push(stored);
        if json::truthy(event.error) || event_type == "error" {
            return Progress::Over(End::Error);
        }
        self.progress(&kind, &event)
    }

    /// The number of an event that has this one, or none; the next goes on from it.
    fn number(&mut self, given: Option<u64>) -> u64 {
        let number = given.unwrap_or(self.next_number);
        self.next_number = self.next_number.max(number.saturating_add(1));
        number
    }

    fn progress(&mut self, kind: &str, event: &Event<'_>) -> Progress {
        match kind {
            "response.created" | "response.queued" | "response.in_progress" => {
                self.learn(event.response);
                Progress::Opening
            }
            "response.completed" | "response.incomplete" => {
                self.learn(event.response);
                Progress::Over(End::Done)
            }
            "response.failed" => {
                self.learn(event.response);
                Progress::Over(End::Error)
            }
            "response.cancelled" => Progress::Over(End::Cancelled),
            "error" => Progress::Over(End::Error),
            "response.content_part.added" | "response.reasoning_summary_part.added" => {
                Progress::Opening
            }
            "response.output_item.added" => {
                let item: Item<'_> = json::within(event.item);
                let opens = matches!(json::written(item.kind), Some("message" | "reasoning"));
                if opens { Progress::Opening } else { Progress::Token }
            }
            _ if kind.starts_with("response.") => {
                let content = kind.ends_with(".delta") && json::some_text(event.delta).is_some();
                self.facts.deltas += u64::from(content);
                Progress::Token
            }
            _ => Progress::Opening,
        }
    }

    fn learn(&mut self, response: Raw<'_>) {
        let response: Response<'_> = json::within(response);
        self.facts.identify(response.id, response.model);
        let usage: Usage<'_> = json::within(response.usage);
        self.facts.report(json::whole(usage.input_tokens), json::whole(usage.output_tokens));
    }

    /// Finds the event's place in the answer and writes what it lacks of it to `missing`. If it is
    /// a delta to a part that was never opened, by a server that says no places and no numbers,
    /// gives the members that say where the part is.
    fn locate(
        &mut self,
        kind: &str,
        place: Place,
        event: &Event<'_>,
        missing: &mut String,
    ) -> Option<String> {
        let index = json::whole(event.output_index);
        let at = if kind == "response.output_item.added" {
            self.open(index, event.item)
        } else {
            self.find(index, event)
        };
        let mut fallback = Open { names: [None, None], index: 0, content: None, summary: None };
        let item = at.and_then(|at| self.items.get_mut(at)).unwrap_or(&mut fallback);
        let name = json::some_text(event.item_id).map_or_else(|| item.name(), Cow::Borrowed);
        if place != Place::Item && event.item_id.is_none() {
            add(missing, "item_id", &format!("\"{name}\""));
        }
        if event.output_index.is_none() {
            add(missing, "output_index", &item.index.to_string());
        }
        let (member, given, part) = match place {
            Place::Content => ("content_index", event.content_index, &mut item.content),
            Place::Summary => ("summary_index", event.summary_index, &mut item.summary),
            Place::Answer | Place::Item | Place::Within => return None,
        };
        let opens = kind.ends_with("_part.added");
        let next = match *part {
            Some(last) if opens => last.saturating_add(1),
            Some(last) => last,
            None => 0,
        };
        let index = json::whole(given).unwrap_or(next);
        let unopened = part.is_none() && at.is_some();
        *part = Some(index);
        if given.is_some() {
            return None;
        }
        add(missing, member, &index.to_string());
        (unopened && event.sequence_number.is_none()).then(|| {
            format!(r#""item_id":"{name}","output_index":{},"{member}":{index}"#, item.index)
        })
    }

    /// Remembers an item that opens; says where.
    fn open(&mut self, index: Option<u64>, item: Raw<'_>) -> Option<usize> {
        let item: Item<'_> = json::within(item);
        let next = self.items.iter().map(|item| item.index.saturating_add(1)).max().unwrap_or(0);
        if self.items.len() < ITEMS_MAX {
            let short = |name: &&str| name.len() <= NAME_BYTES_MAX;
            let name = |raw| json::some_text(raw).filter(short).map(Box::from);
            self.items.push(Open {
                names: [name(item.id), name(item.call_id)],
                index: index.unwrap_or(next),
                content: None,
                summary: None,
            });
        }
        self.items.len().checked_sub(1)
    }

    /// The item that an event belongs to: by index, by id, or else the last one.
    fn find(&self, index: Option<u64>, event: &Event<'_>) -> Option<usize> {
        if let Some(index) = index {
            if let Some(at) = self.items.iter().rposition(|item| item.index == index) {
                return Some(at);
            }
        }
        let item: Item<'_> = json::within(event.item);
        for name in [event.item_id, item.id, item.call_id] {
            let Some(name) = json::some_text(name) else { continue };
            let known = |item: &Open| item.names.iter().flatten().any(|known| **known == *name);
            if let Some(at) = self.items.iter().rposition(known) {
                return Some(at);
            }
        }
        self.items.len().checked_sub(1)
    }

    pub(super) fn finish(&mut self, cause: &Cause, out: &mut Vec<Record>) -> End {
        out.push(cause.failure().responses(self.number(None)));
        cause.end()
    }
}

/// Writes a member.
fn add(members: &mut String, name: &str, value: &str) {
    let comma = if members.is_empty() { "" } else { "," };
    // Writing to a String cannot fail.
    let _ = write!(members, "{comma}\"{name}\":{value}");
}
