//! Answers that do not stream: the whole answer as one document, refusals, the list of models.

use super::{Dialect, Facts, chat, responses};
use crate::script::{Finish, Part};
use crate::text::Quoted;

/// The answer as one JSON document.
pub(super) fn whole(facts: &Facts) -> String {
    match facts.dialect {
        Dialect::Chat => chat_whole(facts),
        Dialect::Responses => {
            let said = facts.script.said().iter().enumerate();
            let output: Vec<String> = said
                .map(|(index, part)| responses::item(facts, index, &part.pieces().concat(), true))
                .collect();
            let natural = facts.script.finish == Finish::Natural;
            let status = if natural { "completed" } else { "incomplete" };
            responses::response(facts, status, &output, None)
        }
        Dialect::Messages => messages_whole(facts),
    }
}

/// What is said in all parts of a kind.
fn joined(facts: &Facts, kind: impl Fn(&Part) -> bool) -> String {
    let parts = facts.script.said().iter().filter(|part| kind(part));
    parts.flat_map(|part| part.pieces()).map(String::as_str).collect()
}

fn chat_whole(facts: &Facts) -> String {
    let text = joined(facts, |part| matches!(part, Part::Text(_)));
    let thoughts = joined(facts, |part| matches!(part, Part::Reasoning(_)));
    let mut calls = Vec::new();
    for (index, part) in facts.script.said().iter().enumerate() {
        let Part::ToolCall { name, arguments } = part else { continue };
        let (id, arguments) = (facts.call_id(index), arguments.concat());
        let (id, name, arguments) = (Quoted(&id), Quoted(name), Quoted(&arguments));
        let function = format!(r#"{{"name":{name},"arguments":{arguments}}}"#);
        calls.push(format!(r#"{{"id":{id},"type":"function","function":{function}}}"#));
    }
    let mut message = format!(r#""role":"assistant","content":{},"refusal":null"#, Quoted(&text));
    if !thoughts.is_empty() {
        message += &format!(r#","reasoning_content":{}"#, Quoted(&thoughts));
    }
    if !calls.is_empty() {
        message += &format!(r#","tool_calls":[{}]"#, calls.join(","));
    }
    let reason = facts.finish_reason();
    let rest = format!(r#""message":{{{message}}},"logprobs":null,"finish_reason":"{reason}""#);
    let choices: Vec<String> =
        (0..facts.script.choices).map(|index| format!(r#"{{"index":{index},{rest}}}"#)).collect();
    let (id, model) = (Quoted(&facts.id), Quoted(&facts.model));
    let created = facts.script.created;
    let head = format!(r#""id":{id},"object":"chat.completion","created":{created}"#);
    let (choices, usage) = (choices.join(","), chat::usage(facts));
    format!(r#"{{{head},"model":{model},"choices":[{choices}],"usage":{usage}}}"#)
}

fn messages_whole(facts: &Facts) -> String {
    let mut blocks = Vec::new();
    for (index, part) in facts.script.said().iter().enumerate() {
        let said = part.pieces().concat();
        let text = Quoted(&said);
        blocks.push(match part {
            Part::Text(_) => format!(r#"{{"type":"text","text":{text}}}"#),
            Part::Reasoning(_) => {
                let signature = Quoted(&facts.key);
                format!(r#"{{"type":"thinking","thinking":{text},"signature":{signature}}}"#)
            }
            Part::ToolCall { name, .. } => {
                let (id, name) = (facts.call_id(index), Quoted(name));
                let id = Quoted(&id);
                format!(r#"{{"type":"tool_use","id":{id},"name":{name},"input":{said}}}"#)
            }
        });
    }
    let (id, model, reason) = (Quoted(&facts.id), Quoted(&facts.model), facts.finish_reason());
    let (input, output) = (facts.prompt_tokens, facts.completion_tokens);
    let head = format!(r#""id":{id},"type":"message","role":"assistant","model":{model}"#);
    let stop = format!(r#""stop_reason":"{reason}","stop_sequence":null"#);
    let usage = format!(r#"{{"input_tokens":{input},"output_tokens":{output}}}"#);
    format!(r#"{{{head},"content":[{}],{stop},"usage":{usage}}}"#, blocks.join(","))
}

/// A refusal in the words of a dialect.
pub(super) fn refusal(dialect: Dialect, status: u16, message: &str) -> String {
    let message = Quoted(message);
    let (openai, anthropic) = match status {
        401 => ("invalid_request_error", "authentication_error"),
        403 => ("invalid_request_error", "permission_error"),
        404 => ("invalid_request_error", "not_found_error"),
        429 => ("rate_limit_error", "rate_limit_error"),
        529 => ("server_error", "overloaded_error"),
        500.. => ("server_error", "api_error"),
        _ => ("invalid_request_error", "invalid_request_error"),
    };
    if dialect == Dialect::Messages {
        let error = format!(r#"{{"type":"{anthropic}","message":{message}}}"#);
        return format!(r#"{{"type":"error","error":{error}}}"#);
    }
    let code = match status {
        401 => r#""invalid_api_key""#,
        429 => r#""rate_limit_exceeded""#,
        _ => "null",
    };
    format!(r#"{{"error":{{"message":{message},"type":"{openai}","param":null,"code":{code}}}}}"#)
}

/// The list of models.
pub(crate) fn models(names: &[&str]) -> String {
    let models: Vec<String> = names
        .iter()
        .map(|name| {
            let name = Quoted(name);
            format!(r#"{{"id":{name},"object":"model","created":0,"owned_by":"tidings"}}"#)
        })
        .collect();
    format!(r#"{{"object":"list","data":[{}]}}"#, models.join(","))
}
