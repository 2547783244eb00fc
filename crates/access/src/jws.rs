//! The compact form of a signed token: `header.payload.signature`, each in base64url (RFC 7515,
//! section 7.1).
//!
//! Only taken apart here. Nothing in it is believed before its signature was verified, except the
//! header's `alg` and `kid`, which choose among the keys that the operator configured. Keys and
//! addresses of keys that a token brings itself (`jwk`, `jku`, `x5c`, `x5u`) are never looked at.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::object::Object;

/// Bytes of the longest token: fits into a head with room for the other fields.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Why a text is not a signed token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// More than [`TOKEN_BYTES_MAX`].
    #[error("the token has more than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// Not three parts.
    #[error("a token has three parts with dots between them")]
    Parts,
    /// A part that is not base64url without padding.
    #[error("the token's {0} is not base64url")]
    Base64(&'static str),
    /// A header that is not a JSON object with an `alg`.
    #[error("the token's header is not a JSON object with `alg`")]
    Header,
    /// A header that asks for something that is not understood (RFC 7515, section 4.1.11).
    #[error("the token's header has `crit`, none of whose extensions is understood")]
    Critical,
    /// Something else that is signed, not a token for a bearer (RFC 8725, section 3.11).
    #[error("the token's `typ` is neither JWT nor at+jwt")]
    Type,
}

/// What the header says.
#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde_json::Value>,
}

/// A token taken apart, not yet believed.
#[derive(Debug)]
pub struct Compact<'a> {
    /// The name of the algorithm, as the token has it.
    pub algorithm: String,
    /// The name of the key, if the token has one.
    pub key_id: Option<String>,
    /// What was signed: the first two parts with their dot.
    pub signed: &'a [u8],
    /// The claims as JSON text, not yet to be believed.
    pub payload: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
}

impl<'a> Compact<'a> {
    /// Takes `token` apart.
    ///
    /// # Errors
    /// When it has not this form, or is of another type.
    pub fn parse(token: &'a str) -> Result<Self, FormError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(FormError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(FormError::Parts)?;
        let (header, payload) = signed.split_once('.').ok_or(FormError::Parts)?;
        if payload.contains('.') {
            return Err(FormError::Parts);
        }
        let Object(header): Object<Header> =
            serde_json::from_slice(&decode(header, "header")?).map_err(|_| FormError::Header)?;
        if header.crit.is_some() {
            return Err(FormError::Critical);
        }
        let is_token = |typ: &str| {
            // RFC 7515, section 4.1.9: a media type, whose "application/" may be left out.
            let name = typ.strip_prefix("application/").unwrap_or(typ);
            name.eq_ignore_ascii_case("jwt") || name.eq_ignore_ascii_case("at+jwt")
        };
        if !header.typ.as_deref().is_none_or(is_token) {
            return Err(FormError::Type);
        }
        Ok(Self {
            algorithm: header.alg,
            key_id: header.kid,
            signed: signed.as_bytes(),
            payload: decode(payload, "payload")?,
            signature: decode(signature, "signature")?,
        })
    }
}

fn decode(part: &str, name: &'static str) -> Result<Vec<u8>, FormError> {
    // Strict: no padding, no other alphabet, no bits beyond the last byte, so that one signature
    // has one text.
    URL_SAFE_NO_PAD.decode(part).map_err(|_| FormError::Base64(name))
}

/// Puts a part into its form.
pub(crate) fn encode(part: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str) -> String {
        format!("{}.{}.{}", encode(header.as_bytes()), encode(b"{}"), encode(b"signature"))
    }

    #[test]
    fn what_has_another_form_is_refused() {
        let good = token(r#"{"alg":"ES256"}"#);
        assert_eq!(Compact::parse(&good).unwrap().algorithm, "ES256");
        let padded = format!("{good}=");
        let spaced = good.replacen('.', " .", 1);
        let long = format!("{good}{}", "A".repeat(TOKEN_BYTES_MAX));
        for (text, wanted) in [
            ("", FormError::Parts),
            ("..", FormError::Header),
            ("a.b", FormError::Parts),
            ("a.b.c.d", FormError::Parts),
            (&padded, FormError::Base64("signature")),
            (&spaced, FormError::Base64("header")),
            (&long, FormError::TooLong),
            (&token("{}"), FormError::Header),
            (&token(r#"["ES256",null,null,null]"#), FormError::Header),
            (&token(r#"{"alg":"ES256","alg":"HS256"}"#), FormError::Header),
            (&token(r#"{"alg":5}"#), FormError::Header),
            (&token(r#"{"alg":"ES256","kid":5}"#), FormError::Header),
            (&token(r#"{"alg":"ES256","crit":["b64"],"b64":false}"#), FormError::Critical),
            (&token(r#"{"alg":"ES256","crit":[]}"#), FormError::Critical),
            (&token(r#"{"alg":"ES256","typ":"dpop+jwt"}"#), FormError::Type),
        ] {
            assert_eq!(Compact::parse(text).err(), Some(wanted), "{text}");
        }
        for typ in ["JWT", "jwt", "at+jwt", "application/at+JWT"] {
            assert!(Compact::parse(&token(&format!(r#"{{"alg":"x","typ":"{typ}"}}"#))).is_ok());
        }
    }

    #[test]
    fn bits_beyond_the_last_byte_are_not_another_text_of_the_same_signature() {
        // One byte is two digits, of which the second has four bits to spare.
        let good = format!("{}.{}.AA", encode(br#"{"alg":"ES256"}"#), encode(b"{}"));
        assert!(Compact::parse(&good).is_ok());
        let other = good.replace(".AA", ".AB");
        assert_eq!(Compact::parse(&other).err(), Some(FormError::Base64("signature")));
    }
}
