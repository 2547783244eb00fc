//! Runs `conformance/client/subscriptions.json`, and what needs more than one server or a look at
//! the connection's state.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tidings_client::frame::sse_encode::Frame;
use tidings_client::frame::{EventObject, Time};
use tidings_client::{Client, ConnectionState, Item, Start, Subscribe, SubscribeError};
use tokio::time::timeout;

use crate::server::{Answer, PATIENCE, Server};

/// The wait between attempts, small enough not to notice.
const RETRY: Duration = Duration::from_millis(1);

fn client(url: &str) -> Client {
    Client::builder(url).retry(RETRY).build().unwrap()
}

/// The event that a script or an expectation describes.
fn event(said: &Value) -> EventObject<'static> {
    let mut object = said.clone();
    let members = object.as_object_mut().unwrap();
    members.entry("topic").or_insert("t".into());
    members.entry("time").or_insert("1970-01-01T00:00:00Z".into());
    let text = object.to_string();
    serde_json::from_str::<EventObject<'_>>(&text).unwrap().into_owned()
}

fn part(part: &Value) -> Vec<u8> {
    if let Value::String(text) = part {
        return text.as_bytes().to_vec();
    }
    let event = event(&part["event"]);
    let mut data = Vec::new();
    event.write_to(&mut data);
    let mut out = Vec::new();
    let name = event.event_type.as_deref();
    Frame { id: Some(event.id), event: name, retry_ms: None, data: &data }.encode(&mut out);
    out
}

fn answer(connection: &Value) -> Answer {
    let mut answer = match connection["status"].as_u64().unwrap() {
        0 => Answer::none(),
        status => {
            let kind = json!({"Content-Type": "text/event-stream"});
            let headers = connection.get("headers").unwrap_or(&kind).as_object().unwrap();
            let headers: Vec<(&str, &str)> = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
                .collect();
            Answer::new(u16::try_from(status).unwrap(), &headers, "")
        }
    };
    answer.parts.extend(connection["body"].as_array().unwrap().iter().map(part));
    answer.hold = connection["then"] == "hold";
    answer
}

fn start(said: &Value) -> Start {
    let (how, value) = said.as_object().unwrap().iter().next().unwrap();
    match how.as_str() {
        "earliest" => Start::Earliest,
        "after" => Start::After(value.as_str().unwrap().to_owned()),
        "last" => Start::Last(value.as_u64().unwrap()),
        "since" => {
            let time: Time = value.as_str().unwrap().parse().unwrap();
            Start::Since(SystemTime::UNIX_EPOCH + Duration::from_millis(time.0))
        }
        "since_ago_ms" => Start::SinceAgo(Duration::from_millis(value.as_u64().unwrap())),
        other => panic!("no such start: {other}"),
    }
}

fn subscribe(client: &Client, case: &Value) -> Subscribe {
    let mut subscribe = client.subscribe();
    let topics = case.get("topics").cloned().unwrap_or(json!(["t"]));
    for topic in topics.as_array().unwrap() {
        subscribe = subscribe.topic(topic.as_str().unwrap());
    }
    for pattern in case.get("patterns").and_then(Value::as_array).into_iter().flatten() {
        subscribe = subscribe.pattern(pattern.as_str().unwrap());
    }
    if let Some(said) = case.get("start") {
        subscribe = subscribe.start(start(said));
    }
    if let Some(silence) = case.get("silence_ms") {
        subscribe = subscribe.silence(Duration::from_millis(silence.as_u64().unwrap()));
    }
    if let Some(bytes) = case.get("event_bytes_max") {
        subscribe = subscribe.event_bytes_max(usize::try_from(bytes.as_u64().unwrap()).unwrap());
    }
    if let Some(attempts) = case.get("attempts_max") {
        subscribe = subscribe.attempts_max(u32::try_from(attempts.as_u64().unwrap()).unwrap());
    }
    if case.get("first_attempt_final").is_some() {
        subscribe = subscribe.first_attempt_final();
    }
    subscribe
}

fn check_item(name: &str, item: &Item, expected: &Value) {
    match item {
        Item::Event(found) => assert_eq!(found, &event(&expected["event"]), "{name}"),
        Item::Gap(gap) => {
            assert_eq!(gap.reason.as_str(), expected["gap"]["reason"], "{name}");
            assert_eq!(gap.requested, expected["gap"]["requested"].as_str().unwrap(), "{name}");
            assert_eq!(gap.resumes.to_string(), expected["gap"]["resumes"], "{name}");
        }
        Item::End(end) => {
            assert_eq!(end.id.to_string(), expected["end"]["id"], "{name}");
            assert_eq!(end.reason.as_str(), expected["end"]["reason"], "{name}");
            assert_eq!(end.topic.as_deref(), expected["end"]["topic"].as_str(), "{name}");
        }
    }
}

fn outcome(last: Option<Result<Item, SubscribeError>>) -> &'static str {
    match last {
        None => "done",
        Some(Ok(_)) => "one item more",
        Some(Err(SubscribeError::Refused(_))) => "refused",
        Some(Err(SubscribeError::NotAnEventStream(_))) => "not-an-event-stream",
        Some(Err(SubscribeError::Redirect(_))) => "redirect",
        Some(Err(SubscribeError::Decode(_))) => "too-large",
        Some(Err(SubscribeError::Event(_))) => "event",
        Some(Err(SubscribeError::GaveUp { .. })) => "gave-up",
        Some(Err(_)) => "another error",
    }
}

async fn run(case: &Value) {
    let name = case["name"].as_str().unwrap();
    let connections = case["connections"].as_array().unwrap();
    let server = Server::start(connections.iter().map(answer).collect()).await;
    let mut subscription = subscribe(&client(&server.url()), case).open().unwrap();
    for expected in case["items"].as_array().unwrap() {
        let item = timeout(PATIENCE, subscription.next()).await.expect(name);
        let item = item.expect(name).expect(name);
        check_item(name, &item, expected);
        assert_eq!(subscription.position(), Some(item.position()), "{name}");
    }
    if case["outcome"] != "open" {
        let last = timeout(PATIENCE, subscription.next()).await.expect(name);
        assert_eq!(outcome(last), case["outcome"], "{name}");
        assert!(subscription.next().await.is_none(), "{name}: something after the end");
    }
    let seen = server.seen();
    assert_eq!(seen.len(), connections.len(), "{name}: requests");
    for (request, connection) in seen.iter().zip(connections) {
        let expected = &connection["request"];
        assert_eq!(request.path, expected["path"], "{name}");
        let method = expected.get("method").and_then(Value::as_str).unwrap_or("GET");
        assert_eq!(request.method, method, "{name}");
        assert_eq!(request.header("accept").as_deref(), Some("text/event-stream"), "{name}");
        assert_eq!(request.header("cache-control").as_deref(), Some("no-cache"), "{name}");
        if let Some(id) = expected.get("last_event_id").and_then(Value::as_str) {
            let sent = request.header("last-event-id").unwrap_or_default();
            assert_eq!(sent, id, "{name}: the position");
        }
        if method == "POST" {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!(body["topics"], case["topics"], "{name}");
        }
    }
}

#[tokio::test]
async fn a_scripted_server_is_answered_as_each_case_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance/client/subscriptions.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert!(cases.len() >= 90, "cases have been lost: {}", cases.len());
    for case in cases {
        run(case).await;
    }
}

/// A stream with these events, kept open.
fn stream(events: &[Value]) -> Answer {
    answer(&json!({
        "status": 200,
        "body": events.iter().map(|event| json!({"event": event})).collect::<Vec<_>>(),
        "then": "hold",
    }))
}

#[tokio::test]
async fn the_wait_that_a_server_asks_for_is_kept() {
    let later = Answer::new(503, &[("Retry-After", "1800")], "");
    let server = Server::start(vec![later]).await;
    let states = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&states);
    let mut subscription = client(&server.url())
        .subscribe()
        .topic("t")
        .on_state(move |state| log.lock().unwrap().push(state.clone()))
        .open()
        .unwrap();
    // It will wait for half an hour; a reconnection is announced before.
    let polling = tokio::spawn(async move { subscription.next().await.is_none() });
    let announced = async {
        loop {
            let last = states.lock().unwrap().last().cloned();
            if let Some(ConnectionState::Reconnecting { wait, attempt, cause }) = last {
                return (wait, attempt, cause.to_string());
            }
            tokio::task::yield_now().await;
        }
    };
    let (wait, attempt, cause) = timeout(PATIENCE, announced).await.unwrap();
    assert!(wait >= Duration::from_secs(1_800), "{wait:?}");
    assert_eq!(attempt, 1);
    assert_eq!(cause, "the server refused for now: status 503");
    assert!(matches!(states.lock().unwrap()[0], ConnectionState::Connecting));
    polling.abort();
}

#[tokio::test]
async fn a_server_that_is_not_there_yet_is_found_once_it_is() {
    let placeholder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = placeholder.local_addr().unwrap();
    drop(placeholder);
    let (failed, mut failures) = tokio::sync::mpsc::unbounded_channel();
    let mut subscription = client(&format!("http://{address}"))
        .subscribe()
        .topic("t")
        .on_state(move |state| {
            if let ConnectionState::Reconnecting { cause, .. } = state {
                let _ = failed.send(cause.to_string());
            }
        })
        .open()
        .unwrap();
    let reading = tokio::spawn(async move { subscription.next().await.unwrap().unwrap() });
    let cause = timeout(PATIENCE, failures.recv()).await.unwrap().unwrap();
    assert!(cause.starts_with("the server cannot be reached: "), "{cause}");
    let server =
        Server::start_at(address, vec![stream(&[json!({"id": "abcdefgh-1", "data": "a"})])]).await;
    let item = timeout(PATIENCE, reading).await.unwrap().unwrap();
    assert_eq!(item.position().to_string(), "abcdefgh-1");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn another_server_gets_the_position_but_neither_token_nor_headers() {
    let other = Server::start(vec![stream(&[json!({"id": "abcdefgh-5", "data": "e"})])]).await;
    let there = Answer::new(307, &[("Location", &format!("{}/x", other.url()))], "");
    let here = Server::start(vec![there]).await;
    let client =
        Client::builder(&here.url()).token("secret").header("X-Key", "secret").build().unwrap();
    let start = Start::After("abcdefgh-4".to_owned());
    let mut subscription = client.subscribe().topic("t").start(start).open().unwrap();
    let item = timeout(PATIENCE, subscription.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(item.position().to_string(), "abcdefgh-5");
    let (here, other) = (here.seen(), other.seen());
    assert_eq!(here[0].header("authorization").as_deref(), Some("Bearer secret"));
    assert_eq!(here[0].header("x-key").as_deref(), Some("secret"));
    assert_eq!(other[0].header("authorization"), None);
    assert_eq!(other[0].header("x-key"), None);
    assert_eq!(other[0].header("last-event-id").as_deref(), Some("abcdefgh-4"));
}

#[tokio::test]
async fn a_token_is_asked_for_anew_at_each_connection() {
    let closed = answer(&json!({"status": 200, "body": ["retry: 1\n\n"], "then": "close"}));
    let last = stream(&[json!({"id": "abcdefgh-1", "data": "a"})]);
    let server = Server::start(vec![closed, last]).await;
    let count = std::sync::atomic::AtomicU32::new(0);
    let client = Client::builder(&server.url())
        .retry(RETRY)
        .token_source(move || {
            format!("t{}", count.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
        })
        .build()
        .unwrap();
    let mut subscription = client.subscribe().topic("t").open().unwrap();
    timeout(PATIENCE, subscription.next()).await.unwrap().unwrap().unwrap();
    let tokens: Vec<_> = server.seen().iter().map(|seen| seen.header("authorization")).collect();
    assert_eq!(tokens, [Some("Bearer t0".to_owned()), Some("Bearer t1".to_owned())]);
}

#[test]
fn what_cannot_be_asked_for_is_refused_before_anything_is_sent() {
    let client = Client::new("http://127.0.0.1:9").unwrap();
    let refused =
        |subscribe: Subscribe| matches!(subscribe.open(), Err(SubscribeError::Request(_)));
    assert!(refused(client.subscribe()));
    assert!(refused(client.subscribe().topic("")));
    assert!(refused(client.subscribe().topic("a//b")));
    assert!(refused(client.subscribe().topic("a/*")));
    assert!(refused(client.subscribe().pattern("a*")));
    assert!(refused((0..1_025).fold(client.subscribe(), |all, n| all.topic(n.to_string()))));
    assert!(refused((0..65).fold(client.subscribe(), |all, n| all.pattern(n.to_string()))));
    assert!(!refused(client.subscribe().topic("a").pattern("**")));
}

#[tokio::test]
async fn the_name_of_the_open_connection_is_known() {
    let named = |name, id| {
        let head = [("Content-Type", "text/event-stream"), ("Tidings-Connection", name)];
        let mut answer = Answer::new(200, &head, "");
        answer.parts.push(part(&json!({"event": {"id": id, "data": "x"}})));
        answer
    };
    let answers = vec![named("c1.a", "abcdefgh-1"), named("c2.b", "abcdefgh-2")];
    let server = Server::start(answers).await;
    let mut subscription = client(&server.url()).subscribe().topic("t").open().unwrap();
    assert_eq!(subscription.connection(), None);
    for name in ["c1.a", "c2.b"] {
        timeout(PATIENCE, subscription.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(subscription.connection(), Some(name));
    }
}
