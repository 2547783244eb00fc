//! `tidings doctor` against event streams that are not of Tidings, and against what is none.

use std::time::Duration;

use crate::doctor::doctor;
use crate::doctor_nginx::Nginx;
use crate::doctor_upstream::{Request, Step, Upstream, chunk, cutting_proxy, end, events, head};
use crate::program::run;
use crate::server::Server;

const CACHE: &str = "Cache-Control: no-cache\r\n";
const PACE: Duration = Duration::from_millis(50);

/// A well-behaved stream of 40 events, which begins after the id that is asked for.
fn stream(request: &Request) -> Vec<Step> {
    let after = request.header("last-event-id").map_or(0, |id| id.parse().unwrap());
    script([head(CACHE), chunk(":\n")], events(after + 1, 40, PACE), [end()])
}

fn script<const A: usize, const B: usize>(
    first: [Step; A],
    then: Vec<Step>,
    last: [Step; B],
) -> Vec<Step> {
    first.into_iter().chain(then).chain(last).collect()
}

/// Only the stream's own path is a stream: the doctor asks for Tidings' description too.
fn only_stream(
    script: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static,
) -> impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static {
    move |request| match request.line.contains(" /stream ") {
        true => script(request),
        false => vec![Step::Send("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_owned())],
    }
}

#[test]
fn a_stream_of_somebody_else_is_watched() {
    let upstream = Upstream::start(only_stream(stream));
    let diagnosis = doctor(&format!("{}/stream", upstream.url), &[]);
    diagnosis.is_well_but_for(&[]);
    diagnosis.has(&[("first-byte", "ok"), ("pace", "ok"), ("compression", "ok")]);
    diagnosis.has(&[("headers", "ok"), ("resume", "ok"), ("cors", "not tested")]);
    assert_eq!(diagnosis.report["tidings"], serde_json::Value::Null);
    assert_eq!(diagnosis.measured("pace", "events"), 40);
    assert_eq!(diagnosis.code, 0);
    let requests = upstream.requests();
    assert!(requests.iter().all(|request| request.line.starts_with("GET ")), "{requests:?}");
}

#[test]
fn a_buffer_is_found_by_the_blocks_it_hands_on() {
    // Without chunks: nginx hands a chunk on as it comes, and collects what has none.
    let upstream = Upstream::start(only_stream(|_| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n".to_owned();
        let event = |n| Step::Send(format!("id: {n}\ndata: {}\n\n", "x".repeat(180)));
        let paced = (0..60).flat_map(|n| [event(n), Step::Wait(PACE)]).collect();
        script([Step::Send(head)], paced, [])
    }));
    let Some(nginx) = Nginx::before(&upstream.url, "proxy_buffering on;") else { return };
    let diagnosis = doctor(&format!("{}/stream", nginx.url), &["--observe", "6s"]);
    diagnosis.has(&[("pace", "broken")]);
    assert_eq!((diagnosis.code, diagnosis.places("pace")[0]), (8, "nginx"));
    let nginx = Nginx::before(&upstream.url, "proxy_buffering off;").unwrap();
    doctor(&format!("{}/stream", nginx.url), &["--observe", "6s"]).has(&[("pace", "ok")]);
}

#[test]
fn what_is_no_event_stream_is_told() {
    let answer = |head: &'static str| {
        Upstream::start(move |_| {
            vec![Step::Send(format!("HTTP/1.1 {head}\r\nContent-Length: 2\r\n\r\nhi"))]
        })
    };
    for (head, verdict, part) in [
        ("200 OK\r\nContent-Type: text/html", "broken", "the content type is text/html"),
        ("404 Not Found\r\nContent-Type: text/event-stream", "broken", "status 404"),
        ("308 Go\r\nLocation: https://a.example/s", "warning", "a redirect to https://a.example/s"),
    ] {
        let upstream = answer(head);
        let diagnosis = doctor(&upstream.url, &[]);
        diagnosis.has(&[("event-stream", verdict), ("pace", "not tested")]);
        assert!(
            diagnosis.says("event-stream").contains(part),
            "{}",
            diagnosis.says("event-stream")
        );
        assert_eq!(diagnosis.code, if verdict == "broken" { 8 } else { 7 });
    }
}

#[test]
fn an_answer_whose_head_never_comes_is_told() {
    let upstream = Upstream::start(only_stream(|_| vec![Step::Wait(Duration::from_secs(8))]));
    let diagnosis = doctor(&format!("{}/stream", upstream.url), &["--observe", "2s"]);
    diagnosis.has(&[("event-stream", "broken"), ("first-byte", "not tested")]);
    assert!(diagnosis.says("event-stream").contains("not even its head"));
}

#[test]
fn a_stream_that_cannot_be_resumed_is_told() {
    let forgets = |_: &Request| script([head(CACHE)], events(1, 10, PACE), [end()]);
    let nameless = |_: &Request| {
        let event = || [chunk("data: x\n\n"), Step::Wait(PACE)];
        script([head(CACHE)], (0..10).flat_map(|_| event()).collect(), [end()])
    };
    let upstreams = [
        (Upstream::start(only_stream(forgets)), "began at the first again"),
        (Upstream::start(only_stream(nameless)), "no event has an id"),
    ];
    for (upstream, part) in upstreams {
        let diagnosis = doctor(&format!("{}/stream", upstream.url), &[]);
        diagnosis.is_well_but_for(&["resume"]).has(&[("resume", "warning")]);
        assert!(diagnosis.says("resume").contains(part), "{}", diagnosis.says("resume"));
    }
}

#[test]
fn a_stream_without_cache_control_and_one_that_begins_late_are_told() {
    let late = Duration::from_millis(5_500);
    let upstream = Upstream::start(only_stream(move |_| {
        script([head(""), Step::Wait(late)], events(1, 3, PACE), [end()])
    }));
    let diagnosis = doctor(&format!("{}/stream", upstream.url), &[]);
    diagnosis.has(&[("headers", "warning"), ("first-byte", "warning"), ("pace", "ok")]);
}

#[test]
fn a_stream_that_is_cut_is_told_from_one_that_ends() {
    for (last, verdict) in [(vec![end()], "warning"), (vec![], "broken")] {
        let upstream = Upstream::start(only_stream(move |_| {
            let silence = Step::Wait(Duration::from_millis(1_500));
            [vec![head(CACHE)], events(1, 5, PACE), vec![silence], last.clone()].concat()
        }));
        let more = ["--idle", "4s", "--for", "4s", "--observe", "1s"];
        let diagnosis = doctor(&format!("{}/stream", upstream.url), &more);
        diagnosis.has(&[("idle", verdict), ("length", verdict)]);
        let silence = diagnosis.measured("idle", "longest_silence_ms").as_f64().unwrap();
        assert!(silence >= 1_000.0, "{silence}");
    }
    let upstream =
        Upstream::start(only_stream(|_| script([head(CACHE)], events(1, 120, PACE), [end()])));
    let diagnosis =
        doctor(&format!("{}/stream", upstream.url), &["--idle", "2s", "--observe", "1s"]);
    diagnosis.has(&[("idle", "ok"), ("length", "not tested")]);
}

#[test]
fn a_post_is_sent_once_with_its_body_and_its_headers() {
    let upstream = Upstream::start(stream);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ask.json");
    std::fs::write(&file, "{\"stream\":true}").unwrap();
    let url = format!("{}/v1/chat/completions", upstream.url);
    let file = file.to_str().unwrap();
    let header = ["--header", "Authorization: Bearer secret-1"];
    let post = ["--method", "POST", "--data", file];
    let diagnosis = doctor(&url, &[&post[..], &header].concat());
    diagnosis.is_well_but_for(&[]);
    diagnosis.has(&[("pace", "ok"), ("resume", "not tested"), ("compression", "not tested")]);
    let requests = upstream.requests();
    let [request] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(request.line, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(request.body, "{\"stream\":true}");
    assert_eq!(request.header("authorization"), Some("bearer secret-1"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert!(!diagnosis.report.to_string().contains("secret-1"), "{:#}", diagnosis.report);
}

#[test]
fn a_stream_that_is_cut_although_events_come_is_found() {
    let server = Server::start();
    let url = cutting_proxy(&server.url, Duration::from_secs(6));
    let diagnosis = doctor(&url, &["--for", "9s"]);
    diagnosis.is_well_but_for(&["length"]).has(&[("length", "broken")]);
    assert!(diagnosis.measured("length", "cut_after_ms").as_f64().unwrap() >= 3_000.0);
}

#[test]
fn a_terminal_is_not_made_to_obey() {
    let upstream = Upstream::start(|_| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/\u{9b}31mhtml\r\nVia: 1.1 \u{9b}2J\r\n";
        vec![Step::Send(format!("{head}Content-Length: 0\r\n\r\n"))]
    });
    let outcome = run(&["doctor", &upstream.url]);
    assert_eq!(outcome.code, Some(8));
    assert!(!outcome.stdout.contains('\u{9b}'), "{:?}", outcome.stdout);
}
