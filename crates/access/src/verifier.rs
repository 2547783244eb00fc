//! The issuers whose tokens count, and the judgement of a token.
//!
//! The order is fixed: form, then issuer, then algorithm, then signature; only then are the claims
//! believed, and their times and audience judged.

use std::sync::{Arc, PoisonError, RwLock};

use crate::claims::{Claims, NumericDate};
use crate::grants::{GrantTemplate, Grants};
use crate::jws::{Compact, FormError, encode};
use crate::key::{Algorithm, KeySet};
use crate::object::Object;
use serde_json::Value;

/// Seconds by which the clocks of issuer and server may differ.
pub const LEEWAY_SECONDS: u64 = 30;

/// The claim that says whose limits apply, where an issuer has no other.
pub const TENANT_CLAIM: &str = "tenant";

/// Why a token does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It has not the form of a token.
    #[error("{0}")]
    Form(#[from] FormError),
    /// Its claims are not of the shape they must have.
    #[error("the token's claims cannot be read: {0}")]
    Claims(String),
    /// Nobody is configured who could have issued it.
    #[error("no issuer is configured for the token's `iss`")]
    UnknownIssuer,
    /// An algorithm that is not known, or that its issuer does not use.
    #[error("the token's algorithm is not one of those its issuer signs with")]
    Algorithm,
    /// No key of that name or kind; it may have been made since the keys were read.
    #[error("no key of the token's issuer fits its `kid` and algorithm")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// It does not say until when it counts.
    #[error("the token has no `exp`")]
    NoExpiry,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token does not count yet (`nbf`)")]
    NotYet,
    /// It is for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// It, or whom it is about, was revoked.
    #[error("the token was revoked")]
    Revoked,
}

/// Somebody whose tokens count.
#[derive(Debug)]
pub struct Issuer {
    /// What `iss` must be; none: anything, also nothing.
    pub name: Option<String>,
    /// One of these must be in `aud`; empty: `aud` is not looked at.
    pub audience: Vec<String>,
    /// What it signs with.
    pub algorithms: Vec<Algorithm>,
    /// Whether a token may lack `exp`.
    pub without_expiry: bool,
    /// What a token allows that has no claim `tidings`.
    pub grants: GrantTemplate,
    /// The most that any of its tokens allows, whatever it claims; none: whatever it claims.
    pub ceiling: Option<GrantTemplate>,
    /// The claim that says whose limits apply, by its name or a path such as `org.id`.
    pub tenant_claim: String,
    keys: RwLock<Arc<KeySet>>,
}

impl Issuer {
    /// An issuer with these keys, of any name and for any audience.
    #[must_use]
    pub fn new(keys: KeySet, algorithms: Vec<Algorithm>) -> Self {
        Self {
            name: None,
            audience: Vec::new(),
            algorithms,
            without_expiry: false,
            grants: GrantTemplate::default(),
            ceiling: None,
            tenant_claim: TENANT_CLAIM.to_owned(),
            keys: RwLock::new(Arc::new(keys)),
        }
    }

    /// The keys as they are now.
    #[must_use]
    pub fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes other keys from now on.
    pub fn rotate(&self, keys: KeySet) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    fn check_signature(&self, token: &Compact<'_>) -> Result<(), TokenError> {
        let algorithm = token.algorithm.parse().map_err(|()| TokenError::Algorithm)?;
        if !self.algorithms.contains(&algorithm) {
            return Err(TokenError::Algorithm);
        }
        let keys = self.keys();
        let mut candidates = keys.candidates(algorithm, token.key_id.as_deref()).peekable();
        if candidates.peek().is_none() {
            return Err(TokenError::UnknownKey);
        }
        if candidates.any(|key| key.verifies(algorithm, token.signed, &token.signature)) {
            return Ok(());
        }
        Err(TokenError::Signature)
    }

    fn check_claims(&self, claims: &Claims, now: u64) -> Result<(), TokenError> {
        let NumericDate(until) = match claims.exp {
            Some(exp) => exp,
            None if self.without_expiry => NumericDate(u64::MAX),
            None => return Err(TokenError::NoExpiry),
        };
        if until.saturating_add(LEEWAY_SECONDS) <= now {
            return Err(TokenError::Expired);
        }
        if claims.nbf.is_some_and(|NumericDate(from)| from > now.saturating_add(LEEWAY_SECONDS)) {
            return Err(TokenError::NotYet);
        }
        Ok(())
    }

    fn check_audience(&self, claims: &Claims) -> Result<(), TokenError> {
        let meant = claims.aud.0.iter().any(|aud| self.audience.contains(aud));
        if self.audience.is_empty() || meant { Ok(()) } else { Err(TokenError::Audience) }
    }
}

/// Who asks, after the token was believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who that is, as text that two callers share only if they are the same: the issuer that has
    /// verified the token (its name, else its number and the token's `iss`) with the subject; else
    /// with the token's own name; else the token itself, as a hash.
    pub identity: String,
    /// The name of the issuer that has verified it, if it has one.
    pub issuer: Option<String>,
    /// Whom the token is about.
    pub subject: Option<String>,
    /// The token's own name.
    pub token_id: Option<String>,
    /// The customer whose limits apply.
    pub tenant: Option<String>,
    /// When it was issued, in seconds since 1970.
    pub issued: Option<u64>,
    /// When it ends, in seconds since 1970.
    pub expires: Option<u64>,
    /// What may be done.
    pub grants: Grants,
}

/// All issuers.
#[derive(Debug, Default)]
pub struct Verifier {
    issuers: Vec<Arc<Issuer>>,
}

impl Verifier {
    /// A verifier of the tokens of these.
    #[must_use]
    pub fn new(issuers: Vec<Arc<Issuer>>) -> Self {
        Self { issuers }
    }

    /// The issuers, to change their keys.
    #[must_use]
    pub fn issuers(&self) -> &[Arc<Issuer>] {
        &self.issuers
    }

    /// Whether any token could count.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.issuers.is_empty()
    }

    /// Judges `token` at the time `now`, in seconds since 1970.
    ///
    /// # Errors
    /// Why it does not count. Of several issuers that it may be from, the last one's reason, or
    /// that one of them has no such key.
    pub fn verify(&self, token: &str, now: u64) -> Result<Caller, TokenError> {
        let token = Compact::parse(token)?;
        let Object(claims): Object<Claims> = serde_json::from_slice(&token.payload)
            .map_err(|error| TokenError::Claims(error.to_string()))?;
        let mut verdict = Err(TokenError::UnknownIssuer);
        for (number, issuer) in self.issuers.iter().enumerate().filter(|(_, issuer)| {
            issuer.name.as_ref().is_none_or(|name| claims.iss.as_ref() == Some(name))
        }) {
            // Of two with the same keys it is that of the one for whom it is meant.
            let judged = issuer.check_signature(&token);
            let judged = judged.and_then(|()| issuer.check_audience(&claims));
            let judged = judged.map(|()| (number, issuer));
            // Of the reasons these matter: there may be a newer key, and who signed it is known.
            let matters = matches!(verdict, Err(TokenError::UnknownKey | TokenError::Audience));
            if judged.is_ok() || !matters {
                verdict = judged;
            }
            if verdict.is_ok() {
                break;
            }
        }
        let (number, issuer) = verdict?;
        issuer.check_claims(&claims, now)?;
        let grants = match claims.tidings {
            Some(grants) if grants.is_too_long() => {
                return Err(TokenError::Claims("a list of more than 256 patterns".into()));
            }
            Some(grants) => grants,
            None => issuer.grants.fill(claims.sub.as_deref()),
        };
        let grants = match &issuer.ceiling {
            Some(ceiling) => grants.within(ceiling.fill(claims.sub.as_deref())),
            None => grants,
        };
        let tenant = tenant(&token.payload, &issuer.tenant_claim)?;
        // Who has verified it, not who it says that it is from: of an issuer without a name that is
        // the token's choice.
        let by = match &issuer.name {
            Some(name) => serde_json::json!(name),
            None => serde_json::json!([number, claims.iss]),
        };
        let identity = match (&claims.sub, &claims.jti) {
            (Some(subject), _) => serde_json::json!([by, subject]),
            (None, Some(id)) => serde_json::json!([by, null, id]),
            (None, None) => {
                let hash = ring::digest::digest(&ring::digest::SHA256, token.signed);
                serde_json::json!([by, null, null, encode(hash.as_ref())])
            }
        };
        Ok(Caller {
            identity: identity.to_string(),
            issuer: issuer.name.clone(),
            subject: claims.sub,
            token_id: claims.jti,
            tenant,
            issued: claims.iat.map(|date| date.0),
            expires: claims.exp.map(|date| date.0),
            grants,
        })
    }
}

/// What a claim says, by its name (which may hold dots, as in an address), else by the path of its
/// name in objects. A number is as good as a text. What is absent, or null, names no tenant: it is
/// the issuer who signs that there is none. Anything else, also on the way there, is not what the
/// operator has described, and is refused rather than passed over, so that nobody gets rid of
/// limits by it.
fn tenant(payload: &[u8], claim: &str) -> Result<Option<String>, TokenError> {
    let wrong = |why: &str| TokenError::Claims(format!("{claim}: {why}"));
    let Object(mut claims): Object<serde_json::Map<String, Value>> =
        serde_json::from_slice(payload).map_err(|error| wrong(&error.to_string()))?;
    let found = match claims.remove(claim) {
        Some(found) => found,
        None => claim.split('.').try_fold(Value::Object(claims), |within, name| match within {
            Value::Object(mut within) => Ok(within.remove(name).unwrap_or_default()),
            Value::Null => Ok(Value::Null),
            _ => Err(wrong("it is looked for in objects, and there is something else")),
        })?,
    };
    match found {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(wrong("whose limits apply is a text or a number")),
    }
}
