//! What a publish sends, and when it is sent again.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tidings_client::frame::{End, ErrorCode};
use tidings_client::{Client, Expect, NewEvent, Receipt, RequestError};
use tokio::time::timeout;

use crate::server::{Answer, PATIENCE, Server};

const STORED: &str = r#"{"id":"abcdefgh-1","topic":"t","duplicate":false}"#;
const JSON: (&str, &str) = ("Content-Type", "application/json");

fn stored() -> Answer {
    Answer::new(200, &[JSON], STORED)
}

fn problem(code: ErrorCode) -> Answer {
    let problem = tidings_client::frame::Problem::new(code, "so it is");
    let body = String::from_utf8(problem.to_json()).unwrap();
    Answer::new(code.status(), &[("Content-Type", "application/problem+json")], &body)
}

fn client(server: &Server) -> Client {
    let builder = Client::builder(&server.url()).retry(Duration::from_millis(1));
    builder.publish_attempts(3).build().unwrap()
}

#[tokio::test]
async fn one_event_with_every_option() {
    let server = Server::start(vec![stored()]).await;
    let receipt = client(&server)
        .publish("a b/ü", "hello\n")
        .event_type("said")
        .key("k&1")
        .publisher_id("urn:1")
        .alternate("x")
        .ttl(Duration::from_secs(90))
        .private()
        .end(End::Done)
        .expect(Expect::Newest("abcdefgh-7".parse().unwrap()))
        .at(SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_342_212_003))
        .idempotency_key("once")
        .send()
        .await
        .unwrap();
    let receipt = receipt.stored().unwrap();
    assert_eq!((receipt.id.to_string().as_str(), receipt.duplicate), ("abcdefgh-1", false));
    let seen = &server.seen()[0];
    assert_eq!(seen.method, "POST");
    assert_eq!(
        seen.path,
        "/topics/a%20b/%C3%BC?alternate=x&type=said&key=k%261&ttl=90000ms\
         &private=true&end=done&expect=abcdefgh-7&at=2026-11-22T10:10:12.003Z"
    );
    assert_eq!(seen.body, b"hello\n");
    assert_eq!(seen.header("idempotency-key").as_deref(), Some("once"));
    assert_eq!(seen.header("tidings-publisher-id").as_deref(), Some("urn:1"));
    assert_eq!(seen.header("content-type").as_deref(), Some("text/plain; charset=utf-8"));
}

#[tokio::test]
async fn one_event_without_options_and_with_data_that_is_not_text() {
    let server = Server::start(vec![stored()]).await;
    client(&server).publish("t", vec![0xff, 0x00]).send().await.unwrap();
    let seen = &server.seen()[0];
    assert_eq!(seen.path, "/topics/t");
    assert_eq!(seen.body, [0xff, 0x00]);
    assert_eq!(seen.header("content-type").as_deref(), Some("application/octet-stream"));
    assert_eq!(seen.header("idempotency-key"), None);
}

#[tokio::test]
async fn a_batch_is_a_line_of_json_for_each_event() {
    let body = format!(r#"{{"events":[{STORED},{STORED}]}}"#);
    let server = Server::start(vec![Answer::new(200, &[JSON], &body)]).await;
    let events = [NewEvent::new("", "a\nb").key("k"), NewEvent::new("", vec![0xff])];
    let receipt =
        client(&server).publish_batch("t", events).delay(Duration::from_secs(1)).send().await;
    assert_eq!(receipt.unwrap().stored().unwrap().events.len(), 2);
    let seen = &server.seen()[0];
    assert_eq!(seen.path, "/topics/t?delay=1000ms");
    assert_eq!(seen.header("content-type").as_deref(), Some("application/x-ndjson"));
    assert_eq!(
        String::from_utf8_lossy(&seen.body),
        "{\"data\":\"a\\nb\",\"key\":\"k\"}\n{\"data_base64\":\"/w==\"}\n"
    );
}

#[tokio::test]
async fn several_topics_are_one_document_and_may_be_for_later() {
    let body = r#"{"schedule":"17","at":"2026-11-22T10:10:12.003Z"}"#;
    let server = Server::start(vec![Answer::new(202, &[JSON], body)]).await;
    let events = [
        NewEvent::new("a", "1").expect(Expect::Nothing).ttl(Duration::from_millis(5)),
        NewEvent::new("b", "2").private().end(End::Cancelled),
    ];
    let receipt = client(&server)
        .publish_many(events)
        .delay(Duration::from_secs(60))
        .idempotency_key("k")
        .send()
        .await
        .unwrap();
    let Receipt::Scheduled(scheduled) = receipt else { panic!("{receipt:?}") };
    assert_eq!(scheduled.schedule, "17");
    let seen = &server.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/publish"));
    assert_eq!(seen.header("idempotency-key").as_deref(), Some("k"));
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(
        body,
        json!({"events": [
            {"topic": "a", "data": "1", "ttl": "5ms", "expect": "none"},
            {"topic": "b", "data": "2", "private": true, "end": "cancelled"},
        ], "delay": "60000ms"})
    );
}

/// Publishes with or without a key; how many requests were made, and what came of it.
async fn attempts(answers: Vec<Answer>, key: Option<&str>) -> (usize, Result<(), RequestError>) {
    let server = Server::start(answers).await;
    let client = client(&server);
    let mut publish = client.publish("t", "x");
    if let Some(key) = key {
        publish = publish.idempotency_key(key);
    }
    let result = timeout(PATIENCE, publish.send()).await.unwrap().map(|_| ());
    let seen = server.seen();
    assert!(seen.iter().all(|request| request.header("idempotency-key").as_deref() == key));
    assert!(seen.iter().all(|request| request.body == b"x"));
    (seen.len(), result)
}

#[tokio::test]
async fn with_a_key_a_publish_is_repeated_until_it_succeeds_or_is_refused_for_good() {
    let broken = || vec![Answer::none(), stored()];
    assert!(matches!(attempts(broken(), Some("k")).await, (2, Ok(()))));
    let later = vec![problem(ErrorCode::Draining), problem(ErrorCode::DiskFull), stored()];
    assert!(matches!(attempts(later, Some("k")).await, (3, Ok(()))));
    let bad_gateway = vec![Answer::new(502, &[], "<html>"), stored()];
    assert!(matches!(attempts(bad_gateway, Some("k")).await, (2, Ok(()))));
    let (count, result) =
        attempts(vec![problem(ErrorCode::TopicClosed), stored()], Some("k")).await;
    assert_eq!((count, result.unwrap_err().code()), (1, Some(ErrorCode::TopicClosed)));
    let (count, result) = attempts(vec![problem(ErrorCode::Internal), stored()], Some("k")).await;
    assert_eq!((count, result.unwrap_err().code()), (1, Some(ErrorCode::Internal)));
    let (count, result) = attempts(vec![Answer::none(); 9], Some("k")).await;
    assert!(matches!((count, result), (3, Err(RequestError::Broken(_)))));
}

#[tokio::test]
async fn without_a_key_a_publish_that_the_server_may_have_seen_is_not_repeated() {
    let (count, result) = attempts(vec![Answer::none(), stored()], None).await;
    assert!(matches!((count, result), (1, Err(RequestError::Broken(_)))));
    let (count, result) = attempts(vec![problem(ErrorCode::Draining), stored()], None).await;
    let error = result.unwrap_err();
    assert_eq!((count, error.code()), (1, Some(ErrorCode::Draining)));
    assert!(error.is_retryable());
    assert_eq!(error.problem().unwrap().detail, "so it is");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_again_and_then_reported() {
    let placeholder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = placeholder.local_addr().unwrap();
    drop(placeholder);
    let client = Client::builder(&format!("http://{address}"))
        .retry(Duration::from_millis(1))
        .publish_attempts(2)
        .build()
        .unwrap();
    let error = client.publish("t", "x").send().await.unwrap_err();
    assert!(matches!(error, RequestError::Connect(_)), "{error:?}");
}

#[tokio::test]
async fn answers_that_are_no_answers_are_told_apart() {
    let answer = async |answer: Answer| {
        let server = Server::start(vec![answer]).await;
        client(&server).publish("t", "x").send().await.unwrap_err()
    };
    let odd = answer(Answer::new(200, &[JSON], "{}")).await;
    assert!(matches!(odd, RequestError::Answer(_)), "{odd:?}");
    let short = answer(Answer::new(200, &[("Content-Length", "100")], STORED)).await;
    assert!(matches!(short, RequestError::Broken(_)), "{short:?}");
    let redirect = answer(Answer::new(307, &[("Location", "/x")], "")).await;
    assert!(matches!(&redirect, RequestError::Refused(refusal) if refusal.status == 307));
    let held = Answer { parts: Vec::new(), hold: true };
    let server = Server::start(vec![held]).await;
    let builder = Client::builder(&server.url()).timeout(Duration::from_millis(50));
    let late = builder.build().unwrap().publish("t", "x").send().await.unwrap_err();
    assert!(matches!(late, RequestError::Timeout(_)), "{late:?}");
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused_before_anything_is_sent() {
    let server = Server::start(Vec::new()).await;
    let client = client(&server);
    let name = client.publish("a//b", "x").send().await;
    assert!(matches!(name, Err(RequestError::Request(_))));
    let key = client.publish("t", "x").idempotency_key("a\nb").send().await;
    assert!(matches!(key, Err(RequestError::Request(_))));
    assert!(server.seen().is_empty());
}
