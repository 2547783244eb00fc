//! The audit log: a line of JSON for each administrative act, and for each request that was refused
//! because of who made it.
//!
//! Nobody waits for it: lines go through a queue of a fixed length to a thread that writes them. Of
//! refusals, which anybody can cause, only so many in a second are written; those left out are
//! counted, and the count is a line of its own. What is written is chosen member by member, so that
//! no token, ticket or key of a connection gets there: of a request its method and its path,
//! without the query.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tidings_frame::{Problem, Time};

use crate::app::App;
use crate::config::{Config, Mode};
use crate::connection_name::Shown;
use crate::error::ApiError;
use crate::head::Head;
use crate::http::Outcome;
use crate::http::routes::{self, Action, Found};

/// Refusals written in one second.
const REFUSALS_PER_SECOND: u32 = 50;

/// Lines that wait to be written.
const QUEUE_LINES: usize = 4_096;

/// Bytes of a path that are written.
const PATH_BYTES_MAX: usize = 1_024;

/// The log, or none.
pub(crate) struct Audit {
    queue: Mutex<Option<SyncSender<String>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    rate: Mutex<Rate>,
}

/// What was written and left out in the present second.
#[derive(Default)]
struct Rate {
    second: u64,
    written: u32,
    left_out: u64,
}

impl Rate {
    /// Whether another refusal may be written at this time; and how many were left out before it,
    /// which are to be told now.
    fn take(&mut self, now_ms: u64) -> (bool, u64) {
        let second = now_ms / 1_000;
        let mut told = 0;
        if second != self.second {
            told = std::mem::take(&mut self.left_out);
            (self.second, self.written) = (second, 0);
        }
        let room = self.written < REFUSALS_PER_SECOND;
        if room {
            self.written += 1;
        } else {
            self.left_out += 1;
        }
        (room, told)
    }
}

impl Audit {
    /// The log that the configuration asks for: a file, or standard error for `tidings serve`.
    ///
    /// # Errors
    /// When the file cannot be opened, or the system refuses a thread.
    pub(crate) fn new(config: &Config) -> std::io::Result<Self> {
        let out: Option<Box<dyn Write + Send>> = match (&config.audit_log, config.mode) {
            (Some(path), _) => Some(Box::new(open(path)?)),
            (None, Mode::Serve) => Some(Box::new(std::io::stderr())),
            (None, Mode::Dev) => None,
        };
        let (mut queue, mut thread) = (None, None);
        if let Some(out) = out {
            let (lines, written) = sync_channel(QUEUE_LINES);
            let builder = std::thread::Builder::new().name("tidings-audit".into());
            (queue, thread) = (Some(lines), Some(builder.spawn(move || write(&written, out))?));
        }
        Ok(Self { queue: Mutex::new(queue), thread: Mutex::new(thread), rate: Mutex::default() })
    }

    /// Writes what is still in the queue, and ends.
    pub(crate) fn close(&self) {
        let told = std::mem::take(&mut self.rate.lock().left_out);
        if told > 0 {
            self.line(left_out(told));
        }
        self.queue.lock().take();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }

    fn is_on(&self) -> bool {
        self.queue.lock().is_some()
    }

    fn line(&self, line: Value) {
        let queue = self.queue.lock();
        let Some(queue) = queue.as_ref() else { return };
        if let Err(TrySendError::Full(_)) = queue.try_send(format!("{line}\n")) {
            self.rate.lock().left_out += 1;
        }
    }

    /// Notes how a request was answered, if that is for this log.
    pub(crate) fn answered(
        &self,
        app: &App,
        head: &Head<'_>,
        peer: SocketAddr,
        outcome: &Result<Outcome, ApiError>,
    ) {
        match outcome {
            Err(error) => self.refused(app, head, peer, error),
            Ok(Outcome::Reply(reply)) if matches!(reply.status, 401 | 403) => {
                let problem: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
                self.refusal(app, head, peer, (reply.status, problem["code"].as_str()));
            }
            Ok(Outcome::Reply(reply)) if reply.status < 300 => {
                let Some(action) = administrative(app, head) else { return };
                let mut line = self.request(app, head, peer, reply.status);
                line["what"] = action.into();
                if action == "revoke" {
                    let noted: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
                    line["revoked"] = noted["revoked"].clone();
                }
                self.line(line);
            }
            Ok(_) => {}
        }
    }

    /// Notes an error, if it is a refusal.
    pub(crate) fn refused(&self, app: &App, head: &Head<'_>, peer: SocketAddr, error: &ApiError) {
        if is_refusal(error) {
            let Problem { status, code, .. } = &*error.problem;
            self.refusal(app, head, peer, (*status, Some(code)));
        }
    }

    /// Notes what the server has done by itself; `more` is an object.
    pub(crate) fn happened(&self, app: &App, what: &str, more: Value) {
        let mut line = more;
        line["time"] = json!(Time(app.hub.now_ms()));
        line["what"] = what.into();
        self.line(line);
    }

    fn refusal(
        &self,
        app: &App,
        head: &Head<'_>,
        peer: SocketAddr,
        (status, code): (u16, Option<&str>),
    ) {
        if !self.has_room(app) {
            return;
        }
        let mut line = self.request(app, head, peer, status);
        line["what"] = "refused".into();
        line["code"] = code.into();
        self.line(line);
    }

    /// Notes what a message of a WebSocket was refused.
    pub(crate) fn message_refused(
        &self,
        app: &App,
        who: &Value,
        peer: SocketAddr,
        error: &ApiError,
    ) {
        if is_refusal(error) && self.has_room(app) {
            self.line(json!({
                "time": Time(app.hub.now_ms()), "what": "refused", "who": who,
                "peer": peer.to_string(), "method": "message", "path": "/ws",
                "status": error.problem.status, "code": error.problem.code,
            }));
        }
    }

    /// Whether a refusal may be written now.
    fn has_room(&self, app: &App) -> bool {
        if !self.is_on() {
            return false;
        }
        let (room, told) = self.rate.lock().take(app.hub.now_ms());
        if told > 0 {
            self.line(left_out(told));
        }
        room
    }

    fn request(&self, app: &App, head: &Head<'_>, peer: SocketAddr, status: u16) -> Value {
        // A ticket is used up by now, and a token that does not count says nothing.
        let who = app.who(head).ok().map_or(Value::Null, |who| who.told());
        json!({
            "time": Time(app.hub.now_ms()),
            "who": who,
            "peer": peer.to_string(),
            "method": head.method,
            "path": path(head.path),
            "status": status,
        })
    }
}

/// Whether somebody was refused because of who they are.
fn is_refusal(error: &ApiError) -> bool {
    matches!(error.problem.status, 401 | 403)
}

fn left_out(count: u64) -> Value {
    json!({"what": "left-out", "count": count})
}

/// The path as it is written: a connection's name without its key, and no longer than need be.
fn path(path: &str) -> String {
    let mut end = path.len().min(PATH_BYTES_MAX);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    let path = &path[..end];
    match path.strip_prefix("/connections/").and_then(|name| name.split_once('.')) {
        Some((number, _)) => format!("/connections/{number}"),
        None => path.to_owned(),
    }
}

/// What a request that went well has done as an operator; none if it was no such request.
fn administrative(app: &App, head: &Head<'_>) -> Option<&'static str> {
    let Found::Route(route, rest) = routes::find(head.method, head.path, false) else {
        return None;
    };
    let by_number = || matches!(app.names.read(rest), Some(Shown::Number(_)));
    match route.action {
        Action::SetTopic => Some("set-topic"),
        Action::RemoveTopic => Some("remove-topic"),
        Action::ChangeConnection => by_number().then_some("change-connection"),
        Action::CloseConnection => by_number().then_some("close-connection"),
        Action::Unschedule => Some("unschedule"),
        Action::Revoke => Some("revoke"),
        _ => None,
    }
}

fn open(path: &PathBuf) -> std::io::Result<std::fs::File> {
    let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    opened.map_err(|error| {
        let message = format!("the audit log {}: {error}", path.display());
        std::io::Error::new(error.kind(), message)
    })
}

fn write(lines: &Receiver<String>, mut out: Box<dyn Write + Send>) {
    let mut broken = false;
    for line in lines {
        match out.write_all(line.as_bytes()) {
            Ok(()) => broken = false,
            Err(error) if !broken => {
                broken = true;
                tracing::error!(%error, "the audit log cannot be written");
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_a_second_and_a_count_of_the_rest() {
        let mut rate = Rate::default();
        let taken = (0..1_000).filter(|_| rate.take(5_000).0).count();
        assert_eq!(taken, REFUSALS_PER_SECOND as usize);
        assert_eq!(rate.take(6_000), (true, 1_000 - u64::from(REFUSALS_PER_SECOND)));
        assert_eq!(rate.take(6_999), (true, 0), "told once");
    }

    #[test]
    fn a_path_has_no_secret_and_an_end() {
        assert_eq!(path("/connections/c42.secret"), "/connections/c42");
        assert_eq!(path("/topics/a.b"), "/topics/a.b");
        assert_eq!(path(&"ä".repeat(2_000)).len(), PATH_BYTES_MAX);
    }
}
