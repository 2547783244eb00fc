//! A sender's signed word, as a push service checks it (RFC 8292, RFC 7515).

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use serde_json::Value;

use super::curve;

/// The longest that a word may hold, in seconds (RFC 8292, section 2).
const HOLDS_MAX_S: u64 = 24 * 3_600;

/// What the word (the value of `Authorization`) says and whose it is, if it is in order for the
/// service at `origin`.
///
/// # Errors
/// With what is wrong.
pub fn check(header: &str, origin: &str) -> Result<(Value, String), &'static str> {
    let parameters = header.strip_prefix("vapid ").ok_or("the scheme is not vapid")?;
    let parameter = |name: &str| {
        let found = parameters.split(',').find_map(|one| one.trim().strip_prefix(name));
        found.ok_or("a parameter of vapid is missing")
    };
    let (word, key) = (parameter("t=")?, parameter("k=")?);
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| "not base64url");
    let point = decode(key)?.try_into().map_err(|_| "the key is not a point")?;
    let (signed, signature) = word.rsplit_once('.').ok_or("the word has no signature")?;
    let (head, claims) = signed.split_once('.').ok_or("the word has no claims")?;
    let json = |text: &str| serde_json::from_slice(&decode(text)?).map_err(|_| "not JSON");
    let (head, claims): (Value, Value) = (json(head)?, json(claims)?);
    if head["alg"] != "ES256" || head["typ"] != "JWT" {
        return Err("the word is not an ES256 JWT");
    }
    let hash = digest::digest(&digest::SHA256, signed.as_bytes());
    let hash = hash.as_ref().try_into().map_err(|_| "not SHA-256")?;
    let signature = decode(signature)?.try_into().map_err(|_| "the signature is not r and s")?;
    if !curve::verify(&point, hash, &signature) {
        return Err("the signature is not the key's");
    }
    if claims["aud"] != origin {
        return Err("the word is meant for another service");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let until = claims["exp"].as_u64().ok_or("the word does not end")?;
    if until <= now || until > now + HOLDS_MAX_S {
        return Err("the word has ended, or holds for more than a day");
    }
    Ok((claims, key.to_owned()))
}
