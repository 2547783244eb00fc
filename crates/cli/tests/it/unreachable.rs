//! What is said when there is no server, or the request cannot be sent at all.

use crate::program::{command, finish, run};

/// An address at which nobody listens: the port was ours a moment ago.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn every_command_says_how_to_get_a_server() {
    let url = nobody();
    for arguments in [
        &["subscribe", "a"][..],
        &["history", "a"],
        &["history", "a", "--last", "3"],
        &["topics"],
        &["topics", "delete", "a"],
    ] {
        let said = finish(command().args(arguments).args(["--url", &url])).failure(3);
        assert!(said.contains(&format!("the server at {url} cannot be reached")), "{said}");
        assert!(said.contains("start one with `tidings dev`"), "{said}");
    }
}

#[test]
fn wrong_names_are_told_before_anything_is_sent() {
    for arguments in [
        &["publish", "/a", "x"][..],
        &["publish", "a//b", "x"],
        &["history", "a/../b"],
        &["subscribe", "a/"],
        &["subscribe", "--pattern", "a*"],
        &["topics", "delete", ""],
    ] {
        finish(command().args(arguments).args(["--url", &nobody()])).failure(2);
    }
}

#[test]
fn wrong_options_are_told_with_what_may_be_written() {
    for (arguments, part) in [
        (&["publish", "a", "x", "--ttl", "5"][..], "`5` has no unit"),
        (&["publish", "a", "x", "--expect", "last"], "nor `none`"),
        (&["publish", "a", "x", "--at", "noon"], "not a time of RFC 3339"),
        (&["publish", "a"], "give DATA, or --file FILE, or - for standard input"),
        (&["publish", "a", "x", "--lines", "--end"], "cannot be used with"),
        (&["publish", "a", "--file", "/nonexistent"], "cannot read /nonexistent"),
        (&["subscribe"], "<TOPIC|--pattern <PATTERN>>"),
        (&["subscribe", "a", "--from", "latest"], "write earliest, live, last:20"),
        (&["subscribe", "a", "--count", "0"], "0 is not in 1.."),
        (&["history", "a", "--last", "20000"], "20000 is not in 1..=10000"),
        (&["topics", "set", "a", "--durability", "safe"], "`memory`, `written`, `synced`"),
        (&["topics", "set", "a", "--retain-bytes", "9"], "`9` has no unit"),
        (&["publish", "a", "x", "--url", "ftp://x"], "--url ftp://x: "),
    ] {
        let outcome = run(arguments);
        assert!(outcome.stderr.contains(part), "{arguments:?}: {part}\n{}", outcome.stderr);
        assert!(matches!(outcome.code, Some(1 | 2)), "{arguments:?}: {:?}", outcome.code);
    }
}
