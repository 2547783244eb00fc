//! `tidings config`, and what `serve` and `dev` say to a wrong configuration.

use crate::program::{command, finish, run};

/// Writes a configuration file that lives as long as what is returned.
fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn a_right_file_is_called_right() {
    let file = file("anonymous = []\n[[topics]]\npattern = \"a/**\"\n");
    let path = file.path().to_str().unwrap();
    assert_eq!(
        run(&["config", "check", path]).success(),
        format!("{path} is right: 1 topic rule\n")
    );
}

#[test]
fn a_wrong_file_is_told_line_by_line() {
    let file = file("anonymous = []\n[server]\nheartbeet = \"1s\"\nio_threads = \"two\"\n");
    let path = file.path().to_str().unwrap();
    let said = run(&["config", "check", path]).failure(2);
    assert_eq!(
        said,
        format!(
            "error:\n  \
             {path}:3: server.heartbeet: there is no such key; did you mean `heartbeat`?\n  \
             {path}:4: server.io_threads: expected a whole number from 1 to 64, \
             found `\"two\"`\n"
        )
    );
}

#[test]
fn a_missing_file_is_told() {
    let said = run(&["config", "check", "/nonexistent/tidings.toml"]).failure(2);
    assert!(said.starts_with("error: cannot read the configuration file /nonexistent"), "{said}");
}

#[test]
fn serve_says_what_to_add_before_it_opens_anything() {
    let said = run(&["serve"]).failure(2);
    assert!(said.contains("error: anonymous: it must be given"), "{said}");
    assert!(said.contains("--anonymous subscribe,publish"), "{said}");
}

#[test]
fn dev_refuses_the_world() {
    let said = run(&["dev", "--listen", "0.0.0.0:0"]).failure(2);
    assert!(said.contains("flag --listen: server.listen: `tidings dev`"), "{said}");
}

#[test]
fn flags_and_variables_are_checked_together_with_the_file() {
    let said = finish(
        command()
            .args(["serve", "--anonymous", "all", "--heartbeat", "15"])
            .env("TIDINGS_SERVER__IO_THREADS", "0"),
    )
    .failure(2);
    for part in [
        "environment TIDINGS_SERVER__IO_THREADS: server.io_threads: 0 is outside",
        "flag --anonymous: anonymous: \"all\" is not one of",
        "flag --heartbeat: server.heartbeat: `15` has no unit",
    ] {
        assert!(said.contains(part), "{part}\nis missing in\n{said}");
    }
}

#[test]
fn show_names_the_source_of_every_value() {
    let file = file("anonymous = []\n[drain]\njitter = \"2s\"\n");
    let path = file.path().to_str().unwrap();
    let shown = finish(
        command()
            .args(["config", "show", "--config", path, "--io-threads", "2"])
            .env("TIDINGS_SERVER__LISTEN", "[::1]:9"),
    )
    .success();
    let has = |parts: [&str; 3]| {
        shown
            .lines()
            .any(|line| line.split("  ").map(str::trim).filter(|p| !p.is_empty()).eq(parts))
    };
    assert!(has(["drain.jitter", "\"2s\"", &format!("{path}:3")]), "{shown}");
    assert!(has(["server.listen", "\"[::1]:9\"", "environment TIDINGS_SERVER__LISTEN"]), "{shown}");
    assert!(has(["server.io_threads", "2", "flag --io-threads"]), "{shown}");
    assert!(has(["server.heartbeat", "\"15s\"", "default"]), "{shown}");
}

#[test]
fn show_speaks_json() {
    let shown = run(&["config", "show", "--for", "dev", "--json"]).success();
    let values: Vec<serde_json::Value> = serde_json::from_str(&shown).unwrap();
    let listen = values.iter().find(|value| value["path"] == "server.listen").unwrap();
    assert_eq!(listen["value"], "127.0.0.1:8080");
    assert_eq!(listen["source"], "default");
}

#[test]
fn the_schema_is_one() {
    let schema: serde_json::Value =
        serde_json::from_str(&run(&["config", "schema"]).success()).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["properties"]["server"]["properties"]["listen"]["default"], "127.0.0.1:8080");
}
