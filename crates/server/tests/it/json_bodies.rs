//! JSON bodies: where an object is asked for, a list of its members' values will not do.

use serde_json::json;

use crate::support::Server;

const LINES: &str = "Content-Type: application/x-ndjson\r\n";

/// What a reader of structs would take, and the same as it should be.
const CASES: [(&str, &str, &str, &str, &str); 11] = [
    ("POST", "/publish", "", r#"[[{"topic":"t","data":"x"}]]"#, r#"{"events":[{"topic":"t"}]}"#),
    ("POST", "/publish", "", r#"{"events":[["t",[],"x"]]}"#, r#"{"events":[{"topic":"t"}]}"#),
    ("POST", "/topics/t", LINES, r#"[null,[],"x"]"#, r#"{"data":"x"}"#),
    ("POST", "/topics/t", LINES, "{\"data\":\"x\"}\n[null,[],\"x\"]", "{}\n{\"data\":\"x\"}"),
    ("POST", "/events", "", r#"[["t"],[]]"#, r#"{"topics":["t"]}"#),
    ("PUT", "/topics/t", "", r#"{"retain":[3,null,null]}"#, r#"{"retain":{"count":3}}"#),
    (
        "PUT",
        "/topics/t",
        "",
        r#"{"ttl":[90000,"fixed"]}"#,
        r#"{"ttl":{"ms":90000,"mode":"fixed"}}"#,
    ),
    ("PUT", "/topics/f", "", r#"{"fork":["t",null]}"#, r#"{"fork":{"topic":"t"}}"#),
    ("PUT", "/topics/t", "", r"[null]", "{}"),
    ("PATCH", "", "", r#"{"add":[["u"],[]]}"#, r#"{"add":{"topics":["u"]}}"#),
    ("PATCH", "", "", r#"[null,null,["t"],null]"#, r#"{"topics":["t"]}"#),
];

#[test]
fn a_list_is_no_object_at_any_depth() {
    let server = Server::start();
    server.publish("/topics/t", "first");
    let stream = server.subscribe("/topics/t");
    let connection = format!("/connections/{}", stream.name());
    let follows = || {
        let page = server.get("/connections").json();
        let all = page["connections"].as_array().unwrap();
        all.iter().find(|one| one["id"] == stream.name()).unwrap()["topics"].clone()
    };
    for (method, target, headers, list, object) in CASES {
        let target = if target.is_empty() { &connection } else { target };
        let before = (server.state(), follows());
        let reply = server.request(method, target, headers, list.as_bytes());
        reply.problem(400, "invalid-json");
        assert_eq!((server.state(), follows()), before, "{method} {target} {list}");
        let mut conn = server.connect();
        conn.ask(method, target, headers, object.as_bytes());
        let reply = conn.reply_without_body();
        assert!(reply.status < 300, "{method} {target} {object}: {}", reply.head);
    }
    assert_eq!(follows(), json!(["t"]));
}
