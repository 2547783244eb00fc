//! A body that is read no further than it is asked for.
//!
//! All members of an object count, also those that are written more than once: which of them the
//! API reads is not known here. What nobody asks for is not copied, and need be no good text.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Values of one list, or members of one object, that is looked into: more than a model reads.
pub(super) const VALUES_MAX: usize = 65_536;

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
        Ok(match self.0.trim_start().as_bytes().first() {
            Some(b'n') => Kind::Null,
            Some(b'"') => Kind::Text,
            Some(b'[') => Kind::List(serde_json::from_str::<Values<'a>>(self.0)?.0),
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

struct Values<'a>(Vec<Json<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Values<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Vec<Json<'de>>;

            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element::<&'de RawValue>()? {
                    has_room(values.len())?;
                    values.push(Json(value.get()));
                }
                Ok(values)
            }
        }
        deserializer.deserialize_seq(Each).map(Values)
    }
}

/// Refuses one more where there are so many.
fn has_room<E: serde::de::Error>(count: usize) -> Result<(), E> {
    let why = || E::custom(format!("more than {VALUES_MAX} values in one list or object"));
    if count < VALUES_MAX { Ok(()) } else { Err(why()) }
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
                    has_room(members.len())?;
                    members.push((name, Json(value.get())));
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Each).map(Members)
    }
}
