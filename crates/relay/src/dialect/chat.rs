//! OpenAI chat completions: `data: {chunk}` … `data: [DONE]`, without event names.
//!
//! An answer is complete when every choice that was seen has a `finish_reason` and `[DONE]` comes,
//! or the body ends cleanly: some servers never send `[DONE]`, and their clients do not miss it.
//! `[DONE]` alone proves nothing, for gateways send it after a failure as well.

use std::borrow::Cow;

use tidings_frame::End;

use super::failure::Failure;
use super::json::{self, List, Raw, object};
use super::reader::{Facts, is_nothing, record};
use super::{Asked, Cause, Progress, Record};

/// Most choices of one answer that are followed; OpenAI allows `n` up to 128.
pub(super) const CHOICES_MAX: usize = 128;

/// The data that ends a chat stream.
pub(super) const DONE: &str = "[DONE]";

object! {
    /// A chunk of an answer.
    struct Chunk {
        id: Raw<'a> = "id",
        model: Raw<'a> = "model",
        choices: List<Choice<'a>> = "choices",
        usage: Raw<'a> = "usage",
        error: Raw<'a> = "error",
    }
    /// What a chunk adds to one of the choices.
    struct Choice {
        index: Raw<'a> = "index",
        delta: Delta<'a> = "delta",
        // The text of a completion that is no chat; the rest of it is the same.
        text: Raw<'a> = "text",
        finish_reason: Raw<'a> = "finish_reason",
    }
    /// The added text or tool calls. Reasoning has two names: DeepSeek's, which llama.cpp and
    /// others took over, and OpenRouter's, now vLLM's too.
    struct Delta {
        content: Raw<'a> = "content",
        reasoning_content: Raw<'a> = "reasoning_content",
        reasoning: Raw<'a> = "reasoning",
        refusal: Raw<'a> = "refusal",
        tool_calls: List<Call<'a>> = "tool_calls",
        function_call: Raw<'a> = "function_call",
    }
    /// A part of a tool call; id and name come in its first part.
    struct Call {
        index: Raw<'a> = "index",
        id: Raw<'a> = "id",
        function: Function<'a> = "function",
    }
    /// A part of a call of a function.
    struct Function {
        name: Raw<'a> = "name",
        arguments: Raw<'a> = "arguments",
    }
    struct Usage {
        prompt_tokens: Raw<'a> = "prompt_tokens",
        completion_tokens: Raw<'a> = "completion_tokens",
    }
}

impl<'a> Delta<'a> {
    /// The reasoning's text as it is written. Where both names are there, they repeat each other.
    pub(super) fn thought(&self) -> Option<&'a str> {
        json::some_text(self.reasoning_content).or_else(|| json::some_text(self.reasoning))
    }

    fn is_content(&self) -> bool {
        json::some_text(self.content).is_some()
            || self.thought().is_some()
            || json::some_text(self.refusal).is_some()
            || !self.tool_calls.is_empty()
            || self.function_call.is_some()
    }
}

/// Whether the data is the end of the stream.
pub(super) fn is_done(data: &str) -> bool {
    data.trim_ascii() == DONE
}

/// What an upstream that was asked for usage adds to every chunk but the last.
const NO_USAGE: &str = ",\"usage\":null";

/// The data as it would be if usage had not been asked for. Within a text of the answer the quotes
/// would be escaped, so what is found is the member.
fn without_usage(data: &str) -> Cow<'_, str> {
    match data.find(NO_USAGE) {
        Some(at) => Cow::Owned([&data[..at], &data[at + NO_USAGE.len()..]].concat()),
        None => Cow::Borrowed(data),
    }
}

/// What became of an event.
#[derive(Debug)]
pub(super) enum Step {
    /// Not for anybody's eyes.
    Skipped,
    /// To be stored as it came.
    Kept(Progress),
    /// The upstream's own error, to be stored as it came. `raises` if the clients will see it.
    Failed {
        /// Whether the data has the member `error` that all clients raise on.
        raises: bool,
    },
    /// `[DONE]` in the middle of the answer.
    Cut,
}

/// The reader of one answer.
#[derive(Debug)]
pub(super) struct Chat {
    pub(super) facts: Facts,
    wants_usage: bool,
    /// The choices seen, and whether they are finished.
    choices: Vec<(u64, bool)>,
}

impl Chat {
    pub(super) fn new(asked: &Asked) -> Self {
        Self { facts: Facts::default(), wants_usage: asked.wants_usage, choices: Vec::new() }
    }

    pub(super) fn event(
        &mut self,
        event_type: &str,
        data: &str,
        out: &mut Vec<Record>,
    ) -> Progress {
        let chunk = json::read(data);
        match self.take(event_type, data, chunk.as_ref()) {
            Step::Skipped => Progress::Opening,
            Step::Kept(progress) => {
                let answers = chunk.as_ref().is_some_and(|chunk| !chunk.choices.is_empty());
                let hides = answers && !self.wants_usage;
                let data = if hides { without_usage(data) } else { data.into() };
                out.push(record(event_type, &data));
                progress
            }
            Step::Failed { raises } => {
                out.push(record(event_type, data));
                if !raises {
                    out.push(Failure::cut("the upstream reported an error").chat());
                }
                Progress::Over(End::Error)
            }
            Step::Cut => {
                out.push(Failure::cut(CUT).chat());
                Progress::Over(End::Error)
            }
        }
    }

    /// Judges an event, of which `chunk` is the data.
    pub(super) fn take(&mut self, event_type: &str, data: &str, chunk: Option<&Chunk<'_>>) -> Step {
        if is_nothing(event_type, data) {
            return Step::Skipped;
        }
        let Some(chunk) = chunk else {
            if event_type == "error" {
                return Step::Failed { raises: false };
            }
            if !is_done(data) {
                return Step::Kept(Progress::Opening);
            }
            let complete = self.is_complete();
            return if complete { Step::Kept(Progress::Over(End::Done)) } else { Step::Cut };
        };
        let raises = json::truthy(chunk.error);
        if raises || event_type == "error" {
            return Step::Failed { raises };
        }
        self.facts.identify(chunk.id, chunk.model);
        if chunk.usage.is_some() {
            let usage: Usage<'_> = json::within(chunk.usage);
            let (input, output) =
                (json::whole(usage.prompt_tokens), json::whole(usage.completion_tokens));
            self.facts.report(input, output);
            if chunk.choices.is_empty() && !self.wants_usage {
                return Step::Skipped;
            }
        }
        let mut progress = Progress::Opening;
        for choice in chunk.choices.iter() {
            let finished = json::some_text(choice.finish_reason).is_some();
            self.follow(json::whole(choice.index).unwrap_or(0), finished);
            let content = choice.delta.is_content() || json::some_text(choice.text).is_some();
            self.facts.deltas += u64::from(content);
            if content || finished {
                progress = Progress::Token;
            }
        }
        Step::Kept(progress)
    }

    fn follow(&mut self, index: u64, finished: bool) {
        if let Some((_, done)) = self.choices.iter_mut().find(|(seen, _)| *seen == index) {
            *done |= finished;
        } else if self.choices.len() < CHOICES_MAX {
            self.choices.push((index, finished));
        }
    }

    /// Whether every choice that was seen is finished.
    fn is_complete(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|(_, finished)| *finished)
    }

    /// Whether the answer is complete although its stream ended like this.
    pub(super) fn is_complete_at(&self, clean_eof: bool, cause: &Cause) -> bool {
        clean_eof && matches!(cause, Cause::Broken(_)) && self.is_complete()
    }

    pub(super) fn finish(&mut self, clean_eof: bool, cause: &Cause, out: &mut Vec<Record>) -> End {
        if self.is_complete_at(clean_eof, cause) {
            out.push(Record { event_type: None, data: DONE.to_owned() });
            return End::Done;
        }
        out.push(cause.failure().chat());
        cause.end()
    }
}

/// What a client is told when `[DONE]` comes too early.
pub(super) const CUT: &str = "the upstream ended its answer without a finish_reason";
