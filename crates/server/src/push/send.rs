//! One message: an event for one browser, as a request to its push service, and what the answer
//! means.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, header};
use ring::digest;
use tidings_frame::EventObject;
use tidings_frame::time::Time;
use tidings_push::{PAYLOAD_BYTES_MAX, encrypt, vapid::WORD_HOLDS_S};
use tidings_relay::fetch::{Bounds, Client};

use super::Push;
use super::subscription::Subscription;

/// Bytes of a push service's answer; nothing in it is used.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Bytes of a message's topic before they are text: the 32 characters that there may be (RFC 8030,
/// section 5.4).
const TOPIC_BYTES: usize = 24;

/// Signed words that are kept; a wildcard in the list of services allows any number of origins.
const WORDS_MAX: usize = 1_024;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The push service has it.
    Taken,
    /// It came too late to be of use.
    Expired,
    /// The push service does not want this one.
    Refused,
    /// The push service does not know the browser any more.
    Gone,
    /// It is to be sent again, at the earliest after this.
    Later(Option<Duration>),
}

/// Sends an event.
pub(super) async fn send(push: &Push, to: &Subscription, event: &EventObject<'_>) -> Sent {
    let terms = to.terms();
    let now_ms = push.hub.now_ms();
    let age_s = now_ms.saturating_sub(event.time_ms) / 1_000;
    let left_s = terms.ttl_s.checked_sub(age_s).filter(|left| *left > 0);
    let Some(ttl_s) = left_s else { return Sent::Expired };
    let (payload, truncated) = payload(event);
    let Ok(body) = encrypt(&to.receiver, &payload) else { return Sent::Later(None) };
    let word = push.word(&to.endpoint.origin, now_ms / 1_000);
    let request = Request::post(to.endpoint.url.clone())
        .header(header::AUTHORIZATION, word)
        .header(header::CONTENT_ENCODING, "aes128gcm")
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .header("ttl", ttl_s)
        .header("urgency", terms.urgency.as_str())
        .header("topic", topic(event))
        .body(Bytes::from(body));
    let Ok(request) = request else { return Sent::Refused };
    let Some(client) = push.client() else { return Sent::Later(None) };
    // Never closed.
    let Ok(_permit) = push.permits[to.endpoint.service].acquire().await else {
        return Sent::Later(None);
    };
    let bounds = Bounds { deadline: push.config.timeout, body_bytes_max: ANSWER_BYTES_MAX };
    match client.fetch(request, to.endpoint.allow_private, bounds).await {
        Ok(answer) => {
            let sent = verdict(answer.status().as_u16(), answer.headers());
            if sent == Sent::Taken && truncated {
                push.metrics.truncated.inc();
            }
            if sent == Sent::Refused {
                let (status, service) = (answer.status(), &to.endpoint.origin);
                tracing::warn!(%status, %service, id = %to.id, "a push service refused a message");
            }
            sent
        }
        Err(error) => {
            tracing::debug!(%error, service = %to.endpoint.origin, "a push service");
            Sent::Later(None)
        }
    }
}

/// What an answer means (RFC 8030, section 5).
fn verdict(status: u16, headers: &http::HeaderMap) -> Sent {
    match status {
        200..=299 => Sent::Taken,
        404 | 410 => Sent::Gone,
        408 | 429 | 500..=599 => {
            let seconds = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let seconds = seconds.and_then(|value| value.trim().parse().ok());
            Sent::Later(seconds.map(Duration::from_secs))
        }
        _ => Sent::Refused,
    }
}

/// The event as JSON, without its data if that does not fit, and whether it did not.
fn payload(event: &EventObject<'_>) -> (Vec<u8>, bool) {
    let mut whole = Vec::with_capacity(event.data.len() + 128);
    event.write_to(&mut whole);
    if whole.len() <= PAYLOAD_BYTES_MAX {
        return (whole, false);
    }
    let mut short = serde_json::json!({
        "id": event.id, "topic": event.topic, "time": Time(event.time_ms), "truncated": true,
    });
    if let Some(event_type) = &event.event_type {
        short["type"] = (&**event_type).into();
    }
    (short.to_string().into_bytes(), true)
}

/// A message that the browser has not fetched yet is replaced by one with the same topic. So this
/// names what the event is about, if it says so, and otherwise the event: of a message that is sent
/// twice, the browser gets one.
fn topic(event: &EventObject<'_>) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(event.topic.as_bytes());
    match &event.key {
        Some(key) => {
            hash.update(b"\0key\0");
            hash.update(key.as_bytes());
        }
        None => {
            hash.update(b"\0id\0");
            hash.update(event.id.to_string().as_bytes());
        }
    }
    URL_SAFE_NO_PAD.encode(&hash.finish().as_ref()[..TOPIC_BYTES])
}

impl Push {
    /// The connections to push services; none if TLS cannot be set up.
    fn client(&self) -> Option<&Client> {
        let make = || match Client::new(true) {
            Ok(client) => Some(client),
            Err(error) => {
                tracing::error!(%error, "no push service can be asked");
                None
            }
        };
        self.client.get_or_init(make).as_ref()
    }

    /// What this server says of itself to the push service at `origin`; the same for half of the
    /// time that it holds.
    fn word(&self, origin: &str, now: u64) -> String {
        let mut words = self.words.lock();
        if let Some((word, _)) = words.get(origin).filter(|(_, until)| now < *until) {
            return word.clone();
        }
        if words.len() >= WORDS_MAX {
            words.clear();
        }
        let word = self.key.authorization(origin, self.config.contact.as_deref(), now);
        words.insert(origin.to_owned(), (word.clone(), now + WORD_HOLDS_S / 2));
        word
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn event(data: &[u8]) -> EventObject<'_> {
        EventObject {
            id: "80aqvuid-17".parse().unwrap(),
            topic: "a/b".into(),
            alternates: Vec::new(),
            time_ms: 0,
            event_type: Some("said".into()),
            key: None,
            publisher_id: None,
            end: None,
            data: Cow::Borrowed(data),
        }
    }

    #[test]
    fn what_fits_is_whole_and_what_does_not_has_no_data() {
        let around = payload(&event(b"")).0.len();
        let data = vec![b'x'; PAYLOAD_BYTES_MAX - around];
        let (whole, truncated) = payload(&event(&data));
        assert_eq!((whole.len(), truncated), (PAYLOAD_BYTES_MAX, false));
        let data = vec![b'x'; PAYLOAD_BYTES_MAX - around + 1];
        let (short, truncated) = payload(&event(&data));
        let short: serde_json::Value = serde_json::from_slice(&short).unwrap();
        let wanted = serde_json::json!({
            "id": "80aqvuid-17", "topic": "a/b", "type": "said", "truncated": true,
            "time": "1970-01-01T00:00:00.000Z",
        });
        assert_eq!((short, truncated), (wanted, true));
    }

    #[test]
    fn messages_about_the_same_have_the_same_topic() {
        let (a, mut b) = (event(b"a"), event(b"b"));
        assert_eq!((topic(&a).len(), topic(&a)), (32, topic(&b)));
        b.id.sequence += 1;
        assert_ne!(topic(&a), topic(&b));
        let mut c = event(b"c");
        (b.key, c.key) = (Some("k".into()), Some("k".into()));
        assert_eq!(topic(&b), topic(&c));
    }

    #[test]
    fn answers_mean_what_they_say() {
        let none = http::HeaderMap::new();
        for (status, sent) in [
            (201, Sent::Taken),
            (202, Sent::Taken),
            (301, Sent::Refused),
            (400, Sent::Refused),
            (403, Sent::Refused),
            (404, Sent::Gone),
            (410, Sent::Gone),
            (429, Sent::Later(None)),
            (503, Sent::Later(None)),
        ] {
            assert_eq!(verdict(status, &none), sent, "{status}");
        }
        let again = [(header::RETRY_AFTER, "7".parse().unwrap())].into_iter().collect();
        assert_eq!(verdict(429, &again), Sent::Later(Some(Duration::from_secs(7))));
    }
}
