//! Somebody else's program that is posted to: it notes what comes and answers as the test says.
//! What it verifies, it verifies by itself: HMAC is made here of SHA-256 alone (RFC 2104).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::support::{PATIENCE, until};

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Posted {
    /// The head as it came.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Which connection it came on.
    pub(crate) connection: usize,
}

impl Posted {
    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.head.split("\r\n").find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then_some(value.trim())
        });
        line.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id")
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The type, and what it is about.
    pub(crate) fn told(&self) -> String {
        let json = self.json();
        let about = json["data"]["topic"].as_str().or(json["data"]["subject"].as_str());
        format!("{} {}", json["type"].as_str().unwrap(), about.unwrap())
    }

    /// Whether one of its signatures was made with this secret.
    #[track_caller]
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut said = format!("{}.{}.", self.id(), self.header("webhook-timestamp")).into_bytes();
        said.extend_from_slice(&self.body);
        let wanted = format!("v1,{}", STANDARD.encode(hmac(&key, &said)));
        self.header("webhook-signature").split(' ').any(|signature| signature == wanted)
    }
}

/// HMAC-SHA256 (RFC 2104).
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let keyed = |pad: u8, text: &[u8]| {
        let mut all: Vec<u8> = block.iter().map(|byte| byte ^ pad).collect();
        all.extend_from_slice(text);
        digest(&SHA256, &all).as_ref().to_vec()
    };
    keyed(0x5c, &keyed(0x36, text))
}

/// How a request is answered.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// With a status, header lines (each with its end) and a body.
    Say(u16, String, String),
    /// Not at all, until the receiver goes.
    Nothing,
    /// By closing the connection.
    Close,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self::Say(status, String::new(), String::new())
    }
}

type Answers = dyn Fn(&Posted, usize) -> Answer + Send + Sync;

struct Shared {
    came: Mutex<Vec<Posted>>,
    answers: Box<Answers>,
    gone: AtomicBool,
    connections: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
}

/// The receiver. Dropping it closes its connections.
pub(crate) struct Receiver {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Answers what comes as `answers` says, which is told how many came before.
    pub(crate) fn start(
        answers: impl Fn(&Posted, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), answers)
    }

    pub(crate) fn at(
        address: SocketAddr,
        answers: impl Fn(&Posted, usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            came: Mutex::default(),
            answers: Box::new(answers),
            gone: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            open: Mutex::default(),
        });
        let serving = shared.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                if serving.gone.load(Ordering::SeqCst) {
                    return;
                }
                serving.open.lock().unwrap().push(stream.try_clone().unwrap());
                let serving = serving.clone();
                let connection = serving.connections.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || serve(&serving, stream, connection));
            }
        });
        Self { shared, address, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hooks?from=tidings", self.address)
    }

    pub(crate) fn came(&self) -> Vec<Posted> {
        self.shared.came.lock().unwrap().clone()
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.came().iter().map(Posted::told).collect()
    }

    /// The bodies of all that has come.
    pub(crate) fn told_all(&self) -> Vec<String> {
        self.came().iter().map(|posted| String::from_utf8_lossy(&posted.body).into()).collect()
    }

    /// Waits until so many requests have come; returns all that have.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) -> Vec<Posted> {
        until(&format!("{count} requests"), || self.shared.came.lock().unwrap().len() >= count);
        self.came()
    }

    /// Its address, free again.
    pub(crate) fn stop(self) -> SocketAddr {
        self.address
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.gone.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn serve(shared: &Shared, mut stream: TcpStream, connection: usize) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut input = Vec::new();
    while let Some(posted) = read(&mut stream, &mut input, connection) {
        let answer = {
            let mut came = shared.came.lock().unwrap();
            came.push(posted.clone());
            let before = came.len() - 1;
            drop(came);
            (shared.answers)(&posted, before)
        };
        match answer {
            Answer::Say(status, headers, body) => {
                let answer = format!(
                    "HTTP/1.1 {status} Said\r\n{headers}Content-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
            Answer::Nothing => {
                let mut rest = [0; 64];
                while stream.read(&mut rest).is_ok_and(|count| count > 0) {}
                return;
            }
            Answer::Close => {
                // Another handle of it is kept.
                let _ = stream.shutdown(std::net::Shutdown::Both);
                return;
            }
        }
    }
}

fn read(stream: &mut TcpStream, input: &mut Vec<u8>, connection: usize) -> Option<Posted> {
    let mut more = |input: &mut Vec<u8>| {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).ok().filter(|count| *count > 0)?;
        input.extend_from_slice(&chunk[..count]);
        Some(())
    };
    let end = loop {
        match input.windows(4).position(|four| four == b"\r\n\r\n") {
            Some(at) => break at + 4,
            None => more(input)?,
        }
    };
    let head = String::from_utf8(input.drain(..end).collect()).unwrap();
    let mut posted = Posted { head, body: Vec::new(), connection };
    let length: usize = posted.header("content-length").parse().unwrap();
    while input.len() < length {
        more(input)?;
    }
    posted.body = input.drain(..length).collect();
    Some(posted)
}
