//! HTTP/2: the same topics, events, ids and promises, many at a time on one connection.

use std::time::Duration;

use serde_json::{Value, json};

use crate::h2_client::{BOTH, Client, Over, within};
use crate::support::{Server, is_alone, resident, until, with_sequence};
use crate::tls;

fn listed(server: &Server, name: &str) -> Option<Value> {
    let page = server.get("/connections").json();
    let all = page["connections"].as_array().unwrap();
    all.iter().find(|connection| connection["id"] == name).cloned()
}

#[tokio::test]
async fn requests_and_subscriptions_are_answered_as_over_http1() {
    for over in BOTH {
        let server = tls::server();
        let client = Client::connect(&server, over).await;
        let published = client.request("POST", "/topics/t", &[], b"one").await;
        assert_eq!(published.status, 200, "{over:?}");
        let first = published.json()["id"].as_str().unwrap().to_owned();
        let mut stream = client.subscribe("/topics/t?earliest", &[]).await;
        assert_eq!(stream.next().await.data, "one");
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-cache, no-transform"),
            ("x-accel-buffering", "no"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(stream.header(name), value);
        }
        assert!(stream.headers.get("connection").is_none());
        assert!(stream.headers.get("date").is_some());
        server.publish("/topics/t", "two");
        let two = stream.next().await;
        assert_eq!(two.data, "two");
        // Resumed, by one connection or another.
        let other = Client::connect(&server, over).await;
        let mut resumed = other.subscribe("/topics/t", &[("last-event-id", &first)]).await;
        assert_eq!(resumed.next().await, two);
        let unknown = with_sequence(&two.id, 1 << 60);
        let mut lost = other.subscribe("/topics/t", &[("last-event-id", &unknown)]).await;
        assert_eq!(lost.next().await.kind, "gap");
        // What is no stream.
        let page = client.get("/topics/t?earliest").await;
        assert_eq!(page.json()["events"].as_array().unwrap().len(), 2);
        assert_eq!(page.header("content-length"), Some(&*page.body.len().to_string()));
        let head = client.request("HEAD", "/healthz", &[], b"").await;
        assert_eq!((head.status, head.body.len()), (200, 0));
        let missing = client.get("/nothing").await;
        assert_eq!((missing.status, &missing.json()["code"]), (404, &json!("not-found")));
        let socket = client.get("/ws").await;
        assert_eq!(socket.status, 426);
        server.request("POST", "/topics/t?end=done", "", b"");
        assert_eq!(stream.next().await.kind, "end");
        assert_eq!(stream.try_next().await, Ok(None));
        let over_id = server.get("/topics?limit=1").json()["topics"][0]["newest"].clone();
        let over_id = over_id.as_str().unwrap();
        let nothing = client.request("GET", "/topics/t", &[("last-event-id", over_id)], b"").await;
        assert_eq!(nothing.status, 204, "{}", String::from_utf8_lossy(&nothing.body));
    }
}

/// Events published while one of the streams is stuck, and the bytes of each.
const PUBLISHED: usize = 256;
const EVENT: usize = 128 << 10;

#[tokio::test]
async fn a_stuck_stream_harms_no_other_and_loses_nothing() {
    if !is_alone("http2::a_stuck_stream_harms_no_other_and_loses_nothing") {
        return;
    }
    for over in BOTH {
        let server = tls::server_with(|config| config.io_threads = 2);
        let client = Client::connect(&server, over).await;
        let mut stuck = client.subscribe("/topics/t", &[]).await;
        let mut others = Vec::new();
        for _ in 0..99 {
            others.push(client.subscribe("/topics/small", &[]).await);
        }
        let mut reader = client.subscribe("/topics/t", &[]).await;
        let before = resident();
        let mut most = 0;
        for number in 0..PUBLISHED {
            server.publish("/topics/t", &format!("{number:06}{}", "x".repeat(EVENT - 6)));
            server.publish("/topics/small", &number.to_string());
            assert_eq!(reader.next().await.data[..6], format!("{number:06}"));
            for other in &mut others {
                assert_eq!(other.next().await.data, number.to_string());
            }
            most = most.max(resident());
        }
        // What the client's library holds of the stuck stream is its window, 64 KiB.
        let grown = most.saturating_sub(before);
        assert!(grown < PUBLISHED * EVENT / 2, "{} MiB", grown >> 20);
        let name = stuck.name().to_owned();
        until("the stuck one to be known as such", || {
            let found = listed(&server, &name).unwrap();
            found["state"] == "blocked" && found["lag"].as_u64().unwrap() > 0
        });
        for number in 0..PUBLISHED {
            assert_eq!(stuck.next().await.data[..6], format!("{number:06}"), "{over:?}");
        }
        server.publish("/topics/t", "now");
        assert_eq!(stuck.next().await.data, "now");
    }
}

#[tokio::test]
async fn streams_are_listed_changed_and_ended_by_name() {
    for over in BOTH {
        let server = tls::server();
        let client = Client::connect(&server, over).await;
        let mut stream = client.subscribe("/topics/a", &[]).await;
        let name = stream.name().to_owned();
        let found = listed(&server, &name).unwrap();
        assert_eq!(found["topics"], json!(["a"]));
        assert_eq!(found["transport"], "sse");
        assert_eq!(found["protocol"], "h2");
        assert_eq!(found["tls"], over == Over::Tls);
        let own = stream.header("tidings-connection").to_owned();
        let change = json!({"topics": ["b"]}).to_string();
        let changed =
            client.request("PATCH", &format!("/connections/{own}"), &[], change.as_bytes()).await;
        assert_eq!((changed.status, &changed.json()["topics"]), (200, &json!(["b"])));
        server.publish("/topics/a", "not this");
        server.publish("/topics/b", "this");
        assert_eq!(stream.next().await.data, "this");
        until("its events to be counted", || listed(&server, &name).unwrap()["events"] == 1);
        let ended = server.request("DELETE", &format!("/connections/{name}"), "", b"");
        assert_eq!(ended.status, 204);
        assert_eq!(stream.try_next().await, Ok(None));
        assert!(listed(&server, &name).is_none());
        assert_eq!(server.request("DELETE", &format!("/connections/{name}"), "", b"").status, 404);
        // The connection goes on.
        assert_eq!(client.get("/healthz").await.status, 200);
    }
}

#[tokio::test]
async fn a_stuck_stream_can_be_ended() {
    let server = tls::server();
    let client = Client::connect(&server, Over::Clear).await;
    let mut stuck = client.subscribe("/topics/t", &[]).await;
    let name = stuck.name().to_owned();
    server.publish("/topics/t", &"x".repeat(EVENT));
    until("it to be blocked", || listed(&server, &name).unwrap()["state"] == "blocked");
    let ended = server.request("DELETE", &format!("/connections/{name}"), "", b"");
    assert_eq!(ended.status, 204);
    // In the middle of an event: that is no end.
    assert_eq!(stuck.try_next().await, Err(Some(h2::Reason::CANCEL)));
}

#[tokio::test]
async fn a_silent_stream_has_heartbeats() {
    for over in BOTH {
        let server = tls::server_with(|config| config.heartbeat = Duration::from_millis(300));
        let client = Client::connect(&server, over).await;
        let mut stream = client.subscribe("/topics/t", &[]).await;
        for _ in 0..4 {
            stream.comment().await;
        }
    }
}

#[tokio::test]
async fn stopping_says_goodbye_and_ends_streams_at_their_own_moments() {
    for over in BOTH {
        let mut server = tls::server_with(|config| {
            config.drain.jitter = Duration::from_secs(4);
        });
        let client = Client::connect(&server, over).await;
        let mut streams = Vec::new();
        for _ in 0..40 {
            streams.push(client.subscribe("/topics/t", &[]).await);
        }
        server.ask_to_stop();
        let ends = streams.into_iter().map(|mut stream| {
            tokio::spawn(async move {
                assert_eq!(stream.try_next().await, Ok(None));
                std::time::Instant::now()
            })
        });
        let ends: Vec<_> = ends.collect();
        let mut moments = Vec::new();
        for end in ends {
            moments.push(within(end).await.unwrap());
        }
        moments.sort_unstable();
        let first = moments[0];
        let mut moments: Vec<u128> =
            moments.iter().map(|at| at.duration_since(first).as_millis() / 100).collect();
        moments.dedup();
        assert!(moments.len() >= 5, "{moments:?}");
        // Said in the words of the protocol, and nothing is cut.
        assert!(client.send("GET", "/healthz", &[], true).await.is_err());
        within(client.driver).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn bodies_have_their_limit_and_come_together() {
    let server = tls::server_with(|config| {
        config.limits.body_bytes = 1 << 20;
        config.limits.event_bytes = 1 << 20;
    });
    let client = Client::connect(&server, Over::Tls).await;
    let large = vec![b'x'; 1 << 20];
    let all = (0..16).map(|_| client.request("POST", "/topics/t", &[], &large));
    let mut answers = Vec::new();
    for answer in all {
        answers.push(answer.await.status);
    }
    assert_eq!(answers, [200; 16]);
    let refused = client.request("POST", "/topics/t", &[], &[&large[..], b"x"].concat()).await;
    assert_eq!((refused.status, &refused.json()["code"]), (413, &json!("body-too-large")));
    assert_eq!(client.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_body_that_does_not_come_holds_up_no_other() {
    let server = tls::server();
    let client = Client::connect(&server, Over::Clear).await;
    let large = vec![b'x'; 200 << 10];
    let (_stuck, mut stuck) = client.send("POST", "/topics/t", &[], false).await.unwrap();
    stuck.send_data(large.clone().into(), false).unwrap();
    // All of it has left; its end has not.
    within(std::future::poll_fn(|context| {
        stuck.reserve_capacity(1);
        stuck.poll_capacity(context)
    }))
    .await
    .unwrap()
    .unwrap();
    assert_eq!(client.request("POST", "/topics/t", &[], &large).await.status, 200);
}

#[tokio::test]
async fn subscriptions_count_as_connections() {
    let server = tls::server_with(|config| config.limits.connections = 5);
    let client = Client::connect(&server, Over::Clear).await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(client.subscribe("/topics/t", &[]).await);
    }
    let refused = client.request("GET", "/topics/t", &[("accept", "text/event-stream")], b"").await;
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("too-many-connections")));
    drop(streams);
    loop {
        let accept = [("accept", "text/event-stream")];
        let (answer, _) = client.send("GET", "/topics/t", &accept, true).await.unwrap();
        if within(answer).await.unwrap().status() == 200 {
            break;
        }
    }
}

#[tokio::test]
async fn whoever_asks_for_what_is_kept_gets_nothing_stale() {
    let server = tls::server();
    server.put("t", &json!({"conflate": true}));
    let client = Client::connect(&server, Over::Tls).await;
    let mut live = client.subscribe("/topics/t", &[]).await;
    for (key, data) in [("a", "1"), ("b", "2"), ("a", "3"), ("b", "4")] {
        server.publish(&format!("/topics/t?key={key}"), data);
        assert_eq!(live.next().await.data, data);
    }
    let mut late = client.subscribe("/topics/t?earliest", &[]).await;
    assert_eq!(late.next().await.data, "3");
    assert_eq!(late.next().await.data, "4");
}
