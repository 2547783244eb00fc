//! A client that speaks HTTP/2, over TLS or in clear text with prior knowledge.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Version};
use tidings_frame::sse_decode::{Decoder, EventRef};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::stream::Event;
use crate::support::{PATIENCE, Server};
use crate::tls;

/// What carries HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Clear,
    Tls,
}

pub(crate) const BOTH: [Over; 2] = [Over::Clear, Over::Tls];

/// Waits, with a bound.
pub(crate) async fn within<T>(waited: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, waited).await.expect("it takes too long")
}

/// A connection.
pub(crate) struct Client {
    requests: SendRequest<Bytes>,
    pub(crate) driver: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Client {
    pub(crate) async fn connect(server: &Server, over: Over) -> Self {
        // Room for the whole of every stream, so that one that is not read takes none from others.
        let mut builder = Builder::new();
        builder.initial_connection_window_size(1 << 30);
        Self::connect_with(server, over, &builder).await
    }

    pub(crate) async fn connect_with(server: &Server, over: Over, builder: &Builder) -> Self {
        match over {
            Over::Clear => {
                let socket = TcpStream::connect(server.address()).await.unwrap();
                Self::begin(socket, builder).await
            }
            Over::Tls => {
                let socket = TcpStream::connect(server.tls()).await.unwrap();
                let config = Arc::new(tls::client(&["h2", "http/1.1"]));
                let connector = tokio_rustls::TlsConnector::from(config);
                let name = "first.example".try_into().unwrap();
                let socket = within(connector.connect(name, socket)).await.unwrap();
                assert_eq!(socket.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
                Self::begin(socket, builder).await
            }
        }
    }

    async fn begin<S>(socket: S, builder: &Builder) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (requests, connection) = within(builder.handshake(socket)).await.unwrap();
        Self { requests, driver: tokio::spawn(connection) }
    }

    /// Sends a head; with the side to send the body on.
    pub(crate) async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        ends: bool,
    ) -> Result<(h2::client::ResponseFuture, SendStream<Bytes>), h2::Error> {
        let mut request = Request::builder()
            .version(Version::HTTP_2)
            .method(method)
            .uri(format!("https://first.example{target}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut requests = within(self.requests.clone().ready()).await?;
        requests.send_request(request.body(()).unwrap(), ends)
    }

    pub(crate) async fn request(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let (answer, mut sender) =
            self.send(method, target, headers, body.is_empty()).await.unwrap();
        if !body.is_empty() {
            sender.send_data(Bytes::copy_from_slice(body), true).unwrap();
        }
        whole(answer).await.unwrap()
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.request("GET", target, &[("accept", "application/json")], b"").await
    }

    pub(crate) async fn subscribe(&self, target: &str, headers: &[(&str, &str)]) -> Stream {
        let accept = ("accept", "text/event-stream");
        let headers = [&[accept], headers].concat();
        let (answer, _) = self.send("GET", target, &headers, true).await.unwrap();
        let (head, body) = within(answer).await.unwrap().into_parts();
        assert_eq!(head.status, 200, "{target}");
        Stream {
            headers: head.headers,
            body,
            decoder: Decoder::default(),
            events: VecDeque::new(),
            bytes: 0,
        }
    }
}

/// The answer with its body.
pub(crate) async fn whole(answer: h2::client::ResponseFuture) -> Result<Answer, h2::Error> {
    let (head, mut stream) = within(answer).await?.into_parts();
    let mut body = Vec::new();
    while let Some(part) = within(stream.data()).await {
        let part = part?;
        stream.flow_control().release_capacity(part.len()).unwrap();
        body.extend_from_slice(&part);
    }
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
}

/// A subscription. While it is not asked for events it opens its window no further.
pub(crate) struct Stream {
    pub(crate) headers: HeaderMap,
    body: RecvStream,
    decoder: Decoder,
    events: VecDeque<Event>,
    /// Bytes that have come.
    pub(crate) bytes: usize,
}

impl Stream {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// The connection's name as the list says it.
    pub(crate) fn name(&self) -> &str {
        self.header("tidings-connection").split_once('.').unwrap().0
    }

    /// The next event; none if the stream ends as finished, an error if it is reset.
    pub(crate) async fn try_next(&mut self) -> Result<Option<Event>, Option<Reason>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let Some(part) = within(self.body.data()).await else { return Ok(None) };
            let part = part.map_err(|error| error.reason())?;
            // After the end of the stream there is no window any more.
            let _ = self.body.flow_control().release_capacity(part.len());
            self.bytes += part.len();
            let events = &mut self.events;
            let add = |event: EventRef<'_>| {
                events.push_back(Event {
                    id: event.last_event_id.to_owned(),
                    kind: event.event_type.to_owned(),
                    data: event.data.to_owned(),
                });
            };
            self.decoder.feed(&part, add).unwrap();
        }
    }

    pub(crate) async fn next(&mut self) -> Event {
        self.try_next().await.expect("no reset").expect("an event, not the end")
    }

    /// Waits for a comment more than there were.
    pub(crate) async fn comment(&mut self) {
        let before = self.decoder.comments();
        while self.decoder.comments() == before {
            let part = within(self.body.data()).await.unwrap().unwrap();
            self.body.flow_control().release_capacity(part.len()).unwrap();
            self.decoder.feed(&part, |_| panic!("a comment is no event")).unwrap();
        }
    }
}
