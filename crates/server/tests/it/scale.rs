//! Many at once. Only what is right or wrong is looked at, never how long it takes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tidings_frame::sse_decode::Decoder;
use tidings_server::testing::Dice;
use tokio::net::TcpStream;

use crate::support::{DOORS, PATIENCE, Server, request, sequence};

/// A subscriber in a crowd: a task with a socket, a decoder, and what it has seen.
struct Subscriber {
    address: SocketAddr,
    target: String,
    socket: Option<TcpStream>,
    head: Vec<u8>,
    in_body: bool,
    decoder: Decoder,
    /// Numbers, as published, in the order in which they came.
    seen: Vec<u64>,
    last: String,
    gaps: usize,
}

impl Subscriber {
    fn new(address: SocketAddr, target: String) -> Self {
        Self {
            address,
            target,
            socket: None,
            head: Vec::new(),
            in_body: false,
            decoder: Decoder::default(),
            seen: Vec::new(),
            last: String::new(),
            gaps: 0,
        }
    }

    /// Connects, resuming where it was, and reads the head.
    async fn connect(&mut self, number: usize) {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let mut headers = format!("Accept: text/event-stream\r\n{}", DOORS[number % 2].headers());
        if !self.last.is_empty() {
            headers.push_str(&format!("Last-Event-ID: {}\r\n", self.last));
        }
        let bytes = request("GET", &self.target, &headers, b"");
        let mut sent = 0;
        while sent < bytes.len() {
            socket.writable().await.unwrap();
            sent += socket.try_write(&bytes[sent..]).unwrap_or(0);
        }
        self.socket = Some(socket);
        self.head.clear();
        self.in_body = false;
        self.decoder.reset();
        while !self.in_body {
            assert!(self.read().await, "cut in the head: {}", String::from_utf8_lossy(&self.head));
        }
    }

    /// Reads what there is, waiting for something; `false` at the end of the stream.
    async fn read(&mut self) -> bool {
        let mut chunk = [0; 16 << 10];
        let socket = self.socket.as_ref().unwrap();
        let count = loop {
            let ready = tokio::time::timeout(PATIENCE, socket.readable()).await;
            ready.expect("nothing came").unwrap();
            match socket.try_read(&mut chunk) {
                Ok(count) => break count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        };
        let mut body = &chunk[..count];
        if !self.in_body {
            self.head.extend_from_slice(body);
            let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else {
                return count > 0;
            };
            assert!(self.head.starts_with(b"HTTP/1.1 200 "), "{:?}", self.head);
            let rest = self.head.split_off(end + 4);
            self.in_body = true;
            body = &chunk[count - rest.len()..count];
        }
        let (seen, last, gaps) = (&mut self.seen, &mut self.last, &mut self.gaps);
        self.decoder
            .feed(body, |event| {
                event.last_event_id.clone_into(last);
                match event.event_type {
                    "message" => seen.push(event.data.parse().unwrap()),
                    _ => *gaps += 1,
                }
            })
            .unwrap();
        count > 0
    }

    async fn read_until(&mut self, count: usize) {
        while self.seen.len() < count {
            assert!(self.read().await, "the stream ended");
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Connects `count` subscribers, has `publish` publish, and has each read `events` events.
fn crowd(
    server: &Server,
    count: usize,
    target: impl Fn(usize) -> String,
    publish: impl FnOnce() + Send,
    events: usize,
) -> Vec<Vec<u64>> {
    let address = server.address();
    let connected = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let connected = &connected;
        scope.spawn(move || {
            // Thousands of them, perhaps beside as many of another test.
            let deadline = Instant::now() + 5 * PATIENCE;
            while connected.load(Ordering::Relaxed) < count {
                assert!(Instant::now() < deadline, "not all are connected");
                std::thread::sleep(Duration::from_millis(5));
            }
            publish();
        });
        runtime().block_on(async {
            let mut subscribers = Vec::new();
            for number in 0..count {
                let mut subscriber = Subscriber::new(address, target(number));
                subscriber.connect(number).await;
                connected.fetch_add(1, Ordering::Relaxed);
                subscribers.push(subscriber);
            }
            let mut all = Vec::new();
            for subscriber in &mut subscribers {
                subscriber.read_until(events).await;
                assert_eq!(subscriber.gaps, 0);
                all.push(std::mem::take(&mut subscriber.seen));
            }
            all
        })
    })
}

#[test]
fn four_thousand_subscribers_of_one_topic() {
    let server = Server::start();
    let publish = || drop(server.publish_numbers("t", 0..20));
    let all = crowd(&server, 4_000, |_| "/topics/t".into(), publish, 20);
    let expect: Vec<u64> = (0..20).collect();
    assert!(all.iter().all(|seen| *seen == expect));
}

#[test]
fn an_event_is_encoded_once_however_many_follow() {
    const FOLLOWERS: usize = 150;
    const EVENTS: usize = 40;
    let server = Server::start();
    let targets = ["/topics/t", "/events?topic=t&topic=u", "/topics/t?envelope"];
    let mut streams: Vec<_> =
        (0..FOLLOWERS).map(|number| server.subscribe(targets[number % 3])).collect();
    for number in 0..EVENTS {
        server.publish("/topics/t", &number.to_string());
        for stream in &mut streams {
            stream.next();
        }
    }
    let encoded = server.metric("tidings_encoded_frames_total") as usize;
    let delivered = server.metric("tidings_delivered_events_total") as usize
        + server.metric("tidings_caught_up_events_total") as usize;
    assert_eq!(delivered, FOLLOWERS * EVENTS);
    // Once in each of two framings. Whoever the system lets wait for long reads the log, which
    // encodes again.
    assert!((EVENTS * 2..EVENTS * 4).contains(&encoded), "{encoded} for {EVENTS} events");
}

#[test]
fn a_thousand_topics_with_a_subscriber_each() {
    let server = Server::with(|config| config.io_threads = 2);
    let publish = || {
        for number in 0..1_000 {
            server.publish_numbers(&format!("t/{number}"), number..number + 1);
        }
        for number in 0..1_000 {
            server.publish_numbers(&format!("t/{number}"), number + 1..number + 2);
        }
    };
    let all = crowd(&server, 1_000, |number| format!("/topics/t/{number}"), publish, 2);
    for (number, seen) in all.iter().enumerate() {
        assert_eq!(*seen, [number as u64, number as u64 + 1]);
    }
}

#[test]
fn one_subscriber_of_a_thousand_topics() {
    let server = Server::start();
    let names: Vec<String> = (0..1_000).map(|number| format!("t/{number}")).collect();
    let body = serde_json::json!({"topics": names}).to_string();
    let mut conn = server.connect();
    conn.ask("POST", "/events", "", body.as_bytes());
    let mut stream = crate::stream::Stream::open(conn);
    for number in 0..3_000_u64 {
        server.publish_numbers(&format!("t/{}", number * 7 % 1_000), number..number + 1);
    }
    let expect: Vec<String> = (0..3_000).map(|number| number.to_string()).collect();
    assert_eq!(stream.data(3_000), expect);
}

#[test]
fn a_pattern_while_topics_come_and_go() {
    let server = Server::with(|config| config.io_threads = 2);
    let mut streams = [
        server.subscribe("/events?pattern=room/*"),
        server.subscribe("/events?pattern=**&envelope"),
        server.subscribe("/events?pattern=room/*&topic=other"),
    ];
    for number in 0..500 {
        let topic = format!("/topics/room/{}", number % 50);
        let ids = DOORS.map(|door| {
            let reply = server.request("POST", &topic, door.headers(), b"x");
            reply.json()["id"].as_str().unwrap().to_owned()
        });
        // What is removed before it was delivered is gone, so it is waited for.
        for stream in &mut streams {
            assert_eq!(stream.take(2).into_iter().map(|e| e.id).collect::<Vec<_>>(), ids);
        }
        if number % 3 == 0 {
            assert_eq!(server.request("DELETE", &topic, "", b"").status, 204);
        }
    }
}

#[test]
fn two_thousand_are_cut_and_resume_and_miss_nothing() {
    let topics = 20;
    let events: u64 = 3_000;
    let server = Server::with(|config| config.io_threads = 2);
    let address = server.address();
    let done = AtomicBool::new(false);
    // Which topics each follows: one, two by name, or all by pattern.
    let target = |number: usize| match number % 3 {
        0 => format!("/topics/t/{}", number % topics),
        1 => format!("/events?topic=t/{}&topic=t/{}", number % topics, (number + 7) % topics),
        _ => "/events?pattern=t/*".to_owned(),
    };
    let wanted = |number: usize, event: u64| match number % 3 {
        0 => event as usize % topics == number % topics,
        1 => [number % topics, (number + 7) % topics].contains(&(event as usize % topics)),
        _ => true,
    };
    std::thread::scope(|scope| {
        let (server, done) = (&server, &done);
        let first = server.publish("/topics/first", "0");
        scope.spawn(move || {
            for event in 0..events {
                let topic = format!("/topics/t/{}", event as usize % topics);
                let door = DOORS[event as usize % 2];
                let body = event.to_string();
                let reply = server.request("POST", &topic, door.headers(), body.as_bytes());
                assert_eq!(reply.status, 200);
            }
            done.store(true, Ordering::Release);
        });
        runtime().block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            let local = tokio::task::LocalSet::new();
            let all_done = std::sync::Arc::new(AtomicBool::new(false));
            for number in 0..2_000 {
                let (target, first) = (target(number), first.clone());
                let expect: Vec<u64> = (0..events).filter(|&event| wanted(number, event)).collect();
                let all_done = all_done.clone();
                tasks.spawn_local_on(
                    async move {
                        let mut subscriber = Subscriber::new(address, target);
                        subscriber.last = first;
                        let mut dice = Dice(number as u64 * 7_919 + 1);
                        while subscriber.seen.len() < expect.len() {
                            subscriber.connect(number).await;
                            let until = subscriber.seen.len() + dice.roll(400) as usize + 1;
                            // Towards the end nobody is cut any more, so that it ends.
                            while subscriber.seen.len() < expect.len()
                                && (subscriber.seen.len() < until
                                    || all_done.load(Ordering::Relaxed))
                            {
                                assert!(subscriber.read().await, "the server cut it");
                            }
                            subscriber.socket = None;
                        }
                        assert_eq!(subscriber.gaps, 0);
                        assert!(subscriber.seen == expect, "{number}: out of order or not once");
                    },
                    &local,
                );
            }
            let watch = async {
                while !done.load(Ordering::Acquire) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                all_done.store(true, Ordering::Relaxed);
                while let Some(task) = tasks.join_next().await {
                    task.unwrap();
                }
            };
            local.run_until(watch).await;
        });
    });
}

#[test]
fn a_long_topic_is_replayed_while_it_grows() {
    let kept: u64 = 100_000;
    let live: u64 = 500;
    let server = Server::start();
    let ndjson = "Content-Type: application/x-ndjson\r\n";
    for batch in 0..kept / 1_000 {
        let lines: String = (batch * 1_000..(batch + 1) * 1_000)
            .map(|number| format!("{{\"data\":\"{number}\"}}\n"))
            .collect();
        let reply = server.request("POST", "/topics/t", ndjson, lines.as_bytes());
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    for readers in [1, 20] {
        let first = server.page("/topics/t?last=1")["events"][0].clone();
        let begin: u64 = first["data"].as_str().unwrap().parse::<u64>().unwrap() + 1;
        let total = begin + live;
        let publish = || drop(server.publish_numbers("t", begin..total));
        let target = |number| match number % 2 {
            0 => "/topics/t?earliest".to_owned(),
            _ => "/events?pattern=t&topic=u&earliest".to_owned(),
        };
        let all = crowd(&server, readers, target, publish, usize::try_from(total).unwrap());
        for seen in all {
            assert!(seen.iter().copied().eq(0..total), "{readers} readers");
        }
    }
    assert!(sequence(&server.publish("/topics/t", "end")) > kept);
}
