//! What a token says: the registered claims (RFC 7519, section 4.1) and ours, `tidings`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::grants::Grants;
use crate::object;

/// The claims of a token. Others are not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// Who issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Whom it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// For whom it is.
    #[serde(skip_serializing_if = "Audience::is_empty")]
    pub aud: Audience,
    /// Until when it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<NumericDate>,
    /// From when it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<NumericDate>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<NumericDate>,
    /// Its own name, by which it can be revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The customer whose limits apply, to write it. Which claim is read is the issuer's affair.
    #[serde(skip_serializing_if = "Option::is_none", skip_deserializing)]
    pub tenant: Option<String>,
    /// What its bearer may do. Absent: what the issuer's section of the configuration grants.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "object::optional")]
    pub tidings: Option<Grants>,
}

/// Seconds since 1970, whole (RFC 7519, section 2). A fraction is cut off; anything that is not a
/// number is refused, so that a text is never taken for "no limit".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NumericDate(pub u64);

impl Serialize for NumericDate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        let whole = number.as_u64().or_else(|| {
            let seconds = number.as_f64().filter(|seconds| (0.0..=MAX_EXACT).contains(seconds))?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and 2^53"
            )]
            Some(seconds as u64)
        });
        whole.map(Self).ok_or_else(|| serde::de::Error::custom("not a time in seconds since 1970"))
    }
}

/// Up to here every whole number is exactly a floating-point number.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// One audience or several (RFC 7519, section 4.1.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audience(pub Vec<String>);

impl Audience {
    /// Whether none is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Audience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => serializer.serialize_str(one),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            One(String),
            Several(Vec<String>),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::One(one) => Self(vec![one]),
            Either::Several(several) => Self(several),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers() {
        let exp = |json: &str| {
            serde_json::from_str::<Claims>(&format!(r#"{{"exp":{json}}}"#)).map(|it| it.exp)
        };
        assert_eq!(exp("17").unwrap(), Some(NumericDate(17)));
        assert_eq!(exp("17.9").unwrap(), Some(NumericDate(17)));
        assert_eq!(exp("1.7e1").unwrap(), Some(NumericDate(17)));
        for wrong in ["\"17\"", "-1", "true", "[17]", "1e300", "{}"] {
            assert!(exp(wrong).is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<Claims>(r#"{"exp":1,"exp":2}"#).is_err());
    }

    #[test]
    fn an_audience_is_one_or_several() {
        for (json, wanted) in [
            (r#"{"aud":"a"}"#, vec!["a"]),
            (r#"{"aud":["a","b"]}"#, vec!["a", "b"]),
            ("{}", vec![]),
        ] {
            assert_eq!(serde_json::from_str::<Claims>(json).unwrap().aud.0, wanted);
        }
        assert!(serde_json::from_str::<Claims>(r#"{"aud":7}"#).is_err());
    }
}
