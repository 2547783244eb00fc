//! A server that answers one connection after the other as it is told, and remembers what it was
//! asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Longest that a test waits for anything before it is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What to do with one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    /// Sent as they are, one after the other. None: no answer.
    pub(crate) parts: Vec<Vec<u8>>,
    /// Keep it open until the client closes it.
    pub(crate) hold: bool,
}

impl Answer {
    /// A whole answer with this head and body.
    pub(crate) fn new(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let mut head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        Self { parts: vec![head.into_bytes(), body.into()], hold: false }
    }

    /// Closes the connection without a word.
    pub(crate) fn none() -> Self {
        Self::default()
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    /// The value of a header; none if it was not sent.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
    }
}

pub(crate) struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// A server with an answer for each connection, in the order of their requests. What comes
    /// after the last answer is remembered too and closed without a word.
    pub(crate) async fn start(answers: Vec<Answer>) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), answers).await
    }

    /// The same at this address.
    pub(crate) async fn start_at(address: SocketAddr, answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::clone(&seen);
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        let task = tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (requests, answers) = (Arc::clone(&requests), Arc::clone(&answers));
                tokio::spawn(async move {
                    // A client may close whenever it likes: that is not the server's failure.
                    let _ = serve(socket, &requests, &answers).await;
                });
            }
        });
        Self { address, seen, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(
    mut socket: TcpStream,
    requests: &Mutex<Vec<Seen>>,
    answers: &Mutex<std::vec::IntoIter<Answer>>,
) -> std::io::Result<()> {
    let request = request(&mut socket).await?;
    let answer = {
        requests.lock().unwrap().push(request);
        answers.lock().unwrap().next().unwrap_or_default()
    };
    for part in &answer.parts {
        socket.write_all(part).await?;
        socket.flush().await?;
    }
    if answer.hold {
        // Until the client closes it.
        while socket.read(&mut [0; 1024]).await? > 0 {}
    }
    socket.shutdown().await
}

/// Reads one request: head, and body by its length.
async fn request(socket: &mut TcpStream) -> std::io::Result<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if socket.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let mut body = bytes.split_off(end + 4);
    let mut lines = bytes[..end].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let first = String::from_utf8_lossy(lines.next().unwrap()).into_owned();
    let mut words = first.split(' ').map(str::to_owned);
    let headers: Vec<(String, Vec<u8>)> = lines
        .map(|line| {
            let colon = line.iter().position(|byte| *byte == b':').unwrap();
            let name = String::from_utf8_lossy(&line[..colon]).into_owned();
            (name, line[colon + 1..].trim_ascii().to_vec())
        })
        .collect();
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut seen = Seen { method, path, headers, body: Vec::new() };
    let length = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
    while body.len() < length {
        if socket.read_buf(&mut body).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    seen.body = body;
    Ok(seen)
}
