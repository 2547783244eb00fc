//! A body that is read no further than it is asked for.
//!
//! All members of an object count, also those that are written more than once: which of them the
//! API reads is not known here. What nobody asks for is not copied, and need be no good text.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A value as it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Json<'a>(&'a str);

/// What a value is.
#[derive(Debug)]
pub(super) enum Kind<'a> {
    Null,
    Text,
    List(Vec<Json<'a>>),
    /// The members as they are written, in their order.
    Object(Vec<(String, Json<'a>)>),
    Other,
}

impl<'a> Json<'a> {
    /// A body, which must be an object.
    pub(super) fn body(body: &'a [u8]) -> Result<Self, serde_json::Error> {
        let text: &RawValue = serde_json::from_slice(body)?;
        match text.get().trim_start() {
            text if text.starts_with('{') => Ok(Self(text)),
            _ => Err(serde_json::Error::custom("the body is no object")),
        }
    }

    pub(super) fn kind(self) -> Result<Kind<'a>, serde_json::Error> {
        let values = |list: Vec<&'a RawValue>| list.into_iter().map(|it| Self(it.get())).collect();
        Ok(match self.0.trim_start().as_bytes().first() {
            Some(b'n') => Kind::Null,
            Some(b'"') => Kind::Text,
            Some(b'[') => Kind::List(serde_json::from_str(self.0).map(values)?),
            Some(b'{') => Kind::Object(serde_json::from_str::<Members<'a>>(self.0)?.0),
            _ => Kind::Other,
        })
    }

    pub(super) fn is_null(self) -> bool {
        matches!(self.0.trim_start().as_bytes().first(), Some(b'n'))
    }

    /// A text that can be read as one.
    pub(super) fn text(self) -> Option<String> {
        serde_json::from_str(self.0).ok()
    }
}

struct Members<'a>(Vec<(String, Json<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Vec<(String, Json<'de>)>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((name, Json(value.get())));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Each).map(Members)
    }
}
