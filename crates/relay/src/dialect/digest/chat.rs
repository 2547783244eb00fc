//! A chat answer so far.

use serde_json::Value;

use super::{Said, State, Whole, spoken, value};
use crate::dialect::chat::{CHOICES_MAX, Chunk, is_done};
use crate::dialect::json;
use crate::dialect::reader::Facts;
use crate::dialect::tool_calls::{self, ToolCall};

#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    facts: Facts,
    choices: Vec<Choice>,
    usage: Value,
    state: State,
}

/// Texts as they are written.
#[derive(Clone, Debug, Default)]
struct Choice {
    index: u64,
    text: String,
    reasoning: String,
    refusal: String,
    calls: Vec<ToolCall>,
    finish_reason: Option<String>,
}

impl Answer {
    pub(super) fn record(&mut self, _event_type: &str, data: &str) {
        let Some(chunk) = json::read::<Chunk<'_>>(data) else {
            if is_done(data) && self.state == State::InProgress {
                self.state = State::Completed;
            }
            return;
        };
        if json::truthy(chunk.error) {
            self.state = State::after(chunk.error);
        }
        self.facts.identify(chunk.id, chunk.model);
        if chunk.usage.is_some() {
            self.usage = value(chunk.usage);
        }
        for part in chunk.choices.iter() {
            let Some(choice) = self.choice(json::whole(part.index).unwrap_or(0)) else { continue };
            let delta = &part.delta;
            choice.text.push_str(json::written(delta.content).unwrap_or_default());
            choice.text.push_str(json::written(part.text).unwrap_or_default());
            choice.reasoning.push_str(delta.thought().unwrap_or_default());
            choice.refusal.push_str(json::written(delta.refusal).unwrap_or_default());
            for call in delta.tool_calls.iter() {
                tool_calls::take(&mut choice.calls, call);
            }
            if let Some(reason) = json::text(part.finish_reason) {
                choice.finish_reason = Some(reason.into_owned());
            }
        }
    }

    fn choice(&mut self, index: u64) -> Option<&mut Choice> {
        let known = self.choices.iter().position(|choice| choice.index == index);
        if known.is_none() && self.choices.len() < CHOICES_MAX {
            self.choices.push(Choice { index, ..Choice::default() });
        }
        let at = known.or(self.choices.len().checked_sub(1))?;
        self.choices.get_mut(at).filter(|choice| choice.index == index)
    }

    pub(super) fn whole(&self) -> Whole<'_> {
        let call = |call: &ToolCall| [&call.id, &call.name, &call.arguments].map(|it| spoken(it));
        let mut choices: Vec<_> = self
            .choices
            .iter()
            .map(|choice| {
                let said = Said {
                    text: spoken(&choice.text),
                    reasoning: spoken(&choice.reasoning),
                    refusal: spoken(&choice.refusal),
                    tool_calls: choice.calls.iter().map(call).collect(),
                    finish_reason: choice.finish_reason.clone(),
                };
                (choice.index, said)
            })
            .collect();
        if choices.is_empty() {
            choices.push((0, Said::default()));
        }
        Whole {
            id: self.facts.id.as_deref(),
            model: self.facts.model.as_deref(),
            state: self.state,
            usage: Some(&self.usage).filter(|usage| !usage.is_null()),
            choices,
        }
    }
}
