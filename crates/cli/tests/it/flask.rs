//! The tutorial's program behind a shared relay: a real Flask with one worker, and five thousand
//! viewers who never miss a price, whoever of the two is killed.
//!
//! Flask comes from the network, once. Without it, or without Python, these tests say so and do
//! nothing, unless `TIDINGS_REQUIRE_PYTHON=1`.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidings_frame::sse_decode::Decoder;
use tokio::net::TcpStream;

use crate::program::{in_repository, skip};
use crate::server::Server;

/// How long anything may take before a test gives up; nothing is measured against it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Viewers of the one-worker program.
const VIEWERS: usize = 5_000;

/// Prices that everybody must have seen between two things that happen.
const PRICES: u64 = 4;

/// A Python with Flask; none if there cannot be one here.
fn python() -> Option<PathBuf> {
    let made = Command::new(in_repository("scripts/python-env.sh"))
        .arg(in_repository("examples/flask/requirements.txt"))
        .output();
    let failed = match made {
        Ok(made) if made.status.success() => {
            return Some(String::from_utf8(made.stdout).unwrap().trim().into());
        }
        Ok(made) => String::from_utf8_lossy(&made.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    skip("TIDINGS_REQUIRE_PYTHON", &failed);
    None
}

/// A program of `examples/flask` that runs until it is dropped.
struct Flask {
    child: Child,
    port: u16,
}

impl Flask {
    fn start(python: &PathBuf, program: &str, port: u16) -> Self {
        let child = Command::new(python)
            .arg(in_repository("examples/flask").join(program))
            .args(["--port", &port.to_string()])
            .args(if program == "prices.py" { &["--every", "0.25"][..] } else { &[] })
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, port }
    }

    fn relay(&self) -> String {
        format!("/stream=http://127.0.0.1:{}/stream", self.port)
    }
}

impl Drop for Flask {
    fn drop(&mut self) {
        // Without a warning, as a crash would.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What all viewers know together.
#[derive(Default)]
struct Crowd {
    /// The text of each price: it is the same for everybody.
    prices: Mutex<HashMap<u64, String>>,
    /// What went wrong, first of all.
    wrong: Mutex<Option<String>>,
    resumed: AtomicUsize,
    over: AtomicBool,
}

impl Crowd {
    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().get_or_insert(what);
    }

    fn first_wrong(&self) -> Option<String> {
        self.wrong.lock().unwrap().clone()
    }
}

/// One viewer: what an `EventSource` knows, and what it has seen.
struct Viewer {
    number: usize,
    crowd: Arc<Crowd>,
    /// The last price; 0 before the first.
    seen: Arc<AtomicU64>,
    last_id: String,
}

impl Viewer {
    /// Comes back as often as it is cut off.
    async fn watch(mut self, address: SocketAddr) {
        while !self.crowd.over.load(Ordering::Relaxed) {
            if self.connect(address).await.is_err() {
                // Nobody there, or cut off. Not all at once.
                let wait = 100 + (self.number % 50) as u64 * 10;
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
        }
    }

    async fn connect(&mut self, address: SocketAddr) -> std::io::Result<()> {
        let socket = TcpStream::connect(address).await?;
        let mut request =
            "GET /stream HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n".to_owned();
        if !self.last_id.is_empty() {
            request.push_str(&format!("Last-Event-ID: {}\r\n", self.last_id));
        }
        request.push_str("\r\n");
        socket.writable().await?;
        assert_eq!(socket.try_write(request.as_bytes())?, request.len());
        let (mut decoder, mut head, mut in_body) = (Decoder::default(), Vec::new(), false);
        let mut chunk = [0; 4 << 10];
        loop {
            socket.readable().await?;
            let mut bytes = match socket.try_read(&mut chunk) {
                Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => &chunk[..count],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            if !in_body {
                let before = head.len();
                head.extend_from_slice(bytes);
                let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else {
                    continue;
                };
                in_body = true;
                bytes = &bytes[end + 4 - before..];
                if !head.starts_with(b"HTTP/1.1 200 ") {
                    self.crowd.wrong(String::from_utf8_lossy(&head).into_owned());
                }
                if !self.last_id.is_empty() {
                    self.crowd.resumed.fetch_add(1, Ordering::Relaxed);
                }
            }
            decoder.feed(bytes, |event| self.event(event)).unwrap();
        }
    }

    /// Looks at a price: `number price`, each number after the one before.
    fn event(&mut self, event: tidings_frame::sse_decode::EventRef<'_>) {
        event.last_event_id.clone_into(&mut self.last_id);
        let number: Option<u64> = event.data.split(' ').next().and_then(|text| text.parse().ok());
        let seen = self.seen.load(Ordering::Relaxed);
        let Some(number) = number.filter(|number| seen == 0 || *number == seen + 1) else {
            let (viewer, kind, data) = (self.number, event.event_type, event.data);
            return self.crowd.wrong(format!("viewer {viewer} after {seen}: {kind} {data}"));
        };
        self.seen.store(number, Ordering::Relaxed);
        let mut prices = self.crowd.prices.lock().unwrap();
        let price = prices.entry(number).or_insert_with(|| event.data.to_owned());
        if price != event.data {
            self.crowd.wrong(format!("two prices: {price} and {}", event.data));
        }
    }
}

/// Waits until every viewer has seen some prices after those that anybody has seen now.
fn wait_for_more(crowd: &Crowd, seen: &[Arc<AtomicU64>], what: &str) {
    let newest = seen.iter().map(|seen| seen.load(Ordering::Relaxed)).max().unwrap_or(0);
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert_eq!(crowd.first_wrong(), None, "{what}");
        let behind = |seen: &&Arc<AtomicU64>| {
            let seen = seen.load(Ordering::Relaxed);
            seen == 0 || seen < newest + PRICES
        };
        let behind = seen.iter().filter(behind).count();
        if behind == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {behind} viewers wait for prices");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn metric(server: &Server, name: &str) -> f64 {
    let url = server.url.trim_start_matches("http://");
    let mut socket = std::net::TcpStream::connect(url).unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {url}\r\nConnection: close\r\n\r\n");
    std::io::Write::write_all(&mut socket, request.as_bytes()).unwrap();
    let text = std::io::read_to_string(socket).unwrap();
    let line = text.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn five_thousand_viewers_of_one_worker_outlive_it_and_the_relay() {
    let Some(python) = python() else { return };
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let flask = Flask::start(&python, "prices.py", free_port());
    let server = Server::start_with(&["--relay", &flask.relay()]);
    let address: SocketAddr = server.url.trim_start_matches("http://").parse().unwrap();

    let crowd = Arc::<Crowd>::default();
    let seen: Vec<Arc<AtomicU64>> = (0..VIEWERS).map(|_| Arc::default()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (number, seen) in seen.iter().enumerate() {
        let (crowd, seen) = (crowd.clone(), seen.clone());
        let viewer = Viewer { number, crowd, seen, last_id: String::new() };
        runtime.spawn(viewer.watch(address));
    }
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || runtime.block_on(stopped));

    wait_for_more(&crowd, &seen, "everybody watches");
    let port = flask.port;
    drop(flask);
    let flask = Flask::start(&python, "prices.py", port);
    wait_for_more(&crowd, &seen, "Flask was killed and started again");
    assert_eq!(crowd.resumed.load(Ordering::Relaxed), 0, "viewers stay connected meanwhile");

    let server = server.crash_and_restart();
    wait_for_more(&crowd, &seen, "Tidings was killed and started again");
    assert!(crowd.resumed.load(Ordering::Relaxed) >= VIEWERS);
    // All of them on the one connection that a program with one worker can give.
    assert_eq!(metric(&server, "tidings_relay_shared_connections_total"), 1.0);
    assert_eq!(metric(&server, "tidings_relay_shared_connected"), 1.0);
    assert!(metric(&server, "tidings_connections") >= VIEWERS as f64);

    crowd.over.store(true, Ordering::Relaxed);
    drop(stop);
    let _ = thread.join().unwrap();
    drop((server, flask));
    assert_eq!(crowd.first_wrong(), None);
    let prices = crowd.prices.lock().unwrap();
    let (first, last) = (prices.keys().min().unwrap(), prices.keys().max().unwrap());
    assert_eq!(prices.len() as u64, last - first + 1, "no price was left out by all of them");
}

#[test]
fn the_tutorials_program_says_the_same_again_and_again() {
    let Some(python) = python() else { return };
    let flask = Flask::start(&python, "app.py", free_port());
    let server = Server::start_with(&["--relay", &flask.relay()]);
    let url = server.url.trim_start_matches("http://").to_owned();
    let mut socket = std::net::TcpStream::connect(&url).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = "GET /stream HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n";
    std::io::Write::write_all(&mut socket, request.as_bytes()).unwrap();
    let mut seen = String::new();
    let mut chunk = [0; 1 << 10];
    while seen.matches("data: Hello, SSE!\n\n").count() < 2 {
        let count = std::io::Read::read(&mut socket, &mut chunk).unwrap();
        assert!(count > 0, "the stream ended: {seen}");
        seen.push_str(std::str::from_utf8(&chunk[..count]).unwrap());
    }
    assert!(metric(&server, "tidings_relay_shared_connections_total") >= 2.0);
}
