//! The JSON form of an event, the same everywhere that JSON is spoken: pages of history, long-poll,
//! WebSocket, and the data of an SSE subscription that asked for an envelope.
//!
//! ```json
//! {"id":"k3v9x2aa-41","topic":"chat/7","time":"2026-11-22T10:10:12.003Z","type":"said","key":"7",
//!  "data":"hello"}
//! ```
//!
//! Data that is UTF-8 is a string in `data`; other data is base64 (RFC 4648, section 4) in
//! `data_base64`. Readers ignore members that they do not know.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::position::Position;
use crate::time::Time;

/// How a topic ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// All that was to be said has been said.
    Done,
    /// The source broke off; what came before is all there will be.
    Error,
    /// Somebody who may do so asked for it.
    Cancelled,
}

impl End {
    /// `done`, `error` or `cancelled`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }

    /// The end with this text.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        [Self::Done, Self::Error, Self::Cancelled].into_iter().find(|end| end.as_str() == text)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why events are missing between the position that a client had and the one it goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// They were removed as the topic's policy asks for.
    Retention,
    /// They were lost in a crash, at a durability that allows it.
    Crash,
    /// They were on a part of the disk that could not be read.
    Damage,
    /// The id is from another life of the log.
    Epoch,
    /// The id is not one that this server gives.
    UnknownId,
}

impl GapReason {
    /// The text on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::Crash => "crash",
            Self::Damage => "damage",
            Self::Epoch => "epoch",
            Self::UnknownId => "unknown-id",
        }
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The data of a `gap` event: what could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapNotice<'a> {
    /// Why.
    pub reason: GapReason,
    /// The id as the client sent it.
    pub requested: Cow<'a, str>,
    /// The position from which the stream goes on: every matching event after it follows.
    pub resumes: Position,
    /// The topics of the subscription of which events are missing. Empty: it cannot be known.
    #[serde(default)]
    pub topics: Vec<Cow<'a, str>>,
}

/// One event with all that a subscriber may know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventObject<'a> {
    /// The event's position.
    pub id: Position,
    /// Its canonical topic.
    pub topic: Cow<'a, str>,
    /// Its other topics, if any (`alternates`).
    pub alternates: Vec<Cow<'a, str>>,
    /// When the server took it, in milliseconds since 1970-01-01T00:00:00Z. RFC 3339 on the wire.
    pub time_ms: u64,
    /// Its type; none is `message`.
    pub event_type: Option<Cow<'a, str>>,
    /// The unit of conflation.
    pub key: Option<Cow<'a, str>>,
    /// The id that its publisher gave it (`publisher_id`).
    pub publisher_id: Option<Cow<'a, str>>,
    /// Whether and how it ended its topic.
    pub end: Option<End>,
    /// The payload, as published.
    pub data: Cow<'a, [u8]>,
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

impl GapNotice<'_> {
    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> GapNotice<'static> {
        GapNotice {
            reason: self.reason,
            requested: owned(self.requested),
            resumes: self.resumes,
            topics: self.topics.into_iter().map(owned).collect(),
        }
    }
}

impl EventObject<'_> {
    /// The payload as text; what is not UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.data)
    }

    /// Appends the JSON form to `out`, on one line.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self).expect("a Vec takes every byte and the keys are text");
    }

    /// A copy that borrows nothing.
    #[must_use]
    pub fn into_owned(self) -> EventObject<'static> {
        EventObject {
            id: self.id,
            topic: owned(self.topic),
            alternates: self.alternates.into_iter().map(owned).collect(),
            time_ms: self.time_ms,
            event_type: self.event_type.map(owned),
            key: self.key.map(owned),
            publisher_id: self.publisher_id.map(owned),
            end: self.end,
            data: Cow::Owned(self.data.into_owned()),
        }
    }
}

impl Serialize for EventObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("topic", &self.topic)?;
        if !self.alternates.is_empty() {
            map.serialize_entry("alternates", &self.alternates)?;
        }
        map.serialize_entry("time", &Time(self.time_ms))?;
        if let Some(event_type) = &self.event_type {
            map.serialize_entry("type", event_type)?;
        }
        if let Some(key) = &self.key {
            map.serialize_entry("key", key)?;
        }
        if let Some(publisher_id) = &self.publisher_id {
            map.serialize_entry("publisher_id", publisher_id)?;
        }
        if let Some(end) = &self.end {
            map.serialize_entry("end", end)?;
        }
        match std::str::from_utf8(&self.data) {
            Ok(text) => map.serialize_entry("data", text)?,
            Err(_) => map.serialize_entry("data_base64", &STANDARD.encode(&self.data))?,
        }
        map.end()
    }
}

/// The members as they come, before they are checked against each other.
#[derive(Deserialize)]
struct Members<'a> {
    id: Position,
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow, default)]
    alternates: Vec<Cow<'a, str>>,
    time: Time,
    #[serde(borrow, rename = "type")]
    event_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    publisher_id: Option<Cow<'a, str>>,
    end: Option<End>,
    #[serde(borrow)]
    data: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data_base64: Option<Cow<'a, str>>,
}

impl<'de: 'a, 'a> Deserialize<'de> for EventObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Members::deserialize(deserializer)?;
        let data = match (members.data, members.data_base64) {
            (Some(Cow::Borrowed(text)), None) => Cow::Borrowed(text.as_bytes()),
            (Some(Cow::Owned(text)), None) => Cow::Owned(text.into_bytes()),
            (None, Some(text)) => {
                Cow::Owned(STANDARD.decode(text.as_bytes()).map_err(D::Error::custom)?)
            }
            _ => return Err(D::Error::custom("an event has either data or data_base64")),
        };
        Ok(Self {
            id: members.id,
            topic: members.topic,
            alternates: members.alternates,
            time_ms: members.time.0,
            event_type: members.event_type,
            key: members.key,
            publisher_id: members.publisher_id,
            end: members.end,
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> EventObject<'static> {
        EventObject {
            id: "abcdefgh-41".parse().unwrap(),
            topic: "chat/7".into(),
            alternates: Vec::new(),
            time_ms: 1_795_342_212_003,
            event_type: None,
            key: None,
            publisher_id: None,
            end: None,
            data: b"a \"b\"\n"[..].into(),
        }
    }

    fn check(event: &EventObject<'_>, json: &str) {
        let mut written = Vec::new();
        event.write_to(&mut written);
        assert_eq!(String::from_utf8(written).unwrap(), json);
        let read: EventObject<'_> = serde_json::from_str(json).unwrap();
        assert_eq!(&read, event);
    }

    #[test]
    fn an_event_is_written_and_read() {
        check(
            &event(),
            concat!(
                r#"{"id":"abcdefgh-41","topic":"chat/7","#,
                r#""time":"2026-11-22T10:10:12.003Z","data":"a \"b\"\n"}"#
            ),
        );
        let full = EventObject {
            alternates: vec!["x".into(), "y/z".into()],
            event_type: Some("said".into()),
            key: Some("k".into()),
            publisher_id: Some("urn:1".into()),
            end: Some(End::Cancelled),
            data: vec![0xff, 0x00].into(),
            time_ms: 0,
            ..event()
        };
        check(
            &full,
            concat!(
                r#"{"id":"abcdefgh-41","topic":"chat/7","alternates":["x","y/z"],"#,
                r#""time":"1970-01-01T00:00:00.000Z","type":"said","key":"k","#,
                r#""publisher_id":"urn:1","end":"cancelled","data_base64":"/wA="}"#
            ),
        );
    }

    #[test]
    fn unknown_members_are_ignored_and_both_or_neither_data_refused() {
        let base = r#""id":"abcdefgh-1","topic":"t","time":"2026-11-22T10:10:12Z""#;
        let read = |rest: &str| {
            serde_json::from_str::<EventObject<'_>>(&format!("{{{base}{rest}}}"))
                .map(EventObject::into_owned)
        };
        assert!(read(r#","data":"","new":[1]"#).is_ok());
        assert!(read("").is_err());
        assert!(read(r#","data":"","data_base64":"""#).is_err());
        assert!(read(r#","data_base64":"?""#).is_err());
    }
}
