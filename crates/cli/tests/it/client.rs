//! The client's calls that the program has no command for, against a real server.

use std::time::Duration;

use tempfile::TempDir;
use tidings_client::frame::ErrorCode;
use tidings_client::frame::api::{ConnectionChange, SubscribeRequest};
use tidings_client::{Client, Item, Subscription};
use tidings_server::config::Config;
use tidings_server::testing;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(40);

fn server() -> (testing::Server, Client, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::dev();
    config.listen = "127.0.0.1:0".parse().unwrap();
    config.data_dir = folder.path().to_owned();
    config.drain.jitter = Duration::ZERO;
    let server = testing::Server::start(config).unwrap();
    let client = Client::new(&format!("http://{}", server.address())).unwrap();
    (server, client, folder)
}

async fn next(subscription: &mut Subscription) -> String {
    let item = tokio::time::timeout(PATIENCE, subscription.next()).await.unwrap();
    match item.unwrap().unwrap() {
        Item::Event(event) => event.text().into_owned(),
        other => panic!("no event: {other:?}"),
    }
}

#[tokio::test]
async fn connections_are_listed_changed_and_closed() {
    let (server, client, _folder) = server();
    let mut subscription = client.subscribe().topic("a").open().unwrap();
    // It is there once it has had something.
    let (said, first) = tokio::join!(
        async {
            while client.connections().await.unwrap().total == 0 {
                tokio::task::yield_now().await;
            }
            client.publish("a", "1").send().await
        },
        next(&mut subscription)
    );
    assert!(said.is_ok() && first == "1");
    let page = client.connections().await.unwrap();
    let [one] = &page.connections[..] else { panic!("{page:?}") };
    assert_eq!((page.total, &*one.topics[0], one.state.as_str(), one.lag), (1, "a", "live", 0));

    let list = |topics: &[&'static str]| SubscribeRequest {
        topics: topics.iter().map(|topic| (*topic).into()).collect(),
        patterns: Vec::new(),
    };
    let change = ConnectionChange {
        add: Some(list(&["b"])),
        remove: Some(list(&["a"])),
        ..ConnectionChange::default()
    };
    let now = client.change_connection(&one.id, &change).await.unwrap();
    assert_eq!((&now.id, &now.topics[..]), (&one.id, &["b".to_owned()][..]));
    for topic in ["a", "b"] {
        client.publish(topic, format!("of {topic}")).send().await.unwrap();
    }
    assert_eq!(next(&mut subscription).await, "of b");

    client.close_connection(&one.id).await.unwrap();
    let error = client.close_connection(&one.id).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::ConnectionNotFound));
    let error = client.change_connection("c99999", &change).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::ConnectionNotFound));
    assert!(client.close_connection("../topics/a").await.is_err());
    drop(subscription);
    server.stop().unwrap();
}

#[tokio::test]
async fn a_producer_is_recognised() {
    let (server, client, _folder) = server();
    let publish = |epoch, sequence| {
        let said = client.publish("t", "x").producer("p 1/\u{fc}", epoch, sequence);
        async move { said.send().await.map(|receipt| receipt.stored().unwrap()) }
    };
    let first = publish(1, 0).await.unwrap();
    let again = publish(1, 0).await.unwrap();
    assert_eq!((again.id, first.duplicate, again.duplicate), (first.id, false, true));
    assert_eq!(publish(1, 2).await.unwrap_err().code(), Some(ErrorCode::ProducerGap));
    assert!(publish(2, 0).await.is_ok());
    assert_eq!(publish(1, 1).await.unwrap_err().code(), Some(ErrorCode::ProducerFenced));
    assert_eq!(client.history("t").page().await.unwrap().events.len(), 2);
    server.stop().unwrap();
}
