//! What the tests of the LLM relay share: an upstream that plays scripts, a server in front of it,
//! and a reader that sees every byte of an answer.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidings_frame::sse_decode::{Decoder, Limits};
use tidings_relay::config::{ChatRoutes, LlmConfig};
use tidings_scripted::{Script, Seen, Upstream};
use tidings_server::config::Config;

use crate::support::{Conn, PATIENCE, Server};

/// A server with an upstream behind it.
pub(crate) struct Relay {
    pub(crate) upstream: Upstream,
    pub(crate) server: Server,
}

/// An event as a client of the API sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) event_type: String,
    pub(crate) data: String,
}

/// A response that was read to its end, or to where it was cut.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// The body without its chunks.
    pub(crate) body: Vec<u8>,
    /// Whether the last chunk was there.
    pub(crate) whole: bool,
}

impl Relay {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut LlmConfig)) -> Self {
        Self::with_both(change, |_| {})
    }

    pub(crate) fn with_config(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_both(|_| {}, change)
    }

    fn with_both(
        change: impl FnOnce(&mut LlmConfig),
        change_config: impl FnOnce(&mut Config),
    ) -> Self {
        let upstream = Upstream::start().unwrap();
        let mut llm = LlmConfig::new("llm", "/v1", upstream.url().parse().unwrap());
        llm.chat = Some(ChatRoutes { path: "/api/chat".into(), model: Some("scripted".into()) });
        change(&mut llm);
        let server = Server::with(|config| {
            // How long a stop waits for answers that run.
            config.drain.grace = Duration::from_millis(500);
            config.llm_relays.push(llm);
            change_config(config);
        });
        Self { upstream, server }
    }

    pub(crate) fn play(&self, script: Script) {
        self.upstream.play(move |_| script.clone());
    }

    /// Sends a request for a streamed answer and does not read it.
    pub(crate) fn ask(&self, path: &str, headers: &str, body: &Value) -> Conn {
        let mut conn = self.server.connect();
        let headers = format!("Content-Type: application/json\r\n{headers}");
        conn.ask("POST", path, &headers, body.to_string().as_bytes());
        conn
    }

    /// Sends a request for a streamed answer and reads the head of it.
    #[track_caller]
    pub(crate) fn begin(&self, path: &str, headers: &str, body: &Value) -> (Conn, Answered) {
        let mut conn = self.ask(path, headers, body);
        let head = conn.head().expect("an answer, not the end of the connection");
        let status = status_of(&head);
        (conn, Answered { status, head, body: Vec::new(), whole: false })
    }

    /// Stops the server in order and starts it again over the same folder and the same upstream.
    pub(crate) fn restart(self) -> Self {
        let Self { upstream, server } = self;
        Self { upstream, server: server.restart() }
    }

    /// Waits until the client of the upstream's answer `number` has closed its connection.
    #[track_caller]
    pub(crate) fn is_left(&self, number: u64) {
        let left =
            |seen: &Seen| seen.answer(number).is_some_and(|it| it.closed_by_client.is_some());
        assert!(self.upstream.wait_for(left), "the upstream is left to go on");
    }

    /// The whole answer to a chat request.
    #[track_caller]
    pub(crate) fn chat(&self, headers: &str) -> Answered {
        Answered::read(self.ask("/v1/chat/completions", headers, &chat("hello")), usize::MAX)
    }

    /// Reads an answer's topic as its `Link` says.
    #[track_caller]
    pub(crate) fn resume(&self, answered: &Answered, last_event_id: &str) -> Vec<Event> {
        let headers = if last_event_id.is_empty() {
            String::new()
        } else {
            format!("Last-Event-ID: {last_event_id}\r\n")
        };
        let mut conn = self.server.connect();
        let headers = format!("Accept: text/event-stream\r\n{headers}");
        conn.ask("GET", &answered.link(), &headers, b"");
        let again = Answered::read(conn, usize::MAX);
        if again.status == 204 {
            return Vec::new();
        }
        assert_eq!(again.status, 200, "{}", again.head);
        again.events()
    }

    /// Posts to where an answer is stopped; returns its state.
    #[track_caller]
    pub(crate) fn stop(&self, answered: &Answered) -> Value {
        let reply = self.server.request("POST", &answered.header("tidings-stop"), "", b"");
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }

    /// What an answer says so far, as `GET /answers/{name}` tells it.
    pub(crate) fn told(&self, answered: &Answered) -> String {
        self.described(answered)["snapshot"]["text"].as_str().unwrap_or_default().to_owned()
    }

    /// What `GET /answers/{name}` tells of an answer.
    pub(crate) fn described(&self, answered: &Answered) -> Value {
        let link = answered.link();
        let (topic, token) = link.split_once("?token=").unwrap();
        let name = topic.rsplit('/').next().unwrap();
        self.server.get(&format!("/answers/{name}?token={token}")).json()
    }

    /// Requests that have reached the upstream.
    pub(crate) fn asked(&self) -> usize {
        self.upstream.received().len()
    }
}

pub(crate) fn chat(text: &str) -> Value {
    json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": text}]})
}

pub(crate) fn responses(text: &str) -> Value {
    json!({"model": "m", "stream": true, "input": text})
}

pub(crate) fn messages(text: &str) -> Value {
    json!({"model": "m", "stream": true, "max_tokens": 100,
        "messages": [{"role": "user", "content": text}]})
}

/// The three APIs: path and request.
pub(crate) fn apis() -> [(&'static str, Value); 3] {
    [
        ("/v1/chat/completions", chat("hello")),
        ("/v1/responses", responses("hello")),
        ("/v1/messages", messages("hello")),
    ]
}

impl Answered {
    /// Reads a response until its end, or until so many bytes after its head.
    #[track_caller]
    pub(crate) fn read(conn: Conn, bytes_max: usize) -> Self {
        let mut conn = conn;
        let head = conn.head().expect("an answer, not the end of the connection");
        let status = status_of(&head);
        let lower = head.to_ascii_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(usize::MAX, |length| length.parse().unwrap());
        // Heartbeats are no sign that the end will come.
        let deadline = Instant::now() + PATIENCE;
        while conn.buffered() < bytes_max.min(length) && conn.read_more() {
            assert!(
                Instant::now() < deadline,
                "no end came, only {:?}",
                String::from_utf8_lossy(&conn.take_input())
            );
        }
        let mut raw = conn.take_input();
        raw.truncate(bytes_max);
        let chunked = lower.contains("transfer-encoding: chunked");
        let (body, whole) = if chunked { dechunk(&raw) } else { (raw, true) };
        Self { status, head, body, whole }
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> String {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = lines.filter(|(has, _)| has.eq_ignore_ascii_case(name));
        let (_, value) = found.next().unwrap_or_else(|| panic!("no {name} in {}", self.head));
        value.to_owned()
    }

    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.head.lines().any(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))
    }

    /// Where the answer's topic is read.
    #[track_caller]
    pub(crate) fn link(&self) -> String {
        let link = self.header("link");
        link[1..link.find('>').unwrap()].to_owned()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        let mut decoder = Decoder::new(Limits::default());
        let mut events = Vec::new();
        decoder
            .feed(&self.body, |event| {
                events.push(Event {
                    id: event.last_event_id.to_owned(),
                    event_type: event.event_type.to_owned(),
                    data: event.data.to_owned(),
                });
            })
            .unwrap();
        events
    }

    pub(crate) fn data(&self) -> Vec<String> {
        self.events().into_iter().map(|event| event.data).collect()
    }

    /// What the answer says, in any of the dialects.
    pub(crate) fn text(&self) -> String {
        self.data().iter().map(|data| text_of(data)).collect()
    }

    /// The last event's data as JSON.
    #[track_caller]
    pub(crate) fn last(&self) -> Value {
        let data = self.data();
        serde_json::from_str(data.last().expect("an event")).unwrap_or(Value::Null)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn status_of(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The text that one event adds.
pub(crate) fn text_of(data: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(data) else { return String::new() };
    let chat = value.pointer("/choices/0/delta/content");
    let responses = value.get("delta").filter(|_| value["type"] == "response.output_text.delta");
    let messages = value.pointer("/delta/text");
    chat.or(responses).or(messages).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A chunked body without its chunks, and whether the last one was there.
fn dechunk(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(line) = raw.windows(2).position(|two| two == b"\r\n") else {
            return (body, false);
        };
        let size = usize::from_str_radix(std::str::from_utf8(&raw[..line]).unwrap(), 16).unwrap();
        raw = &raw[line + 2..];
        if size == 0 {
            assert!(b"\r\n".starts_with(raw), "nothing follows the last chunk");
            return (body, raw == b"\r\n");
        }
        body.extend_from_slice(&raw[..size.min(raw.len())]);
        let Some(rest) = raw.get(size..) else { return (body, false) };
        let Some(rest) = rest.strip_prefix(b"\r\n") else { return (body, false) };
        raw = rest;
    }
}

/// Long enough that a test's own work never takes it.
pub(crate) const LONG: Duration = Duration::from_secs(600);
