//! A shard that is led through its turns by hand, for what depends on which of two things comes
//! first.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use tidings_access::Verifier;
use tidings_frame::{Pattern, TopicName};
use tidings_hub::{Framing, NewEvent, Publish, Published, Selection, Start, View};
use tokio::sync::mpsc;

use super::conn::{Requester, Subscriber};
use super::mail::Mail;
use super::requests::{Intake, READS_PER_TURN};
use super::shard::{Conn, READ_BYTES, READY_PER_TURN, Shard, TICK_MS, TOLD_PER_TICK};
use super::unfinished::{PUT_OFF_MAX_MS, TURNS_FOR_ALL, UNFINISHED_PER_TURN};
use crate::app::{App, HANDED_MAX};
use crate::config::Config;
use crate::http::subscribe::Subscribe;
use crate::peer::Peer;

/// An address that no peer of these tests has.
const PEER: ([u8; 4], u16) = ([127, 0, 0, 1], 1);

fn peer() -> Peer {
    Peer::plain(PEER.into())
}

struct Led {
    app: Arc<App>,
    shard: Shard,
    _folder: tempfile::TempDir,
}

impl Led {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::dev();
        config.data_dir = folder.path().to_owned();
        config.io_threads = 1;
        change(&mut config);
        let listener = Arc::new(crate::run::listen("127.0.0.1:0".parse().unwrap()).unwrap());
        let hub = crate::run::open_hub(&config).unwrap();
        let (hyper, _) = mpsc::channel(HANDED_MAX);
        let app =
            Arc::new(App::new(hub, config, Verifier::default(), None, None, None, hyper).unwrap());
        let shard = Shard::new(app.clone(), 0, Some(listener), app.shards[0].clone()).unwrap();
        Self { app, shard, _folder: folder }
    }

    /// Publishes as another thread would; returns the sequence.
    fn publish_elsewhere(&self, topic: &str, data: &str) -> u64 {
        let events =
            [NewEvent { topic: topic.into(), data: data.as_bytes().into(), ..NewEvent::default() }];
        let mut round = self.app.hub.round();
        round.publish(&Publish { events: &events, ..Publish::default() });
        match round.commit().pop().unwrap().unwrap().result {
            Published::Stored { first, .. } => first,
            other => panic!("not stored: {other:?}"),
        }
    }

    /// A connection that makes requests; the end that the client has.
    fn requester(&mut self) -> UnixStream {
        let (ours, theirs) = pair();
        let requester = Requester {
            fd: ours,
            peer: peer(),
            announced: false,
            input: Vec::new(),
            output: Vec::new(),
            pending: 0,
            closing: false,
            since_ms: self.shard.timer_ms,
            party: self.app.limits.at(PEER.0.into()),
            held: crate::limits::Held::of(&self.app.limits.memory),
            entry: crate::limits::Entry::Free,
            paused: false,
            put_off: None,
        };
        self.app.enter(&mut peer()).unwrap();
        let key = self.shard.conns.insert(Conn::Requester(requester));
        self.shard.register(key).unwrap();
        theirs
    }

    /// A connection that is not accepted yet.
    fn connect(&self) -> TcpStream {
        let listener = self.shard.listener.as_ref().unwrap();
        let address = SocketAddr::try_from(rustix::net::getsockname(listener).unwrap());
        TcpStream::connect(address.unwrap()).unwrap()
    }

    /// A subscriber with a seat or on its way to the log, after its head; the end that it has.
    fn subscriber(&mut self, asked: Subscribe) -> UnixStream {
        let (ours, mut theirs) = pair();
        self.app.enter(&mut peer()).unwrap();
        self.shard.adopt(ours, peer(), asked);
        assert!(has_come(&mut theirs).starts_with("HTTP/1.1 200 "));
        theirs
    }

    /// The first half of a turn: takes what has come, and answers.
    fn take(&mut self) {
        let hub = self.app.hub.clone();
        let mut ready = Vec::with_capacity(128);
        self.shard.wait(&mut ready);
        self.shard.take_ready(&hub, &ready, &mut Intake::default());
    }

    /// The second half: gives to whoever is due something.
    fn give(&mut self) {
        self.shard.give(&mut Vec::new());
        while self.shard.has_deliveries() {
            self.shard.give(&mut Vec::new());
        }
    }
}

fn pair() -> (OwnedFd, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    (ours.into(), theirs)
}

/// All that has come so far.
fn has_come(socket: &mut UnixStream) -> String {
    let mut bytes = Vec::new();
    match socket.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
    }
    String::from_utf8(bytes).unwrap()
}

fn asks(topics: &[&str], patterns: &[&str]) -> Subscribe {
    let topics = topics.iter().map(|name| TopicName::new(name).unwrap()).collect();
    let patterns = patterns.iter().map(|pattern| Pattern::new(pattern).unwrap()).collect();
    Subscribe {
        selection: Arc::new(Selection::new(topics, patterns).unwrap()),
        start: Start::Live,
        view: View { framing: Framing::Plain, private: false, conflate: false },
        origin: None,
        caller: None,
        expiring: crate::access::expiring::Expiring::default(),
        opening: None,
        admission: crate::limits::Admission::default(),
    }
}

#[test]
fn a_publish_is_answered_before_anybody_is_told_and_whoever_is_stuck() {
    let mut led = Led::new();
    let mut publisher = led.requester();
    let mut reader = led.subscriber(asks(&["t"], &[]));
    let _stuck = [led.subscriber(asks(&["t"], &[])), led.subscriber(asks(&[], &["*"]))];
    let data = "x".repeat(50 << 10);
    for round in 0..20 {
        let length = data.len();
        write!(
            publisher,
            "POST /topics/t HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{data}"
        )
        .unwrap();
        led.take();
        let answer = has_come(&mut publisher);
        assert!(answer.starts_with("HTTP/1.1 200 "), "round {round}: {answer:?}");
        let told = has_come(&mut reader).len();
        assert_eq!(told, 0, "round {round}: told before the answer");
        led.give();
        assert!(has_come(&mut reader).contains(&data), "round {round}");
    }
    let stuck = |(_, conn): &(_, &Conn)| matches!(conn, Conn::Seat(seat) if seat.blocked);
    assert_eq!(led.shard.conns.iter().filter(stuck).count(), 2);
}

/// How a subscriber comes to its seat.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// From its request.
    Door,
    /// From the thread that reads the log.
    Log,
}

#[test]
fn nothing_slips_through_between_a_position_and_its_seat() {
    for (way, asked) in [
        (Way::Door, asks(&["a"], &[])),
        (Way::Door, asks(&["a", "b"], &[])),
        (Way::Door, asks(&["b"], &["a"])),
        (Way::Door, asks(&[], &["*"])),
        (Way::Log, asks(&["a"], &[])),
        (Way::Log, asks(&["a", "b"], &[])),
        (Way::Log, asks(&["b"], &["a"])),
        (Way::Log, asks(&[], &["*"])),
    ] {
        let mut led = Led::new();
        let _other = led.subscriber(asks(&["b"], &[]));
        let (fd, mut socket) = pair();
        led.app.enter(&mut peer()).unwrap();
        let now_ms = led.shard.now_ms;
        let mut subscriber =
            Subscriber::new(&led.app, fd, Peer::plain(PEER.into()), &asked, now_ms);
        subscriber.after = match way {
            Way::Door => led.shard.starts_here(&asked).unwrap(),
            Way::Log => led.app.hub.visible(),
        };
        let after = subscriber.after;
        let sequence = led.publish_elsewhere("a", "in between");
        let key = led.shard.insert(subscriber).unwrap();
        match way {
            Way::Door => led.shard.welcome(key, after, &asked),
            Way::Log => led.shard.join(key),
        }
        led.give();
        // Told of by the bell, unlike the first one: with it the position moves on.
        led.publish_elsewhere("b", "later");
        led.give();
        let came = has_come(&mut socket);
        let will_come = led.app.backfills[0].take().iter().any(|mail| match mail {
            Mail::Subscriber(subscriber) => subscriber.after < sequence,
            _ => false,
        });
        let selection = &asked.selection;
        assert!(came.contains("in between") || will_come, "{way:?}, {selection:?}: {came}");
    }
}

/// What has to wait for an answer is not all read meanwhile.
#[test]
fn behind_a_publish_of_the_same_turn_no_more_is_read_than_there_is_room_for() {
    let mut led = Led::new();
    let mut theirs = led.requester();
    let publish = "POST /topics/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n1";
    theirs.write_all(publish.as_bytes()).unwrap();
    // Not for this door, so it waits until the publish is answered.
    let other = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100);
    let mut written = 0;
    while let Ok(count) = theirs.write(other.as_bytes()) {
        written += count;
    }
    assert!(written > 2 * READ_BYTES, "{written} bytes are too few to tell");
    led.take();
    let held = led.shard.conns.iter().find_map(|(_, conn)| match conn {
        super::shard::Conn::Requester(requester) => Some(requester.input.len()),
        super::shard::Conn::Seat(_) => None,
    });
    assert!(held.unwrap() <= 2 * READ_BYTES, "it holds {held:?} of {written}");
    assert!(has_come(&mut theirs).starts_with("HTTP/1.1 200 "));
}

#[test]
fn who_sends_faster_than_it_is_read_is_read_so_much_in_a_turn() {
    let mut led = Led::new();
    let mut theirs = led.requester();
    rustix::net::sockopt::set_socket_send_buffer_size(&theirs, 1 << 20).unwrap();
    let publish = "POST /topics/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n".to_owned();
    let many = (publish + &"x".repeat(1_000)).repeat(100);
    let mut written = 0;
    while let Ok(count) = theirs.write(many.as_bytes()) {
        written += count;
    }
    let most = READS_PER_TURN * READ_BYTES;
    assert!(written > most + READ_BYTES, "{written} bytes are too few to tell");
    let mut answered = 0;
    for _ in 0..written.div_ceil(most) {
        led.take();
        let came = has_come(&mut theirs).matches("HTTP/1.1 200 ").count();
        // For what was left, for what an edge tells of, and behind what was answered.
        assert!(came * 1_000 <= 3 * most, "{came} in a turn");
        answered += came;
    }
    assert!(answered * 1_100 > written, "{answered} of {written} bytes");
    // Behind what is refused at once nothing waits, and no edge tells of more.
    let mut theirs = led.requester();
    rustix::net::sockopt::set_socket_send_buffer_size(&theirs, 1 << 20).unwrap();
    let body = "x".repeat(50_000);
    let head = format!(
        "POST /topics/a?ttl=x HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let many = (head + &body).repeat(8);
    assert_eq!(theirs.write(many.as_bytes()).unwrap(), many.len());
    (0..many.len().div_ceil(most)).for_each(|_| led.take());
    let answered = has_come(&mut theirs).matches("HTTP/1.1 400 ").count();
    assert_eq!(answered, 8, "it goes on by itself");
}

#[test]
fn who_sends_in_pieces_waits_for_who_sends_whole_and_is_answered_all_the_same() {
    let mut led = Led::new();
    let pieces = ["POST /topics/a HTTP/1.1\r\n", "Host: h\r\nContent-", "Length: 1\r\n\r\n", "1"];
    let mut slow: Vec<UnixStream> = (0..40).map(|_| led.requester()).collect();
    let mut whole = led.requester();
    for (at, piece) in pieces.iter().enumerate() {
        slow.iter_mut().for_each(|socket| socket.write_all(piece.as_bytes()).unwrap());
        whole.write_all(pieces.concat().as_bytes()).unwrap();
        led.take();
        assert!(has_come(&mut whole).starts_with("HTTP/1.1 200 "), "{at}");
        // What begins is read at once, for nobody knows whether it is whole.
        let waiting = if at == 0 { 0 } else { slow.len() - UNFINISHED_PER_TURN };
        assert_eq!(led.shard.unfinished.len(), waiting, "{at}");
        if at == 1 {
            // One leaves while it waits.
            slow.pop();
        }
        while !led.shard.unfinished.is_empty() {
            led.take();
        }
        // Who has left is gone.
        assert_eq!(led.shard.conns.iter().count(), slow.len() + 1, "{at}");
    }
    for socket in &mut slow {
        assert!(has_come(socket).starts_with("HTTP/1.1 200 "));
    }
}

#[test]
fn who_sends_in_pieces_waits_a_bounded_while_for_a_busy_shard() {
    for turns in [2, 8] {
        let mut led = Led::new();
        led.shard.timer_ms = 1_000;
        let all = turns * READY_PER_TURN;
        let mut slow: Vec<UnixStream> = (0..all).map(|_| led.requester()).collect();
        let take = |led: &mut Led| (0..turns).for_each(|_| led.take());
        for piece in ["GET ", "/livez"] {
            slow.iter_mut().for_each(|socket| socket.write_all(piece.as_bytes()).unwrap());
            take(&mut led);
        }
        // A full turn means that there is more, which may be somebody else's, whole.
        assert_eq!(led.shard.unfinished.len(), all);
        led.take();
        // The more wait, the more are taken: the last one's time does not grow with their number.
        let taken = UNFINISHED_PER_TURN.max(all / TURNS_FOR_ALL);
        assert_eq!(led.shard.unfinished.len(), all - taken, "nobody else is there");
        slow.iter_mut().for_each(|socket| socket.write_all(b" HTTP/1.1").unwrap());
        led.shard.timer_ms += PUT_OFF_MAX_MS;
        take(&mut led);
        // Those that were read were put off again, and of the first in line as many were taken.
        assert!(led.shard.unfinished.len() < all, "it waited long enough");
    }
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let mut led = Led::new();
    for _ in 0..3 {
        let tick = led.shard.next_tick_ms;
        led.shard.timer_ms += TICK_MS;
        led.shard.give(&mut Vec::new());
        assert!(led.shard.next_tick_ms > tick, "it ticks");
        led.shard.now_ms -= 3_600_000;
    }
}

#[test]
fn where_connections_are_refused_the_next_wait_a_bounded_while_for_a_busy_shard() {
    let mut led = Led::new();
    (led.shard.timer_ms, led.shard.refused_ms) = (1_000, 1_000);
    let _new = led.connect();
    let mut others: Vec<UnixStream> = (0..3 * READY_PER_TURN).map(|_| led.requester()).collect();
    let all = others.len();
    let busy = |led: &mut Led, others: &mut Vec<UnixStream>| {
        others.iter_mut().for_each(|socket| socket.write_all(b"GET").unwrap());
        // The listener is somewhere among the others.
        led.take();
        led.take();
        led.shard.conns.iter().count()
    };
    assert_eq!(busy(&mut led, &mut others), all, "it waits");
    led.shard.timer_ms += PUT_OFF_MAX_MS;
    assert_eq!(busy(&mut led, &mut others), all + 1, "it waited long enough");
}

#[test]
fn of_many_refused_connections_some_are_told_why() {
    let mut led = Led::with(|config| {
        config.limits.connections = 0;
        config.limits.operator_reserve = 0;
    });
    led.shard.told = TOLD_PER_TICK - 1;
    let told = |led: &mut Led| {
        let mut answer = String::new();
        let mut refused = led.connect();
        led.take();
        let end = refused.read_to_string(&mut answer).map_err(|error| error.kind());
        end.map(|_| answer.split(' ').nth(1).map(str::to_owned))
    };
    let told_so = Ok(Some("503".to_owned()));
    assert_eq!(told(&mut led), told_so);
    assert_eq!(told(&mut led), Err(ErrorKind::ConnectionReset), "enough is said");
    led.shard.tick();
    assert_eq!(told(&mut led), told_so, "another tick");
}
