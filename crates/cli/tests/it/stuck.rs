//! A subscriber that stops reading while much is published costs the server next to nothing and the
//! others nothing at all, and when it reads again it has missed nothing.

use crate::raw::{Connection, Follower, address};
use crate::server::Server;

/// Bytes of data in each event.
const EVENT: usize = 16 << 10;

/// Events that are published before the others have to have had them.
const GROUP: usize = 16;

/// Published before memory is looked at, so that all that is needed once is there.
const WARM_UP: usize = 64 << 20;

/// Published while the subscriber does not read.
const PUBLISHED: usize = 1 << 30;

/// How much the server may grow, in bytes.
const GROWTH_MAX: usize = 2 << 20;

/// A subscriber that looks at each event as it comes.
struct Reader {
    follower: Follower,
    /// The number of the next event.
    next: usize,
}

impl Reader {
    fn connect(address: &str, target: &str, next: usize) -> Self {
        let mut follower = Follower::connect(address, target, "").unwrap();
        // The head is read first: only who has it is sure to get what is published now.
        while !follower.in_body {
            assert!(follower.read(|_, _, _| panic!("an event from before")));
        }
        Self { follower, next }
    }

    /// Reads until it has all events with smaller numbers.
    fn read_to(&mut self, end: usize) {
        while self.next < end {
            let next = &mut self.next;
            let more = self.follower.read(|_, kind, data| {
                assert_eq!((kind, data.len()), ("message", EVENT), "instead of {next}");
                let number: usize = data.split(' ').next().unwrap().parse().unwrap();
                assert_eq!(number, *next);
                *next += 1;
            });
            assert!(more, "cut before {}", self.next);
        }
    }
}

/// Publishes events with the numbers `first..end`; `each` is called when a group is acknowledged,
/// with the number after it.
fn publish(address: &str, first: usize, end: usize, mut each: impl FnMut(usize)) {
    let mut connection = Connection::open(address).unwrap();
    let filling = "x".repeat(EVENT);
    for group in (first..end).step_by(GROUP) {
        let mut requests = String::new();
        for number in group..group + GROUP {
            let begin = format!(
                "POST /topics/t HTTP/1.1\r\nHost: h\r\nContent-Length: {EVENT}\r\n\r\n{number} "
            );
            let head = begin.find("\r\n\r\n").unwrap() + 4;
            requests.push_str(&begin);
            requests.push_str(&filling[..EVENT - (begin.len() - head)]);
        }
        connection.send(&requests).unwrap();
        for _ in 0..GROUP {
            let (status, body) = connection.answer().unwrap();
            assert_eq!(status, 200, "{body}");
        }
        each(group + GROUP);
    }
}

/// A subscriber that does not read while `count` events are published and two others read them, and
/// then does. Returns by how much the server has grown at most, in bytes.
fn stuck_while(server: &Server, first: usize, count: usize) -> usize {
    let address = address(server);
    let end = first + count;
    let mut others =
        ["/topics/t", "/events?pattern=*"].map(|target| Reader::connect(&address, target, first));
    let mut stuck = Reader::connect(&address, "/topics/t", first);
    let before = server.resident();
    let mut most = 0;
    publish(&address, first, end, |published| {
        // Nothing more is published before they have this: they wait for nobody.
        others.iter_mut().for_each(|reader| reader.read_to(published));
        most = server.resident().max(most);
    });
    stuck.read_to(end);
    most.saturating_sub(before)
}

#[test]
fn a_stuck_subscriber_costs_little_and_misses_nothing() {
    let server = Server::start();
    let warm = WARM_UP / EVENT;
    stuck_while(&server, 0, warm);
    let grown = stuck_while(&server, warm, PUBLISHED / EVENT);
    assert!(grown < GROWTH_MAX, "grown by {} KiB", grown >> 10);
}
