//! The load of the relay's measurement: clients that each ask for one streamed answer.
//!
//! They come one after the other over a while, and stay. What is measured begins when all should
//! be there and ends before the first answer does, so that it is the cost of that many answers at
//! a time; then every answer is read to its end, so that nothing that is lost goes unseen.

use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::answer::Answer;
use crate::bench::account::Account;
use crate::bench::clock::now_ns;
use crate::bench::load::{LoadError, Report, account};
use crate::bench::socket::{self, Poll, Received};

/// Before memory is read, so that what was only needed for the warm-up may be given back.
const SETTLE: Duration = Duration::from_millis(300);
/// Answers before the measured ones, and their tokens: what the first one costs is not per answer.
const WARM_UP: (usize, u64) = (8, 5);
/// How long the warm-up may take, nanoseconds.
const WARM_UP_NS: u64 = 30_000_000_000;
/// How long one wait for the sockets lasts at most, nanoseconds.
const WAIT_NS: u64 = 5_000_000;
/// Bytes taken from a socket at once.
const READ_BYTES: usize = 64 * 1024;
const WATCHED: EventFlags = EventFlags::IN.union(EventFlags::RDHUP);

/// A measurement of answers that run at the same time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RelayJob {
    pub(crate) target: SocketAddrV4,
    /// Answers at a time.
    pub(crate) answers: usize,
    /// Tokens of each.
    pub(crate) tokens: u64,
    /// The clients come over this time, evenly, milliseconds.
    pub(crate) ramp_ms: u64,
    /// From the last client to the beginning of what is measured, milliseconds.
    pub(crate) settle_ms: u64,
    pub(crate) measured_ms: u64,
    /// All answers must have ended this long after the first request, milliseconds.
    pub(crate) deadline_ms: u64,
    /// The server's processes, for its books.
    pub(crate) pids: Vec<u32>,
}

pub(crate) fn run(
    job: &RelayJob,
    go: &mut dyn FnMut() -> Result<(), LoadError>,
) -> Result<Report, LoadError> {
    warm_up(job)?;
    go()?;
    thread::sleep(SETTLE);
    let idle = account(&job.pids)?;
    let mut clients = Clients::new(job.target, job.answers, job.tokens)?;
    let start = now_ns();
    let after = |ms: u64| start + ms * 1_000_000;
    let deadline = after(job.deadline_ms);
    let begin = after(job.ramp_ms + job.settle_ms);
    let end = begin + job.measured_ms * 1_000_000;
    let (mut began, mut ended) = (None, None);
    let mut now = start;
    while now < deadline && (clients.open.len() < job.answers || clients.running > 0) {
        let due = (job.answers as u64 * (now - start)).checked_div(job.ramp_ms * 1_000_000);
        let due = due.map_or(job.answers, |due| due as usize + 1).min(job.answers);
        while clients.open.len() < due {
            clients.ask()?;
        }
        if began.is_none() && now >= begin {
            began = Some((now, account(&job.pids)?));
        }
        if ended.is_none() && now >= end {
            ended = Some((now, account(&job.pids)?));
        }
        clients.measured = began.is_some() && ended.is_none();
        clients.read(now + WAIT_NS)?;
        now = now_ns();
    }
    clients.settle();
    let idle_bytes = idle.rss_bytes;
    let (from, before) = began.unwrap_or((start, idle));
    let (to, after) = match ended {
        Some(ended) => ended,
        None => (now, account(&job.pids)?),
    };
    Ok(report(clients, to - from, (idle_bytes, &before, &after)))
}

fn report(clients: Clients, elapsed_ns: u64, books: (u64, &Account, &Account)) -> Report {
    let (idle_bytes, before, after) = books;
    Report {
        elapsed_ns,
        operations: clients.tokens_measured,
        cost: after.since(before),
        rss_before_bytes: idle_bytes,
        rss_after_bytes: after.rss_bytes,
        ..clients.report
    }
}

fn warm_up(job: &RelayJob) -> Result<(), LoadError> {
    let (answers, tokens) = (WARM_UP.0.min(job.answers), WARM_UP.1.min(job.tokens));
    let mut clients = Clients::new(job.target, answers, tokens)?;
    for _ in 0..answers {
        clients.ask()?;
    }
    let deadline = now_ns() + WARM_UP_NS;
    while clients.running > 0 {
        clients.read(now_ns() + WAIT_NS)?;
        if now_ns() > deadline {
            return Err(LoadError::Deadline("the first answers"));
        }
    }
    if clients.report.tally.closed > 0 {
        return Err(LoadError::Protocol("the first answers were not whole"));
    }
    Ok(())
}

struct Client {
    /// `None` once the answer has ended, one way or the other.
    socket: Option<OwnedFd>,
    answer: Answer,
    asked_ns: u64,
    /// The connection has not taken the request yet.
    unsent: bool,
}

/// All clients of this process.
struct Clients {
    target: SocketAddrV4,
    request: Vec<u8>,
    /// Tokens of each answer.
    tokens: u64,
    poll: Poll,
    open: Vec<Client>,
    /// Those whose answer has not ended.
    running: usize,
    /// Whether what comes now is measured.
    measured: bool,
    tokens_measured: u64,
    buffer: Vec<u8>,
    report: Report,
}

impl Clients {
    fn new(target: SocketAddrV4, answers: usize, tokens: u64) -> Result<Clients, LoadError> {
        Ok(Clients {
            target,
            request: request(target, tokens),
            tokens,
            poll: Poll::new().map_err(|error| LoadError::Socket("epoll", error))?,
            open: Vec::with_capacity(answers),
            running: 0,
            measured: false,
            tokens_measured: 0,
            buffer: vec![0; READ_BYTES],
            report: Report::default(),
        })
    }

    /// Asks for one more answer.
    fn ask(&mut self) -> Result<(), LoadError> {
        let index = self.open.len();
        let connection = socket::connect(None, self.target);
        let connection = connection.map_err(|error| LoadError::Socket("connect", error))?;
        let asked_ns = now_ns();
        // On loopback the handshake is done when connect returns, unless the backlog is full.
        let unsent = match socket::send(&connection, &self.request) {
            Ok(sent) if sent == self.request.len() => false,
            Ok(0) | Err(Errno::NOTCONN) => true,
            Ok(_) => return Err(LoadError::Protocol("a request does not fit a fresh socket")),
            Err(error) => return Err(LoadError::Socket("send", error)),
        };
        let writing = if unsent { EventFlags::OUT } else { EventFlags::empty() };
        let added = self.poll.add(&connection, index, WATCHED | writing);
        added.map_err(|error| LoadError::Socket("epoll_ctl", error))?;
        let (socket, answer) = (Some(connection), Answer::default());
        self.open.push(Client { socket, answer, asked_ns, unsent });
        self.running += 1;
        Ok(())
    }

    /// Reads what has come, waiting until `until` for something; one read for each socket.
    fn read(&mut self, until: u64) -> Result<(), LoadError> {
        let events = self.poll.spin(until);
        for event in 0..events.map_err(|error| LoadError::Socket("epoll_wait", error))? {
            let (index, _) = self.poll.event(event);
            self.read_one(index)?;
        }
        Ok(())
    }

    fn read_one(&mut self, index: usize) -> Result<(), LoadError> {
        let client = &mut self.open[index];
        let Some(connection) = &client.socket else { return Ok(()) };
        if client.unsent {
            let sent = socket::send(connection, &self.request);
            client.unsent = sent.map_err(|error| LoadError::Socket("send", error))? == 0;
            if !client.unsent {
                let modified = self.poll.modify(connection, index, WATCHED);
                modified.map_err(|error| LoadError::Socket("epoll_ctl", error))?;
            }
        }
        let received = socket::receive(connection, &mut self.buffer);
        let mut over = false;
        match received.map_err(|error| LoadError::Socket("recv", error))? {
            Received::Nothing => return Ok(()),
            Received::Closed => over = true,
            Received::Bytes(length) => {
                let (now, report) = (now_ns(), &mut self.report);
                let (asked_ns, measured) = (client.asked_ns, self.measured);
                let mut first = client.answer.tokens == 0;
                let counted = &mut self.tokens_measured;
                let fed = client.answer.feed(&self.buffer[..length], &mut |sent_ns| {
                    if std::mem::take(&mut first) {
                        report.answers.record(now.saturating_sub(asked_ns));
                    }
                    report.tally.delivered += 1;
                    if measured {
                        *counted += 1;
                        report.tally.latency.record(now.saturating_sub(sent_ns));
                    }
                });
                // A refusal, or what is no stream: an answer that is not whole.
                over |= fed.is_err() || client.answer.whole;
            }
        }
        if over {
            self.end(index);
        }
        Ok(())
    }

    /// Counts what became of an answer, and closes its connection.
    fn end(&mut self, index: usize) {
        let client = &mut self.open[index];
        let Some(connection) = client.socket.take() else { return };
        // Thousands of ports in TIME_WAIT would make the next run a different one.
        let _ = socket::reset_on_close(&connection);
        self.running -= 1;
        let tally = &mut self.report.tally;
        tally.closed += u64::from(!client.answer.whole);
        tally.duplicates += client.answer.repeated;
        tally.lost += self.tokens.saturating_sub(client.answer.tokens);
        tally.foreign += client.answer.tokens.saturating_sub(self.tokens);
    }

    /// Ends the answers that have not come to their end.
    fn settle(&mut self) {
        for index in 0..self.open.len() {
            self.end(index);
        }
    }
}

/// A request as long as an SDK's.
fn request(target: SocketAddrV4, tokens: u64) -> Vec<u8> {
    let body = format!(
        "{{\"model\":\"scripted\",\"stream\":true,\"max_tokens\":{tokens},\"messages\":[\
         {{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"}},\
         {{\"role\":\"user\",\"content\":\"Tell me about the tides of the North Sea.\"}}]}}"
    );
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {target}\r\n\
         Accept: application/json\r\nContent-Type: application/json\r\n\
         User-Agent: OpenAI/Python 2.8.0\r\nX-Stainless-Lang: python\r\n\
         X-Stainless-Package-Version: 2.8.0\r\nX-Stainless-OS: Linux\r\n\
         X-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\n\
         X-Stainless-Retry-Count: 0\r\nX-Stainless-Read-Timeout: 600\r\n\
         Authorization: Bearer none\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
