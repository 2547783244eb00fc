//! Connections, against a server that says exactly what the test wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::ResponseError;
use super::conn::{Body, ExchangeError};
use crate::upstream::{UpstreamError, Upstreams};

const WHOLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A server that answers each request with the next of these, and counts connections.
struct Server {
    url: String,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// `serve` is given each connection.
    async fn start<F>(serve: impl Fn(TcpStream, usize) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, number));
            }
        });
        Self { url, connections }
    }

    /// Answers every request of every connection with this.
    async fn saying(answer: &'static str) -> Self {
        Self::start(move |mut stream, _| async move {
            while heard(&mut stream).await {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        })
        .await
    }

    fn get(&self) -> Request<Bytes> {
        Request::get(&self.url).body(Bytes::new()).unwrap()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Reads a request without a body; `false` at the end of the connection.
async fn heard(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte).await {
            Ok(1) => request.push(byte[0]),
            _ => return false,
        }
    }
    true
}

/// What should not take long, and would take for ever if it were wrong.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.unwrap()
}

async fn all(body: Body) -> Bytes {
    body.collect(1 << 20).await.unwrap()
}

fn upstreams() -> Upstreams {
    Upstreams::new(false).unwrap()
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    for answer in [
        WHOLE,
        "HTTP/1.1 204 No\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        let (server, upstreams) = (Server::saying(answer).await, upstreams());
        for _ in 0..3 {
            let response = upstreams.send(server.get(), true).await.unwrap();
            all(response.into_body()).await;
        }
        assert_eq!(server.connections(), 1, "{answer:?}");
        // Whoever may not reach private places has connections of its own.
        all(upstreams.send(server.get(), false).await.unwrap().into_body()).await;
        assert_eq!(server.connections(), 2, "{answer:?}");
    }
}

#[tokio::test]
async fn a_connection_that_may_not_be_used_again_is_not() {
    for answer in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        // More than was asked for.
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n",
    ] {
        let (server, upstreams) = (Server::saying(answer).await, upstreams());
        for asked in 1..=3 {
            let response = upstreams.send(server.get(), true).await.unwrap();
            assert_eq!(all(response.into_body()).await, "ok");
            assert_eq!(server.connections(), asked, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_dropped_closes_its_connection() {
    let (told, mut closed) = tokio::sync::mpsc::channel(1);
    let server = Server::start(move |mut stream, _| {
        let told = told.clone();
        async move {
            heard(&mut stream).await;
            let begin = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegin";
            stream.write_all(begin).await.unwrap();
            let _ = told.send(heard(&mut stream).await).await;
        }
    })
    .await;
    let upstreams = upstreams();
    let mut body = upstreams.send(server.get(), true).await.unwrap().into_body();
    assert!(body.next(|_| ()).await.unwrap());
    drop(body);
    assert_eq!(closed.recv().await, Some(false));
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_is_not_used() {
    let (close, closing) = tokio::sync::watch::channel(false);
    let server = Server::start(move |mut stream, number| {
        let mut closing = closing.clone();
        async move {
            heard(&mut stream).await;
            stream.write_all(WHOLE.as_bytes()).await.unwrap();
            if number == 0 {
                closing.wait_for(|closing| *closing).await.unwrap();
            } else {
                heard(&mut stream).await;
            }
        }
    })
    .await;
    let upstreams = upstreams();
    all(upstreams.send(server.get(), true).await.unwrap().into_body()).await;
    close.send(true).unwrap();
    // The task that closes and the one that hears of it have their turns.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    all(upstreams.send(server.get(), true).await.unwrap().into_body()).await;
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_refusal_is_heard_though_the_request_is_not_all_sent() {
    let refusal = "HTTP/1.1 413 Large\r\nContent-Length: 2\r\n\r\nno";
    let server = Server::start(move |mut stream, _| async move {
        heard(&mut stream).await;
        stream.write_all(refusal.as_bytes()).await.unwrap();
        // The body is never read.
        std::future::pending::<()>().await;
    })
    .await;
    let request = Request::post(&server.url).body(Bytes::from(vec![b'x'; 32 << 20])).unwrap();
    let response = soon(upstreams().send(request, true)).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(all(response.into_body()).await, "no");
}

#[tokio::test]
async fn what_came_is_given_out_before_what_is_wrong() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (rest, error) in [
        ("2\r\nab\r\n1\r\nc\r\nx\r\n", ResponseError::ChunkSize),
        ("2\r\nab\r\n2\r\nc", ResponseError::Cut),
    ] {
        let answer = format!("{chunked}{rest}");
        let server = Server::start(move |mut stream, _| {
            let answer = answer.clone();
            async move {
                heard(&mut stream).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        })
        .await;
        let mut body = upstreams().send(server.get(), true).await.unwrap().into_body();
        let mut came = Vec::new();
        let failed = loop {
            match soon(body.next(|piece| came.extend_from_slice(piece))).await {
                Ok(more) => assert!(more, "a clean end"),
                Err(error) => break error,
            }
        };
        assert_eq!(came, b"abc");
        assert!(matches!(failed, ExchangeError::Response(why) if why == error), "{failed}");
    }
}

#[tokio::test]
async fn what_is_too_long_is_not_collected() {
    let (server, upstreams) = (Server::saying(WHOLE).await, upstreams());
    let response = upstreams.send(server.get(), true).await.unwrap();
    assert!(matches!(response.into_body().collect(1).await, Err(ExchangeError::TooLong(1))));
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_from_what_broke() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let request = Request::get(nobody).body(Bytes::new()).unwrap();
    let refused = upstreams().send(request, true).await;
    assert!(matches!(refused, Err(UpstreamError::Connect(_))));
    let mute = Server::start(|mut stream, _| async move {
        heard(&mut stream).await;
    })
    .await;
    let broken = upstreams().send(mute.get(), true).await;
    assert!(matches!(broken, Err(UpstreamError::Broken(_))));
}
