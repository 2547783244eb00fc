//! An attacker: does one thing that it should not, as fast as it may, for a bounded time, from
//! addresses of its own.
//!
//! It gets only what nobody else wants of its core, because it shares it with those whose delay is
//! measured: what they feel is to be the server, not the generator.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::process::Command;

use rustix::net::sockopt;
use serde::{Deserialize, Serialize};

use super::{LoadError, Report};
use crate::bench::clock::now_ns;
use crate::bench::socket::{self, Received};

/// Addresses that the attacker has: 127.0.1.1 and so on.
const SOURCES: u8 = 20;
/// Connections that it holds at most.
const HELD_MAX: usize = 2_000;
/// Connections that it opens in a turn.
const OPENED_PER_TURN: usize = 32;
/// Attempts of one attack at most.
const ATTEMPTS_MAX: u64 = 5_000_000;
/// Connections of a publish flood, all from one address.
const FLOOD_CONNECTIONS: usize = 4;
/// Bytes of requests written at a time.
const BURST_BYTES: usize = 64 << 10;
/// Bytes of what slow readers do not read, and of one event of it.
const UNREAD_BYTES: usize = 8 << 20;
const UNREAD_EVENT_BYTES: usize = 32 << 10;
/// Between two turns of what is slow on purpose, nanoseconds.
const SLOW_TURN_NS: u64 = 100_000_000;

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub(crate) enum Attack {
    /// Heads that come a byte at a time and never end.
    SlowLoris,
    /// Heads without end, and heads of many fields.
    HeadBombs,
    /// Connections that are opened and reset.
    Connections,
    /// Publishes from one address.
    Publishes,
    /// Publishes to a new topic each.
    Topics,
    /// Subscribers that never read.
    SlowReaders,
}

/// An attack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct AbuseJob {
    pub(crate) attack: Attack,
    pub(crate) target: SocketAddrV4,
    pub(crate) milliseconds: u64,
    /// Whether that is not the server but somebody who stands by, and takes no publishes.
    pub(crate) aside: bool,
}

struct Client {
    socket: OwnedFd,
    /// Bytes of its request that are sent.
    sent: usize,
}

struct Attacker<'a> {
    job: &'a AbuseJob,
    clients: Vec<Client>,
    /// Connections opened so far: says the address of the next.
    opened: u64,
    attempts: u64,
    refused: u64,
    buffer: Vec<u8>,
}

pub(super) fn run(
    job: &AbuseJob,
    go: &mut dyn FnMut() -> Result<(), LoadError>,
) -> Result<Report, LoadError> {
    give_way()?;
    let mut attacker = Attacker {
        job,
        clients: Vec::new(),
        opened: 0,
        attempts: 0,
        refused: 0,
        buffer: vec![0; BURST_BYTES],
    };
    if job.attack == Attack::SlowReaders && !job.aside {
        attacker.fill()?;
    }
    go()?;
    let begun = now_ns();
    let end = begun + job.milliseconds * 1_000_000;
    while now_ns() < end && attacker.attempts < ATTEMPTS_MAX {
        attacker.turn();
    }
    let (attempts, refused) = (attacker.attempts, attacker.refused);
    Ok(Report { attempts, refused, ..Report::default() })
}

/// Puts this process into the scheduler's class for idle work. The least of the ordinary priorities
/// is not enough: it finishes its slice, some milliseconds, before whoever wakes has a turn, and
/// most of what the innocent seemed to suffer from the server was that.
pub(super) fn give_way() -> Result<(), LoadError> {
    let pid = std::process::id().to_string();
    let status = Command::new("chrt").args(["--idle", "--pid", "0", &pid]).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(LoadError::Protocol("chrt could not make the attacker idle work")),
        Err(_) => {
            Err(LoadError::Protocol("chrt is missing; get it with: apt-get install util-linux"))
        }
    }
}

impl Attacker<'_> {
    fn turn(&mut self) {
        match self.job.attack {
            Attack::SlowLoris => self.hold(b"GET /topics/a HTTP/1.1\r\nHost: h\r\nX: ", 1, true),
            Attack::HeadBombs => self.hold(&bomb(), usize::MAX, false),
            Attack::Connections => self.knock(),
            Attack::Publishes | Attack::Topics => self.flood(),
            Attack::SlowReaders => {
                let ask = b"GET /topics/unread?earliest HTTP/1.1\r\nHost: h\r\n\
                            Accept: text/event-stream\r\n\r\n";
                self.hold(ask, usize::MAX, true);
            }
        }
    }

    fn source(&self) -> Ipv4Addr {
        let last = (self.opened % u64::from(SOURCES)) as u8 + 1;
        Ipv4Addr::new(127, 0, 1, last)
    }

    fn open(&mut self, source: Ipv4Addr) -> Option<OwnedFd> {
        self.opened += 1;
        self.attempts += 1;
        let opened = socket::connect(Some(source), self.job.target).ok()?;
        // Nobody's ports are used up by those in TIME_WAIT.
        socket::reset_on_close(&opened).ok()?;
        Some(opened)
    }

    /// Holds connections that send `request`, `each` bytes in a turn, and read nothing.
    fn hold(&mut self, request: &[u8], each: usize, slowly: bool) {
        for _ in 0..OPENED_PER_TURN {
            if self.clients.len() >= HELD_MAX {
                break;
            }
            let source = self.source();
            let Some(socket) = self.open(source) else { break };
            if self.job.attack == Attack::SlowReaders {
                // As little as the system allows.
                let _ = sockopt::set_socket_recv_buffer_size(&socket, 1);
            }
            self.clients.push(Client { socket, sent: 0 });
        }
        let (mut refused, buffer) = (0, &mut self.buffer);
        let reads = self.job.attack != Attack::SlowReaders;
        self.clients.retain_mut(|client| {
            let rest = &request[client.sent.min(request.len())..];
            let next = &rest[..rest.len().min(each)];
            let sent = match (next.is_empty(), slowly) {
                (true, true) if reads => socket::send(&client.socket, b"a").map(|_| 0),
                (true, _) => Ok(0),
                (false, _) => socket::send(&client.socket, next),
            };
            // What it is answered is a refusal, and so is the end.
            let answered =
                reads && !matches!(socket::receive(&client.socket, buffer), Ok(Received::Nothing));
            let goes_on = sent.is_ok() && !answered;
            client.sent += sent.unwrap_or(0);
            refused += u64::from(!goes_on);
            goes_on
        });
        self.refused += refused;
        let pause = if slowly { SLOW_TURN_NS } else { SLOW_TURN_NS / 20 };
        std::thread::sleep(std::time::Duration::from_nanos(pause));
    }

    /// Opens connections and lets go of the oldest.
    fn knock(&mut self) {
        for _ in 0..OPENED_PER_TURN {
            let source = self.source();
            if let Some(socket) = self.open(source) {
                self.clients.push(Client { socket, sent: 0 });
            }
        }
        let over = self.clients.len().saturating_sub(4 * OPENED_PER_TURN);
        for client in self.clients.drain(..over) {
            let answer = socket::receive(&client.socket, &mut self.buffer);
            self.refused += u64::from(answer != Ok(Received::Nothing));
        }
    }

    /// Publishes on a few connections without waiting for answers, which are read and counted.
    fn flood(&mut self) {
        while self.clients.len() < FLOOD_CONNECTIONS {
            let Some(socket) = self.open(Ipv4Addr::new(127, 0, 1, 1)) else { return };
            self.clients.push(Client { socket, sent: 0 });
        }
        let mut requests = Vec::new();
        let mut count = 0;
        while requests.len() < BURST_BYTES {
            let name = match self.job.attack {
                Attack::Topics => self.attempts + count,
                _ => 0,
            };
            let head = format!("POST /topics/abuse/{name} HTTP/1.1\r\nHost: h\r\n");
            requests.extend_from_slice(head.as_bytes());
            requests.extend_from_slice(b"Content-Length: 4\r\n\r\nspam");
            count += 1;
        }
        let (mut attempts, mut refused, mut moved) = (0, 0, false);
        let buffer = &mut self.buffer;
        self.clients.retain_mut(|client| {
            // From where the last burst stopped: the server is to see whole requests.
            let from = client.sent % requests.len();
            let Ok(sent) = socket::send(&client.socket, &requests[from..]) else {
                return false;
            };
            client.sent = if from + sent >= requests.len() { 0 } else { from + sent };
            attempts += count * sent as u64 / requests.len() as u64;
            moved |= sent > 0;
            match socket::receive(&client.socket, buffer) {
                Ok(Received::Bytes(length)) => {
                    let answers = memchr::memmem::find_iter(&buffer[..length], b"HTTP/1.1 429");
                    refused += answers.count() as u64;
                    moved = true;
                    true
                }
                Ok(Received::Nothing) => true,
                _ => false,
            }
        });
        self.attempts += attempts;
        self.refused += refused;
        if !moved {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    /// Publishes what slow readers will not read. Refused or not: it is what there is.
    fn fill(&mut self) -> Result<(), LoadError> {
        let source = Some(Ipv4Addr::new(127, 0, 1, SOURCES + 1));
        let mut publisher = super::publisher::Publisher::connect(source, self.job.target)?;
        let deadline = now_ns() + 20_000_000_000;
        for sequence in 0..(UNREAD_BYTES / UNREAD_EVENT_BYTES) as u64 {
            let stamp = super::stamp::Stamp { sequence, sent_ns: now_ns() };
            publisher.publish("/topics/unread", stamp, UNREAD_EVENT_BYTES)?;
            while publisher.in_flight() > 0 && now_ns() < deadline {
                publisher.flush()?;
                publisher.read()?;
            }
        }
        Ok(())
    }
}

/// A head of many fields, longer than any server takes, that never ends.
fn bomb() -> Vec<u8> {
    let mut head = b"GET / HTTP/1.1\r\nHost: h\r\n".to_vec();
    for field in 0..2_000 {
        head.extend_from_slice(format!("X-{field}: {}\r\n", "a".repeat(40)).as_bytes());
    }
    head
}
