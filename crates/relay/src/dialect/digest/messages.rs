//! A Messages answer so far.

use serde_json::{Map, Value};

use super::{Said, State, Whole, spoken, value};
use crate::dialect::json::{self, Raw};
use crate::dialect::messages::{Block, Event, Message};
use crate::dialect::reader::Facts;

/// Most content blocks of one answer.
const BLOCKS_MAX: usize = 1_024;

#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    facts: Facts,
    blocks: Vec<Part>,
    stop_reason: Option<String>,
    /// The members of every report, the latest of each.
    usage: Value,
    state: State,
}

/// A content block. Texts as they are written.
#[derive(Clone, Debug)]
struct Part {
    index: u64,
    kind: String,
    id: String,
    name: String,
    /// Text, thinking, or a tool's input as JSON.
    text: String,
    /// A tool's input that came whole.
    input: Option<String>,
}

impl Answer {
    pub(super) fn record(&mut self, event_type: &str, data: &str) {
        let Some(event) = json::read::<Event<'_>>(data) else { return };
        match event.named(event_type).as_ref() {
            "message_start" => {
                let message: Message<'_> = json::within(event.message);
                self.facts.identify(message.id, message.model);
                self.count(message.usage);
            }
            "content_block_start" => self.open(&event),
            "content_block_delta" => self.add(&event),
            "message_delta" => {
                self.count(event.usage);
                if let Some(reason) = json::text(event.delta.stop_reason) {
                    self.stop_reason = Some(reason.into_owned());
                }
            }
            "message_stop" => self.state = State::Completed,
            kind if kind == "error" || json::truthy(event.error) => {
                self.state = State::after(event.error);
            }
            _ => {}
        }
    }

    fn count(&mut self, usage: Raw<'_>) {
        let Value::Object(said) = value(usage) else { return };
        if self.usage.is_null() {
            self.usage = Map::new().into();
        }
        if let Value::Object(known) = &mut self.usage {
            known.extend(said.into_iter().filter(|(_, count)| !count.is_null()));
        }
    }

    fn open(&mut self, event: &Event<'_>) {
        if self.blocks.len() == BLOCKS_MAX {
            return;
        }
        let block: Block<'_> = json::within(event.content_block);
        let owned = |raw| json::written(raw).unwrap_or_default().to_owned();
        let text = json::some_text(block.text).or_else(|| json::some_text(block.thinking));
        let input = block.input.map(|raw| raw.get()).filter(|input| *input != "{}");
        self.blocks.push(Part {
            index: json::whole(event.index).unwrap_or(0),
            kind: owned(block.kind),
            id: owned(block.id),
            name: owned(block.name),
            text: text.unwrap_or_default().to_owned(),
            input: input.map(str::to_owned),
        });
    }

    fn add(&mut self, event: &Event<'_>) {
        let index = json::whole(event.index).unwrap_or(0);
        let Some(block) = self.blocks.iter_mut().rfind(|block| block.index == index) else {
            return;
        };
        let delta = &event.delta;
        for text in [delta.text, delta.thinking, delta.partial_json] {
            block.text.push_str(json::written(text).unwrap_or_default());
        }
    }

    pub(super) fn whole(&self) -> Whole<'_> {
        let mut said = Said { finish_reason: self.stop_reason.clone(), ..Said::default() };
        let (mut text, mut reasoning) = (String::new(), String::new());
        for block in &self.blocks {
            match block.kind.as_str() {
                "text" => text.push_str(&block.text),
                "thinking" => reasoning.push_str(&block.text),
                "tool_use" | "server_tool_use" => {
                    let input = match (block.text.is_empty(), &block.input) {
                        (true, Some(input)) => input.clone(),
                        (true, None) => "{}".to_owned(),
                        (false, _) => spoken(&block.text),
                    };
                    said.tool_calls.push([spoken(&block.id), spoken(&block.name), input]);
                }
                _ => {}
            }
        }
        (said.text, said.reasoning) = (spoken(&text), spoken(&reasoning));
        Whole {
            id: self.facts.id.as_deref(),
            model: self.facts.model.as_deref(),
            state: self.state,
            usage: Some(&self.usage).filter(|usage| !usage.is_null()),
            choices: vec![(0, said)],
        }
    }
}
