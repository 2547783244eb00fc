//! Whose responses a request names, where all callers share the operator's key: to the API
//! everything that was asked with it belongs to one account.
//!
//! So a caller may name only what this server knows to be its own. What cannot be read in one way
//! alone is refused, because the API might read it in another.

use tidings_frame::ErrorCode;

use super::names;
use crate::error::ApiError;

/// The segment below which responses are.
const RESPONSES: &str = "responses";

/// What is asked with `POST` below it and is no response's id.
const NO_IDS: [&str; 2] = ["compact", "input_tokens"];

/// Whether every response that a request names passes `is_own`, and all the items `are_own`.
/// Conversations are not made here, so none is anybody's.
///
/// # Errors
/// When the body cannot be read, or what is the caller's own.
pub(super) fn may_name(
    rest: &str,
    method: &str,
    body: &[u8],
    is_own: impl Fn(&str) -> bool,
    are_own: impl Fn(&[String]) -> Result<bool, ApiError>,
) -> Result<bool, ApiError> {
    let decoded = percent_encoding::percent_decode_str(rest).decode_utf8_lossy();
    let mut segments = decoded.split(['/', '\\']).filter(|segment| !segment.is_empty());
    if !segments.next().is_some_and(|first| first.eq_ignore_ascii_case(RESPONSES)) {
        return Ok(true);
    }
    let mut plain = rest.split('/');
    let is_plain = !rest.contains(['%', '\\']) && !rest.split('/').any(str::is_empty);
    if !is_plain || plain.next() != Some(RESPONSES) {
        return Ok(false);
    }
    let own_path = match (plain.next(), plain.next()) {
        (None, _) => true,
        (Some(id), None) if method == "POST" && NO_IDS.contains(&id) => true,
        (Some(id), _) => is_own(id),
    };
    if !own_path || body.is_empty() {
        return Ok(own_path);
    }
    let invalid =
        |error: serde_json::Error| ApiError::new(ErrorCode::InvalidJson, error.to_string());
    let names = names::read(body).map_err(invalid)?;
    let own = names.conversations.is_empty() && names.responses.iter().all(|id| is_own(id));
    Ok(own && (names.items.is_empty() || are_own(&names.items)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(method: &str, rest: &str, body: &str) -> Option<bool> {
        let are_own = |items: &[String]| Ok(items.iter().all(|id| id == "my item"));
        may_name(rest, method, body.as_bytes(), |id| id == "mine", are_own).ok()
    }

    #[test]
    fn a_path_names_only_what_is_the_callers_own() {
        for (method, rest, wanted) in [
            ("POST", "responses", true),
            ("GET", "responses/mine", true),
            ("GET", "responses/mine/input_items", true),
            ("POST", "responses/mine/cancel", true),
            ("POST", "responses/input_tokens", true),
            ("POST", "responses/compact", true),
            ("GET", "responses/compact", false),
            ("GET", "responses/theirs", false),
            ("DELETE", "responses/theirs", false),
            ("GET", "responses/theirs/input_items", false),
            ("GET", "responses/their%73", false),
            ("GET", "responses/min%65", false),
            ("GET", "responses//theirs", false),
            ("GET", "/responses/theirs", false),
            ("GET", "responses/", false),
            ("GET", "responses/mine/", false),
            ("GET", "response%73/theirs", false),
            ("GET", "responses%2Ftheirs", false),
            ("GET", "responses\\theirs", false),
            ("GET", "Responses/theirs", false),
            ("GET", "models/org%2Fname", true),
            ("POST", "chat/completions", true),
        ] {
            assert_eq!(named(method, rest, ""), Some(wanted), "{method} {rest}");
        }
    }

    #[test]
    fn a_body_goes_on_from_what_is_the_callers_own() {
        for (body, wanted) in [
            (r#"{"input":"a"}"#, Some(true)),
            (r#"{"previous_response_id":null}"#, Some(true)),
            (r#"{"previous_response_id":"mine","input":{"previous_response_id":"x"}}"#, Some(true)),
            (r#"{"previous_response_id":"theirs"}"#, Some(false)),
            (r#"{"previous\u005fresponse_id":"theirs"}"#, Some(false)),
            (r#"{"Previous_Response_ID":"theirs"}"#, Some(false)),
            (r#"{"previous_response_id":"mine","previous_response_id":"theirs"}"#, Some(false)),
            (r#"{"previous_response_id":"theirs","previous_response_id":"mine"}"#, Some(false)),
            (r#"{"previous_response_id":["theirs"]}"#, None),
            (r#"{"conversation":"mine"}"#, Some(false)),
            (r#"{"conversation":{"id":"mine"}}"#, Some(false)),
            (r#"{"conversation":null}"#, Some(true)),
            (r#"{"input":[{"type":"item_reference","id":"my item"}]}"#, Some(true)),
            (r#"{"input":[{"type":"item_reference","id":"theirs"}]}"#, Some(false)),
            (r#"{"input":[{"id":"my item"},{"id":"theirs"}]}"#, Some(false)),
            (r#"{"previous_response_id":"theirs","input":[{"id":"my item"}]}"#, Some(false)),
            (r#"{"input":"a"} {"previous_response_id":"theirs"}"#, None),
            ("\u{1f}\u{8b}", None),
        ] {
            assert_eq!(named("POST", "responses", body), wanted, "{body}");
        }
    }
}
