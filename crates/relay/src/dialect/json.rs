//! Reading the few members of a JSON object that matter, and changing bytes within one.
//!
//! A relay must not refuse what its client would have taken. So a member of the wrong kind counts
//! as absent, of duplicates the last counts (as `JSON.parse` and Python's `json` have it), and text
//! stays as it is written, escapes and all, until somebody needs it: an upstream that cuts a
//! surrogate pair in two is passed on untouched. Nothing is allocated to skip a member.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A value as it is written; none where it is absent or null.
pub(super) type Raw<'a> = Option<&'a RawValue>;

/// The name of a member, borrowed unless it is written with escapes.
pub(super) struct Key<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl<'de> Visitor<'de> for Name {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Name)
    }
}

/// Makes a visitor take values of these kinds for absent ones.
macro_rules! absent {
    ($lifetime:lifetime $($kind:ident)*) => {
        $($crate::dialect::json::absent!(@$kind $lifetime);)*
    };
    (@scalar $lifetime:lifetime) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
    };
    (@list $lifetime:lifetime) => {
        fn visit_seq<A>(self, mut list: A) -> Result<Self::Value, A::Error>
        where
            A: ::serde::de::SeqAccess<$lifetime>,
        {
            while list.next_element::<::serde::de::IgnoredAny>()?.is_some() {}
            Ok(Default::default())
        }
    };
    (@object $lifetime:lifetime) => {
        fn visit_map<A>(self, mut map: A) -> Result<Self::Value, A::Error>
        where
            A: ::serde::de::MapAccess<$lifetime>,
        {
            type Skipped = ::serde::de::IgnoredAny;
            while map.next_entry::<Skipped, Skipped>()?.is_some() {}
            Ok(Default::default())
        }
    };
}
pub(super) use absent;

/// Defines an object of which these members are read. See the module for what is forgiven.
/// `others` says whether there is any other member that is not null.
macro_rules! object {
    ($(
        $(#[$about:meta])*
        struct $name:ident { $($field:ident: $kind:ty = $key:literal,)* }
    )*) => { $(
        $(#[$about])*
        #[derive(Clone, Debug, Default)]
        pub(super) struct $name<'a> {
            $(pub(super) $field: $kind,)*
            #[allow(dead_code, reason = "most readers do not mind other members")]
            pub(super) others: bool,
            borrowed: ::std::marker::PhantomData<&'a ()>,
        }

        impl<'a> ::serde::de::Deserialize<'a> for $name<'a> {
            fn deserialize<D: ::serde::de::Deserializer<'a>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                struct Members;
                impl<'a> ::serde::de::Visitor<'a> for Members {
                    type Value = $name<'a>;

                    fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                        f.write_str("a JSON value")
                    }

                    fn visit_map<A>(self, mut map: A) -> Result<Self::Value, A::Error>
                    where
                        A: ::serde::de::MapAccess<'a>,
                    {
                        let mut read = $name::default();
                        while let Some(key) = map.next_key::<$crate::dialect::json::Key<'a>>()? {
                            match key.0.as_ref() {
                                $($key => read.$field = map.next_value()?,)*
                                _ => {
                                    type Other<'a> = $crate::dialect::json::Raw<'a>;
                                    read.others |= map.next_value::<Other<'a>>()?.is_some();
                                }
                            }
                        }
                        Ok(read)
                    }

                    $crate::dialect::json::absent!('a scalar list);
                }
                deserializer.deserialize_any(Members)
            }
        }
    )* };
}
pub(super) use object;

/// The elements of a list, the first without an allocation; empty where there is no list.
#[derive(Clone, Debug)]
pub(super) struct List<T> {
    first: Option<T>,
    rest: Vec<T>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { first: None, rest: Vec::new() }
    }
}

impl<T> List<T> {
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.rest)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The element, where there is exactly one.
    pub(super) fn only(&self) -> Option<&T> {
        self.first.as_ref().filter(|_| self.rest.is_empty())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<T>, A::Error> {
                let first = list.next_element()?;
                let mut rest = Vec::new();
                while let Some(element) = list.next_element()? {
                    rest.push(element);
                }
                Ok(List { first, rest })
            }

            absent!('de scalar object);
        }
        deserializer.deserialize_any(Elements(std::marker::PhantomData))
    }
}

/// The value, if this is JSON.
pub(super) fn read<'a, T: Deserialize<'a>>(data: &'a str) -> Option<T> {
    serde_json::from_str(data).ok()
}

/// What is in this value, if it is there and can be read.
pub(super) fn within<'a, T: Deserialize<'a> + Default>(raw: Raw<'a>) -> T {
    raw.and_then(|raw| read(raw.get())).unwrap_or_default()
}

/// Whether this is JSON at all, an object.
pub(super) fn is_object(data: &str) -> bool {
    data.trim_ascii_start().starts_with('{') && read::<IgnoredAny>(data).is_some()
}

/// The text between the quotes, with its escapes, if the value is a string.
pub(super) fn written(raw: Raw<'_>) -> Option<&str> {
    raw?.get().strip_prefix('"')?.strip_suffix('"')
}

/// The text between the quotes, with its escapes, if the value is a string that is not empty.
pub(super) fn some_text(raw: Raw<'_>) -> Option<&str> {
    written(raw).filter(|text| !text.is_empty())
}

/// The string, if the value is one that is not empty.
pub(super) fn text(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    some_text(raw).map(unescape)
}

/// The number, if the value is a whole one that is not negative (`12`, and `12.0` too).
pub(super) fn whole(raw: Raw<'_>) -> Option<u64> {
    let digits = raw?.get();
    digits.parse().ok().or_else(|| {
        let number: f64 = digits.parse().ok()?;
        let fits = (0.0..=9_007_199_254_740_992.0).contains(&number) && number.fract() == 0.0;
        fits.then_some(number as u64)
    })
}

/// Whether Python and JavaScript both take the value for true, an empty object or list aside.
pub(super) fn truthy(raw: Raw<'_>) -> bool {
    raw.is_some_and(|raw| !matches!(raw.get(), "null" | "false" | "0" | "\"\""))
}

/// The text that is written like this between the quotes of a JSON string. Half a surrogate pair,
/// which no Rust string can hold, becomes U+FFFD.
pub(super) fn unescape(written: &str) -> Cow<'_, str> {
    let Some(first) = written.find('\\') else { return Cow::Borrowed(written) };
    let mut text = String::with_capacity(written.len());
    let mut rest = written;
    let mut next = Some(first);
    while let Some(at) = next {
        text.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        let (letter, length) = unescape_one(escape);
        text.push(letter);
        rest = escape.get(length..).unwrap_or_default();
        next = rest.find('\\');
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// What an escape stands for, and how many bytes it takes after its backslash.
fn unescape_one(escape: &str) -> (char, usize) {
    let plain = match escape.as_bytes().first() {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unescape_unit(escape),
        Some(&other) if other.is_ascii() => char::from(other),
        _ => return (char::REPLACEMENT_CHARACTER, 0),
    };
    (plain, 1)
}

/// `uXXXX`, or a pair of them.
fn unescape_unit(escape: &str) -> (char, usize) {
    let unit = |from: usize| {
        let digits = escape.get(from..from + 4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let Some(first) = unit(1) else { return (char::REPLACEMENT_CHARACTER, 1) };
    let second = (escape.get(5..7) == Some("\\u")).then(|| unit(7)).flatten();
    let mut pair = char::decode_utf16([first].into_iter().chain(second));
    match pair.next() {
        Some(Ok(letter)) if letter.len_utf16() == 2 => (letter, 11),
        Some(Ok(letter)) => (letter, 5),
        _ => (char::REPLACEMENT_CHARACTER, 5),
    }
}

/// The text as a JSON string, with its quotes.
pub(super) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The text as it is written between the quotes of a JSON string.
pub(super) fn escape(text: &str) -> String {
    let quoted = quote(text);
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

/// Where `part`, which was borrowed from `whole`, stands in it.
pub(super) fn span(whole: &str, part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
    let range = start..start.checked_add(part.len())?;
    (whole.get(range.clone())? == part).then_some(range)
}

/// `whole` with the bytes of `range` replaced.
pub(super) fn replace(whole: &str, range: Range<usize>, with: &str) -> Option<String> {
    let (before, after) = (whole.get(..range.start)?, whole.get(range.end..)?);
    Some([before, with, after].concat())
}

/// The object with these members (`"name":value`, with commas between them) as its last ones.
pub(super) fn append(object: &str, members: &str) -> Option<String> {
    let close = object.rfind('}')?;
    let before = object.get(..close)?;
    let empty = before.trim_ascii_end().ends_with('{');
    let comma = if empty { "" } else { "," };
    Some([before, comma, members, object.get(close..)?].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    object! {
        struct Probe {
            name: Raw<'a> = "name",
            inner: Inner<'a> = "inner",
            list: List<Inner<'a>> = "list",
        }
        struct Inner {
            n: Raw<'a> = "n",
        }
    }

    #[test]
    fn the_last_of_duplicates_counts_and_wrong_kinds_are_absent() {
        let probe: Probe<'_> =
            read(r#"{"name":1,"name":"b","inner":{"n":1},"inner":[2],"list":{"n":3}}"#).unwrap();
        assert_eq!(text(probe.name).as_deref(), Some("b"));
        assert!(probe.inner.n.is_none());
        assert!(probe.list.is_empty());
        let odd: Probe<'_> = read(r#"{"li\u0073t":[{"n":2.0},7,{"n":-1}],"inner":"x"}"#).unwrap();
        let numbers: Vec<_> = odd.list.iter().map(|inner| whole(inner.n)).collect();
        assert_eq!(numbers, [Some(2), None, None]);
        for value in ["1", "null", "\"x\"", "[1,{}]", "true", "-2", "1.5"] {
            assert!(read::<Probe<'_>>(value).is_some_and(|probe| probe.name.is_none()), "{value}");
        }
        assert!(read::<Probe<'_>>("{").is_none());
    }

    #[test]
    fn escapes_are_read_and_half_a_pair_is_replaced() {
        for (written, text) in [
            (r"a\n\t\u00e9\/\\", "a\n\té/\\"),
            (r"\ud83d\ude00!", "😀!"),
            (r"x\ud83dy", "x\u{fffd}y"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ude00", "\u{fffd}"),
            (r"\u12", "\u{fffd}12"),
            (r"\", "\u{fffd}"),
        ] {
            assert_eq!(unescape(written), text, "{written}");
        }
    }

    #[test]
    fn members_are_added_without_touching_the_rest() {
        assert_eq!(append(r#"{"a": 1 } "#, r#""b":2"#).as_deref(), Some(r#"{"a": 1 ,"b":2} "#));
        assert_eq!(append("{ }", r#""b":2"#).as_deref(), Some(r#"{ "b":2}"#));
        assert_eq!(append("[]", r#""b":2"#), None);
    }

    #[test]
    fn a_borrowed_part_is_found_where_it_stands() {
        let whole = "abcabc".to_owned();
        assert_eq!(span(&whole, &whole[3..5]), Some(3..5));
        assert_eq!(span(&whole[3..], &whole[..2]), None);
    }
}
