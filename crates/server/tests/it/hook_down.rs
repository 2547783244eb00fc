//! An application that does not answer: nothing is allowed, nobody piles up, and it is asked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::hook::{Gate, hook, open, says};
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
        ("says no as a status", Answer::Say(403, String::new(), r#"{"allow":true}"#.into())),
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
    for number in 0..256 {
        let mut conn = server.connect();
        conn.ask("POST", &format!("/topics/{number}"), "", b"x");
        waiting.push(conn);
    }
    receiver.wait_for(256);
    let late = server.request("POST", "/topics/late", "", b"x");
    late.problem(503, "overloaded");
    // Who has a question that is asked already waits with the others.
    let mut with_others = server.connect();
    with_others.ask("POST", "/topics/7", "", b"x");
    gate.open();
    for conn in &mut waiting {
        assert_eq!(conn.reply().status, 200);
    }
    assert_eq!(with_others.reply().status, 200);
    assert_eq!(receiver.came().len(), 256);
    assert_eq!(server.request("POST", "/topics/late", "", b"x").status, 200);
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
