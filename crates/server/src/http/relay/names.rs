//! What a body names that is kept at the API: responses, conversations, items of earlier answers,
//! containers, files and the like. The tables below say where.
//!
//! A name may be written more than once, and there are readers of JSON to which case means nothing:
//! so everything that might count is found, and whoever asks decides about all of it. What exempts
//! a name counts only if it can be read in one way alone.

use serde::de::Error as _;
use tidings_relay::config::Kept;
use tidings_relay::dialect::Dialect;

use super::json::{self, Json};

/// What a name is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A response that is gone on from.
    Response,
    Conversation,
    /// An item of the input, which may also bring what it is about.
    Item,
    /// What an earlier answer has said, or a container in which code of it ran.
    Said,
    Kept(Kept),
}

/// A name; empty where something else stands than a text, which is nobody's.
pub(super) type Name = (Kind, String);

/// Where names are: members from the outside in. A list stands for each of its values, `*` for any
/// member.
type Row = (&'static str, Kind);

const FILE: Kind = Kind::Kept(Kept::Files);
const PROMPT: Kind = Kind::Kept(Kept::Prompts);
const SKILL: Kind = Kind::Kept(Kept::Skills);
const VECTOR_STORE: Kind = Kind::Kept(Kept::VectorStores);

const TUNNEL: Kind = Kind::Kept(Kept::Tunnels);

const RESPONSES: [Row; 12] = [
    ("previous_response_id", Kind::Response),
    ("prompt_cache_options.comparison_response_id", Kind::Response),
    ("conversation", Kind::Conversation),
    ("prompt", PROMPT),
    ("prompt.id", PROMPT),
    ("prompt.variables.*.file_id", FILE),
    ("input.id", Kind::Item),
    ("input.approval_request_id", Kind::Said),
    ("input.container_id", Kind::Said),
    ("input.environment.container_id", Kind::Said),
    ("input.content.file_id", FILE),
    ("input.output.file_id", FILE),
];

/// What a tool's definition names, wherever tools are defined.
macro_rules! tools {
    ($within:literal) => {
        [
            (concat!($within, "tools.container"), Kind::Said),
            (concat!($within, "tools.container.id"), Kind::Said),
            (concat!($within, "tools.container.container_id"), Kind::Said),
            (concat!($within, "tools.container.file_ids"), FILE),
            (concat!($within, "tools.container_id"), Kind::Said),
            (concat!($within, "tools.environment.container_id"), Kind::Said),
            (concat!($within, "tools.environment.file_ids"), FILE),
            (concat!($within, "tools.environment.skills.skill_id"), SKILL),
            (concat!($within, "tools.input_image_mask.file_id"), FILE),
            (concat!($within, "tools.tunnel_id"), TUNNEL),
            (concat!($within, "tools.vector_store_ids"), VECTOR_STORE),
        ]
    };
}

/// Of a request and, where items bring further tools, of its input.
const TOOLS: [[Row; 11]; 2] = [tools!(""), tools!("input.")];

const CHAT: [Row; 4] = [
    ("messages.audio", Kind::Said),
    ("messages.audio.id", Kind::Said),
    ("messages.content.file.file_id", FILE),
    ("messages.content.file_id", FILE),
];

/// No bare `file_id` within a result's content: code that ran tells there what files it made, and
/// clients send that back.
const MESSAGES: [Row; 12] = [
    ("thread.previous_message_id", Kind::Response),
    ("diagnostics.previous_message_id", Kind::Response),
    ("container", Kind::Said),
    ("container.id", Kind::Said),
    ("container.skills.skill_id", SKILL),
    ("messages.content.file_id", FILE),
    ("messages.content.source.file_id", FILE),
    ("messages.content.content.source.file_id", FILE),
    ("messages.content.source.content.source.file_id", FILE),
    ("messages.content.content.source.content.source.file_id", FILE),
    ("messages.content.content.content.source.file_id", FILE),
    ("messages.content.content.content.source.content.source.file_id", FILE),
];

/// Items that bring what they are about, and the members with which they do: then the API looks
/// nothing up. Any other is known by its id alone.
const WHOLE: [(&str, &[&str]); 23] = [
    ("message", &["role", "content"]),
    ("function_call", &["call_id", "name", "arguments"]),
    ("function_call_output", &["call_id", "output"]),
    ("custom_tool_call", &["call_id", "name", "input"]),
    ("custom_tool_call_output", &["call_id", "output"]),
    ("computer_call", &["call_id", "action"]),
    ("computer_call", &["call_id", "actions"]),
    ("computer_call_output", &["call_id", "output"]),
    ("local_shell_call", &["call_id", "action"]),
    ("local_shell_call_output", &["output"]),
    ("shell_call", &["call_id", "action"]),
    ("shell_call_output", &["call_id", "output"]),
    ("apply_patch_call", &["call_id", "operation"]),
    ("apply_patch_call_output", &["call_id", "status"]),
    ("reasoning", &["encrypted_content"]),
    ("compaction", &["encrypted_content"]),
    ("image_generation_call", &["result"]),
    ("program", &["call_id", "code", "fingerprint"]),
    ("program_output", &["call_id", "result"]),
    ("tool_search_call", &["arguments"]),
    ("tool_search_output", &["tools"]),
    ("configuration_update", &["reasoning"]),
    ("configuration_update", &["text"]),
];

/// Of these the ones that are texts, and not empty.
const TEXTS: [&str; 5] = ["role", "encrypted_content", "result", "code", "fingerprint"];

/// Names in one body. A conversation of ordinary length names some hundred things; whoever sends
/// more is told so before they take memory.
pub(super) const NAMES_MAX: usize = 4_096;

/// Lists within lists that are looked into.
const LISTS_MAX: usize = 4;

/// The names in a body of this API.
///
/// # Errors
/// When it is no JSON object.
pub(super) fn read(dialect: Dialect, body: &[u8]) -> Result<Vec<Name>, serde_json::Error> {
    let rows = match dialect {
        Dialect::Responses => [&RESPONSES[..], &TOOLS.concat()].concat(),
        Dialect::Chat => CHAT.to_vec(),
        Dialect::Messages => MESSAGES.to_vec(),
    };
    let mut names = Vec::new();
    find(Json::body(body)?, &rows, LISTS_MAX, &mut names)?;
    Ok(names)
}

fn find(
    value: Json<'_>,
    rows: &[Row],
    lists: usize,
    names: &mut Vec<Name>,
) -> Result<(), serde_json::Error> {
    let here = rows.iter().filter(|(path, _)| path.is_empty()).map(|&(_, kind)| kind);
    match value.kind()? {
        json::Kind::Null => {}
        json::Kind::Text => {
            names.extend(here.map(|kind| (kind, value.text().unwrap_or_default())));
        }
        json::Kind::Other => names.extend(here.map(|kind| (kind, String::new()))),
        json::Kind::List(values) => {
            let lists = lists.checked_sub(1);
            let lists = lists.ok_or_else(|| serde_json::Error::custom("lists within lists"))?;
            for value in values {
                find(value, rows, lists, names)?;
            }
        }
        json::Kind::Object(members) => {
            if rows.iter().all(|(path, _)| path.is_empty()) {
                names.extend(here.map(|kind| (kind, String::new())));
            }
            let is_item = rows.iter().any(|&(_, kind)| kind == Kind::Item);
            let exempt = is_item && is_whole(&members);
            for (name, value) in members {
                let name = folded(&name);
                let below = rows.iter().filter_map(|row| below(*row, &name));
                let below: Vec<Row> =
                    below.filter(|&row| row != ("", Kind::Item) || !exempt).collect();
                if !below.is_empty() {
                    find(value, &below, LISTS_MAX, names)?;
                }
            }
        }
    }
    if names.len() > NAMES_MAX {
        let why = format!("more than {NAMES_MAX} things are named that are kept at the API");
        return Err(serde_json::Error::custom(why));
    }
    Ok(())
}

/// The rest of a row within the member of this name.
fn below((path, kind): Row, name: &str) -> Option<Row> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    (first == "*" || is_read_as(first, name)).then_some((rest, kind))
}

/// A name as the most lenient readers have it: those to which case means nothing (to some of them
/// also `ſ` is an `s`), nor how words are joined (`previousResponseId`).
fn folded(name: &str) -> String {
    let mut name = name.to_uppercase().to_lowercase();
    name.retain(|char| !matches!(char, '_' | '-'));
    name
}

/// Whether a member that is folded so can be read as this one.
fn is_read_as(wanted: &str, folded: &str) -> bool {
    wanted.bytes().filter(|&byte| byte != b'_').eq(folded.bytes())
}

/// Whether an item brings what it is about, however it is read.
fn is_whole(members: &[(String, Json<'_>)]) -> bool {
    let once = |wanted: &str| {
        let mut found = members.iter().filter(|(name, _)| is_read_as(wanted, &folded(name)));
        let (name, value) = found.next()?;
        (found.next().is_none() && name == wanted && !value.is_null()).then_some(*value)
    };
    let kind = if members.iter().any(|(name, _)| folded(name) == "type") {
        once("type").and_then(Json::text)
    } else {
        Some("message".to_owned())
    };
    let is_there = |&name: &&str| {
        once(name).is_some_and(|value| {
            !TEXTS.contains(&name) || value.text().is_some_and(|text| !text.is_empty())
        })
    };
    let mut rows = WHOLE.iter().filter(|(name, _)| kind.as_deref() == Some(name));
    rows.any(|(_, needed)| needed.iter().all(is_there))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in a body, each with a letter for its kind.
    fn found(dialect: Dialect, body: &str) -> String {
        let names = read(dialect, body.as_bytes()).unwrap();
        let names = names.iter().map(|(kind, id)| {
            let kind = match kind {
                Kind::Response => "r",
                Kind::Conversation => "c",
                Kind::Item => "i",
                Kind::Said => "s",
                Kind::Kept(kept) => kept.name(),
            };
            format!("{kind} {id}")
        });
        names.collect::<Vec<_>>().join(",")
    }

    #[test]
    fn what_is_kept_at_the_api_is_found_however_it_is_written() {
        for (body, wanted) in [
            (r#"{"input":"conversation"}"#, ""),
            (r#"{"conversation":null,"metadata":{"conversation":"x"}}"#, ""),
            (r#"{"conversation":"c"}"#, "c c"),
            (r#"{"Conversation":{"id":"c"}}"#, "c "),
            ("{\"conver\u{17f}ation\":\"c\"}", "c c"),
            (r#"{"conversation":["c"],"conversation":"e"}"#, "c c,c e"),
            (r#"{"conversation":7}"#, "c "),
            (r#"{"previous_response_id":"r"}"#, "r r"),
            (r#"{"previous\u005fresponse_id":"\u0072"}"#, "r r"),
            (r#"{"previous_response_id":"\ud800"}"#, "r "),
            (r#"{"prompt":{"id":"p","version":"2"}}"#, "prompts p"),
            (r#"{"prompt":"p"}"#, "prompts p"),
            (r#"{"prompt":{"variables":{"a":"x","b":{"file_id":"f"}}}}"#, "files f"),
            (
                r#"{"input":[{"role":"user","content":[{"file_id":"f"},{"text":"\ud800"}]}]}"#,
                "files f",
            ),
            (r#"{"input":[{"type":"x","output":[{"file_id":"f"}]}]}"#, "files f"),
            (r#"{"input":[{"type":"x","output":{"file_id":"f"}}]}"#, "files f"),
            (r#"{"input":[{"type":"mcp_approval_response","approval_request_id":"a"}]}"#, "s a"),
            (r#"{"input":[{"type":"code_interpreter_call","container_id":"n"}]}"#, "s n"),
            (r#"{"input":[{"type":"shell_call","environment":{"container_id":"n"}}]}"#, "s n"),
            (r#"{"tools":[{"type":"code_interpreter","container":"n"}]}"#, "s n"),
            (r#"{"tools":[{"type":"code_interpreter","container":{"type":"auto"}}]}"#, ""),
            (
                r#"{"tools":[{"container":{"type":"auto","file_ids":["f","g"]}}]}"#,
                "files f,files g",
            ),
            (r#"{"tools":[{"container":{"id":"n"}}]}"#, "s n"),
            (r#"{"tools":[{"container":{"ID":{}}}]}"#, "s "),
            (r#"{"tools":{"environment":{"container_id":"n"}}}"#, "s n"),
            (r#"{"tools":[{"environment":{"skills":[{"skill_id":"k"}]}}]}"#, "skills k"),
            (
                r#"{"tools":[{"type":"file_search","vector_store_ids":["v","w"]}]}"#,
                "vector_stores v,vector_stores w",
            ),
            (r#"{"tools":[{"input_image_mask":{"file_id":"f"}}]}"#, "files f"),
            (r#"{"tools":[{"parameters":{"container_id":"n","id":"i"}}]}"#, ""),
            (r#"{"tools":[{"type":"mcp","tunnel_id":"t"}]}"#, "tunnels t"),
            (r#"{"prompt_cache_options":{"comparison_response_id":"r"}}"#, "r r"),
            (r#"{"input":[{"type":"tool_search_output","tools":[{"container":"n"}]}]}"#, "s n"),
            (
                r#"{"input":[{"type":"additional_tools","role":"developer","tools":
                    [{"vector_store_ids":["v"]},{"tunnel_id":"t"}]}]}"#,
                "vector_stores v,tunnels t",
            ),
            // However words are joined.
            (r#"{"previousResponseId":"r","previous-response-id":"q"}"#, "r r,r q"),
            (r#"{"tools":[{"vectorStoreIds":["v"]}]}"#, "vector_stores v"),
            (r#"{"input":[{"CONTAINERID":"n"}]}"#, "s n"),
        ] {
            assert_eq!(found(Dialect::Responses, body), wanted, "{body}");
        }
        for wrong in ["[]", "", "{\"input\":}", "{} {}", "null", r#"{"input":[[[[[]]]]]}"#] {
            assert!(read(Dialect::Responses, wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    /// Looks for names in each of these as an item of the input.
    #[track_caller]
    fn check_items(items: &[(&str, bool)]) {
        for &(item, whole) in items {
            let wanted = if whole { "" } else { "i i" };
            for body in [format!("[{item}]"), item.to_owned(), format!("[[{item}]]")] {
                let body = format!("{{\"input\":{body}}}");
                assert_eq!(found(Dialect::Responses, &body), wanted, "{body}");
            }
        }
    }

    #[test]
    fn an_item_stands_for_another_unless_it_is_whole_in_every_reading() {
        check_items(&[
            (r#"{"id":"i"}"#, false),
            (r#"{"id":"i","type":"item_reference"}"#, false),
            (r#"{"id":"i","type":"Item_Reference"}"#, false),
            (r#"{"id":"i","type":null,"role":"user","content":"x"}"#, false),
            (r#"{"id":"i","type":"message","type":"item_reference"}"#, false),
            (
                r#"{"id":"i","type":"reasoning","Type":"item_reference","encrypted_content":"x"}"#,
                false,
            ),
            (r#"{"id":"i","type":"unknown","role":"user","content":"x"}"#, false),
            // Messages.
            (r#"{"id":"i","role":"user","content":"x"}"#, true),
            (r#"{"id":"i","type":"message","role":"assistant","content":[]}"#, true),
            (r#"{"id":"i","role":"x"}"#, false),
            (r#"{"id":"i","content":"x"}"#, false),
            (r#"{"id":"i","Role":"user","content":"x"}"#, false),
            (r#"{"id":"i","role":"user","Role":"user","content":"x"}"#, false),
            (r#"{"id":"i","role":null,"role":null,"content":"x"}"#, false),
            (r#"{"id":"i","role":null,"content":"x"}"#, false),
            (r#"{"id":"i","role":7,"content":"x"}"#, false),
            (r#"{"id":"i","role":"user","content":null}"#, false),
            (r#"{"id":"i","role":"user","content":"x","content":null}"#, false),
            // What is told by its id alone, unless it brings itself.
            (r#"{"id":"i","type":"reasoning","summary":[]}"#, false),
            (r#"{"id":"i","type":"reasoning","encrypted_content":"x"}"#, true),
            (r#"{"id":"i","type":"reasoning","encrypted_content":""}"#, false),
            (r#"{"id":"i","type":"reasoning","encrypted_content":null}"#, false),
            (r#"{"id":"i","type":"reasoning","encrypted_content":["x"]}"#, false),
            (
                r#"{"id":"i","type":"reasoning","encrypted_content":"x","encrypted_content":null}"#,
                false,
            ),
            (
                r#"{"id":"i","type":"reasoning","encrypted_content":null,"encrypted_content":"x"}"#,
                false,
            ),
            (r#"{"id":"i","type":"reasoning","Encrypted_Content":"x"}"#, false),
            (r#"{"id":"i","type":"reasoning","summary":[],"result":"x"}"#, false),
            (r#"{"id":"i","type":"Reasoning","encrypted_content":"x"}"#, false),
            (r#"{"id":"i","type":"image_generation_call","result":"x"}"#, true),
            (r#"{"id":"i","type":"image_generation_call","Result":"x"}"#, false),
            (r#"{"id":"i","type":"image_generation_call","encrypted_content":"x"}"#, false),
            // Calls.
            (r#"{"id":"i","type":"function_call","call_id":"c","name":"f","arguments":""}"#, true),
            (r#"{"id":"i","type":"function_call","call_id":"c"}"#, false),
            (r#"{"id":"i","type":"function_call_output","call_id":"c","output":""}"#, true),
            (r#"{"id":"i","type":"function_call_output","call_id":"c"}"#, false),
            (r#"{"id":"i","type":"web_search_call","status":"completed","action":{}}"#, false),
            (r#"{"id":"i","type":"file_search_call","queries":["q"],"results":null}"#, false),
            (r#"{"id":"i","type":"mcp_call","name":"n","arguments":"{}","output":"o"}"#, false),
            (r#"{"id":"i","type":"code_interpreter_call","code":"x"}"#, false),
        ]);
        let twice = r#"{"input":[],"INPUT":[{"ID":"j","id":["k"]}]}"#;
        assert_eq!(found(Dialect::Responses, twice), "i j,i k");
    }

    #[test]
    fn items_of_further_kinds_bring_what_they_are_about() {
        check_items(&[
            (r#"{"id":"i","type":"computer_call","call_id":"c","actions":[]}"#, true),
            (r#"{"id":"i","type":"computer_call","call_id":"c","actions":null}"#, false),
            (r#"{"id":"i","type":"program","call_id":"c","code":"x","fingerprint":"f"}"#, true),
            (r#"{"id":"i","type":"program","call_id":"c","code":"x"}"#, false),
            (r#"{"id":"i","type":"program","call_id":"c","code":"","fingerprint":"f"}"#, false),
            (r#"{"id":"i","type":"program_output","call_id":"c","result":"x"}"#, true),
            (r#"{"id":"i","type":"program_output","call_id":"c"}"#, false),
            (r#"{"id":"i","type":"tool_search_call","arguments":{}}"#, true),
            (r#"{"id":"i","type":"tool_search_call","arguments":null}"#, false),
            (r#"{"id":"i","type":"tool_search_output","tools":[]}"#, true),
            (r#"{"id":"i","type":"tool_search_output"}"#, false),
            (r#"{"id":"i","type":"configuration_update","text":{}}"#, true),
            (r#"{"id":"i","type":"configuration_update","reasoning":{}}"#, true),
            (r#"{"id":"i","type":"configuration_update"}"#, false),
            // What is joined in another way exempts nothing, and makes doubtful what does.
            (r#"{"id":"i","type":"reasoning","encryptedContent":"x"}"#, false),
            (
                r#"{"id":"i","type":"reasoning","encrypted_content":"x","encrypted-content":""}"#,
                false,
            ),
            (r#"{"id":"i","ty_pe":"item_reference","role":"user","content":"x"}"#, false),
        ]);
    }

    #[test]
    fn the_other_apis_name_things_too() {
        for (dialect, body, wanted) in [
            (Dialect::Chat, r#"{"messages":[{"role":"user","content":"a \ud800 b"}]}"#, ""),
            (Dialect::Chat, r#"{"messages":[{"audio":{"id":"a"}}]}"#, "s a"),
            (Dialect::Chat, r#"{"messages":[{"audio":null}]}"#, ""),
            // No item: nothing exempts it.
            (
                Dialect::Chat,
                r#"{"messages":[{"audio":{"id":"a","role":"x","content":"y"}}]}"#,
                "s a",
            ),
            (Dialect::Chat, r#"{"messages":[{"Audio":{"Id":"a"}}]}"#, "s a"),
            (
                Dialect::Chat,
                r#"{"messages":[{"content":[{"type":"file","file":{"file_id":"f"}}]}]}"#,
                "files f",
            ),
            (Dialect::Chat, r#"{"messages":[{"content":[{"file":{"file_data":"x"}}]}]}"#, ""),
            (Dialect::Chat, r#"{"previous_response_id":"not here"}"#, ""),
            (Dialect::Messages, r#"{"container":"n"}"#, "s n"),
            (Dialect::Messages, r#"{"container":null}"#, ""),
            (Dialect::Messages, r#"{"container":{"id":"n"}}"#, "s n"),
            (
                Dialect::Messages,
                r#"{"container":{"id":null,"skills":[{"skill_id":"k"}]}}"#,
                "skills k",
            ),
            (
                Dialect::Messages,
                r#"{"messages":[{"content":[{"source":{"type":"file","file_id":"f"}}]}]}"#,
                "files f",
            ),
            (Dialect::Messages, r#"{"messages":[{"content":[{"file_id":"f"}]}]}"#, "files f"),
            (
                Dialect::Messages,
                r#"{"messages":[{"content":[{"content":[{"source":{"file_id":"f"}}]}]}]}"#,
                "files f",
            ),
            (
                Dialect::Messages,
                r#"{"messages":[{"content":{"source":{"content":{"source":{"file_id":"f"}}}}}]}"#,
                "files f",
            ),
            (Dialect::Messages, r#"{"messages":[{"content":[{"input":{"file_id":"f"}}]}]}"#, ""),
        ] {
            assert_eq!(found(dialect, body), wanted, "{body}");
        }
    }

    #[test]
    fn messages_go_on_from_others_and_have_files_deep_inside() {
        for (body, wanted) in [
            (
                r#"{"messages":[{"content":[{"content":
                    [{"source":{"content":[{"source":{"file_id":"f"}}]}}]}]}]}"#,
                "files f",
            ),
            (
                r#"{"messages":[{"content":[{"content":{"content":
                    [{"source":{"file_id":"f"}}]}}]}]}"#,
                "files f",
            ),
            (
                r#"{"messages":[{"content":[{"content":{"content":
                    {"source":{"content":[{"source":{"file_id":"f"}}]}}}}]}]}"#,
                "files f",
            ),
            // What code has made is sent back so.
            (
                r#"{"messages":[{"content":[{"type":"code_execution_tool_result","content":
                    {"content":[{"type":"code_execution_output","file_id":"f"}]}}]}]}"#,
                "",
            ),
            (r#"{"thread":{"type":"continue","previous_message_id":"m"}}"#, "r m"),
            (r#"{"thread":{"type":"create"}}"#, ""),
            (r#"{"diagnostics":{"previous_message_id":null}}"#, ""),
            (r#"{"diagnostics":{"previous_message_id":"m"}}"#, "r m"),
        ] {
            assert_eq!(found(Dialect::Messages, body), wanted, "{body}");
        }
    }

    #[test]
    fn a_body_names_only_so_much() {
        let read = |body: &str| read(Dialect::Responses, body.as_bytes());
        let list = |value: &str, count: usize| vec![value; count].join(",");
        let tools = |count| format!(r#"{{"tools":{{"container":[{}]}}}}"#, list("1", count));
        assert_eq!(read(&tools(NAMES_MAX)).unwrap().len(), NAMES_MAX);
        let told = read(&tools(NAMES_MAX + 1)).unwrap_err().to_string();
        assert!(told.contains("4096 things"), "{told}");
        // Also where nothing is named.
        let input = |value: &str, count| format!(r#"{{"input":[{}]}}"#, list(value, count));
        assert!(read(&input("0", json::VALUES_MAX)).unwrap().is_empty());
        assert!(read(&input("0", json::VALUES_MAX + 1)).is_err());
        let members = |count| format!("{{{}}}", list(r#""a":0"#, count));
        assert!(read(&members(json::VALUES_MAX)).unwrap().is_empty());
        assert!(read(&members(json::VALUES_MAX + 1)).is_err());
    }
}
