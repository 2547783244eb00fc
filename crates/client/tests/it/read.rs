//! History, topics, and what is asked for them.

use std::time::Duration;

use serde_json::json;
use tidings_client::frame::api::ConnectionChange;
use tidings_client::frame::{ErrorCode, GapReason, Problem};
use tidings_client::{Client, RequestError};

use crate::server::{Answer, Seen, Server};

const JSON: (&str, &str) = ("Content-Type", "application/json");

async fn one(status: u16, body: &str) -> (Server, Client) {
    let server = Server::start(vec![Answer::new(status, &[JSON], body)]).await;
    let client = Client::new(&server.url()).unwrap();
    (server, client)
}

fn only(server: &Server) -> Seen {
    let mut seen = server.seen();
    assert_eq!(seen.len(), 1);
    seen.remove(0)
}

const TOPIC: &str = r#"{"name":"t","policy":{"conflate":true},"created":"1970-01-01T00:00:00Z",
    "oldest":"abcdefgh-1","newest":"abcdefgh-2","events":2,"bytes":99,"later":{}}"#;

#[tokio::test]
async fn a_connection_is_changed_by_the_name_that_it_was_given() {
    const OWN: &str = "c42.AbC-_0123456789abcdefg";
    let body = r#"{"id":"c42","topics":["a"],"patterns":[],"after":"abcdefgh-7"}"#;
    let (server, client) = one(200, body).await;
    let topics = Some(vec!["a".into()]);
    let change = ConnectionChange { topics, ..ConnectionChange::default() };
    let changed = client.change_connection(OWN, &change).await.unwrap();
    assert_eq!((changed.id.as_str(), changed.after), ("c42", "abcdefgh-7".parse().unwrap()));
    let seen = only(&server);
    assert_eq!((&*seen.method, &*seen.path), ("PATCH", "/connections/c42.AbC-_0123456789abcdefg"));
    for wrong in ["", ".", "..", ".c42", "c42/..", "c42?", "c 42", "c42#"] {
        let refused = client.close_connection(wrong).await;
        assert!(matches!(refused, Err(RequestError::Request(_))), "{wrong}");
    }
}

#[tokio::test]
async fn a_page_of_history() {
    let body = r#"{"events":[{"id":"abcdefgh-2","topic":"t","time":"1970-01-01T00:00:00Z",
        "data":"x\ny"}],"next":"abcdefgh-2","more":true,"gap":{"reason":"retention",
        "requested":"abcdefgh-0","resumes":"abcdefgh-1"}}"#;
    let (server, client) = one(200, body).await;
    let page = client
        .history("t/ü")
        .after("abcdefgh-0".parse().unwrap())
        .before("abcdefgh-9".parse().unwrap())
        .limit(1)
        .page()
        .await
        .unwrap();
    assert_eq!(page.events[0].text(), "x\ny");
    assert_eq!(page.next.unwrap().to_string(), "abcdefgh-2");
    assert!(page.more);
    assert_eq!(page.gap.unwrap().reason, GapReason::Retention);
    let seen = only(&server);
    assert_eq!(seen.path, "/topics/t/%C3%BC?after=abcdefgh-0&before=abcdefgh-9&limit=1");
    assert_eq!(seen.header("accept").as_deref(), Some("application/json"));
}

#[tokio::test]
async fn a_long_poll_waits_longer_than_a_request_may() {
    let (server, client) = one(200, r#"{"events":[]}"#).await;
    let page = client.history("t").last(5).wait(Duration::from_secs(20)).page().await.unwrap();
    assert_eq!((page.events.len(), page.next, page.more), (0, None, false));
    assert_eq!(only(&server).path, "/topics/t?last=5&poll=20");
}

#[tokio::test]
async fn the_list_of_topics_and_one_of_them() {
    let (server, client) = one(200, &format!(r#"{{"topics":[{TOPIC}],"more":true}}"#)).await;
    let page = client.topics(Some("a&b"), Some(1)).await.unwrap();
    assert_eq!((page.topics[0].name.as_str(), page.more), ("t", true));
    assert_eq!(only(&server).path, "/topics?after=a%26b&limit=1");

    let (server, client) = one(200, &format!(r#"{{"topics":[{TOPIC}]}}"#)).await;
    let topic = client.describe("t").await.unwrap().unwrap();
    assert_eq!((topic.events, topic.newest.unwrap().sequence), (2, 2));
    assert_eq!(only(&server).path, "/topics?name=t");

    let (_server, client) = one(200, r#"{"topics":[]}"#).await;
    assert_eq!(client.describe("t").await.unwrap(), None);
}

#[tokio::test]
async fn policies_are_put_and_topics_and_schedules_removed() {
    let (server, client) = one(201, TOPIC).await;
    client.set_policy("t", &json!({"conflate": true})).await.unwrap();
    let seen = only(&server);
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("PUT", "/topics/t"));
    assert_eq!(seen.body, br#"{"conflate":true}"#);

    let (server, client) = one(204, "").await;
    client.delete("t").await.unwrap();
    assert_eq!(only(&server).method, "DELETE");

    let (server, client) = one(204, "").await;
    client.unschedule("17").await.unwrap();
    assert_eq!(only(&server).path, "/schedules/17");
    let other = client.unschedule("../topics/t").await;
    assert!(matches!(other, Err(RequestError::Request(_))));
}

#[tokio::test]
async fn a_refusal_says_why() {
    let problem = Problem::new(ErrorCode::TopicNotFound, "there is no topic `t`");
    let (_server, client) = one(404, &String::from_utf8(problem.to_json()).unwrap()).await;
    let error = client.history("t").page().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::TopicNotFound));
    assert!(!error.is_retryable());
    let text = error.to_string();
    assert_eq!(text, "the server refused: there is no topic `t` (404 topic-not-found)");
}

#[tokio::test]
async fn a_read_follows_redirects() {
    let there = Answer::new(307, &[("Location", "/there")], "");
    let page = Answer::new(200, &[JSON], r#"{"events":[]}"#);
    let server = Server::start(vec![there, page]).await;
    let client = Client::new(&server.url()).unwrap();
    assert!(client.history("t").page().await.unwrap().events.is_empty());
    assert_eq!(server.seen()[1].path, "/there");
}
