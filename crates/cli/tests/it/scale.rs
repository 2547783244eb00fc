//! Many subscribers of the program itself. Both ends of each connection count against the limit of
//! open files, so they are in different processes.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidings_frame::sse_decode::Decoder;
use tidings_server::testing::Dice;
use tokio::net::TcpStream;

use crate::raw::{Connection, Follower, PATIENCE, address, publish, wait_for};
use crate::server::Server;

/// Held by a test with thousands of connections: two of them are too many for one process.
static CROWD: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    CROWD.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn ten_thousand_follow_one_topic() {
    const FOLLOWERS: usize = 10_000;
    const EVENTS: u64 = 5;
    let _alone = alone();
    let server = Server::start();
    let address = address(&server);
    let mut followers: Vec<Follower> =
        (0..FOLLOWERS).map(|_| Follower::connect(&address, "/topics/t", "").unwrap()).collect();
    // The head is read first: only who has it is sure to get what is published now.
    for follower in &mut followers {
        while !follower.in_body {
            assert!(follower.read(|_, _, _| {}), "cut in the head");
        }
    }
    let ids: Vec<String> =
        (0..EVENTS).map(|number| publish(&address, "t", &number.to_string()).unwrap()).collect();
    for (number, follower) in followers.iter_mut().enumerate() {
        let mut got = Vec::new();
        while got.len() < ids.len() {
            assert!(follower.read(|id, _, _| got.push(id.to_owned())), "{number} was cut");
        }
        assert_eq!(got, ids, "{number}");
    }
}

/// Subscribers that are cut again and again.
const CUT: usize = 5_000;

/// Topics that they follow.
const TOPICS: u64 = 20;

/// Events published while they are.
const EVENTS: u64 = 500;

/// How far publishing may be ahead of what they have read between them, in events: as many as are
/// left to publish while they are cut.
const AHEAD: u64 = 25;

/// What one of them follows: one topic, two by name, or all by pattern.
#[derive(Clone, Copy)]
enum Follows {
    One(u64),
    Two(u64, u64),
    All,
}

impl Follows {
    fn of(number: usize) -> Self {
        let topic = number as u64 / 3 % TOPICS;
        match number % 3 {
            0 => Self::One(topic),
            1 => Self::Two(topic, (topic + 7) % TOPICS),
            _ => Self::All,
        }
    }

    fn target(self) -> String {
        match self {
            Self::One(topic) => format!("/topics/t/{topic}"),
            Self::Two(one, other) => format!("/events?topic=t/{one}&topic=t/{other}"),
            Self::All => "/events?pattern=t/*".to_owned(),
        }
    }

    /// The first event from this number on that it gets.
    fn from(self, number: u64) -> u64 {
        let wants = |number: &u64| match self {
            Self::One(topic) => number % TOPICS == topic,
            Self::Two(one, other) => [one, other].contains(&(number % TOPICS)),
            Self::All => true,
        };
        (number..).find(wants).unwrap()
    }

    /// How many events it gets in all.
    fn total(self) -> u64 {
        match self {
            Self::One(_) => EVENTS / TOPICS,
            Self::Two(..) => EVENTS / TOPICS * 2,
            Self::All => EVENTS,
        }
    }
}

/// A subscriber that keeps nothing but its last id and the number that must come next: that each is
/// the next one says that nothing is missing, nothing is there twice, and the order is right.
struct Wanderer {
    follows: Follows,
    next: u64,
    seen: u64,
    last: String,
    dice: Dice,
    connects: u64,
    /// Whether the server may end a stream.
    may_be_cut: bool,
    /// Counts what all of them have seen.
    seen_by_all: Arc<AtomicU64>,
}

impl Wanderer {
    /// Follows until it has all, leaving at random and coming back, and coming back too whenever
    /// the server has gone.
    async fn wander(mut self, address: SocketAddr) -> u64 {
        while self.next < EVENTS {
            // Gone before anything is answered, now and then; else after some events.
            let stays = match self.dice.roll(8) {
                0 => 0,
                _ => self.seen + 1 + self.dice.roll(self.follows.total() / 2),
            };
            if let Err(error) = self.visit(address, stays).await {
                let cut = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset];
                assert!(self.may_be_cut || !cut.contains(&error.kind()), "{error}");
                // A server that was killed is soon there again; the test as a whole is bounded.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        self.connects
    }

    /// One connection, left when `until` events were seen in all or the stream ends.
    async fn visit(&mut self, address: SocketAddr, until: u64) -> io::Result<()> {
        let socket = TcpStream::connect(address).await?;
        self.connects += 1;
        let (target, last) = (self.follows.target(), &self.last);
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\
             Last-Event-ID: {last}\r\n\r\n"
        );
        socket.writable().await?;
        // A new connection takes a short request as a whole.
        assert_eq!(socket.try_write(request.as_bytes())?, request.len());
        let (mut decoder, mut head) = (Decoder::default(), Some(Vec::new()));
        while self.seen < until && self.next < EVENTS {
            socket.readable().await?;
            if !self.read(&socket, &mut head, &mut decoder)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Reads once; `false` at the end of the stream.
    fn read(
        &mut self,
        socket: &TcpStream,
        head: &mut Option<Vec<u8>>,
        decoder: &mut Decoder,
    ) -> io::Result<bool> {
        let mut chunk = [0; 16 << 10];
        let count = match socket.try_read(&mut chunk) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        };
        let mut body = &chunk[..count];
        if let Some(begun) = head {
            begun.extend_from_slice(body);
            let Some(end) = begun.windows(4).position(|four| four == b"\r\n\r\n") else {
                return Ok(count > 0);
            };
            assert!(begun.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(begun));
            body = &chunk[count - (begun.len() - end - 4)..count];
            *head = None;
        }
        let decoded = decoder.feed(body, |event| {
            assert_eq!(event.event_type, "message", "{}", event.data);
            assert_eq!(event.data.parse(), Ok(self.next), "of {}", self.follows.target());
            event.last_event_id.clone_into(&mut self.last);
            self.next = self.follows.from(self.next + 1);
            self.seen += 1;
            self.seen_by_all.fetch_add(1, Ordering::Relaxed);
        });
        decoded.unwrap();
        Ok(count > 0)
    }
}

/// Publishes the numbers, each under a key of its own and again until it is acknowledged.
fn publish_all(address: &str, published: &AtomicU64, seen_by_all: &AtomicU64) {
    let mut deadline = Instant::now() + PATIENCE;
    let mut connection = None;
    // What all of them have to have seen once an event has reached everybody, oldest event first.
    let (mut due, mut due_in_all) = (VecDeque::new(), 0);
    while published.load(Ordering::Relaxed) < EVENTS {
        assert!(Instant::now() < deadline, "only {published:?} published");
        let number = published.load(Ordering::Relaxed);
        if due.len() as u64 > AHEAD {
            wait_for(seen_by_all, due.pop_front().unwrap());
        }
        let (topic, data) = (number % TOPICS, number.to_string());
        let length = data.len();
        let request = format!(
            "POST /topics/t/{topic} HTTP/1.1\r\nHost: h\r\nIdempotency-Key: n{number}\r\n\
             Content-Length: {length}\r\n\r\n{data}"
        );
        let kept = connection.take().or_else(|| Connection::open(address));
        let answered = kept.and_then(|mut kept: Connection| {
            kept.send(&request)?;
            let answer = kept.answer()?;
            connection = Some(kept);
            Some(answer)
        });
        match answered {
            Some((200, _)) => {
                published.store(number + 1, Ordering::Relaxed);
                let wanted = |other: &usize| Follows::of(*other).from(number) == number;
                deadline = Instant::now() + PATIENCE;
                due_in_all += (0..CUT).filter(wanted).count() as u64;
                due.push_back(due_in_all);
            }
            Some((status, body)) => panic!("{status}: {body}"),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Has all of them follow while events are published and the server is killed so many times.
fn cut_and_resume(kills: u64) {
    let _alone = alone();
    let mut server = Server::start();
    let address = address(&server);
    let first = publish(&address, "first", "0").unwrap();
    let (published, seen_by_all) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
    std::thread::scope(|scope| {
        let (published, seen_by_all) = (&published, &seen_by_all);
        let place: SocketAddr = address.parse().unwrap();
        let crowd = scope.spawn(move || {
            let local = tokio::task::LocalSet::new();
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0..CUT {
                let follows = Follows::of(number);
                let wanderer = Wanderer {
                    follows,
                    next: follows.from(0),
                    seen: 0,
                    last: first.clone(),
                    dice: Dice(number as u64 * 7_919 + 1),
                    connects: 0,
                    may_be_cut: kills > 0,
                    seen_by_all: seen_by_all.clone(),
                };
                tasks.spawn_local_on(wanderer.wander(place), &local);
            }
            let all = async { tokio::time::timeout(PATIENCE * 5, tasks.join_all()).await };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(local.run_until(all)).expect("all to have everything")
        });
        scope.spawn(|| publish_all(&address, published, seen_by_all));
        for kill in 1..=kills {
            wait_for(published, kill * EVENTS / (kills + 1));
            server = server.crash_and_restart();
        }
        let connects: u64 = crowd.join().unwrap().into_iter().sum();
        assert!(connects > 2 * CUT as u64, "cut no more than {connects} times");
    });
}

#[test]
fn five_thousand_are_cut_and_resume_and_miss_nothing() {
    cut_and_resume(0);
}

#[test]
fn five_thousand_resume_across_kills_and_miss_nothing() {
    cut_and_resume(3);
}
