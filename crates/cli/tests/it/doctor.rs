//! `tidings doctor` against a server with nothing in between, and what its report looks like.

use std::io::{BufRead as _, BufReader};
use std::process::{ChildStderr, Stdio};

use serde_json::Value;

use crate::program::{Outcome, command, finish, run};
use crate::server::Server;

/// A report as a program reads it, and the exit code.
#[derive(Debug)]
pub(crate) struct Diagnosis {
    pub(crate) code: i32,
    pub(crate) report: Value,
}

/// Runs the doctor.
#[track_caller]
pub(crate) fn doctor(url: &str, arguments: &[&str]) -> Diagnosis {
    let ask = || diagnosis(finish(command().args(["doctor", url, "--json"]).args(arguments)));
    let first = ask();
    // A second without the processor makes a first byte late, once; a proxy that does, again.
    if first.amiss() == ["first-byte"] { ask() } else { first }
}

#[track_caller]
pub(crate) fn diagnosis(outcome: Outcome) -> Diagnosis {
    let report = serde_json::from_str(&outcome.stdout);
    let report = report.unwrap_or_else(|error| panic!("{error}\n{outcome:?}"));
    Diagnosis { code: outcome.code.unwrap(), report }
}

impl Diagnosis {
    /// The checks that are not well.
    fn amiss(&self) -> Vec<&str> {
        let checks = self.report["checks"].as_array().unwrap().iter();
        let well = |check: &&Value| check["verdict"] == "ok" || check["verdict"] == "not tested";
        checks.filter(|check| !well(check)).map(|check| check["check"].as_str().unwrap()).collect()
    }

    fn check(&self, name: &str) -> &Value {
        let checks = self.report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["check"] == name).unwrap()
    }

    /// Asserts the verdicts of these checks; returns itself to be asked on.
    #[track_caller]
    pub(crate) fn has(&self, verdicts: &[(&str, &str)]) -> &Self {
        for (check, verdict) in verdicts {
            assert_eq!(self.check(check)["verdict"], *verdict, "{check}\n{:#}", self.report);
        }
        self
    }

    /// Asserts that all checks but these are well, or were not asked for.
    #[track_caller]
    pub(crate) fn is_well_but_for(&self, except: &[&str]) -> &Self {
        let (mut amiss, mut except) = (self.amiss(), except.to_vec());
        amiss.sort_unstable();
        except.sort_unstable();
        assert_eq!(amiss, except, "{:#}", self.report);
        self
    }

    /// What a check says, and why.
    pub(crate) fn says(&self, check: &str) -> String {
        let check = self.check(check);
        format!("{}\n{}", check["says"].as_str().unwrap(), check["why"].as_str().unwrap_or(""))
    }

    /// A value that a check measured.
    pub(crate) fn measured(&self, check: &str, name: &str) -> &Value {
        &self.check(check)["measured"][name]
    }

    /// Where a check says that something is to be changed, the likeliest place first.
    pub(crate) fn places(&self, check: &str) -> Vec<&str> {
        let change = self.check(check)["change"].as_array().unwrap();
        change.iter().map(|change| change["where"].as_str().unwrap()).collect()
    }

    /// The lines that a check says are to be put there.
    pub(crate) fn lines(&self, check: &str, place: &str) -> String {
        let change = self.check(check)["change"].as_array().unwrap();
        let change = change.iter().find(|change| change["where"] == place).unwrap();
        let lines = change["lines"].as_array().unwrap().iter();
        lines.map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n")
    }
}

/// Topics that the server has.
pub(crate) fn topics(server: &Server) -> String {
    server.run(&["topics", "--json"]).success()
}

#[test]
fn a_server_with_nothing_in_between_is_well() {
    let server = Server::start();
    let more = ["--origin", "https://app.example", "--idle", "2s", "--for", "2s"];
    let diagnosis = doctor(&server.url, &[&more[..], &["--publish-size", "512KiB"]].concat());
    diagnosis.is_well_but_for(&[]);
    let checks = diagnosis.report["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 12);
    assert!(checks.iter().all(|check| check["verdict"] == "ok"), "{:#}", diagnosis.report);
    assert_eq!(diagnosis.code, 0);
    assert_eq!(diagnosis.report["proxies"], Value::Array(Vec::new()));
    assert_eq!(diagnosis.report["tidings"], env!("CARGO_PKG_VERSION"));
    assert_eq!(diagnosis.measured("pace", "came"), 10);
    assert_eq!(diagnosis.measured("publish-size", "taken_bytes"), 512 << 10);
    assert!(diagnosis.measured("length", "events").as_u64().unwrap() >= 1);
    assert!(!topics(&server).contains("doctor"), "the probe's topics are removed");
}

#[test]
fn a_topic_is_as_good_as_the_server_and_nothing_is_published_when_told() {
    let server = Server::start();
    server.run(&["publish", "a/b", "x"]).success();
    let diagnosis = doctor(&format!("{}/topics/a/b", server.url), &["--read-only"]);
    let unknown = "not tested";
    diagnosis.has(&[("first-byte", "ok"), ("pace", unknown), ("resume", unknown)]);
    assert_eq!(diagnosis.report["tidings"], env!("CARGO_PKG_VERSION"));
    assert_eq!(diagnosis.code, 0);
    assert!(!topics(&server).contains("doctor"));
}

#[test]
fn a_limit_of_the_server_is_told_as_such() {
    let server = Server::start_in_environment(&[("TIDINGS_LIMITS__EVENT_BYTES", "64KiB")]);
    let diagnosis = doctor(&server.url, &["--publish-size", "128KiB"]);
    diagnosis.is_well_but_for(&["publish-size"]).has(&[("publish-size", "warning")]);
    assert_eq!((diagnosis.code, diagnosis.places("publish-size")), (7, vec!["Tidings"]));
}

/// A running `tidings serve`, which does not allow everything as `tidings dev` does. It is stopped
/// when it is dropped.
struct Serve {
    child: std::process::Child,
    _stderr: BufReader<ChildStderr>,
    url: String,
    _folder: tempfile::TempDir,
}

impl Serve {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = command()
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.path())
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains(" on http://") || !said.ends_with('\n') {
            assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "{said}");
        }
        let url = said.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        Self { child, url: url.to_owned(), _stderr: stderr, _folder: folder }
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_origin_that_is_not_listed_may_not_read() {
    let listed = ["--cors-origins", "https://app.example"];
    let server = Serve::start(&[&["--anonymous", "subscribe,publish"], &listed[..]].concat());
    let diagnosis = doctor(&server.url, &["--origin", "https://other.example"]);
    diagnosis.is_well_but_for(&["cors"]).has(&[("cors", "broken")]);
    assert_eq!((diagnosis.code, diagnosis.places("cors")[0]), (8, "Tidings"));
    let diagnosis = doctor(&server.url, &["--origin", "https://app.example"]);
    diagnosis.is_well_but_for(&[]).has(&[("cors", "ok")]);
    let notes = diagnosis.report["notes"].to_string();
    assert!(notes.contains("could not be removed"), "only an admin may remove topics: {notes}");
}

#[test]
fn a_closed_server_is_shown_the_token_of_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let token = |arguments: &[&str]| {
        finish(command().arg("token").args(arguments).current_dir(folder.path())).success()
    };
    let section = token(&["keys", "--id", "k"]);
    let config = folder.path().join("tidings.toml");
    std::fs::write(&config, format!("anonymous = []\n{section}")).unwrap();
    let server = Serve::start(&["--config", config.to_str().unwrap()]);
    let rights = ["--publish", "doctor/**", "--subscribe", "doctor/**"];
    let minted = token(&[&["mint", "--key", "k.private.pem"], &rights[..]].concat());
    let asked = |token: &str| {
        let more = ["--json", "--idle", "1s", "--publish-size", "4MiB"];
        let mut doctor = command();
        doctor.args(["doctor", &server.url]).args(more).env("TIDINGS_TOKEN", token);
        diagnosis(finish(&mut doctor))
    };
    let diagnosis = asked(minted.trim());
    diagnosis.is_well_but_for(&["publish-size"]).has(&[("pace", "ok"), ("idle", "ok")]);
    assert!(!diagnosis.report.to_string().contains(minted.trim()), "the token is in no report");
    // The one topic that there is; the silent one, and the one of the refused event, are not.
    let notes = diagnosis.report["notes"].as_array().unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    let note = notes[0].as_str().unwrap();
    assert!(note.contains("could not be removed") && !note.contains("/idle"), "{note}");
    asked("wrong").has(&[("pace", "not tested")]);
}

#[test]
fn a_server_of_another_kind_is_not_shown_the_token() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/stream", listener.local_addr().unwrap());
    let heads = std::thread::spawn(move || {
        use std::io::Write as _;
        let mut all = String::new();
        while let Ok((stream, _)) = listener.accept() {
            let mut lines = BufReader::new(stream);
            let mut head = String::new();
            while lines.read_line(&mut head).is_ok_and(|read| read > 2) {}
            all.push_str(&head);
            if head.starts_with("GET /over") {
                break;
            }
            // Whoever asked may have gone.
            let _ = lines.get_mut().write_all(
                b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            );
        }
        all
    });
    let mut doctor = command();
    doctor.args(["doctor", &url, "--observe", "1s", "--json"]).env("TIDINGS_TOKEN", "secret");
    diagnosis(finish(&mut doctor));
    let over = url.trim_start_matches("http://").trim_end_matches("/stream");
    let mut last = std::net::TcpStream::connect(over).unwrap();
    std::io::Write::write_all(&mut last, b"GET /over HTTP/1.1\r\n\r\n").unwrap();
    let heads = heads.join().unwrap();
    assert!(heads.contains("GET /stream"), "{heads}");
    assert!(!heads.contains("secret"), "{heads}");
}

#[test]
fn a_server_that_takes_no_publishes_is_tested_as_far_as_it_goes() {
    let server = Serve::start(&["--anonymous", "subscribe"]);
    let diagnosis = doctor(&server.url, &["--publish-size", "1KiB", "--for", "1s"]);
    let unknown = "not tested";
    diagnosis.has(&[("first-byte", "ok"), ("headers", "ok"), ("compression", "ok")]);
    diagnosis.has(&[("pace", unknown), ("resume", unknown), ("publish-size", unknown)]);
    assert!(diagnosis.says("pace").contains("forbidden"), "{}", diagnosis.says("pace"));
    assert_eq!((diagnosis.code, &diagnosis.report["notes"]), (0, &serde_json::json!([])));
}

#[test]
fn a_server_that_is_not_there_is_told_and_nothing_else() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{nobody}");
    let outcome = run(&["doctor", &url]);
    assert_eq!(outcome.code, Some(3));
    assert!(outcome.stdout.contains("broken      connection    127.0.0.1:"), "{outcome:?}");
    assert!(outcome.stdout.ends_with("\n1 broken, 11 not tested\n"), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("event-stream"), "{}", outcome.stdout);
    let diagnosis = doctor(&url, &[]);
    diagnosis.has(&[("connection", "broken"), ("event-stream", "not tested")]);
    assert_eq!(diagnosis.code, 3);
}

#[test]
fn the_report_is_aligned_plain_text_in_a_pipe() {
    let server = Server::start();
    let outcome = run(&["doctor", &server.url, "--read-only", "--proxy", "caddy,nginx"]);
    let report = outcome.success();
    assert!(!report.contains('\u{1b}'), "{report}");
    let names: Vec<_> = report
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line[14..].split(' ').next().unwrap())
        .collect();
    let expected = "connection http event-stream first-byte pace compression headers resume cors \
                    idle length publish-size";
    assert_eq!(names, expected.split(' ').collect::<Vec<_>>(), "{report}");
    assert!(report.ends_with("ok, 6 not tested\n"), "{report}");
}

#[test]
fn what_cannot_be_asked_is_refused_before_anything_is_sent() {
    let url = "http://127.0.0.1:1";
    for (arguments, part) in [
        (&["ftp://a"][..], "is not a URL with http:// or https://"),
        (&["http://u:p@a"], "--header 'Authorization"),
        (&[url, "--idle", "5"], "`5` has no unit"),
        (&[url, "--for", "25h"], "at most 24h"),
        (&[url, "--origin", "https://a/b"], "without a path"),
        (&[url, "--header", "x"], "write it as `Name: value`"),
        (&[url, "--publish-size", "65MiB"], "at most 64MiB"),
        (&[url, "--data", "f"], "--data is for --method POST"),
        (&[url, "--method", "POST", "--data", "/nonexistent"], "cannot read /nonexistent"),
        (&[url, "--proxy", "squid"], "possible values: nginx, caddy, haproxy, alb, cloudflare"),
    ] {
        let arguments: Vec<&str> = ["doctor"].iter().chain(arguments).copied().collect();
        let said = run(&arguments).failure(2);
        assert!(said.contains(part), "{arguments:?}\n{said}");
    }
}
