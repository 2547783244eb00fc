//! Asking: one upstream after the other, until one gives an answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use tokio::time::{sleep, timeout};

use super::read::Read;
use super::{Generation, Outcome};
use crate::answer::{Phase, Plain};
use crate::dialect::Cause;
use crate::http1::conn::Body;
use crate::outgoing::{Outgoing, answer_headers};
use crate::upstream::UpstreamError;

/// Most bytes of an answer that is no stream.
pub(crate) const PLAIN_BYTES_MAX: usize = 64 << 20;

/// Wait before a request is sent again to the same upstream; doubled each time.
const RETRY_WAIT: Duration = Duration::from_millis(250);

/// Where a request is sent next.
enum Again {
    No,
    Here,
    Elsewhere,
}

impl Generation {
    /// Asks one upstream after the other until one gives an answer.
    pub(super) async fn converse(&mut self, request: &mut Outgoing) -> Outcome {
        let config = self.config.clone();
        let count = config.upstreams.len();
        let mut last = Outcome::Broken { clean: false, cause: Cause::Broken("no upstream".into()) };
        for place in 0..count {
            for attempt in 0..=config.retries {
                if attempt > 0 {
                    sleep(RETRY_WAIT * 2_u32.saturating_pow(attempt - 1)).await;
                }
                let (outcome, again) = self.attempt(request, place).await;
                last = outcome;
                match again {
                    Again::No => return last,
                    Again::Elsewhere => break,
                    Again::Here => {}
                }
            }
        }
        last
    }

    /// Asks an upstream once.
    async fn attempt(&mut self, request: &mut Outgoing, place: usize) -> (Outcome, Again) {
        let config = self.config.clone();
        let broken = |cause| Outcome::Broken { clean: false, cause };
        let unanswered = |why: String| (broken(Cause::Broken(why)), Again::Elsewhere);
        let http = self.name_it(request).to(&config.upstreams[place], Some(self.answer.dialect));
        let http = match http {
            Ok(http) => http,
            Err(error) => return unanswered(error.to_string()),
        };
        // On the heap: the state of a request is larger than all else, and over when tokens come.
        let sent = Box::pin(self.relays.upstreams.send(http, config.allow_private));
        let response = match timeout(config.answer_timeout, sent).await {
            Ok(Ok(response)) => response,
            Ok(Err(error @ UpstreamError::Connect(_))) => {
                return (Outcome::Plain(unreachable(502, &error.to_string())), Again::Here);
            }
            Ok(Err(error)) => {
                return (Outcome::Plain(unreachable(502, &error.to_string())), Again::Elsewhere);
            }
            Err(_) => {
                let why = format!("the upstream did not answer within {:?}", config.answer_timeout);
                return (Outcome::Plain(unreachable(504, &why)), Again::Elsewhere);
            }
        };
        if !is_stream(&response) {
            // Another upstream may do better where this one is overloaded or broken; what it says
            // of the request itself is the answer.
            let again = match response.status().as_u16() {
                429 | 500..=599 if place + 1 < config.upstreams.len() => Again::Elsewhere,
                _ => Again::No,
            };
            let late = || Err("the upstream's answer did not come to its end in time".to_owned());
            let whole = timeout(config.answer_timeout, plain(response)).await;
            return match whole.unwrap_or_else(|_| late()) {
                Ok(plain) => (Outcome::Plain(plain), again),
                Err(why) => (Outcome::Plain(unreachable(502, &why)), again),
            };
        }
        let fallback = place + 1 < config.upstreams.len();
        if !fallback {
            let headers = Arc::new(answer_headers(response.headers()));
            self.answer.enter(Phase::Streaming(Some(headers)));
            if !self.can_go_on() {
                // It is not sent again: a long conversation would be held for as long as it is
                // answered.
                request.forget();
            }
        }
        match self.read_through(request, place, response.into_body(), fallback).await {
            Read::Over(end) => (Outcome::Over(end), Again::No),
            Read::Broken { cause, .. } if self.last_token.is_none() && fallback => {
                self.held.clear();
                self.begin_anew();
                (broken(cause), Again::Elsewhere)
            }
            Read::Broken { clean, cause, .. } => (Outcome::Broken { clean, cause }, Again::No),
        }
    }
}

pub(super) fn is_stream(response: &Response<Body>) -> bool {
    let media = response.headers().get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok());
    response.status().is_success()
        && media.is_some_and(|media| {
            let media = media.split(';').next().unwrap_or_default().trim();
            media.eq_ignore_ascii_case("text/event-stream")
        })
}

/// An answer that is no stream, whole.
pub(crate) async fn plain(response: Response<Body>) -> Result<Plain, String> {
    let (parts, body) = response.into_parts();
    let body = body.collect(PLAIN_BYTES_MAX).await;
    let body = body.map_err(|error| format!("the upstream's answer broke off: {error}"))?;
    let mut headers = answer_headers(&parts.headers);
    if let Some(media) = parts.headers.get(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, media.clone());
    }
    Ok(Plain { status: parts.status.as_u16(), headers, body })
}

/// What a client is told of an upstream that gives no answer, in the form that the SDKs read.
pub(crate) fn unreachable(status: u16, why: &str) -> Plain {
    let error = serde_json::json!({
        "type": "error",
        "error": {
            "message": why, "type": "upstream_error", "param": null, "code": "upstream_unreachable",
        },
    });
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Plain { status, headers, body: Bytes::from(error.to_string()) }
}
