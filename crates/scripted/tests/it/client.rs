//! A client that takes what comes, and tells how it ended.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use tidings_scripted::Upstream;

/// Reading gives up after this; only a failing test gets there.
const READ_MAX: Duration = Duration::from_secs(20);

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// In order (FIN).
    Closed,
    /// With a reset.
    Reset,
}

/// A connection with one request on it.
pub(crate) struct Call(pub(crate) TcpStream);

impl Call {
    pub(crate) fn send(upstream: &Upstream, wire: &str) -> Self {
        let mut socket = TcpStream::connect(upstream.address()).unwrap();
        socket.set_read_timeout(Some(READ_MAX)).unwrap();
        socket.write_all(wire.as_bytes()).unwrap();
        Self(socket)
    }

    /// Asks for an answer; the connection is to be closed after it.
    pub(crate) fn post(upstream: &Upstream, path: &str, body: &str) -> Self {
        Self::send(upstream, &post(path, body, "connection: close\r\n"))
    }

    pub(crate) fn chat(upstream: &Upstream) -> Self {
        Self::post(upstream, "/v1/chat/completions", STREAM)
    }

    /// Everything up to the end of the connection.
    pub(crate) fn all(mut self) -> (Vec<u8>, Ended) {
        let mut wire = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match self.0.read(&mut piece) {
                Ok(0) => return (wire, Ended::Closed),
                Ok(read) => wire.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return (wire, Ended::Reset);
                }
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&wire)),
            }
        }
    }

    /// As many bytes as this, and no more.
    pub(crate) fn some(&mut self, len: usize) -> Vec<u8> {
        let mut wire = vec![0; len];
        self.0.read_exact(&mut wire).unwrap();
        wire
    }

    /// Everything up to and including `end`.
    pub(crate) fn until(&mut self, end: &str) -> String {
        let mut wire = Vec::new();
        while !wire.ends_with(end.as_bytes()) {
            wire.extend_from_slice(&self.some(1));
        }
        String::from_utf8(wire).unwrap()
    }
}

pub(crate) const STREAM: &str = r#"{"model":"m","stream":true}"#;

pub(crate) fn post(path: &str, body: &str, headers: &str) -> String {
    let len = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {len}\r\n\r\n{body}")
}

/// A response: its head and what follows it.
pub(crate) fn cut_head(wire: &[u8]) -> (String, &[u8]) {
    let end = wire.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    (String::from_utf8(wire[..end].to_vec()).unwrap(), &wire[end..])
}

/// The chunks of a body, and whether the last one was there.
pub(crate) fn chunks(mut wire: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let mut chunks = Vec::new();
    while !wire.is_empty() {
        let end = wire.windows(2).position(|two| two == b"\r\n").unwrap();
        let size = std::str::from_utf8(&wire[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        assert_eq!(&wire[end + 2 + size..end + 4 + size], b"\r\n");
        if size == 0 {
            assert_eq!(wire.len(), end + 4, "something after the last chunk");
            return (chunks, true);
        }
        chunks.push(wire[end + 2..end + 2 + size].to_vec());
        wire = &wire[end + 4 + size..];
    }
    (chunks, false)
}

/// The body of a chunked response that has ended, and how.
pub(crate) fn body(call: Call) -> (String, bool, Ended) {
    let (wire, ended) = call.all();
    let (chunks, complete) = chunks(cut_head(&wire).1);
    (String::from_utf8(chunks.concat()).unwrap(), complete, ended)
}

/// The events of a body with LF: names and data.
pub(crate) fn events(body: &str) -> Vec<(Option<&str>, &str)> {
    assert!(body.ends_with("\n\n"));
    let blocks = body.trim_end().split("\n\n");
    blocks
        .map(|block| {
            let name = block.lines().find_map(|line| line.strip_prefix("event: "));
            (name, block.lines().find_map(|line| line.strip_prefix("data: ")).unwrap())
        })
        .collect()
}

pub(crate) fn json(data: &str) -> Value {
    serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))
}
