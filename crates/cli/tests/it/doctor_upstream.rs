//! A server that says what a test wants, when it wants: any event stream that is not of Tidings.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Method, target and version.
    pub(crate) line: String,
    /// In lower case, `name: value`.
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

impl Request {
    /// The value of a header, in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|field| field.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// One thing that the server does.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Send(String),
    /// The pace of the stream.
    Wait(Duration),
}

/// Sends text as one chunk of a chunked body.
pub(crate) fn chunk(text: &str) -> Step {
    Step::Send(format!("{:x}\r\n{text}\r\n", text.len()))
}

/// The end of a chunked body. A connection that is closed without it was cut.
pub(crate) fn end() -> Step {
    Step::Send("0\r\n\r\n".to_owned())
}

/// The head of an event stream with these other fields, each with its end of line.
pub(crate) fn head(fields: &str) -> Step {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                Transfer-Encoding: chunked\r\n";
    Step::Send(format!("{head}{fields}\r\n"))
}

/// `count` events of some 200 bytes with ids from `first` on, this long apart, one chunk each.
pub(crate) fn events(first: usize, count: usize, apart: Duration) -> Vec<Step> {
    let event = |n| chunk(&format!("id: {n}\ndata: {n} {}\n\n", "x".repeat(180)));
    (first..first + count).flat_map(|n| [event(n), Step::Wait(apart)]).collect()
}

/// The server. It stops when it is dropped.
pub(crate) struct Upstream {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    stopping: Arc<AtomicBool>,
}

impl Upstream {
    /// Answers each request with the steps that `script` gives for it, and closes.
    pub(crate) fn start(script: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stopping = Arc::new(AtomicBool::new(false));
        let (seen, stop, script) = (requests.clone(), stopping.clone(), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (seen, script) = (seen.clone(), script.clone());
                // Whoever asks may go away at any time.
                std::thread::spawn(move || {
                    let _ = answer(&stream.unwrap(), &seen, &*script);
                });
            }
        });
        Self { url, requests, stopping }
    }

    /// What was asked so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

fn answer(
    mut stream: &TcpStream,
    seen: &Mutex<Vec<Request>>,
    script: &dyn Fn(&Request) -> Vec<Step>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut headers = Vec::new();
    loop {
        let mut field = String::new();
        reader.read_line(&mut field)?;
        if field.trim().is_empty() {
            break;
        }
        headers.push(field.trim().to_ascii_lowercase());
    }
    let mut request = Request { line: line.trim().to_owned(), headers, body: String::new() };
    if request.line.is_empty() {
        return Ok(());
    }
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    reader.take(length).read_to_string(&mut request.body)?;
    seen.lock().unwrap().push(request.clone());
    for step in script(&request) {
        match step {
            Step::Send(text) => stream.write_all(text.as_bytes())?,
            Step::Wait(time) => std::thread::sleep(time),
        }
    }
    stream.shutdown(Shutdown::Both)
}

/// A proxy that passes bytes on for a while, and then cuts every connection that is older. It ends
/// with the test.
pub(crate) fn cutting_proxy(upstream: &str, after: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let upstream = upstream.trim_start_matches("http://").to_owned();
    std::thread::spawn(move || {
        for near in listener.incoming() {
            let near = near.unwrap();
            let Ok(far) = TcpStream::connect(&upstream) else { return };
            for (from, to) in [(&near, &far), (&far, &near)] {
                let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
            std::thread::spawn(move || {
                std::thread::sleep(after);
                let _ = near.shutdown(Shutdown::Both);
                let _ = far.shutdown(Shutdown::Both);
            });
        }
    });
    url
}
