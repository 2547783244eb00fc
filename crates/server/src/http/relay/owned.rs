//! Whose things a request names, where all callers share the operator's key: to the API everything
//! that was made with it belongs to one account.
//!
//! So a caller may name only what this server knows to be its own, and what the operator shares.
//! What cannot be read in one way alone is refused, because the API might read it in another.

use tidings_frame::ErrorCode;
use tidings_relay::allow::api_paths;
use tidings_relay::config::Kept;
use tidings_relay::dialect::Dialect;

use super::llm::Request;
use super::names::{self, Kind, Name};
use crate::error::{self, ApiError};

/// The segment below which responses are.
const RESPONSES: &str = "responses";

/// What is asked below it and is no response's id.
const NO_IDS: [&str; 2] = ["compact", "input_tokens"];

/// Bytes of a body that is judged where it was read; a longer one is judged on a thread that may
/// take its time.
const JUDGED_AT_ONCE_MAX: usize = 256 << 10;

/// Refuses a request that names what is not the caller's. Returns the API as which the request, and
/// so its answer, was read, if it was.
///
/// # Errors
/// When the body cannot be read, or what is the caller's own.
pub(super) async fn check(request: &Request<'_>, rest: &str) -> Result<Option<Dialect>, ApiError> {
    let Request { relays, relay, head, body, .. } = *request;
    let Some(dialect) = api_of(rest) else { return Ok(None) };
    // Whoever is behind would read something else than was judged.
    if !body.is_empty() && head.text("content-encoding")?.is_some() {
        let detail = "a body that names what is kept at the API is sent without Content-Encoding";
        return Err(error::of_api(ErrorCode::UnsupportedMediaType, detail));
    }
    let owner = request.owner();
    let is_own = |id: &str| relays.is_response_of(relay, &owner, id);
    let is_shared = |kept| relays.configs()[relay].share.contains(&kept);
    let named = if body.len() > JUDGED_AT_ONCE_MAX {
        let (rest, method, body) = (rest.to_owned(), head.method.to_owned(), body.to_vec());
        let named = tokio::task::spawn_blocking(move || named(dialect, &rest, &method, &body));
        let failed = |error: tokio::task::JoinError| {
            error::of_api(ErrorCode::Internal, format!("a body was not judged: {error}"))
        };
        named.await.unwrap_or_else(|error| Err(failed(error)))?
    } else {
        named(dialect, rest, head.method, body)?
    };
    let said = judge(named, is_own, is_shared)?;
    if said.is_empty() || relays.has_said(&owner, dialect, said).await? {
        return Ok(Some(dialect));
    }
    Err(not_found(
        "an item, a container or a sound is named that no answer to this caller has said",
    ))
}

/// The API whose bodies are sent to this path.
fn api_of(rest: &str) -> Option<Dialect> {
    api_paths(rest).iter().find_map(|path| {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path[..] {
            [RESPONSES, ..] => Some(Dialect::Responses),
            ["chat", "completions"] => Some(Dialect::Chat),
            ["messages"] | ["messages", "count_tokens"] => Some(Dialect::Messages),
            _ => None,
        }
    })
}

/// What a request names, in its path and in its body.
fn named(dialect: Dialect, rest: &str, method: &str, body: &[u8]) -> Result<Vec<Name>, ApiError> {
    let mut named = Vec::new();
    if dialect == Dialect::Responses {
        let mut segments = rest.split('/').skip_while(|&segment| segment != RESPONSES);
        let is_plain = !rest.contains(['%', '\\', ';']) && !rest.split('/').any(str::is_empty);
        if !is_plain || segments.next().is_none() {
            return Err(not_found("a path to responses is written without escapes"));
        }
        let id = segments.next().filter(|id| !(method == "POST" && NO_IDS.contains(id)));
        named.extend(id.map(|id| (Kind::Response, id.to_owned())));
    }
    if !body.is_empty() {
        let invalid =
            |error: serde_json::Error| error::of_api(ErrorCode::InvalidJson, error.to_string());
        named.extend(names::read(dialect, body).map_err(invalid)?);
    }
    Ok(named)
}

/// Refuses what can be nobody's but another's; returns what the caller's answers must have said.
fn judge(
    named: Vec<Name>,
    is_own: impl Fn(&str) -> bool,
    is_shared: impl Fn(Kept) -> bool,
) -> Result<Vec<String>, ApiError> {
    let mut said = Vec::new();
    for (kind, id) in named {
        match kind {
            Kind::Response if is_own(&id) => {}
            Kind::Response => return Err(not_found("there is no such response")),
            Kind::Conversation => return Err(not_found("no conversations are made here")),
            Kind::Item | Kind::Said => said.push(id),
            Kind::Kept(kept) if is_shared(kept) => {}
            Kind::Kept(kept) => {
                let kept = kept.name();
                let detail = format!(
                    "{kept} cannot be named here: all callers share one account, and its \
                     operator has not shared them (`share = [\"{kept}\"]`)"
                );
                return Err(error::of_api(ErrorCode::Forbidden, detail));
            }
        }
    }
    Ok(said)
}

fn not_found(detail: &str) -> ApiError {
    error::of_api(ErrorCode::NotFound, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status with which a request is refused; 200 if it is not.
    fn asked_of(method: &str, rest: &str, body: &str, share: &[Kept]) -> u16 {
        let Some(dialect) = api_of(rest) else { return 200 };
        let named = named(dialect, rest, method, body.as_bytes());
        let is_shared = |kept| share.contains(&kept);
        let said = named.and_then(|named| judge(named, |id| id == "mine", is_shared));
        match said {
            Ok(said) if said.iter().all(|id| id == "my item") => 200,
            Ok(_) => 404,
            Err(error) => error.problem.status,
        }
    }

    #[test]
    fn a_path_names_only_what_is_the_callers_own() {
        for (method, rest, wanted) in [
            ("POST", "responses", 200),
            ("GET", "responses/mine", 200),
            ("DELETE", "responses/mine", 200),
            ("GET", "responses/mine/input_items", 200),
            ("POST", "responses/mine/cancel", 200),
            ("POST", "responses/input_tokens", 200),
            ("POST", "responses/compact", 200),
            ("GET", "responses/compact", 404),
            ("GET", "responses/theirs", 404),
            ("DELETE", "responses/theirs", 404),
            ("GET", "responses/theirs/input_items", 404),
            ("GET", "responses/their%73", 404),
            ("GET", "responses/min%65", 404),
            ("GET", "responses//theirs", 404),
            ("GET", "/responses/theirs", 404),
            ("GET", "responses/", 404),
            ("GET", "responses/mine/", 404),
            ("GET", "response%73/theirs", 404),
            ("GET", "responses%2Ftheirs", 404),
            ("GET", "responses\\theirs", 404),
            ("GET", "responses;a/theirs", 404),
            ("GET", "Responses/theirs", 404),
            ("GET", "v1/responses/theirs", 404),
            ("GET", "v1/responses/mine", 200),
            ("GET", "deployments/chat/responses/theirs", 404),
            ("GET", "models/org%2Fname", 200),
            ("POST", "chat/completions", 200),
        ] {
            assert_eq!(asked_of(method, rest, "", &[]), wanted, "{method} {rest}");
        }
    }

    #[test]
    fn a_body_goes_on_from_what_is_the_callers_own() {
        for (body, wanted) in [
            (r#"{"input":"a"}"#, 200),
            (r#"{"previous_response_id":null}"#, 200),
            (r#"{"previous_response_id":"mine","input":{"previous_response_id":"x"}}"#, 200),
            (r#"{"previous_response_id":"theirs"}"#, 404),
            (r#"{"previous\u005fresponse_id":"theirs"}"#, 404),
            (r#"{"Previous_Response_ID":"theirs"}"#, 404),
            (r#"{"previous_response_id":"mine","previous_response_id":"theirs"}"#, 404),
            (r#"{"previous_response_id":"theirs","previous_response_id":"mine"}"#, 404),
            (r#"{"previous_response_id":["theirs"]}"#, 404),
            (r#"{"prompt_cache_options":{"comparison_response_id":"mine"}}"#, 200),
            (r#"{"prompt_cache_options":{"comparison_response_id":"theirs"}}"#, 404),
            (r#"{"conversation":"mine"}"#, 404),
            (r#"{"conversation":{"id":"mine"}}"#, 404),
            (r#"{"conversation":null}"#, 200),
            (r#"{"input":[{"type":"item_reference","id":"my item"}]}"#, 200),
            (r#"{"input":[{"type":"item_reference","id":"theirs"}]}"#, 404),
            (r#"{"input":[{"id":"my item"},{"id":"theirs"}]}"#, 404),
            (r#"{"previous_response_id":"theirs","input":[{"id":"my item"}]}"#, 404),
            (r#"{"input":"a"} {"previous_response_id":"theirs"}"#, 400),
            ("\u{1f}\u{8b}", 400),
        ] {
            assert_eq!(asked_of("POST", "responses", body, &[]), wanted, "{body}");
        }
    }

    #[test]
    fn what_is_kept_at_the_api_is_nobodys_unless_it_is_shared() {
        let [files, prompts, skills, stores, tunnels] = Kept::ALL;
        let file = r#"{"messages":[{"content":[{"file":{"file_id":"f"}}]}]}"#;
        let source = r#"{"messages":[{"content":[{"source":{"file_id":"f"}}]}]}"#;
        for (rest, kept, body) in [
            ("responses", files, r#"{"input":[{"role":"user","content":[{"file_id":"f"}]}]}"#),
            ("responses", files, r#"{"tools":[{"container":{"file_ids":["f"]}}]}"#),
            ("responses", prompts, r#"{"prompt":{"id":"p"}}"#),
            ("responses/compact", stores, r#"{"tools":[{"vector_store_ids":["v"]}]}"#),
            ("responses", tunnels, r#"{"tools":[{"type":"mcp","tunnel_id":"t"}]}"#),
            ("responses", tunnels, r#"{"input":[{"tools":[{"tunnel_id":"t"}]}]}"#),
            ("responses", skills, r#"{"tools":[{"environment":{"skills":{"skill_id":"s"}}}]}"#),
            ("chat/completions", files, file),
            ("v1/Chat%2fcompletions", files, file),
            ("messages", files, source),
            ("messages/count_tokens", files, source),
            ("messages", skills, r#"{"container":{"skills":[{"skill_id":"s"}]}}"#),
        ] {
            for shared in Kept::ALL {
                let wanted = if shared == kept { 200 } else { 403 };
                assert_eq!(asked_of("POST", rest, body, &[shared]), wanted, "{rest} {body}");
            }
            assert_eq!(asked_of("POST", rest, body, &[]), 403, "{rest} {body}");
        }
        for (rest, body) in [
            ("messages", r#"{"container":"theirs"}"#),
            ("messages", r#"{"container":{"id":"theirs"}}"#),
            ("responses", r#"{"input":[{"tools":[{"container":"theirs"}]}]}"#),
            ("chat/completions", r#"{"messages":[{"audio":{"id":"theirs"}}]}"#),
        ] {
            assert_eq!(asked_of("POST", rest, body, &Kept::ALL), 404, "{rest} {body}");
            let own = body.replace("theirs", "my item");
            assert_eq!(asked_of("POST", rest, &own, &[]), 200, "{rest} {own}");
        }
    }
}
