//! Anthropic Messages: named events from `message_start` to `message_stop`.
//!
//! Clients skip an event without a name and raise at one named `error`, so an error that comes
//! without a name is given it.

use tidings_frame::End;

use super::failure::Failure;
use super::json::{self, Raw, object};
use super::reader::{Facts, is_nothing, record};
use super::{Progress, Record};

object! {
    /// An event of an answer.
    struct Event {
        kind: Raw<'a> = "type",
        index: Raw<'a> = "index",
        message: Raw<'a> = "message",
        content_block: Raw<'a> = "content_block",
        delta: Delta<'a> = "delta",
        usage: Raw<'a> = "usage",
        error: Raw<'a> = "error",
    }
    /// What is added to a content block, or to the message.
    struct Delta {
        kind: Raw<'a> = "type",
        text: Raw<'a> = "text",
        thinking: Raw<'a> = "thinking",
        partial_json: Raw<'a> = "partial_json",
        stop_reason: Raw<'a> = "stop_reason",
    }
    /// The message that an answer opens with.
    struct Message {
        id: Raw<'a> = "id",
        model: Raw<'a> = "model",
        usage: Raw<'a> = "usage",
    }
    /// A content block that opens.
    struct Block {
        kind: Raw<'a> = "type",
        id: Raw<'a> = "id",
        name: Raw<'a> = "name",
        text: Raw<'a> = "text",
        thinking: Raw<'a> = "thinking",
        input: Raw<'a> = "input",
    }
    struct Usage {
        input_tokens: Raw<'a> = "input_tokens",
        cache_creation_input_tokens: Raw<'a> = "cache_creation_input_tokens",
        cache_read_input_tokens: Raw<'a> = "cache_read_input_tokens",
        output_tokens: Raw<'a> = "output_tokens",
    }
}

impl<'a> Event<'a> {
    /// What kind of event this is: its `type`, or else the name it came under.
    pub(super) fn named(&self, event_type: &'a str) -> std::borrow::Cow<'a, str> {
        json::text(self.kind).unwrap_or(event_type.into())
    }
}

/// The reader of one answer.
#[derive(Debug, Default)]
pub(super) struct Messages {
    pub(super) facts: Facts,
    /// Tokens read: fresh, written to the cache, read from it.
    input: [Option<u64>; 3],
}

impl Messages {
    pub(super) fn event(
        &mut self,
        event_type: &str,
        data: &str,
        out: &mut Vec<Record>,
    ) -> Progress {
        if is_nothing(event_type, data) {
            return Progress::Opening;
        }
        let Some(event) = json::read::<Event<'_>>(data) else {
            if super::chat::is_done(data) {
                out.push(Failure::cut("the upstream ended its answer early").messages());
                return Progress::Over(End::Error);
            }
            out.push(record(event_type, data));
            let failed = event_type == "error";
            return if failed { Progress::Over(End::Error) } else { Progress::Opening };
        };
        let kind = event.named(event_type);
        if kind == "ping" {
            return Progress::Opening;
        }
        if kind == "error" || event_type == "error" || json::truthy(event.error) {
            out.push(record("error", data));
            return Progress::Over(End::Error);
        }
        let progress = self.take(&kind, &event);
        out.push(record(event_type, data));
        progress
    }

    fn take(&mut self, kind: &str, event: &Event<'_>) -> Progress {
        match kind {
            "content_block_delta" => {
                let delta = &event.delta;
                let texts = [delta.text, delta.thinking, delta.partial_json];
                let content = texts.into_iter().any(|text| json::some_text(text).is_some());
                self.facts.deltas += u64::from(content);
                Progress::Token
            }
            "message_start" => {
                let message: Message<'_> = json::within(event.message);
                self.facts.identify(message.id, message.model);
                let (input, output) = self.count(message.usage);
                self.facts.opening(input, output);
                Progress::Opening
            }
            // The block of a tool call has the tool's name, which is the model's choice.
            "content_block_start" => {
                let block: Block<'_> = json::within(event.content_block);
                let opens = matches!(json::written(block.kind), Some("text" | "thinking"));
                if opens { Progress::Opening } else { Progress::Token }
            }
            "message_delta" => {
                let (input, output) = self.count(event.usage);
                self.facts.report(input, output);
                Progress::Token
            }
            "content_block_stop" => Progress::Token,
            "message_stop" => Progress::Over(End::Done),
            _ => Progress::Opening,
        }
    }

    /// The figures of a report, which are cumulative.
    fn count(&mut self, usage: Raw<'_>) -> (Option<u64>, Option<u64>) {
        let usage: Usage<'_> = json::within(usage);
        let said =
            [usage.input_tokens, usage.cache_creation_input_tokens, usage.cache_read_input_tokens];
        for (known, said) in self.input.iter_mut().zip(said) {
            *known = json::whole(said).or(*known);
        }
        let input = self.input.iter().flatten().copied().reduce(u64::saturating_add);
        (input, json::whole(usage.output_tokens))
    }
}
