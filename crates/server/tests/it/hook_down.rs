//! An application that does not answer: nothing is allowed, nobody piles up, and it is asked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::hook::{Gate, hook, open, says};
use crate::limits::from;
use crate::receiver::{Answer, Receiver};
use crate::support::{DOORS, Server, until};

#[test]
fn without_an_answer_nothing_is_allowed_unless_it_is_configured() {
    let long = "x".repeat(20_000);
    for (name, answer) in [
        ("closes", Answer::Close),
        ("is silent", Answer::Nothing),
        ("fails", Answer::status(500)),
        ("redirects", Answer::Say(302, "Location: /\r\n".into(), r#"{"allow":true}"#.into())),
        ("is slow", Answer::status(408)),
        ("is busy", Answer::status(429)),
        ("says nothing", Answer::status(200)),
        ("says something", Answer::Say(200, String::new(), r#"{"allow":"yes"}"#.into())),
        ("talks", Answer::Say(200, String::new(), format!("{{\"allow\":true,\"x\":\"{long}\"}}"))),
    ] {
        let receiver = Receiver::start(move |_, _| answer.clone());
        for (on_error, allowed) in [("deny", false), ("allow", true)] {
            let more = format!("timeout = \"300ms\"\non_error = {on_error:?}");
            let server = open(&receiver, &more);
            for door in DOORS {
                let reply = server.request("POST", "/topics/a", door.headers(), b"x");
                if allowed {
                    assert_eq!(reply.status, 200, "{name}: {}", reply.text());
                } else {
                    reply.problem(503, "overloaded");
                    assert!(reply.header("retry-after").is_some(), "{}", reply.head);
                }
            }
            let headers = "Accept: application/json\r\n";
            let read = server.request("GET", "/topics/a?poll=0", headers, b"");
            assert_eq!(read.status, if allowed { 200 } else { 503 }, "{name}");
            let kept = if allowed { 2 } else { 0 };
            let is_kept = server.metric("tidings_published_events_total");
            assert_eq!(is_kept, f64::from(kept), "{name}");
            assert!(server.metric("tidings_hook_unanswered_total") >= 3.0, "{name}");
        }
    }
}

#[test]
fn one_that_is_down_is_left_alone_and_then_asked_again() {
    let works = Arc::new(AtomicBool::new(false));
    let working = works.clone();
    let receiver = Receiver::start(move |_, _| {
        if working.load(Ordering::SeqCst) { says(true) } else { Answer::status(500) }
    });
    let server = open(&receiver, "");
    for number in 0..200 {
        let reply = server.request("POST", &format!("/topics/{number}"), "", b"x");
        assert_eq!(reply.status, 503);
    }
    let asked = receiver.came().len();
    assert!((5..20).contains(&asked), "{asked} questions for 200 requests");
    works.store(true, Ordering::SeqCst);
    until("it is asked again", || server.request("POST", "/topics/a", "", b"x").status == 200);
    for number in 0..20 {
        assert_eq!(server.request("POST", &format!("/topics/{number}"), "", b"x").status, 200);
    }
}

/// As many questions as there may be, and no more; who comes then is told so at once.
#[test]
fn questions_under_way_have_a_limit() {
    let gate = Gate::default();
    let passes = gate.clone();
    let receiver = Receiver::start(move |_, _| {
        passes.pass();
        says(true)
    });
    let server = open(&receiver, "timeout = \"30s\"");
    let mut waiting = Vec::new();
    for number in 0..=255_u8 {
        // Of one caller there are at most 64.
        let mut conn = from(&server, [127, 0, 0, 2 + number / 64]);
        conn.ask("POST", &format!("/topics/{number}"), "", b"x");
        waiting.push(conn);
    }
    receiver.wait_for(256);
    let late = server.request("POST", "/topics/late", "", b"x");
    late.problem(503, "overloaded");
    // Who has a question that is asked already waits with the others.
    let mut with_others = from(&server, [127, 0, 0, 2]);
    with_others.ask("POST", "/topics/7", "", b"x");
    gate.open();
    for conn in &mut waiting {
        assert_eq!(conn.reply().status, 200);
    }
    assert_eq!(with_others.reply().status, 200);
    assert_eq!(receiver.came().len(), 256);
    assert_eq!(server.request("POST", "/topics/late", "", b"x").status, 200);
}

/// What a caller can cause is never a reason to allow something, and no reason to leave the
/// application alone.
#[test]
fn callers_cannot_cause_that_there_is_no_answer() {
    let receiver = Receiver::start(|posted, _| {
        if posted.json().to_string().contains("strange") { Answer::status(400) } else { says(true) }
    });
    for on_error in ["deny", "allow"] {
        let server = open(&receiver, &format!("on_error = {on_error:?}"));
        for number in 0..20 {
            let reply = server.request("POST", &format!("/topics/strange/{number}"), "", b"x");
            reply.problem(403, "forbidden");
        }
        let before = receiver.came().len();
        assert_eq!(server.request("POST", "/topics/a", "", b"x").status, 200);
        assert_eq!(receiver.came().len(), before + 1, "it is asked");
    }
}

#[test]
fn a_caller_has_only_so_many_questions_and_too_many_are_not_allowed() {
    let gate = Gate::default();
    let passes = gate.clone();
    let receiver = Receiver::start(move |posted, _| {
        if !posted.json().to_string().contains("quick") {
            passes.pass();
        }
        says(true)
    });
    let server = open(&receiver, "timeout = \"30s\"\non_error = \"allow\"");
    let mut waiting = Vec::new();
    for number in 0..64 {
        let mut conn = server.connect();
        conn.ask("POST", &format!("/topics/{number}"), "", b"x");
        waiting.push(conn);
    }
    receiver.wait_for(64);
    server.request("POST", "/topics/quick", "", b"x").problem(503, "overloaded");
    let mut other = from(&server, [127, 0, 0, 9]);
    other.ask("POST", "/topics/quick", "", b"x");
    assert_eq!(other.reply().status, 200);
    gate.open();
    for conn in &mut waiting {
        assert_eq!(conn.reply().status, 200);
    }
    assert_eq!(server.request("POST", "/topics/quick", "", b"x").status, 200);
}

/// A long list is several questions; one that is refused is refused without the others.
#[test]
fn a_long_list_is_asked_about_in_parts() {
    let receiver = Receiver::start(|posted, _| says(!posted.json().to_string().contains("no")));
    let server = open(&receiver, "");
    let list = |last: &str| {
        let topics: Vec<String> = (0..100).map(|number| format!("topic=t/{number:03}")).collect();
        format!("/events?{}&topic={last}&poll=0", topics.join("&"))
    };
    let accept = "Accept: application/json\r\n";
    assert_eq!(server.request("GET", &list("z"), accept, b"").status, 200);
    let names: Vec<usize> = receiver
        .came()
        .iter()
        .map(|posted| posted.json()["topics"].as_array().unwrap().len())
        .collect();
    assert_eq!(names, [64, 37]);
    assert_eq!(server.request("GET", &list("z"), accept, b"").status, 200);
    assert_eq!(receiver.came().len(), 2, "all is known");
    server.request("GET", &list("z/no"), accept, b"").problem(403, "forbidden");
    assert_eq!(receiver.came().len(), 3);
}

/// Kept connections that the application has closed meanwhile are no failure.
#[test]
fn a_restart_of_the_application_is_not_noticed() {
    let receiver = Receiver::start(|_, _| says(true));
    let asks = hook(&receiver.url(), "");
    let server = Server::with(|config| config.hook = Some(asks));
    assert_eq!(server.request("POST", "/topics/a", "", b"x").status, 200);
    let address = receiver.stop();
    let receiver = Receiver::at(address, |_, _| says(true));
    assert_eq!(server.request("POST", "/topics/b", "", b"x").status, 200);
    assert_eq!(receiver.came().len(), 1);
}

/// One that breaks under a question neither, once.
#[test]
fn a_kept_connection_that_breaks_is_tried_anew() {
    let receiver =
        Receiver::start(|_, before| if before == 1 { Answer::Close } else { says(true) });
    let server = open(&receiver, "");
    for topic in ["a", "b"] {
        assert_eq!(server.request("POST", &format!("/topics/{topic}"), "", b"x").status, 200);
    }
    let connections: Vec<usize> = receiver.came().iter().map(|came| came.connection).collect();
    assert_eq!(connections, [0, 0, 1]);
}
