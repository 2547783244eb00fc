//! Readers that take their time, give up in the middle, or stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidings_client::frame::sse_encode::Frame;
use tidings_client::frame::{EventObject, Position};
use tidings_client::{Client, Item, Subscription};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::server::{Answer, PATIENCE, Server};

const HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

fn block(sequence: u64, data: &str) -> Vec<u8> {
    let id = Position { epoch: "abcdefgh".parse().unwrap(), sequence };
    let event = EventObject {
        id,
        topic: "t".into(),
        alternates: Vec::new(),
        time_ms: 0,
        event_type: None,
        key: None,
        publisher_id: None,
        end: None,
        data: data.as_bytes().into(),
    };
    let (mut data, mut out) = (Vec::new(), Vec::new());
    event.write_to(&mut data);
    Frame { id: Some(id), event: None, retry_ms: None, data: &data }.encode(&mut out);
    out
}

fn subscribe(url: &str) -> Subscription {
    Client::new(url).unwrap().subscribe().topic("t").open().unwrap()
}

async fn sequence(subscription: &mut Subscription) -> u64 {
    match timeout(PATIENCE, subscription.next()).await.unwrap().unwrap().unwrap() {
        Item::Event(event) => event.id.sequence,
        other => panic!("{other:?}"),
    }
}

/// What a server would send if it were let, in bytes: far more than two sockets' buffers hold.
const OFFERED_BYTES: u64 = 512 << 20;

/// What the buffers of the two sockets and of the client may swallow, in bytes.
const SWALLOWED_BYTES_MAX: u64 = 64 << 20;

#[tokio::test]
async fn a_reader_that_takes_its_time_holds_the_server_back_and_loses_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.read(&mut [0; 4096]).await.unwrap();
        socket.write_all(HEAD.as_bytes()).await.unwrap();
        let text = "x".repeat(1_000);
        for next in 1.. {
            let block = block(next, &text);
            if counter.load(Ordering::Relaxed) > OFFERED_BYTES
                || socket.write_all(&block).await.is_err()
            {
                break;
            }
            counter.fetch_add(block.len() as u64, Ordering::Relaxed);
        }
    });
    let mut subscription = subscribe(&url);
    assert_eq!(sequence(&mut subscription).await, 1);
    // Until the server has not got a byte further for a while: it is held back, or has sent all.
    let mut before = 0;
    while sent.load(Ordering::Relaxed) != before {
        before = sent.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(before < SWALLOWED_BYTES_MAX, "{before} bytes were taken from the server");
    for expected in 2..20_000 {
        assert_eq!(sequence(&mut subscription).await, expected);
    }
    drop(subscription);
    timeout(PATIENCE, server).await.expect("the server notices that its reader is gone").unwrap();
}

#[tokio::test]
async fn a_call_that_is_given_up_in_the_middle_loses_nothing() {
    let bytes: Vec<u8> = (1..=50).flat_map(|next| block(next, "a")).collect();
    let mut parts = vec![HEAD.as_bytes().to_vec()];
    parts.extend(bytes.chunks(7).map(<[u8]>::to_vec));
    let server = Server::start(vec![Answer { parts, hold: true }]).await;
    let mut subscription = subscribe(&server.url());
    let mut got = Vec::new();
    let reading = async {
        while got.len() < 50 {
            tokio::select! {
                biased;
                item = subscription.next() => got.push(item.unwrap().unwrap().position().sequence),
                () = tokio::task::yield_now() => {}
            }
        }
    };
    timeout(PATIENCE, reading).await.unwrap();
    assert_eq!(got, (1..=50).collect::<Vec<_>>());
    assert_eq!(server.seen().len(), 1);
}
