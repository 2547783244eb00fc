//! Signatures after Standard Webhooks 1.0: the receiver can tell that a request comes from this
//! server, that nobody has changed it, and when it was sent.
//!
//! What is signed is `<id>.<timestamp>.<body>`, with HMAC-SHA256. While secrets are being changed
//! there are several, and a signature with each.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use ring::hmac;

/// What a secret begins with, as it is written.
const PREFIX: &str = "whsec_";

/// Bytes that a secret may have (Standard Webhooks: between 24 and 64).
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Most secrets at a time.
const SECRETS_MAX: usize = 4;

/// Why a text holds no secrets. It is never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SecretError {
    /// There is none.
    #[error("there is no secret in it")]
    None,
    /// There are too many.
    #[error("there are more than {SECRETS_MAX} secrets in it")]
    TooMany,
    /// One is not of the form that it must have.
    #[error("a secret is written whsec_ and then 24 to 64 random bytes in base64")]
    Form,
}

/// The secrets of one receiver. Shows nothing of them.
#[derive(Clone)]
pub struct Secrets(Arc<[hmac::Key]>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

impl Secrets {
    /// Reads secrets with white space between them, the newest first.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub(crate) fn read(text: &str) -> Result<Self, SecretError> {
        let keys: Result<Vec<hmac::Key>, SecretError> =
            text.split_whitespace().map(|secret| key(secret).ok_or(SecretError::Form)).collect();
        let keys = keys?;
        match keys.len() {
            0 => Err(SecretError::None),
            1..=SECRETS_MAX => Ok(Self(keys.into())),
            _ => Err(SecretError::TooMany),
        }
    }

    /// The header fields of a request with this id, sent at this time (seconds since 1970).
    pub(crate) fn sign(
        &self,
        id: &str,
        seconds: u64,
        body: &[u8],
    ) -> [(HeaderName, HeaderValue); 3] {
        let timestamp = seconds.to_string();
        let mut signatures = String::new();
        for key in self.0.iter() {
            let mut context = hmac::Context::with_key(key);
            for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
                context.update(part);
            }
            let separator = if signatures.is_empty() { "" } else { " " };
            let signature = STANDARD.encode(context.sign());
            signatures.push_str(&format!("{separator}v1,{signature}"));
        }
        let value = |text: &str| {
            HeaderValue::from_str(text).expect("positions, digits and base64 are visible ASCII")
        };
        [
            (HeaderName::from_static("webhook-id"), value(id)),
            (HeaderName::from_static("webhook-timestamp"), value(&timestamp)),
            (HeaderName::from_static("webhook-signature"), value(&signatures)),
        ]
    }
}

fn key(secret: &str) -> Option<hmac::Key> {
    let bytes = STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()?;
    SECRET_BYTES.contains(&bytes.len()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn signs_as_the_specification_says() {
        let secrets = Secrets::read(SECRET).unwrap();
        let body = br#"{"test": 2432232314}"#;
        let fields = secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        let fields = fields.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        assert_eq!(
            fields,
            [
                "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek",
                "webhook-timestamp: 1614265330",
                "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ]
        );
    }

    #[test]
    fn signs_with_every_secret_newest_first() {
        let (new, old) = (format!("whsec_{}", STANDARD.encode([1; 24])), SECRET);
        let of = |text: &str| {
            let [_, _, (_, signature)] = Secrets::read(text).unwrap().sign("a", 1, b"b");
            signature.to_str().unwrap().to_owned()
        };
        assert_eq!(of(&format!("{new}\n{old}\n")), format!("{} {}", of(&new), of(old)));
    }

    #[test]
    fn reads_secrets_that_are_some() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        for (text, error) in [
            (String::new(), Some(SecretError::None)),
            (" \n".into(), Some(SecretError::None)),
            (of(24), None),
            (of(64), None),
            (of(23), Some(SecretError::Form)),
            (of(65), Some(SecretError::Form)),
            (STANDARD.encode([7; 24]), Some(SecretError::Form)),
            ("whsec_%%%".into(), Some(SecretError::Form)),
            (format!("{} word", of(24)), Some(SecretError::Form)),
            (vec![of(24); SECRETS_MAX].join(" "), None),
            (vec![of(24); SECRETS_MAX + 1].join(" "), Some(SecretError::TooMany)),
        ] {
            assert_eq!(Secrets::read(&text).err(), error, "{text}");
        }
        let shown = format!("{:?}", Secrets::read(SECRET).unwrap());
        assert_eq!(shown, "1 secrets");
    }
}
