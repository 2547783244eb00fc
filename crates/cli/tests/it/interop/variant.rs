//! The rows of the matrix: what the upstream does, what the client does, and what is expected.

use serde_json::{Value, json};

/// An API that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    Chat,
    Responses,
    Messages,
    /// The AI SDK's own routes.
    Ui,
}

impl Api {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Ui => "ui",
        }
    }
}

/// What is expected of what the client sees through the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// Just what it sees without the relay, errors included.
    Same,
    /// What it sees of a plain answer, whatever it makes of this one without the relay.
    Whole,
    /// The beginning of a plain answer, and then an error.
    Raises,
    /// The plain answer, made once, although the client asked twice.
    Once,
    /// The plain answer, the second part of it over a second connection to the same generation.
    Resumes,
    /// The beginning of a plain answer; the upstream is told to stop.
    Stops,
    /// The beginning of a plain answer; the upstream goes on to the end.
    GoesOn,
    /// The client sees nothing, and no error.
    Nothing,
    /// The client sees nothing but an error.
    Fails,
}

impl Expect {
    /// Whether the variant means anything without the relay.
    pub(super) const fn has_direct(self) -> bool {
        matches!(self, Self::Same | Self::Whole | Self::Raises | Self::Once)
    }
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variant {
    pub(super) name: &'static str,
    /// What the page calls it.
    pub(super) title: &'static str,
    /// What the upstream says.
    pub(super) scenario: &'static str,
    /// What the client does.
    pub(super) verb: &'static str,
    pub(super) expect: Expect,
    pub(super) apis: &'static [Api],
}

use Api::{Chat, Messages, Responses, Ui};
use Expect::{Fails, GoesOn, Nothing, Once, Raises, Resumes, Same, Stops, Whole};

const ALL: &[Api] = &[Chat, Responses, Messages, Ui];
const SDK: &[Api] = &[Chat, Responses, Messages];

const fn row(
    name: &'static str,
    verb: &'static str,
    expect: Expect,
    apis: &'static [Api],
    title: &'static str,
) -> Variant {
    Variant { name, title, scenario: name, verb, expect, apis }
}

const fn of(scenario: &'static str, variant: Variant) -> Variant {
    Variant { scenario, ..variant }
}

/// The rows, in the order of the page. The first is what others are compared with.
pub(super) const VARIANTS: &[Variant] = &[
    row("plain", "stream", Same, ALL, "plain answer"),
    row("helper", "helper", Same, SDK, "plain answer through the client's `stream()` helper"),
    row("whole", "whole", Same, SDK, "request that does not stream"),
    row("usage", "stream", Same, &[Chat], "`stream_options.include_usage`"),
    row("tools", "stream", Same, ALL, "two tool calls"),
    of("tools", row("tools-helper", "helper", Same, SDK, "two tool calls, `stream()` helper")),
    row("reasoning", "stream", Same, ALL, "reasoning before the text"),
    row("length", "stream", Same, ALL, "answer cut by the token limit"),
    row("split", "stream", Whole, ALL, "every write ends inside a character"),
    row("crlf", "stream", Whole, ALL, "upstream ends lines with CR LF"),
    row("cr", "stream", Whole, ALL, "upstream ends lines with CR"),
    row("comments", "stream", Whole, ALL, "upstream sends comments with blank lines"),
    row("ids", "stream", Whole, ALL, "upstream sends `id:` lines"),
    row("ids-comments", "stream", Whole, ALL, "upstream sends both"),
    row("bom", "stream", Whole, ALL, "upstream begins with a byte order mark"),
    row("retry-alone", "stream", Whole, ALL, "upstream sends `retry:` alone"),
    row("id-alone", "stream", Whole, ALL, "upstream sends `id:` alone"),
    row("ping-empty", "stream", Whole, ALL, "upstream sends `event: ping` without data"),
    row("ping-data", "stream", Whole, ALL, "upstream sends `event: ping` with `data: {}`"),
    of(
        "bare",
        row(
            "bare-helper",
            "helper",
            Whole,
            &[Responses],
            "upstream leaves indices out, `stream()`",
        ),
    ),
    row("silence", "stream", Whole, ALL, "silence after the third token (heartbeats)"),
    row("first-token", "stream", Whole, ALL, "silence before the first token (heartbeats)"),
    row("unmarked", "stream", Whole, &[Chat, Ui], "no `[DONE]` at the end"),
    of(
        "unmarked",
        row("endless", "stream", Raises, &[Responses, Messages], "no event that ends the answer"),
    ),
    row("truncated", "stream", Raises, ALL, "upstream ends cleanly in the middle"),
    row("closed", "stream", Raises, ALL, "upstream closes in the middle"),
    row("reset", "stream", Raises, ALL, "upstream resets in the middle"),
    row("error", "stream", Same, SDK, "upstream's own error in the middle"),
    of("error", row("error-ui", "stream", Raises, &[Ui], "upstream's own error in the middle")),
    row("refuse-400", "stream", Same, SDK, "status 400"),
    row("refuse-401", "stream", Same, SDK, "status 401"),
    row("refuse-429", "stream", Same, SDK, "status 429"),
    row("refuse-529", "stream", Same, SDK, "status 529"),
    of("refuse-401", row("ui-401", "stream", Fails, &[Ui], "status 401")),
    of("refuse-429", row("ui-429", "stream", Fails, &[Ui], "status 429")),
    of("plain", row("lost", "stream", Once, SDK, "connection lost before the head, SDK retries")),
    of("paced", row("repeat", "repeat", Resumes, SDK, "dropped, repeated with `Idempotency-Key`")),
    of(
        "paced",
        row("retrieve", "retrieve", Resumes, &[Responses], "dropped, `retrieve(starting_after=N)`"),
    ),
    of("hang", row("cancel", "cancel", Stops, &[Responses], "`responses.cancel`")),
    of("hang", row("stop", "stop", Stops, ALL, "stopped in the middle")),
    of("paced", row("leave", "leave", GoesOn, SDK, "dropped, the generation goes on")),
    of("hang", row("leave-cancel", "leave", Stops, SDK, "`Tidings-On-Disconnect: cancel`")),
    of("kept", row("resume", "resume", Resumes, &[Ui], "page reloaded, `resumeStream()`")),
    of("kept", row("hook", "hook", Resumes, &[Ui], "page reloaded, `useChat({ resume: true })`")),
    row("idle", "idle", Nothing, &[Ui], "`resumeStream()` where nothing runs"),
];

impl Variant {
    /// The row of this name.
    pub(super) fn named(name: &str) -> &'static Self {
        VARIANTS.iter().find(|variant| variant.name == name).unwrap()
    }

    /// Members that the request has besides the question.
    pub(super) fn more(&self, api: Api) -> Value {
        match (self.name, api) {
            ("usage", Api::Chat) => json!({"stream_options": {"include_usage": true}}),
            _ => json!({}),
        }
    }

    /// Header fields that the request has besides the client's own.
    pub(super) fn headers(&self, client: &str) -> Value {
        match self.name {
            "repeat" => json!({"Idempotency-Key": format!("once-{client}")}),
            "leave-cancel" => json!({"Tidings-On-Disconnect": "cancel"}),
            _ => json!({}),
        }
    }

    /// How often the client tries again by itself: as often as it usually does, except where its
    /// error is what counts.
    pub(super) fn retries(&self) -> u32 {
        if self.name.starts_with("refuse-") { 0 } else { 2 }
    }
}
