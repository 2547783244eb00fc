//! What the relay has to know of a request before it passes it on.
//!
//! A request is the upstream's to judge: here only the few members are looked at that decide how
//! the relay treats the answer, and the body goes on byte for byte. The one thing that may be
//! added is the wish for a usage report, so that what an answer cost is known also when the client
//! did not care to ask.

use std::ops::Range;

use super::Dialect;
use super::json::{self, Raw, object};

/// The body is not a JSON object, so it is no request of any dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not a JSON object")]
pub struct NotARequest;

/// What a request asks for, as far as it concerns the relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Whether the answer is to come as a stream (`stream`).
    pub streams: bool,
    /// The model's name.
    pub model: Option<String>,
    /// Responses: whether the answer goes on without its client (`background`).
    pub background: bool,
    /// Chat: whether the client itself asked for usage (`stream_options.include_usage`). The other
    /// dialects always report it.
    pub wants_usage: bool,
    /// The most tokens that the answer may have: `max_completion_tokens` or `max_tokens`, for
    /// Responses `max_output_tokens`.
    pub max_tokens: Option<u64>,
}

object! {
    struct Body {
        stream: Raw<'a> = "stream",
        model: Raw<'a> = "model",
        background: Raw<'a> = "background",
        stream_options: Raw<'a> = "stream_options",
        max_tokens: Raw<'a> = "max_tokens",
        max_completion_tokens: Raw<'a> = "max_completion_tokens",
        max_output_tokens: Raw<'a> = "max_output_tokens",
    }
    struct StreamOptions {
        include_usage: Raw<'a> = "include_usage",
    }
}

impl Dialect {
    /// The dialect of requests to this path below the relay's own, without a leading slash.
    #[must_use]
    pub fn of_path(rest: &str) -> Option<Self> {
        match rest {
            "chat/completions" | "completions" => Some(Self::Chat),
            "responses" => Some(Self::Responses),
            "messages" => Some(Self::Messages),
            _ => None,
        }
    }
}

impl Asked {
    /// Reads a request's body. A member of the wrong kind counts as absent, of duplicates the last
    /// counts: whether that is an error is for the upstream to say.
    ///
    /// # Errors
    ///
    /// [`NotARequest`] when the body is not a JSON object in UTF-8.
    pub fn read(dialect: Dialect, body: &[u8]) -> Result<Self, NotARequest> {
        let text = std::str::from_utf8(body).map_err(|_| NotARequest)?;
        if !text.trim_ascii_start().starts_with('{') {
            return Err(NotARequest);
        }
        let body: Body<'_> = json::read(text).ok_or(NotARequest)?;
        let options: StreamOptions<'_> = json::within(body.stream_options);
        let max_tokens = match dialect {
            Dialect::Chat => body.max_completion_tokens.or(body.max_tokens),
            Dialect::Responses => body.max_output_tokens,
            Dialect::Messages => body.max_tokens,
        };
        Ok(Self {
            streams: is_true(body.stream),
            model: json::text(body.model).map(Into::into),
            background: dialect == Dialect::Responses && is_true(body.background),
            wants_usage: dialect == Dialect::Chat && is_true(options.include_usage),
            max_tokens: json::whole(max_tokens),
        })
    }
}

fn is_true(raw: Raw<'_>) -> bool {
    raw.is_some_and(|raw| raw.get() == "true")
}

/// A chat request that asks for usage: the same body with `stream_options.include_usage` true and
/// no other byte changed. A body that is not a JSON object comes back as it is.
#[must_use]
pub fn ask_for_usage(body: &[u8]) -> Vec<u8> {
    spliced(body).map_or_else(|| body.to_vec(), String::into_bytes)
}

fn spliced(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    if !json::is_object(text) {
        return None;
    }
    let place = |part: &str| -> Option<Range<usize>> { json::span(text, part) };
    let whole = Presence::of(text, "stream_options")?;
    let Some(options) = whole else {
        return json::append(text, r#""stream_options":{"include_usage":true}"#);
    };
    if !options.starts_with('{') {
        return json::replace(text, place(options)?, r#"{"include_usage":true}"#);
    }
    match Presence::of(options, "include_usage")? {
        Some(wish) => json::replace(text, place(wish)?, "true"),
        None => {
            let added = json::append(options, r#""include_usage":true"#)?;
            json::replace(text, place(options)?, &added)
        }
    }
}

/// Finds a member, null or not, as it is written.
struct Presence;

impl Presence {
    /// The last member of this name. None if the text is not an object.
    fn of<'a>(object: &'a str, name: &str) -> Option<Option<&'a str>> {
        use serde::de::{Deserializer as _, MapAccess, Visitor};
        use serde_json::value::RawValue;

        struct Last<'n>(&'n str);
        impl<'de> Visitor<'de> for Last<'_> {
            type Value = Option<&'de str>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut last = None;
                while let Some(key) = map.next_key::<json::Key<'de>>()? {
                    let value: &'de RawValue = map.next_value()?;
                    if key.0 == self.0 {
                        last = Some(value.get());
                    }
                }
                Ok(last)
            }
        }
        serde_json::Deserializer::from_str(object).deserialize_map(Last(name)).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_read_as_its_dialect_means_it() {
        let read = |dialect, body: &str| Asked::read(dialect, body.as_bytes());
        let chat = read(
            Dialect::Chat,
            r#" {"model":"m\u0031","stream":true,"stream_options":{"include_usage":true},
                "max_tokens":5,"max_completion_tokens":7,"messages":[{"content":"x"}]}"#,
        )
        .unwrap();
        let expected = Asked {
            streams: true,
            model: Some("m1".into()),
            background: false,
            wants_usage: true,
            max_tokens: Some(7),
        };
        assert_eq!(chat, expected);
        let responses =
            read(Dialect::Responses, r#"{"background":true,"stream":true,"max_output_tokens":9}"#);
        let responses = responses.unwrap();
        assert!(responses.background && responses.streams && !responses.wants_usage);
        assert_eq!(responses.max_tokens, Some(9));
        let odd =
            r#"{"stream":true,"stream":"yes","model":7,"stream_options":[1],"max_tokens":-1}"#;
        assert_eq!(read(Dialect::Messages, odd).unwrap(), Asked::default());
        for bad in ["", "[]", "null", "\"{}\"", "{", "{} x", "{\"a\":}"] {
            assert_eq!(read(Dialect::Chat, bad), Err(NotARequest), "{bad}");
        }
        assert_eq!(Asked::read(Dialect::Chat, b"{\"a\":\"\xff\"}"), Err(NotARequest));
    }

    #[test]
    fn asking_for_usage_changes_nothing_else() {
        for (body, asked) in [
            (r#"{"a": 1.0}"#, r#"{"a": 1.0,"stream_options":{"include_usage":true}}"#),
            ("{ }\n", "{ \"stream_options\":{\"include_usage\":true}}\n"),
            (
                r#"{"stream_options": null ,"z":1}"#,
                r#"{"stream_options": {"include_usage":true} ,"z":1}"#,
            ),
            (
                r#"{"stream_options":{"include_obfuscation": false},"z":1}"#,
                r#"{"stream_options":{"include_obfuscation": false,"include_usage":true},"z":1}"#,
            ),
            (
                r#"{"stream_options":{"include_usage" : false}}"#,
                r#"{"stream_options":{"include_usage" : true}}"#,
            ),
            (r#"{"stream_options":{}}"#, r#"{"stream_options":{"include_usage":true}}"#),
            (
                r#"{"stream_options":{"include_usage":null},"stream_options":7}"#,
                concat!(
                    r#"{"stream_options":{"include_usage":null},"#,
                    r#""stream_options":{"include_usage":true}}"#
                ),
            ),
            ("[1]", "[1]"),
            ("{", "{"),
        ] {
            assert_eq!(ask_for_usage(body.as_bytes()), asked.as_bytes(), "{body}");
        }
    }

    proptest! {
        /// Whatever the body, asking does not panic, and of an object it makes one that asks.
        #[test]
        fn any_object_ends_up_asking(
            before in "[ \n]{0,2}",
            name in "[a-z\"\\\\]{0,6}",
            value in prop_oneof![Just("null"), Just("{}"), Just("[{\"}\":1}]"), Just("\"}\"")],
            garbage in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let body = format!("{before}{{{}:{value}}}", json::quote(&name));
            let asked = ask_for_usage(body.as_bytes());
            prop_assert!(Asked::read(Dialect::Chat, &asked).unwrap().wants_usage);
            let added = asked.len() - body.len();
            prop_assert_eq!(added, r#","stream_options":{"include_usage":true}"#.len());
            let _ = ask_for_usage(&garbage);
            let _ = Asked::read(Dialect::Chat, &garbage);
        }
    }
}
