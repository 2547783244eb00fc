//! A push service and the browsers behind it, for tests of whoever sends Web Push.
//!
//! It is as strict as the real ones: what it answers is only asked for once the request is one that
//! RFC 8030, RFC 8291 and RFC 8292 allow. Each message is opened with the key of the browser whose
//! name ends its path, so a test sees what the browser would.

mod curve;
mod receiver;
mod word;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::Value;

use crate::http::{Taken, take};
use crate::seen::Received;

pub use receiver::Browser;
pub use word::check as check_word;

/// How long [`PushService::wait_for`] waits; nothing is measured against it.
const WAIT_MAX: Duration = Duration::from_secs(40);

/// How long a connection may be silent, also one that is never answered.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What a message is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This status.
    Status(u16),
    /// This status, and when to come again, in seconds.
    Later(u16, u64),
    /// Nothing at all, while the sender is willing to wait.
    Silence,
}

/// A message as it came.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The request.
    pub request: Arc<Received>,
    /// The browser's name: the end of the path.
    pub browser: String,
    /// What the sender signed, after its signature and its bounds were checked.
    pub claims: Value,
    /// The sender's public key, base64url.
    pub key: String,
    /// What the browser reads.
    pub payload: Vec<u8>,
    /// What it was answered with.
    pub verdict: Verdict,
}

impl Pushed {
    /// The payload as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap_or(Value::Null)
    }
}

/// Decides on a message: the browser's name, and how many messages to it came before.
type Judge = Box<dyn Fn(&str, usize) -> Verdict + Send>;

/// What has come.
#[derive(Default)]
struct Came {
    pushed: Vec<Pushed>,
    refused: Vec<String>,
}

struct Inner {
    address: SocketAddr,
    judge: Mutex<Judge>,
    came: Mutex<Came>,
    changed: Condvar,
}

/// A running push service. It serves until the process ends.
pub struct PushService(Arc<Inner>);

impl std::fmt::Debug for PushService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushService").field("address", &self.0.address).finish_non_exhaustive()
    }
}

impl PushService {
    /// Listens on loopback and answers every good message with 201.
    ///
    /// # Errors
    /// When the system refuses a socket or a thread.
    pub fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let inner = Arc::new(Inner {
            address: listener.local_addr()?,
            judge: Mutex::new(Box::new(|_, _| Verdict::Status(201))),
            came: Mutex::default(),
            changed: Condvar::new(),
        });
        let serving = inner.clone();
        std::thread::Builder::new().name("push-service".into()).spawn(move || {
            for stream in listener.incoming().flatten() {
                let inner = serving.clone();
                // A connection that cannot be served is closed.
                let _ = std::thread::Builder::new().spawn(move || inner.serve(stream));
            }
        })?;
        Ok(Self(inner))
    }

    /// Its origin.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("http://{}", self.0.address)
    }

    /// Where messages to the browser of this name go.
    #[must_use]
    pub fn endpoint(&self, browser: &str) -> String {
        format!("{}/push/{browser}", self.origin())
    }

    /// Decides from now on by `judge`.
    pub fn answer(&self, judge: impl Fn(&str, usize) -> Verdict + Send + 'static) {
        *self.0.judge.lock() = Box::new(judge);
    }

    /// The messages so far, in their order.
    #[must_use]
    pub fn pushed(&self) -> Vec<Pushed> {
        self.0.came.lock().pushed.clone()
    }

    /// Why requests were refused that are no good messages.
    #[must_use]
    pub fn refused(&self) -> Vec<String> {
        self.0.came.lock().refused.clone()
    }

    /// Waits until the messages are as wanted, and returns them.
    ///
    /// # Panics
    /// After a generous time without that, or when a request was no good message.
    pub fn wait_for(&self, wanted: impl Fn(&[Pushed]) -> bool) -> Vec<Pushed> {
        let deadline = Instant::now() + WAIT_MAX;
        let mut came = self.0.came.lock();
        loop {
            assert!(came.refused.is_empty(), "refused: {:?}", came.refused);
            if wanted(&came.pushed) {
                return came.pushed.clone();
            }
            let late = self.0.changed.wait_until(&mut came, deadline).timed_out();
            let texts: Vec<_> =
                came.pushed.iter().map(|one| String::from_utf8_lossy(&one.payload)).collect();
            assert!(!late, "what was waited for did not come; there is {texts:?}");
        }
    }
}

impl Inner {
    fn serve(&self, mut stream: TcpStream) {
        let mut input = Vec::new();
        let mut piece = [0; 8 << 10];
        // A socket that does not know timeouts waits for its other side.
        let _ = stream.set_read_timeout(Some(SILENCE_MAX));
        loop {
            match take(&mut input, 0) {
                Taken::Request(request, keep) => {
                    let (head, go_on) = match self.judge(request) {
                        Ok(Verdict::Status(status)) => (answer(status, ""), keep),
                        Ok(Verdict::Later(status, seconds)) => {
                            (answer(status, &format!("Retry-After: {seconds}\r\n")), keep)
                        }
                        Ok(Verdict::Silence) => {
                            // Until the other side has had enough.
                            while stream.read(&mut piece).is_ok_and(|read| read > 0) {}
                            return;
                        }
                        Err(status) => (answer(status, ""), keep),
                    };
                    if stream.write_all(head.as_bytes()).is_err() || !go_on {
                        return;
                    }
                }
                Taken::Bad => return,
                Taken::Partial(_) => match stream.read(&mut piece) {
                    Ok(read) if read > 0 => input.extend_from_slice(&piece[..read]),
                    _ => return,
                },
            }
        }
    }

    /// Checks a request as push services do, and asks what to answer.
    fn judge(&self, request: Received) -> Result<Verdict, u16> {
        let origin = format!("http://{}", self.address);
        let checked = check(&request, &origin);
        let mut came = self.came.lock();
        let result = match checked {
            Ok(Checked { browser, claims, key, payload }) => {
                let before = came.pushed.iter().filter(|one| one.browser == browser).count();
                let verdict = (self.judge.lock())(&browser, before);
                let request = Arc::new(request);
                came.pushed.push(Pushed { request, browser, claims, key, payload, verdict });
                Ok(verdict)
            }
            Err((status, why)) => {
                came.refused.push(why.to_owned());
                Err(status)
            }
        };
        self.changed.notify_all();
        result
    }
}

struct Checked {
    browser: String,
    claims: Value,
    key: String,
    payload: Vec<u8>,
}

fn check(request: &Received, origin: &str) -> Result<Checked, (u16, &'static str)> {
    if request.method != "POST" {
        return Err((405, "not a POST"));
    }
    let name = request.path.strip_prefix("/push/").ok_or((404, "no such endpoint"))?;
    let authorization = request.header("authorization").unwrap_or_default();
    let (claims, key) = word::check(authorization, origin).map_err(|why| (403, why))?;
    if request.header("content-encoding") != Some("aes128gcm") {
        return Err((400, "the content encoding is not aes128gcm"));
    }
    // RFC 8030, section 5.2.
    let ttl = request.header("ttl").and_then(|ttl| ttl.parse::<u32>().ok());
    ttl.ok_or((400, "there is no TTL"))?;
    let urgencies = ["very-low", "low", "normal", "high"];
    if request.header("urgency").is_some_and(|urgency| !urgencies.contains(&urgency)) {
        return Err((400, "not an urgency"));
    }
    // Section 5.4.
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let good = |topic: &str| topic.len() <= 32 && topic.bytes().all(letter);
    if !request.header("topic").is_none_or(good) {
        return Err((400, "not a topic of Web Push"));
    }
    if request.body.len() > 4_096 {
        return Err((413, "more than 4096 bytes"));
    }
    let payload = Browser::new(name).open(&request.body);
    let payload = payload.ok_or((400, "the browser cannot open it"))?;
    Ok(Checked { browser: name.to_owned(), claims, key, payload })
}

fn answer(status: u16, headers: &str) -> String {
    format!("HTTP/1.1 {status} Scripted\r\n{headers}Content-Length: 0\r\n\r\n")
}
