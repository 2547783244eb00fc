//! Streams over TLS and HTTP/2 are judged, limited, ended and counted as those of plain HTTP/1.1.

use serde_json::{Value, json};
use tidings_server::config::ForwardedBy;

use crate::access::{claims, closed, now, token};
use crate::h2_client::{BOTH, Client, Over};
use crate::stream::Stream;
use crate::support::until;
use crate::tls;

const SSE: &str = "Accept: text/event-stream\r\n";

#[tokio::test]
async fn a_stream_over_tls_or_http2_needs_a_token_and_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = closed(|config| config.tls = Some(tls::files(folder.path())));
    let everything = json!({"admin": ["**"], "subscribe": ["**"], "publish": ["**"]});
    let operator = format!("Authorization: Bearer {}\r\n", token(&claims("root", everything)));
    let total = || server.request("GET", "/connections", &operator, b"").json()["total"].clone();
    let revoke = |id: &str| {
        let body = json!({"token_id": id, "expires": now() + 3_600}).to_string();
        assert_eq!(server.request("POST", "/revocations", &operator, body.as_bytes()).status, 200);
    };
    let reader = |id: &str| {
        let mut claims = claims("ada", json!({"subscribe": ["chat/*"]}));
        claims["jti"] = id.into();
        format!("Bearer {}", token(&claims))
    };
    for (over, id) in BOTH.into_iter().zip(["h1", "h2"]) {
        let client = Client::connect(&server, over).await;
        for (headers, status) in [(vec![], 401), (vec![("authorization", "Bearer a.b.c")], 401)] {
            let stream = [vec![("accept", "text/event-stream")], headers].concat();
            let answer = client.request("GET", "/topics/chat/7", &stream, b"").await;
            assert_eq!(answer.status, status, "{over:?}");
        }
        let bearer = reader(id);
        let with = [("authorization", &*bearer), ("accept", "text/event-stream")];
        assert_eq!(client.request("GET", "/topics/other", &with, b"").await.status, 403);
        let mut stream = client.subscribe("/topics/chat/7", &with[..1]).await;
        assert_eq!(total(), 1);
        revoke(id);
        while stream.try_next().await.ok().flatten().is_some() {}
        until("it to be gone", || total() == 0);
    }
    let mut conn = server.connect_tls();
    conn.ask("GET", "/topics/chat/7", SSE, b"");
    assert_eq!(conn.reply().status, 401);
    let mut conn = server.connect_tls();
    let bearer = format!("{SSE}Authorization: {}\r\n", reader("tls"));
    conn.ask("GET", "/topics/chat/7", &bearer, b"");
    let stream = Stream::open(conn);
    revoke("tls");
    stream.until_end();
    until("it to be gone", || total() == 0);
}

#[tokio::test]
async fn a_limit_counts_the_client_that_a_trusted_proxy_names() {
    let server = tls::server_with(|config| {
        config.proxy.trusted = vec!["127.0.0.1".parse().unwrap()];
        config.proxy.header = ForwardedBy::XForwardedFor;
        config.limits.quotas.address.subscriptions = Some(1);
        // The proxy's own connections are many.
        config.limits.quotas.address.connections = Some(1);
    });
    let from = |address: &str| format!("X-Forwarded-For: {address}\r\n");
    let _one = server.subscribe_with("/topics/t", &from("192.0.2.1"));
    let mut over_tls = server.connect_tls();
    over_tls.ask("GET", "/topics/t", &format!("{SSE}{}", from("192.0.2.2")), b"");
    let _two = Stream::open(over_tls);
    let client = Client::connect(&server, Over::Tls).await;
    let _three = client.subscribe("/topics/t", &[("x-forwarded-for", "192.0.2.3")]).await;
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        let fields = format!("{SSE}{}", from(address));
        server.request("GET", "/topics/t", &fields, b"").problem(429, "rate-limited");
        let mut conn = server.connect_tls();
        conn.ask("GET", "/topics/t", &fields, b"");
        conn.reply().problem(429, "rate-limited");
        let named = [("accept", "text/event-stream"), ("x-forwarded-for", address)];
        assert_eq!(client.request("GET", "/topics/t", &named, b"").await.status, 429);
    }
}

#[tokio::test]
async fn the_overview_counts_what_is_encrypted_and_what_speaks_http2() {
    let server = tls::server();
    let mut overview = server.subscribe("/topics/$tidings/overview");
    let over_tls = Client::connect(&server, Over::Tls).await;
    let _clear = Client::connect(&server, Over::Clear).await;
    let stream = over_tls.subscribe("/topics/t", &[]).await;
    let mut figures = |http1: u64, http2: u64, tls: u64, sse: u64| {
        // One a second.
        let found = (0..40).any(|_| {
            let figures: Value = serde_json::from_str(&overview.next().data).unwrap();
            let counts = &figures["connections"];
            [("http1", http1), ("http2", http2), ("tls", tls), ("sse", sse)]
                .iter()
                .all(|(name, count)| counts[*name] == *count)
        });
        assert!(found, "{http1} {http2} {tls} {sse}");
    };
    figures(1, 2, 1, 2);
    drop(stream);
    over_tls.driver.abort();
    assert!(over_tls.driver.await.is_err());
    figures(1, 1, 0, 1);
}
