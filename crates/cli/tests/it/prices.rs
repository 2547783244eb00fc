//! The publisher of the demo's prices: asked for by an event, at the rate that was asked for.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tidings_client::{Client, Item, Start, Subscription};

use crate::server::Server;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(40);

/// The next price: its instrument, and how often that has changed.
async fn next(subscription: &mut Subscription) -> (String, u64) {
    let item = tokio::time::timeout(PATIENCE, subscription.next()).await.unwrap();
    let Item::Event(event) = item.unwrap().unwrap() else { panic!("no event") };
    let (_, count, _): (f64, u64, u64) = serde_json::from_str(&event.text()).unwrap();
    (event.key.clone().unwrap().into_owned(), count)
}

/// Asks until something comes: the publisher may not be listening yet.
async fn ask(client: &Client, ticks: &mut Subscription, rate: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        client.publish("demo/prices/control", rate.to_owned()).send().await.unwrap();
        let soon = tokio::time::timeout(Duration::from_secs(1), ticks.next());
        if soon.await.is_ok() {
            return;
        }
        assert!(Instant::now() < deadline, "nobody publishes prices");
    }
}

#[tokio::test]
async fn prices_come_when_they_are_asked_for_and_each_change_is_counted() {
    let server = Server::start();
    let client = Client::new(&server.url).unwrap();
    assert!(client.describe("demo/prices").await.unwrap().is_none(), "nobody has asked");
    let mut ticks = client.subscribe().topic("demo/ticks").open().unwrap();
    // What is not understood is passed over.
    client.publish("demo/prices/control", "faster").send().await.unwrap();
    ask(&client, &mut ticks, "{\"rate\":2000}").await;
    let mut counts: HashMap<String, u64> = HashMap::new();
    for _ in 0..2_000 {
        let (symbol, count) = next(&mut ticks).await;
        let before = counts.insert(symbol, count);
        assert!(before.is_none_or(|before| count == before + 1), "a change is missing");
    }
    assert!(counts.len() > 400, "{} instruments of 500", counts.len());
}

#[tokio::test]
async fn the_conflated_topic_keeps_one_price_of_each_instrument() {
    let server = Server::start();
    let client = Client::new(&server.url).unwrap();
    let mut ticks = client.subscribe().topic("demo/ticks").open().unwrap();
    ask(&client, &mut ticks, "{\"rate\":5000}").await;
    for _ in 0..5_000 {
        next(&mut ticks).await;
    }
    let kept = client.describe("demo/prices").await.unwrap().unwrap().events;
    assert!((400..=1_000).contains(&kept), "{kept} events are kept of 5,000");
    let mut prices = client.subscribe().topic("demo/prices").start(Start::Earliest).open().unwrap();
    let mut counts: HashMap<String, u64> = HashMap::new();
    while counts.len() < 400 {
        let (symbol, count) = next(&mut prices).await;
        let before = counts.insert(symbol, count).unwrap_or_default();
        assert!(count > before, "an older price came after a newer one");
    }
    assert_eq!(server.stop(), Some(0), "the publisher does not hold up the end");
}
