//! What passes between a client and the upstream besides the bodies: the table of header fields,
//! each way, and whose key a request carries.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_relay::config::{Endpoint, Secret};
use tidings_scripted::{At, Fault, Script, Upstream};

use crate::relay::{Answered, Relay, chat, messages};

/// Fields of an upstream's answer, and whether a client sees them.
const ANSWERED: [(&str, &str, bool); 27] = [
    ("x-request-id", "r1", true),
    ("openai-processing-ms", "12", true),
    ("x-ratelimit-remaining-tokens", "99", true),
    ("anthropic-ratelimit-requests-limit", "7", true),
    ("retry-after", "3", true),
    ("request-id", "r2", true),
    // These speak for the upstream's origin, not for this one.
    ("strict-transport-security", "max-age=9", false),
    ("alt-svc", "h3=\":443\"", false),
    ("content-security-policy", "default-src 'none'", false),
    ("content-security-policy-report-only", "default-src 'none'", false),
    ("nel", "{}", false),
    ("report-to", "{}", false),
    ("reporting-endpoints", "a=\"/b\"", false),
    ("clear-site-data", "\"*\"", false),
    ("x-frame-options", "DENY", false),
    ("set-cookie", "session=1", false),
    ("server", "upstream/1", false),
    ("access-control-allow-origin", "https://elsewhere.example", false),
    ("access-control-allow-credentials", "true", false),
    // What concerns one connection, or names what does.
    ("keep-alive", "timeout=77", false),
    ("proxy-authenticate", "Basic", false),
    ("upgrade", "h2c", false),
    ("trailer", "x-sum", false),
    ("x-of-the-hop", "1", false),
    // What this server says itself.
    ("tidings-topic", "$answers/forged", false),
    ("tidings-stop", "/answers/forged/stop", false),
    ("tidings-attached", "forged", false),
];

/// Values of a field in an answer.
fn values(answered: &Answered, name: &str) -> Vec<String> {
    let fields = answered.head.lines().filter_map(|line| line.split_once(": "));
    let found = fields.filter(|(has, _)| has.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.to_owned()).collect()
}

#[test]
fn of_an_upstreams_answer_passes_what_is_the_clients() {
    let relay = Relay::start();
    let mut body = chat("hello");
    let with_fields = |script: Script| {
        let named = script.header("connection", "x-of-the-hop, keep-alive");
        ANSWERED.iter().fold(named, |script, (name, value, _)| script.header(name, value))
    };
    let pause = Fault::pause(At::Token(0), Duration::from_millis(100));
    let cases = [
        ("a stream", true, Script::text("one two").fault(pause)),
        // Over before the client is answered.
        ("a short stream", true, Script::text("one")),
        ("a whole answer", false, Script::text("one")),
        ("a refusal", true, Script::refuse(429, "slow down")),
    ];
    for (what, streams, script) in cases {
        body["stream"] = json!(streams);
        relay.play(with_fields(script));
        let answered = Answered::read(relay.ask("/v1/chat/completions", "", &body), usize::MAX);
        for (name, value, passes) in ANSWERED {
            let found = values(&answered, name);
            let passed = found.iter().any(|found| found == value);
            assert_eq!(passed, passes, "{what}: {name}: {found:?}");
            assert!(found.len() <= 1, "{what}: {name}: {found:?}");
        }
        assert_eq!(values(&answered, "content-type").len(), 1, "{what}");
        assert!(values(&answered, "cache-control").len() <= 1, "{what}");
    }
}

/// A client's fields, and whether an upstream sees them.
const ASKED: [(&str, &str, bool); 23] = [
    ("openai-organization", "org", true),
    ("openai-beta", "responses=v1", true),
    ("x-stainless-lang", "python", true),
    ("user-agent", "OpenAI/Python", true),
    ("accept", "application/json", true),
    ("idempotency-key", "k1", true),
    ("traceparent", "00-1-2-01", true),
    ("cookie", "session=1", false),
    ("origin", "https://page.example", false),
    ("referer", "https://page.example/a", false),
    ("accept-encoding", "gzip", false),
    ("last-event-id", "7", false),
    ("te", "trailers", false),
    ("keep-alive", "timeout=77", false),
    ("proxy-authorization", "Basic eA==", false),
    ("x-of-the-hop", "1", false),
    ("x-forwarded-for", "10.1.2.3", false),
    ("x-forwarded-host", "inside", false),
    ("forwarded", "for=10.1.2.3", false),
    ("sec-fetch-mode", "cors", false),
    ("tidings-on-disconnect", "continue", false),
    ("tidings-deltas", "raw", false),
    ("x-removed", "1", false),
];

#[test]
fn of_a_request_passes_what_is_the_upstreams() {
    let relay = Relay::with(|llm| {
        llm.remove_headers.push("x-removed".parse().unwrap());
        llm.add_headers.push(("x-team".parse().unwrap(), "red".parse().unwrap()));
    });
    relay.play(Script::text("one"));
    let mut headers = "Connection: keep-alive, X-Of-The-Hop\r\nX-Team: blue\r\n".to_owned();
    for (name, value, _) in ASKED {
        headers.push_str(&format!("{name}: {value}\r\n"));
    }
    for streams in [true, false] {
        let mut body = chat("hello");
        body["stream"] = json!(streams);
        let mut conn = relay.server.connect();
        conn.ask("POST", "/v1/chat/completions", &headers, body.to_string().as_bytes());
        let answered = Answered::read(conn, usize::MAX);
        assert_eq!(answered.status, 200, "{}", answered.head);
        let received = relay.upstream.received().pop().unwrap();
        for (name, value, passes) in ASKED {
            let passed = received.headers.iter().any(|(has, found)| has == name && found == value);
            assert_eq!(passed, passes, "streams: {streams}: {name}: {:?}", received.headers);
        }
        assert_eq!(received.header("x-team"), Some("red"), "what is configured counts");
        let host = relay.upstream.address().to_string();
        assert_eq!(received.header("host"), Some(&*host));
    }
}

/// The operator's key takes the place of the client's, in the field that the API reads it from.
#[test]
fn a_key_is_in_the_field_of_its_api_and_in_no_other() {
    let mine = "authorization: Bearer mine\r\n";
    let anthropic = "x-api-key: mine\r\nanthropic-version: 2023-06-01\r\n";
    let whole = |mut body: Value| {
        body["stream"] = json!(false);
        body
    };
    for (path, headers, body, field) in [
        ("/v1/chat/completions", mine, chat("x"), "authorization"),
        ("/v1/chat/completions", "", chat("x"), "authorization"),
        ("/v1/chat/completions", mine, whole(chat("x")), "authorization"),
        ("/v1/messages", mine, messages("x"), "x-api-key"),
        ("/v1/messages", anthropic, messages("x"), "x-api-key"),
        ("/v1/messages", "", whole(messages("x")), "x-api-key"),
        // Where the path does not tell, the client does.
        ("/v1/models", mine, Value::Null, "authorization"),
        ("/v1/models", "", Value::Null, "authorization"),
        ("/v1/models", "x-api-key: mine\r\n", Value::Null, "x-api-key"),
        ("/v1/models", "anthropic-version: 2023-06-01\r\n", Value::Null, "x-api-key"),
        ("/v1/messages/count_tokens", anthropic, json!({"model": "m"}), "x-api-key"),
    ] {
        for key in [Some("sk-ours"), None] {
            let relay = Relay::with(|llm| {
                llm.upstreams[0].api_key = key.map(|key| Secret(key.to_owned()));
            });
            relay.upstream.play(|_| Script::text("one"));
            let (method, sent) = match &body {
                Value::Null => ("GET", Vec::new()),
                body => ("POST", body.to_string().into_bytes()),
            };
            let mut conn = relay.server.connect();
            conn.ask(method, path, headers, &sent);
            Answered::read(conn, usize::MAX);
            let received = relay.upstream.received().pop().unwrap();
            let mut carried = vec![];
            for name in ["authorization", "x-api-key"] {
                carried.extend(received.header(name).map(|value| (name, value.to_owned())));
            }
            let bearer = if field == "authorization" { "Bearer " } else { "" };
            let wanted: Vec<(&str, String)> = match key {
                Some(key) => vec![(field, format!("{bearer}{key}"))],
                // Without one, what the client sent.
                None => headers
                    .lines()
                    .filter_map(|line| line.split_once(": "))
                    .filter(|(name, _)| matches!(*name, "authorization" | "x-api-key"))
                    .map(|(name, value)| (name, value.to_owned()))
                    .collect(),
            };
            assert_eq!(carried, wanted, "{path} {headers} {key:?}");
        }
    }
}

/// Each upstream gets its own key, and none that of another.
#[test]
fn a_spare_has_its_own_key() {
    let spare = Upstream::start().unwrap();
    let url = spare.url();
    for key in [Some("sk-spare"), None] {
        let relay = Relay::with(|llm| {
            llm.retries = 0;
            llm.upstreams[0].api_key = Some(Secret("sk-ours".into()));
            let api_key = key.map(|key| Secret(key.to_owned()));
            llm.upstreams.push(Endpoint { base: url.parse().unwrap(), api_key });
        });
        relay.play(Script::refuse(503, "busy"));
        relay.chat("Authorization: Bearer mine\r\n");
        let sent = spare.received().pop().unwrap().header("authorization").map(str::to_owned);
        assert_eq!(sent, Some(format!("Bearer {}", key.unwrap_or("mine"))));
    }
}
