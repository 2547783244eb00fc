//! What a configuration may contain: the kinds of values, and the JSON Schema made from them.
//!
//! The raw structs are written with a macro that also records each field's text, kind and default
//! here. So the reader, the suggestions, `config schema` and the reference page cannot disagree
//! with them.

use std::time::Duration;

use serde_json::{Value, json};

use super::settings;
use super::units::{self, format_duration, format_size};

/// One field of a section.
#[derive(Debug)]
pub(super) struct Field {
    /// The key.
    pub(super) name: &'static str,
    /// Its description, one element a line.
    pub(super) doc: &'static [&'static str],
    /// What it may hold.
    pub(super) kind: Kind,
    /// What it holds if nothing sets it.
    pub(super) default: Preset,
}

/// What a field may hold.
#[derive(Debug)]
pub(super) enum Kind {
    /// Any text that is not empty.
    Text,
    /// A path; relative ones start at the working directory.
    Path,
    /// An IP address with a port.
    Address,
    /// True or false.
    Flag,
    /// A whole number between two bounds, both allowed.
    Count(u64, u64),
    /// A duration between two bounds, both allowed.
    Length(Duration, Duration),
    /// A size in bytes between two bounds, both allowed.
    Size(u64, u64),
    /// So many of something in some time; the most that may be written.
    Rate(u64),
    /// So many bytes in some time; the most that may be written.
    ByteRate(u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of these words.
    Choices(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// A section of its own.
    Section(&'static [Field]),
    /// A list of sections.
    Sections(&'static [Field]),
}

/// What a field holds if nothing sets it.
#[derive(Debug)]
pub(super) enum Preset {
    /// Nothing: the feature is off, or the value must be given.
    None,
    /// The text as it would be written.
    Text(&'static str),
    /// A number of things.
    Count(u64),
    /// A number of bytes.
    Bytes(u64),
    /// A duration.
    Length(Duration),
    /// An empty list.
    Nothing,
}

impl Preset {
    /// The default as it would be written in JSON.
    pub(super) fn value(&self) -> Option<Value> {
        match self {
            Self::None => None,
            Self::Text(text) => Some(json!(text)),
            Self::Count(count) => Some(json!(count)),
            Self::Bytes(bytes) => Some(json!(format_size(*bytes))),
            Self::Length(length) => Some(json!(format_duration(*length))),
            Self::Nothing => Some(json!([])),
        }
    }
}

impl Kind {
    /// Checks a value that was written, and says what is wrong with it.
    pub(super) fn check(&self, value: &Value) -> Result<(), String> {
        match self {
            Self::Text | Self::Path => match value.as_str() {
                Some("") => Err("it is empty".to_owned()),
                Some(_) => Ok(()),
                None => Err(expected("a text in quotes", value)),
            },
            Self::Address => check_address(value),
            Self::Flag => match value {
                Value::Bool(_) => Ok(()),
                _ => Err(expected("true or false", value)),
            },
            Self::Count(least, most) => check_count(value, *least, *most),
            Self::Length(least, most) => {
                let length = with_unit(value, "a duration", units::DURATION_HINT)?;
                let length = units::parse_duration(&length).map_err(|error| error.to_string())?;
                within(length, *least, *most, format_duration)
            }
            Self::Size(least, most) => {
                let size = with_unit(value, "a size", units::SIZE_HINT)?;
                let size = units::parse_size(&size).map_err(|error| error.to_string())?;
                within(size, *least, *most, format_size)
            }
            Self::Rate(most) => {
                let rate = with_unit(value, "a rate", units::RATE_HINT)?;
                let rate = units::parse_rate(&rate).map_err(|error| error.to_string())?;
                within(rate.count, 1, *most, |count| count.to_string())
            }
            Self::ByteRate(most) => {
                let rate = with_unit(value, "a rate of bytes", units::BYTE_RATE_HINT)?;
                let rate = units::parse_byte_rate(&rate).map_err(|error| error.to_string())?;
                within(rate.count, 1, *most, format_size)
            }
            Self::Choice(words) => check_choice(value, words),
            Self::Choices(words) => list(value)?.iter().try_for_each(|v| check_choice(v, words)),
            Self::Texts => list(value)?.iter().try_for_each(|v| Self::Text.check(v)),
            Self::Section(_) => Err(expected("a section", value)),
            Self::Sections(_) => Err(expected("a list of sections", value)),
        }
    }

    /// Turns the text of an environment variable or of a flag into the value it stands for: the
    /// same as in the file without the quotes, and lists with commas.
    pub(super) fn of_text(&self, text: &str) -> Value {
        match self {
            Self::Flag => text.parse::<bool>().map_or_else(|_| json!(text), |flag| json!(flag)),
            Self::Count(..) => text.parse::<u64>().map_or_else(|_| json!(text), |n| json!(n)),
            Self::Choices(_) | Self::Texts => {
                json!(text.split(',').map(str::trim).filter(|v| !v.is_empty()).collect::<Vec<_>>())
            }
            _ => json!(text),
        }
    }

    /// What may be written, in words, for the reference page.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Path => "path".to_owned(),
            Self::Address => "address and port".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Count(least, most) => format!("number, {least} to {most}"),
            Self::Length(least, most) => {
                format!("duration, {} to {}", format_duration(*least), format_duration(*most))
            }
            Self::Size(least, most) => {
                format!("size, {} to {}", format_size(*least), format_size(*most))
            }
            Self::Rate(_) => "rate, such as `100/s`, `600/m`".to_owned(),
            Self::ByteRate(_) => "rate of bytes, such as `1MiB/s`".to_owned(),
            Self::Choice(words) => format!("one of {}", quoted(words)),
            Self::Choices(words) => format!("list of {}", quoted(words)),
            Self::Texts => "list of texts".to_owned(),
            Self::Section(_) => "section".to_owned(),
            Self::Sections(_) => "list of sections".to_owned(),
        }
    }

    /// The JSON Schema of a value of this kind.
    fn json_schema(&self) -> Value {
        match self {
            Self::Text | Self::Path => json!({"type": "string", "minLength": 1}),
            Self::Address => json!({"type": "string", "pattern": "^.+:[0-9]{1,5}$"}),
            Self::Flag => json!({"type": "boolean"}),
            Self::Count(least, most) => {
                json!({"type": "integer", "minimum": least, "maximum": most})
            }
            Self::Length(..) => {
                json!({"type": "string", "pattern": "^\\s*([0-9]+\\s*(ms|s|m|h|d|w)\\s*)+$"})
            }
            Self::Size(..) => {
                json!({"type": "string", "pattern": "^\\s*[0-9]+\\s*([KMGT]iB|[kKMGT]B|B)\\s*$"})
            }
            Self::Rate(_) => {
                json!({"type": "string", "pattern": "^\\s*[0-9]+\\s*/\\s*[smhd]\\s*$"})
            }
            Self::ByteRate(_) => json!({
                "type": "string",
                "pattern": "^\\s*[0-9]+\\s*([KMGT]iB|[kKMGT]B|B)\\s*/\\s*[smhd]\\s*$",
            }),
            Self::Choice(words) => json!({"enum": words}),
            Self::Choices(words) => json!({"type": "array", "items": {"enum": words}}),
            Self::Texts => {
                json!({"type": "array", "items": {"type": "string", "minLength": 1}})
            }
            Self::Section(fields) => object(fields),
            Self::Sections(fields) => json!({"type": "array", "items": object(fields)}),
        }
    }
}

/// The JSON Schema of a section.
fn object(fields: &[Field]) -> Value {
    let properties: serde_json::Map<String, Value> = fields
        .iter()
        .map(|field| {
            let mut schema = field.kind.json_schema();
            let mut text = prose(field.doc);
            if matches!(field.kind, Kind::Length(..) | Kind::Size(..) | Kind::Count(..)) {
                text.push_str(&format!(" ({})", field.kind.describe()));
            }
            schema["description"] = json!(text);
            if let Some(default) = field.default.value() {
                schema["default"] = default;
            }
            (field.name.to_owned(), schema)
        })
        .collect();
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

/// The JSON Schema (draft 2020-12) of a whole configuration file.
pub(super) fn schema(fields: &[Field], about: &str) -> Value {
    let mut schema = object(fields);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("tidings.toml");
    schema["description"] = json!(about);
    schema
}

/// The lines of a doc comment as one text.
pub(super) fn prose(doc: &[&str]) -> String {
    doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").trim().to_owned()
}

fn expected(what: &str, value: &Value) -> String {
    let found = match value {
        Value::Null => "nothing".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a section".to_owned(),
        other => format!("`{}`", settings::without_credentials(other)),
    };
    format!("expected {what}, found {found}")
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| expected("a list, such as [\"a\", \"b\"]", value))
}

fn check_choice(value: &Value, words: &[&str]) -> Result<(), String> {
    match value.as_str() {
        Some(word) if words.contains(&word) => Ok(()),
        _ => Err(format!("{value} is not one of {}", quoted(words))),
    }
}

fn check_address(value: &Value) -> Result<(), String> {
    let text = value.as_str().ok_or_else(|| expected("an address in quotes", value))?;
    match text.parse::<std::net::SocketAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "`{text}` is not an address and port; write for example \"127.0.0.1:8080\", \
             \"0.0.0.0:80\" or \"[::1]:8080\""
        )),
    }
}

fn check_count(value: &Value, least: u64, most: u64) -> Result<(), String> {
    match value.as_u64() {
        Some(count) => within(count, least, most, |count| count.to_string()),
        None => Err(expected(&format!("a whole number from {least} to {most}"), value)),
    }
}

/// The text of a value that needs a unit; a bare number gets the message about units.
fn with_unit(value: &Value, what: &str, hint: &'static str) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => {
            Err(units::UnitError::NoUnit { number: number.to_string(), hint }.to_string())
        }
        other => Err(expected(&format!("{what} in quotes"), other)),
    }
}

fn within<T: PartialOrd + Copy>(
    value: T,
    least: T,
    most: T,
    write: impl Fn(T) -> String,
) -> Result<(), String> {
    if value < least || value > most {
        return Err(format!(
            "{} is outside what is allowed: {} to {}",
            write(value),
            write(least),
            write(most)
        ));
    }
    Ok(())
}
