//! Clients that know nothing of LLMs: curl, and EventSource as browsers have it. They read what is
//! on the wire, and come back by the id of the last event.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::flaky::Flaky;
use super::scenario::{self, Label};
use super::{HEARTBEAT, client, environment, silence};
use crate::server::Server;

/// Bytes after which a network breaks: a head and some events.
const BREAKS_AFTER: usize = 3_000;

/// Longest time of one request, besides the upstream's silence.
const CURL_MAX: Duration = Duration::from_secs(60);

/// A block of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Block {
    id: String,
    event: String,
    data: String,
    comments: usize,
}

/// The blocks of a stream, read strictly: each field is one line, each block ends with a blank one.
fn blocks(body: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut block = Block::default();
    for line in body.lines() {
        match line.split_once(':') {
            None if line.is_empty() => blocks.push(std::mem::take(&mut block)),
            Some(("", _)) => block.comments += 1,
            Some(("id", value)) => value.trim().clone_into(&mut block.id),
            Some(("event", value)) => value.trim().clone_into(&mut block.event),
            Some(("data", value)) => {
                value.strip_prefix(' ').unwrap_or(value).clone_into(&mut block.data);
            }
            Some(("retry", _)) => {}
            _ => panic!("not a line of a stream: {line:?}"),
        }
    }
    blocks
}

/// Runs curl; what it prints.
fn curl(arguments: &[&str]) -> String {
    let most = (CURL_MAX + silence()).as_secs().to_string();
    let output = Command::new("curl").args(["-sSN", "-m", &most]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Asks for a streamed answer: its head and its body.
fn ask(base: &str, path: &str, body: &Value) -> (String, String) {
    let (url, body) = (format!("{base}/v1/{path}"), body.to_string());
    let said = curl(&["-i", "-H", "content-type: application/json", "-d", &body, &url]);
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// The URL of the answer's topic, from the head of the answer.
fn topic(base: &str, head: &str) -> String {
    let link = head.lines().find_map(|line| line.strip_prefix("link: <")).unwrap();
    format!("{base}{}", link.split_once('>').unwrap().0)
}

fn is_here(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// The question, in the words of each dialect.
fn questions(label: Label<'_>) -> [(&'static str, Value); 3] {
    let said = json!([{"role": "user", "content": label.text()}]);
    [
        ("chat/completions", json!({"model": "m", "stream": true, "messages": said})),
        ("responses", json!({"model": "m", "stream": true, "input": said})),
        ("messages", json!({"model": "m", "stream": true, "max_tokens": 9, "messages": said})),
    ]
}

#[test]
fn curl_sees_ids_and_heartbeats_and_resumes_after_every_event() {
    if !is_here("curl") {
        environment::skipped("the test with curl", "missing: curl");
        return;
    }
    let upstream = scenario::upstream();
    let server = Server::start_with(&["--llm", &upstream.url(), "--heartbeat", HEARTBEAT]);
    let label = Label { scenario: "silence", variant: "curl", client: "curl" };
    for (path, question) in questions(label) {
        let (_, direct) = ask(&format!("http://{}", upstream.address()), path, &question);
        let (head, body) = ask(&server.url, path, &question);
        let seen = blocks(&body);
        // What the upstream says, byte for byte, but for its pings: heartbeats are the relay's own.
        let said = |blocks: &[Block]| -> Vec<(String, String)> {
            let kept = blocks.iter().filter(|block| block.event != "ping");
            kept.map(|block| (block.event.clone(), block.data.clone())).collect()
        };
        assert_eq!(said(&seen), said(&blocks(&direct)), "{path}");
        assert!(seen.iter().all(|block| !block.id.is_empty()), "{path}: {body}");
        // Glued to an event: several decoders take a block of nothing but a comment for an event.
        // The first block has one in any case: it makes the head arrive.
        let comments = seen.iter().skip(1).map(|block| block.comments).max().unwrap();
        assert!(comments >= 1, "{path}: no heartbeat in the silence: {body}");
        let topic = topic(&server.url, &head);
        for (at, block) in seen.iter().enumerate() {
            let last = format!("last-event-id: {}", block.id);
            let rest: Vec<Block> = blocks(&curl(&["-H", &last, &topic]));
            let (end, rest) = match rest.split_last() {
                Some((end, rest)) if end.event == "end" => (Some(end), rest),
                _ => (None, &rest[..]),
            };
            let numbered = |blocks: &[Block]| -> Vec<(String, String)> {
                blocks.iter().map(|block| (block.id.clone(), block.data.clone())).collect()
            };
            assert_eq!(numbered(rest), numbered(&seen[at + 1..]), "{path} after {at}");
            // After its end nothing more comes: 204, at which an EventSource stops.
            let last = format!("last-event-id: {}", end.unwrap().id);
            let status = curl(&["-o", "/dev/null", "-w", "%{http_code}", "-H", &last, &topic]);
            assert_eq!(status, "204", "{path} after {at}");
        }
    }
}

#[test]
fn event_source_follows_an_answer_over_a_network_that_breaks() {
    let Some(environment) = environment::clients() else { return };
    let upstream = scenario::upstream();
    let server = Server::start_with(&["--llm", &upstream.url(), "--heartbeat", HEARTBEAT]);
    let label = Label { scenario: "paced", variant: "follow", client: "eventsource" };
    let [(path, question), ..] = questions(label);
    let (_, direct) = ask(&format!("http://{}", upstream.address()), path, &question);
    let flaky = Flaky::breaking(server.url.trim_start_matches("http://"), BREAKS_AFTER);
    let job = json!({
        "case": "follow",
        "do": "follow",
        "base": server.url,
        "via": flaky.url(),
        "from": "&earliest=1",
        "text": label.text(),
    });
    let results = client::run(environment, "javascript/eventsource.mjs", &[job]);
    let result = &results["follow"];
    let events = result["events"].as_array().unwrap_or_else(|| panic!("{result}"));
    let (end, events) = events.split_last().unwrap();
    assert_eq!((&end["type"], &end["data"]), (&json!("end"), &json!(r#"{"reason":"done"}"#)));
    let seen: Vec<&str> = events.iter().filter_map(|event| event["data"].as_str()).collect();
    let said: Vec<String> = blocks(&direct).into_iter().map(|block| block.data).collect();
    assert_eq!(seen.len(), said.len(), "{seen:?}");
    for (seen, said) in seen.iter().zip(&said) {
        // The two answers have the same id because the label is the same.
        assert_eq!(seen.replace("scripted", "m"), *said);
    }
    assert!(result["connections"].as_u64().unwrap() > 2, "the network did not break: {result}");
    assert_eq!(scenario::asked(&upstream, "follow", "eventsource"), 2);
}
