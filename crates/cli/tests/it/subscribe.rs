//! `tidings subscribe` against a real server: starts, resuming, ends, commands.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, ChildStdout, Stdio};

use crate::server::Server;

/// A running `tidings subscribe`.
struct Subscriber {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Subscriber {
    fn start(server: &Server, arguments: &[&str]) -> Self {
        let mut child = server
            .command()
            .arg("subscribe")
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    /// Reads what it tells about itself until it says this.
    fn until(&mut self, part: &str) {
        let mut told = String::new();
        while !told.contains(part) {
            told.clear();
            assert_ne!(self.stderr.read_line(&mut told).unwrap(), 0, "it never said {part:?}");
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    /// Waits for its end: code, and the rest of both outputs.
    fn end(mut self) -> (Option<i32>, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).unwrap();
        self.stderr.read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code(), out, err)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn live_events_are_printed_as_they_come() {
    let server = Server::start();
    server.run(&["publish", "a", "before"]).success();
    let mut subscriber = Subscriber::start(&server, &["a", "--count", "2"]);
    subscriber.until("following a");
    server.run(&["publish", "a", "one"]).success();
    assert_eq!(subscriber.line(), "one");
    server.run(&["publish", "a", "two\nlines"]).success();
    assert_eq!(subscriber.end().1, "two\nlines\n");
}

#[test]
fn a_subscription_starts_where_it_is_told() {
    let server = Server::start();
    let ids: Vec<String> = ["1", "2", "3", "4"]
        .iter()
        .map(|data| server.run(&["publish", "a", data]).success().trim().to_owned())
        .collect();
    for (from, count, expected) in [
        ("earliest", "4", "1\n2\n3\n4\n"),
        ("last:2", "2", "3\n4\n"),
        ("since:1h", "4", "1\n2\n3\n4\n"),
        ("since:2020-01-01T00:00:00Z", "1", "1\n"),
        (&ids[1], "2", "3\n4\n"),
    ] {
        let arguments = ["subscribe", "a", "--from", from, "--count", count];
        assert_eq!(server.run(&arguments).success(), expected, "{from}");
    }
}

#[test]
fn patterns_and_several_topics_share_a_subscription() {
    let server = Server::start();
    for topic in ["orders/1", "other", "orders/2", "extra"] {
        server.run(&["publish", topic, topic]).success();
    }
    let arguments = [
        "subscribe",
        "extra",
        "--pattern",
        "orders/*",
        "--from",
        "earliest",
        "--count",
        "3",
        "--json",
    ];
    let printed = server.run(&arguments).success();
    let topics: Vec<String> = printed
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|event| event["topic"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(topics, ["orders/1", "orders/2", "extra"]);
}

#[test]
fn a_crash_of_the_server_loses_and_repeats_nothing() {
    let server = Server::start();
    let mut subscriber = Subscriber::start(&server, &["a", "--count", "3"]);
    subscriber.until("following a");
    server.run(&["publish", "a", "1"]).success();
    assert_eq!(subscriber.line(), "1");
    let server = server.crash_and_restart();
    subscriber.until("trying again");
    server.run(&["publish", "a", "2"]).success();
    subscriber.until("connected again");
    server.run(&["publish", "a", "3"]).success();
    let (code, rest, told) = subscriber.end();
    assert_eq!((code, rest.as_str()), (Some(0), "2\n3\n"), "{told}");
}

#[test]
fn how_a_topic_ends_is_the_exit_code() {
    let server = Server::start();
    for (how, code) in [("done", 0), ("error", 5), ("cancelled", 5)] {
        server.run(&["publish", how, "1"]).success();
        server.run(&["publish", how, "--end", how]).success();
        let outcome = server.run(&["subscribe", how, "--from", "earliest"]);
        assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(&format!("{how} has ended ({how})")), "{}", outcome.stderr);
        assert!(outcome.stdout.starts_with("1\n"), "{}", outcome.stdout);
    }
}

#[test]
fn a_command_is_run_for_each_event() {
    let server = Server::start();
    for data in ["$(echo owned)", "; exit 9"] {
        server.run(&["publish", "a", data, "--key", "k"]).success();
    }
    let command = "printf '%s|%s|%s|' \"$TIDINGS_EVENT_TOPIC\" \"$TIDINGS_EVENT_KEY\" \
                   \"${TIDINGS_EVENT_TYPE-none}\"; cat; echo";
    let arguments = ["subscribe", "a", "--from", "earliest", "--count", "2", "--exec", command];
    let printed = server.run(&arguments).success();
    assert_eq!(printed, "a|k|none|$(echo owned)\na|k|none|; exit 9\n");
}

#[test]
fn a_command_that_fails_ends_it_and_says_how_to_go_on() {
    let server = Server::start();
    let first = server.run(&["publish", "a", "good"]).success();
    let second = server.run(&["publish", "a", "bad"]).success();
    let arguments =
        ["subscribe", "a", "--from", "earliest", "--exec", "test \"$(cat)\" = good || exit 3"];
    let said = server.run(&arguments).failure(6);
    assert!(said.contains(&format!("at event {}: it ended with code 3", second.trim())), "{said}");
    assert!(said.contains(&format!("--from {}", first.trim())), "{said}");
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let server = Server::start();
    server.run(&["publish", "a", "1"]).success();
    let mut child = server
        .command()
        .args(["subscribe", "a", "--from", "earliest"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "1\n");
    // As `| head -1` does; the next event finds the pipe closed.
    drop(stdout);
    server.run(&["publish", "a", "2"]).success();
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{told}");
}
