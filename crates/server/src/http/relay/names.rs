//! What a body of the Responses API names that is kept at the API: a response, a conversation,
//! items of earlier answers, containers.
//!
//! A name may be written more than once, and there are readers of JSON to which case means nothing:
//! so everything that might count is found, and whoever asks decides about all of it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What is named.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// Responses that are gone on from.
    pub(super) responses: Vec<String>,
    /// Conversations.
    pub(super) conversations: Vec<String>,
    /// Items that stand for what an earlier answer has said, and containers in which code ran.
    pub(super) items: Vec<String>,
}

/// Reads a body.
pub(super) fn read(body: &[u8]) -> Result<Names, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let names = reader.deserialize_map(Members::<Body>(PhantomData))?;
    reader.end()?;
    Ok(names.0)
}

/// What is read member by member.
trait Object: Default {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error>;
}

struct Members<T>(PhantomData<T>);

impl<'de, T: Object> Visitor<'de> for Members<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut object = T::default();
        while let Some(name) = map.next_key::<String>()? {
            object.member(&name.to_ascii_lowercase(), &mut map)?;
        }
        Ok(object)
    }
}

/// A value of which only its kind matters, and what it holds if that is a text, objects or one.
enum Value<T> {
    Null,
    Text(String),
    Object(T),
    List(Vec<Value<T>>),
    Other,
}

impl<T> Value<T> {
    /// The objects of a list, or the one that stands where a list is expected.
    fn objects(self) -> Vec<T> {
        match self {
            Self::Object(object) => vec![object],
            Self::List(list) => list.into_iter().flat_map(Self::objects).collect(),
            _ => Vec::new(),
        }
    }
}

impl<'de, T: Object> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue(PhantomData))
    }
}

struct AnyValue<T>(PhantomData<T>);

impl<'de, T: Object> Visitor<'de> for AnyValue<T> {
    type Value = Value<T>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value<T>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<T>, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value<T>, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value<T>, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<T>, E> {
        Ok(Value::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<T>, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = seq.next_element::<Value<T>>()? {
            // Texts and numbers in a list name nothing, and may be many.
            if matches!(value, Value::Object(_) | Value::List(_)) {
                list.push(value);
            }
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value<T>, A::Error> {
        Members(PhantomData).visit_map(map).map(Value::Object)
    }
}

/// Nothing of an object is wanted.
#[derive(Default)]
struct Nothing;

impl Object for Nothing {
    fn member<'de, A: MapAccess<'de>>(&mut self, _: &str, map: &mut A) -> Result<(), A::Error> {
        map.next_value::<IgnoredAny>().map(drop)
    }
}

/// A name that is no text is nobody's.
fn id<T>(value: Value<T>) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Text(text) => Some(text),
        _ => Some(String::new()),
    }
}

#[derive(Default)]
struct Body(Names);

impl Object for Body {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let Self(names) = self;
        match name {
            "previous_response_id" => names.responses.extend(map.next_value::<Option<String>>()?),
            "conversation" => match map.next_value::<Value<Named>>()? {
                Value::Object(Named { ids, .. }) if ids.is_empty() => {
                    names.conversations.push(String::new());
                }
                Value::Object(Named { ids, .. }) => names.conversations.extend(ids),
                other => names.conversations.extend(id(other)),
            },
            "input" => {
                let items = map.next_value::<Value<Item>>()?.objects();
                names.items.extend(items.into_iter().flat_map(Item::names));
            }
            "tools" => {
                let tools = map.next_value::<Value<Named>>()?.objects();
                names.items.extend(tools.into_iter().flat_map(|tool| tool.containers));
            }
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

/// A conversation by its `id`; a tool or its environment by the container in which it runs.
#[derive(Default)]
struct Named {
    ids: Vec<String>,
    containers: Vec<String>,
}

impl Object for Named {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "id" => self.ids.extend(id(map.next_value::<Value<Nothing>>()?)),
            // An object asks for a new one.
            "container" => {
                if let Value::Text(text) = map.next_value::<Value<Nothing>>()? {
                    self.containers.push(text);
                }
            }
            "container_id" => self.containers.extend(id(map.next_value::<Value<Nothing>>()?)),
            "environment" => {
                let within = map.next_value::<Value<Self>>()?.objects();
                self.containers.extend(within.into_iter().flat_map(|it| it.containers));
            }
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

/// An item of the input.
#[derive(Default)]
struct Item {
    ids: Vec<String>,
    containers: Vec<String>,
    /// As often as it is written; `None` is null.
    kinds: Vec<Option<String>>,
    has_role: bool,
    /// Whether it brings what it is about: then the API looks nothing up.
    is_whole: bool,
}

impl Object for Item {
    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let value = match name {
            "id" | "container_id" | "type" | "role" | "encrypted_content" | "result" => {
                map.next_value::<Value<Nothing>>()?
            }
            _ => return map.next_value::<IgnoredAny>().map(drop),
        };
        match name {
            "id" => self.ids.extend(id(value)),
            "container_id" => self.containers.extend(id(value)),
            "type" => self.kinds.push(id(value)),
            "role" => self.has_role |= matches!(value, Value::Text(_)),
            _ => self.is_whole |= matches!(value, Value::Text(text) if !text.is_empty()),
        }
        Ok(())
    }
}

impl Item {
    /// Whether the API looks it up by its id: a reference, which is also what an item without a
    /// type is unless it is a message; and what is told by its id alone.
    fn stands_for_another(&self) -> bool {
        let untyped = self.kinds.is_empty() && !self.has_role;
        let looked_up = |kind: &Option<String>| match kind.as_deref() {
            None => !self.has_role,
            Some(kind) if kind.eq_ignore_ascii_case("item_reference") => true,
            Some(kind) => {
                let short = ["reasoning", "image_generation_call"];
                !self.is_whole && short.iter().any(|short| kind.eq_ignore_ascii_case(short))
            }
        };
        untyped || self.kinds.iter().any(looked_up)
    }

    fn names(self) -> Vec<String> {
        let mut names = if self.stands_for_another() { self.ids } else { Vec::new() };
        names.extend(self.containers);
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_at_the_api_is_found_however_it_is_written() {
        for (body, wanted) in [
            (r#"{"input":"conversation"}"#, ""),
            (r#"{"conversation":null,"metadata":{"conversation":"x"}}"#, ""),
            (r#"{"conversation":"c"}"#, "c c"),
            (r#"{"Conversation":{"id":"c"}}"#, "c c"),
            (r#"{"conversation":{"id":"c","id":"d"},"conversation":"e"}"#, "c c,c d,c e"),
            (r#"{"conversation":{"name":"x"}}"#, "c "),
            (r#"{"conversation":7}"#, "c "),
            (r#"{"previous_response_id":"r"}"#, "r r"),
            (r#"{"input":[{"type":"item_reference","id":"i"}]}"#, "i i"),
            (r#"{"input":[{"id":"i","type":"Item_Reference"}]}"#, "i i"),
            (r#"{"input":[{"id":"i"},{"id":"j","type":null}]}"#, "i i,i j"),
            (r#"{"input":[[{"id":"i"}]],"INPUT":{"id":"j"}}"#, "i i,i j"),
            (r#"{"input":[{"type":"message","type":"item_reference","id":"i"}]}"#, "i i"),
            (r#"{"input":[{"type":"item_reference","id":["i"]}]}"#, "i "),
            (r#"{"input":[{"role":"user","content":"x","id":"i"}]}"#, ""),
            (r#"{"input":[{"type":"message","role":"assistant","id":"i","content":[]}]}"#, ""),
            (r#"{"input":[{"type":"function_call_output","call_id":"c","id":"i"}]}"#, ""),
            (r#"{"input":[{"type":"reasoning","id":"i","summary":[]}]}"#, "i i"),
            (r#"{"input":[{"type":"reasoning","id":"i","encrypted_content":null}]}"#, "i i"),
            (r#"{"input":[{"type":"reasoning","id":"i","encrypted_content":"x"}]}"#, ""),
            (r#"{"input":[{"type":"image_generation_call","id":"i"}]}"#, "i i"),
            (r#"{"input":[{"type":"image_generation_call","id":"i","result":"x"}]}"#, ""),
            (r#"{"input":[{"type":"code_interpreter_call","id":"i","container_id":"n"}]}"#, "i n"),
            (r#"{"tools":[{"type":"code_interpreter","container":"n"}]}"#, "i n"),
            (r#"{"tools":[{"type":"code_interpreter","container":{"type":"auto"}}]}"#, ""),
            (r#"{"tools":[{"environment":{"container_id":"n"}}]}"#, "i n"),
            (r#"{"tools":[{"parameters":{"container_id":"n","id":"i"}}]}"#, ""),
        ] {
            let names = read(body.as_bytes()).unwrap();
            let all = [("r", names.responses), ("c", names.conversations), ("i", names.items)];
            let found: Vec<String> = all
                .iter()
                .flat_map(|(kind, ids)| ids.iter().map(move |id| format!("{kind} {id}")))
                .collect();
            assert_eq!(found.join(","), wanted, "{body}");
        }
        for wrong in ["[]", "", "{\"input\":}", r#"{"previous_response_id":["r"]}"#, "{} {}"] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
