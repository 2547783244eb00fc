//! `tidings topics` against a real server.

use crate::server::Server;

/// The names in a list printed as JSON.
fn names(printed: &str) -> Vec<String> {
    printed
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|topic| topic["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn topics_are_listed_by_prefix() {
    let server = Server::start();
    assert!(server.run(&["topics"]).stderr.contains("there are no topics"));
    for topic in ["chat/b", "chat", "chat/a", "chatter", "else"] {
        server.run(&["publish", topic, "x"]).success();
    }
    let listed =
        |prefix: &str| names(&server.run(&["topics", "--prefix", prefix, "--json"]).success());
    assert_eq!(listed(""), ["chat", "chat/a", "chat/b", "chatter", "else"]);
    assert_eq!(listed("chat"), ["chat", "chat/a", "chat/b", "chatter"]);
    assert_eq!(listed("chat/"), ["chat/a", "chat/b"]);
    assert_eq!(listed("zzz"), [""; 0]);
    let table = server.run(&["topics", "--prefix", "chat/"]).success();
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(table.lines().next().unwrap().ends_with("TOPIC"), "{table}");
}

#[test]
fn a_policy_is_changed_only_where_it_was_said() {
    let server = Server::start();
    let policy = |arguments: &[&str]| {
        let all: Vec<&str> =
            ["topics", "set", "a", "--json"].iter().chain(arguments).copied().collect();
        let printed = server.run(&all).success();
        serde_json::from_str::<serde_json::Value>(&printed).unwrap()["policy"].take()
    };
    let first = policy(&["--retain-count", "5", "--durability", "synced"]);
    assert_eq!(first["durability"], "synced");
    let second = policy(&["--private", "--retain-forever"]);
    assert_eq!(second["durability"], "synced");
    assert_eq!(second["private"], true);
    assert_eq!(second["retain"]["count"], serde_json::Value::Null);
    let third = policy(&["--private=false", "--retain-count", "2"]);
    assert_eq!(third["private"], false);
    assert_eq!(third["retain"]["count"], 2);
    for data in ["1", "2", "3"] {
        server.run(&["publish", "a", data]).success();
    }
    assert_eq!(server.run(&["history", "a"]).success(), "2\n3\n");
}

#[test]
fn a_removed_topic_is_gone() {
    let server = Server::start();
    server.run(&["publish", "a", "x"]).success();
    server.run(&["topics", "delete", "a"]).success();
    assert_eq!(names(&server.run(&["topics", "--json"]).success()), [""; 0]);
    server.run(&["topics", "delete", "a"]).failure(4);
}
