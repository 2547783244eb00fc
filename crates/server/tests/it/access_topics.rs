//! The list of topics for whoever may know of few among many: bounded work, nothing given away.

use serde_json::json;
use tidings_frame::limits::TOPICS_LOOKED_AT_MAX;

use crate::access::{claims, closed, token};
use crate::support::Server;

/// Topics that are published in one request.
const TOGETHER: usize = 500;

fn publish(server: &Server, fields: &str, names: &[String]) {
    for names in names.chunks(TOGETHER) {
        let events: Vec<_> = names.iter().map(|name| json!({"topic": name, "data": "x"})).collect();
        let fields = format!("Content-Type: application/json\r\n{fields}");
        let body = json!({"events": events}).to_string();
        assert_eq!(server.request("POST", "/publish", &fields, body.as_bytes()).status, 200);
    }
}

/// All names that a caller is told, and how many pages that took; `next` is the way on.
fn all(server: &Server, fields: &str, limit: usize) -> (Vec<String>, usize) {
    let (mut names, mut pages, mut next) = (Vec::new(), 0, String::new());
    loop {
        let reply = server.request("GET", &format!("/topics?limit={limit}{next}"), fields, b"");
        assert_eq!(reply.status, 200, "{}", reply.text());
        let page = reply.json();
        pages += 1;
        let topics = page["topics"].as_array().unwrap();
        assert!(topics.len() <= limit);
        names.extend(topics.iter().map(|topic| topic["name"].as_str().unwrap().to_owned()));
        assert_eq!(page["more"], json!(page["next"].is_string()));
        assert!(!reply.text().contains("/x\""), "it names what is not for the caller");
        match page["next"].as_str() {
            Some(place) => next = format!("&next={place}"),
            None => return (names, pages),
        }
    }
}

#[test]
fn a_page_is_bounded_work_and_goes_on() {
    let server = closed(|_| {});
    let bearer = |grants| format!("Authorization: Bearer {}\r\n", token(&claims("a", grants)));
    let writes = bearer(json!({"publish": ["**"]}));
    let theirs = |n: usize| format!("m/theirs-{n:05}/x");
    let hidden: Vec<_> = (0..2 * TOPICS_LOOKED_AT_MAX + 100).map(theirs).collect();
    publish(&server, &writes, &hidden);
    let mine: Vec<String> =
        ["a", "m/a/mine", "m/theirs-04500/mine", "m/z/mine", "z"].map(str::to_owned).into();
    publish(&server, &writes, &mine);
    let in_middle = mine[1..4].to_vec();

    // A pattern that may fit anything below `m/`: all of it must be looked at, page by page.
    let fields = bearer(json!({"subscribe": ["m/*/mine"]}));
    assert_eq!(all(&server, &fields, 100), (in_middle.clone(), 3));
    let (names, pages) = all(&server, &fields, 1);
    assert_eq!(names, in_middle);
    assert!((3..=6).contains(&pages), "{pages}");

    // Names that begin otherwise are not looked at: how many there are shows nowhere.
    let fields = bearer(json!({"subscribe": ["z", "a", "m/z/**", "m/z/mine", "nothing/*"]}));
    assert_eq!(all(&server, &fields, 100), (vec!["a".into(), "m/z/mine".into(), "z".into()], 1));
    assert_eq!(all(&server, &fields, 1).1, 3);
    let reply = server.request("GET", "/topics?after=a&limit=1", &fields, b"");
    assert_eq!(reply.json()["topics"][0]["name"], "m/z/mine");

    // Nobody else's place, and none that was made up.
    for place in ["m", "", "AAAAAAAAAAAAAAAAAAAAAAAA"] {
        let reply = server.request("GET", &format!("/topics?next={place}"), &fields, b"");
        assert_eq!(reply.status, 400, "{place}");
    }
    // An operator sees all of them, as many as fit.
    let fields = bearer(json!({"admin": ["**"]}));
    let reply = server.request("GET", "/topics?limit=1000", &fields, b"");
    assert_eq!(reply.json()["topics"].as_array().unwrap().len(), 1_000);
    assert_eq!(reply.json()["topics"][0]["name"], "a");
}
