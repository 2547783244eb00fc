//! Reading topics as JSON: pages, lines, and long-polls.

use serde_json::{Value, json};

use crate::support::{Reply, Server, sequence, texts, with_sequence};

#[test]
fn pages_begin_and_end_where_they_are_asked_to() {
    let server = Server::start();
    let ids = server.publish_numbers("t", 1..11);
    let (third, eighth) = (&ids[2], &ids[7]);
    for (query, expect, more) in [
        (String::new(), 1..11, false),
        ("earliest".into(), 1..11, false),
        ("last=3".into(), 8..11, false),
        ("limit=3".into(), 8..11, false),
        ("earliest&limit=3".into(), 1..4, true),
        ("last=5&limit=3".into(), 6..9, true),
        (format!("after={third}"), 4..11, false),
        (format!("after={third}&limit=2"), 4..6, true),
        (format!("earliest&before={third}"), 1..3, false),
        (format!("after={third}&before={eighth}"), 4..8, false),
        (format!("after={third}&before={eighth}&limit=4"), 4..8, false),
        (format!("after={third}&before={eighth}&limit=3"), 4..7, true),
        (format!("after={eighth}&before={third}"), 1..1, false),
        (format!("after={}", ids[9]), 1..1, false),
        (format!("lastEventId={eighth}"), 9..11, false),
        ("since=1h".into(), 1..11, false),
    ] {
        let page = server.page(&format!("/topics/t?{query}"));
        let expect: Vec<String> = expect.map(|number| number.to_string()).collect();
        assert_eq!(texts(&page, "data"), expect, "{query}");
        assert_eq!(page["more"], more, "{query}");
        assert_eq!(page["gap"], Value::Null, "{query}");
    }
}

/// Reads page after page, forward.
fn read_all(server: &Server, target: &str, limit: usize) -> (Vec<String>, String) {
    let mut all = Vec::new();
    let mut page = server.page(&format!("{target}&earliest&limit={limit}"));
    loop {
        let data = texts(&page, "data");
        assert!(data.len() <= limit);
        all.extend(data);
        let next = page["next"].as_str().unwrap().to_owned();
        if page["more"] == false {
            return (all, next);
        }
        page = server.page(&format!("{target}&after={next}&limit={limit}"));
    }
}

#[test]
fn paging_forward_reads_everything_once() {
    let server = Server::start();
    for number in 0..250 {
        server.publish_numbers(["a", "b", "c/d"][number as usize % 3], number..number + 1);
    }
    for (target, step) in [("/topics/a?", 3), ("/events?topic=a&topic=b&topic=c/d", 1)] {
        let expect: Vec<String> = (0..250).step_by(step).map(|number| number.to_string()).collect();
        for limit in [1, 7, 37, 250, 1_000] {
            let (all, next) = read_all(&server, target, limit);
            assert_eq!(all, expect, "{target} by {limit}");
            // Nothing new, and then only what is.
            let page = server.page(&format!("{target}&after={next}"));
            assert_eq!(texts(&page, "data"), Vec::<String>::new());
        }
    }
    let (_, next) = read_all(&server, "/topics/a?", 50);
    server.publish("/topics/a", "new");
    assert_eq!(texts(&server.page(&format!("/topics/a?after={next}")), "data"), ["new"]);
    let (by_pattern, _) = read_all(&server, "/events?pattern=**", 40);
    assert_eq!(by_pattern.len(), 251);
}

#[test]
fn lines_say_the_same_as_the_page() {
    let server = Server::start();
    server.publish_numbers("t", 1..6);
    let target = "/topics/t?earliest&limit=3";
    let page = server.page(target);
    let lines = server.request("GET", target, "Accept: application/x-ndjson\r\n", b"");
    assert_eq!(lines.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(lines.header("tidings-next"), page["next"].as_str());
    assert_eq!(lines.header("tidings-more"), Some("true"));
    let events: Vec<Value> =
        lines.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(events), page["events"]);
    assert!(lines.text().ends_with('\n'));
}

#[test]
fn a_page_stays_within_its_bytes_and_holds_at_least_one_event() {
    let server = Server::start();
    let big = "x".repeat(1 << 20);
    for _ in 0..6 {
        server.publish("/topics/t", &big);
    }
    let mut seen = 0;
    let mut target = "/topics/t?earliest".to_owned();
    loop {
        let page = server.page(&target);
        let count = texts(&page, "data").len();
        assert!((1..=4).contains(&count), "{count} events of 1 MiB in a page of 4 MiB");
        seen += count;
        if page["more"] == false {
            break;
        }
        target = format!("/topics/t?after={}", page["next"].as_str().unwrap());
    }
    assert_eq!(seen, 6);
}

#[test]
fn a_page_says_what_is_missing() {
    let server = Server::start();
    server.put("t", &json!({"retain": {"count": 2}}));
    let ids = server.publish_numbers("t", 1..6);
    let page = server.page(&format!("/topics/t?after={}", ids[0]));
    assert_eq!(texts(&page, "data"), ["4", "5"]);
    assert_eq!(page["gap"]["reason"], "retention");
    assert_eq!(page["gap"]["requested"], ids[0].as_str());
    assert_eq!(page["gap"]["resumes"], ids[2].as_str());
    assert_eq!(page["gap"]["topics"], json!(["t"]));
    let page = server.page(&format!("/topics/t?after={}", ids[2]));
    assert_eq!((texts(&page, "data"), &page["gap"]), (vec!["4".into(), "5".into()], &Value::Null));
}

#[test]
fn positions_of_others_are_refused() {
    let server = Server::start();
    let ids = server.publish_numbers("t", 1..3);
    let foreign = format!("zzzzzzzz-{}", sequence(&ids[0]));
    for value in [&foreign, "1", "", "x", "earliest"] {
        for name in ["after", "before"] {
            let target = format!("/topics/t?{name}={value}");
            let reply = server.request("GET", &target, "Accept: application/json\r\n", b"");
            reply.problem(400, "invalid-parameter");
        }
    }
    let reply = server.request("GET", "/topics/none", "Accept: application/json\r\n", b"");
    reply.problem(404, "topic-not-found");
}

fn poll(server: &Server, target: &str) -> Reply {
    let reply = server.get(target);
    assert_eq!(reply.status, 200, "{target}: {}", reply.text());
    reply
}

#[test]
fn a_long_poll_answers_at_once_when_there_is_something() {
    let server = Server::start();
    let ids = server.publish_numbers("t", 1..4);
    // Were it to wait, the test's patience would end before the poll does.
    for (target, expect) in [
        (format!("/topics/t?poll=60&after={}", ids[0]), vec!["2", "3"]),
        ("/topics/t?poll=60&earliest".into(), vec!["1", "2", "3"]),
        ("/topics/t?poll=60&last=1".into(), vec!["3"]),
        (format!("/events?topic=t&topic=u&poll=60&after={}", ids[1]), vec!["3"]),
        (format!("/events?pattern=**&poll=60&lastEventId={}", ids[1]), vec!["3"]),
    ] {
        let page = poll(&server, &target).json();
        assert_eq!(texts(&page, "data"), expect, "{target}");
    }
    let foreign = poll(&server, "/topics/t?poll=60&lastEventId=zzzzzzzz-1").json();
    assert_eq!(foreign["gap"]["reason"], "epoch");
}

#[test]
fn a_long_poll_waits_for_the_next_event() {
    let server = Server::start();
    for target in [
        "/topics/t?poll=30",
        "/events?topic=t&topic=u&poll=30",
        "/events?pattern=*&poll=30",
        "/topics/t?poll=30&from=live",
    ] {
        let mut conn = server.connect();
        conn.ask("GET", target, "Accept: application/json\r\n", b"");
        // Whether the poll or the event is first must not matter: until the answer is there, events
        // go on coming.
        let mut published = 0;
        conn.socket().set_nonblocking(true).unwrap();
        let mut byte = [0; 1];
        while conn.socket().peek(&mut byte).is_err() {
            server.publish("/topics/t", "x");
            published += 1;
        }
        conn.socket().set_nonblocking(false).unwrap();
        let page = conn.reply().json();
        let count = texts(&page, "data").len();
        assert!(count >= 1 && count <= published, "{target}: {page}");
    }
}

#[test]
fn a_long_poll_that_nothing_comes_for_ends_empty_and_goes_on() {
    let server = Server::start();
    let ids = server.publish_numbers("t", 1..3);
    for target in ["/topics/t?poll=1", "/topics/none?poll=1", "/topics/t?poll=0"] {
        let page = poll(&server, target).json();
        assert_eq!(texts(&page, "data"), Vec::<String>::new(), "{target}");
        assert_eq!(page["more"], false);
        assert_eq!(page["next"], ids[1].as_str());
    }
    let lines = server.request("GET", "/topics/t?poll=0", "Accept: application/x-ndjson\r\n", b"");
    assert_eq!(lines.header("tidings-next"), Some(ids[1].as_str()));
    assert_eq!(lines.text(), "");
}

#[test]
fn polling_on_and_on_sees_every_event_once() {
    let server = Server::start();
    server.publish("/topics/a/0", "0");
    let first = server.page("/topics/a/0?last=0")["next"].as_str().unwrap().to_owned();
    let first = with_sequence(&first, sequence(&first).max(1));
    std::thread::scope(|scope| {
        let server = &server;
        scope.spawn(move || {
            for number in 1..200 {
                server.publish(&format!("/topics/a/{}", number % 5), &number.to_string());
            }
        });
        let mut next = first;
        let mut all = Vec::new();
        while all.len() < 199 {
            let page = poll(server, &format!("/events?pattern=a/*&poll=20&after={next}")).json();
            all.extend(texts(&page, "data"));
            next = page["next"].as_str().unwrap().to_owned();
        }
        let expect: Vec<String> = (1..200).map(|number| number.to_string()).collect();
        assert_eq!(all, expect);
    });
}

#[test]
fn a_long_poll_tells_what_is_missing_and_then_goes_on_from_there() {
    let server = Server::start();
    server.put("t", &json!({"retain": {"count": 2}}));
    let ids = server.publish_numbers("t", 1..6);
    for target in ["/topics/t?", "/events?topic=t&topic=u&", "/events?pattern=*&"] {
        let page = poll(&server, &format!("{target}poll=60&after={}", ids[0])).json();
        assert_eq!(page["gap"]["reason"], "retention", "{target}: {page}");
        assert_eq!(page["gap"]["requested"], ids[0].as_str());
        assert_eq!(texts(&page, "data"), ["4", "5"], "{target}");
        let next = page["next"].as_str().unwrap();
        let page = poll(&server, &format!("{target}poll=0&after={next}")).json();
        assert_eq!((&page["gap"], &page["events"]), (&Value::Null, &json!([])), "{target}");
    }
    // A gap alone is something to tell: it is not waited for an event.
    let empty = poll(&server, "/topics/none?poll=60&lastEventId=zzzzzzzz-1").json();
    assert_eq!((&empty["gap"]["reason"], &empty["events"]), (&json!("epoch"), &json!([])));
}

#[test]
fn a_long_poll_reads_page_by_page() {
    let server = Server::start();
    server.publish_numbers("t", 1..8);
    let mut next = String::from("earliest");
    for (expect, more) in
        [(vec!["1", "2", "3"], true), (vec!["4", "5", "6"], true), (vec!["7"], false)]
    {
        let target = format!("/events?topic=t&topic=u&poll=60&limit=3&{next}");
        let page = poll(&server, &target).json();
        assert_eq!(texts(&page, "data"), expect);
        assert_eq!(page["more"], more);
        next = format!("after={}", page["next"].as_str().unwrap());
    }
}

#[test]
fn a_long_poll_is_told_the_end_of_its_topic() {
    let server = Server::start();
    let ids = server.publish_numbers("t", 1..3);
    for target in ["/topics/t?", "/events?pattern=*&"] {
        let mut conn = server.connect();
        let target = format!("{target}poll=60&after={}", ids[1]);
        conn.ask("GET", &target, "Accept: application/json\r\n", b"");
        if server.page("/topics/t?last=1")["events"][0]["end"].is_null() {
            server.publish("/topics/t?end=done", "last words");
        }
        let page = conn.reply().json();
        assert_eq!(texts(&page, "end"), ["done"], "{page}");
        assert_eq!(page["events"][0]["id"], page["next"]);
    }
}
