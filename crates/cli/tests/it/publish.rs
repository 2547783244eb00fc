//! `tidings publish` and `tidings history`, against a real server.

use crate::program::run_with_input;
use crate::server::Server;

/// The history of a topic as JSON objects.
fn history(server: &Server, topic: &str) -> Vec<serde_json::Value> {
    let printed = server.run(&["history", topic, "--all", "--json"]).success();
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn dev_says_what_to_do_next() {
    let server = Server::start();
    let welcome = &server.welcome;
    assert!(welcome.starts_with(&format!("Tidings is ready on {}", server.url)), "{welcome}");
    assert!(welcome.contains(&format!("curl -N {}/topics/", server.url)), "{welcome}");
    assert!(welcome.contains(" -d 'Hello, world'"), "{welcome}");
    assert!(!welcome.contains('\u{1b}'), "colours belong on a terminal only");
    assert_eq!(server.stop(), Some(0), "SIGTERM is how a server is asked to stop");
}

#[test]
fn every_option_of_an_event_arrives() {
    let server = Server::start();
    let id = server
        .run(&["publish", "chat/lobby", "Grüße", "--type", "said", "--key", "7", "--ttl", "1h"])
        .success();
    let events = history(&server, "chat/lobby");
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["id"], id.trim());
    assert_eq!(events[0]["topic"], "chat/lobby");
    assert_eq!(events[0]["type"], "said");
    assert_eq!(events[0]["key"], "7");
    assert_eq!(events[0]["data"], "Grüße");
}

#[test]
fn data_comes_from_a_file_or_from_standard_input() {
    let server = Server::start();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "from\na file\n").unwrap();
    server.run(&["publish", "a", "--file", file.path().to_str().unwrap()]).success();
    run_with_input(&["publish", "a", "-", "--url", &server.url], b"from a pipe").success();
    let data: Vec<_> =
        history(&server, "a").into_iter().map(|mut event| event["data"].take()).collect();
    assert_eq!(data, ["from\na file\n", "from a pipe"]);
}

#[test]
fn every_line_becomes_an_event() {
    let server = Server::start();
    let text: String = (0..2_500).map(|number| format!("line {number}\r\n")).collect();
    let arguments = ["publish", "log", "--lines", "--type", "line", "--url", &server.url];
    let outcome = run_with_input(&arguments, text.as_bytes());
    assert!(outcome.stderr.contains("2,500 events published in "), "{}", outcome.stderr);
    assert_eq!(outcome.success(), "");
    let events = history(&server, "log");
    assert_eq!(events.len(), 2_500);
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["data"], format!("line {number}"));
        assert_eq!(event["type"], "line");
    }
}

#[test]
fn a_repeat_with_the_same_key_is_not_published_again() {
    let server = Server::start();
    let arguments = ["publish", "a", "once", "--idempotency-key", "4711"];
    let first = server.run(&arguments).success();
    let second = server.run(&arguments);
    assert!(second.stderr.contains("it had been published before"), "{}", second.stderr);
    assert_eq!(second.success(), first);
    assert_eq!(history(&server, "a").len(), 1);
    let other = server.run(&["publish", "a", "other", "--idempotency-key", "4711"]).failure(4);
    assert!(other.contains("the server refused"), "{other}");
}

#[test]
fn an_expectation_that_is_not_met_is_refused() {
    let server = Server::start();
    let first = server.run(&["publish", "a", "1", "--expect", "none"]).success();
    server.run(&["publish", "a", "2", "--expect", "none"]).failure(4);
    server.run(&["publish", "a", "2", "--expect", first.trim()]).success();
    assert_eq!(history(&server, "a").len(), 2);
}

#[test]
fn nothing_comes_after_the_end() {
    let server = Server::start();
    server.run(&["publish", "a", "1"]).success();
    server.run(&["publish", "a", "--end"]).success();
    let said = server.run(&["publish", "a", "2"]).failure(4);
    assert!(said.contains("the server refused"), "{said}");
}

#[test]
fn an_event_for_later_is_scheduled() {
    let server = Server::start();
    let said = server.run(&["publish", "a", "later", "--delay", "1h"]);
    assert!(said.stderr.contains("it will be published at 20"), "{}", said.stderr);
    said.success();
    let history = server.run(&["history", "a"]).failure(4);
    assert!(history.contains("topic-not-found"), "its first event will create it: {history}");
}

#[test]
fn the_answer_is_there_as_json() {
    let server = Server::start();
    let answer = server.run(&["publish", "a", "x", "--json"]).success();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["topic"], "a");
    assert_eq!(answer["duplicate"], false);
}

#[test]
fn history_is_read_from_both_sides() {
    let server = Server::start();
    let text: String = (1..=30).map(|number| format!("{number}\n")).collect();
    run_with_input(&["publish", "a", "--lines", "--url", &server.url], text.as_bytes()).success();
    let ids: Vec<String> = history(&server, "a")
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    let lines = |arguments: &[&str]| {
        let all: Vec<&str> = ["history", "a"].iter().chain(arguments).copied().collect();
        server.run(&all).success().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines(&["--last", "3"]), ["28", "29", "30"]);
    assert_eq!(lines(&["--limit", "2"]), ["1", "2"]);
    assert_eq!(lines(&["--after", &ids[9], "--limit", "2"]), ["11", "12"]);
    assert_eq!(lines(&["--before", &ids[9], "--limit", "2"]), ["8", "9"]);
    assert_eq!(lines(&["--before", &ids[1]]), ["1"]);
    assert_eq!(lines(&["--after", &ids[29]]), [""; 0]);
}
