//! Runs the program and collects what it said.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

/// What one run of the program said.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit code; none if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Asserts that all went well and returns standard output.
    #[track_caller]
    pub(crate) fn success(self) -> String {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Asserts that it ended with this code and nothing on standard output; returns standard error.
    #[track_caller]
    pub(crate) fn failure(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "", "a failure belongs on standard error");
        self.stderr
    }
}

/// The program, not yet started: without variables of ours from outside, without colours.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidings"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIDINGS_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs the program with these arguments.
pub(crate) fn run(arguments: &[&str]) -> Outcome {
    finish(command().args(arguments))
}

/// Begins a command with this text on its standard input, which a thread writes, and with pipes for
/// what it says.
pub(crate) fn begin_with_input(command: &mut Command, input: Vec<u8>) -> (Child, JoinHandle<()>) {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        // A program that refuses its arguments does not read: a closed pipe is part of the test.
        let _ = stdin.write_all(&input);
    });
    (child, writer)
}

/// Runs the program with this text on its standard input.
pub(crate) fn run_with_input(arguments: &[&str], input: &[u8]) -> Outcome {
    let (child, writer) = begin_with_input(command().args(arguments), input.to_owned());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    outcome(output)
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> Outcome {
    outcome(command.output().unwrap())
}

fn outcome(output: std::process::Output) -> Outcome {
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Says that a test does nothing for want of something, unless this variable requires it.
#[track_caller]
#[allow(clippy::print_stderr, reason = "a skipped test must be told from one that passed")]
pub(crate) fn skip(variable: &str, why: &str) {
    let required = std::env::var(variable).is_ok_and(|value| value == "1");
    assert!(!required, "{variable}=1, but: {why}");
    eprintln!("SKIPPED, nothing was tested: {why}");
}

/// Runs a test that is a script for Node, with this program. Where Node, npm's packages or Chromium
/// are missing the script says so and does nothing, unless `TIDINGS_REQUIRE_BROWSER=1`.
#[track_caller]
pub(crate) fn in_browser(script: &str) {
    let mut test = Command::new("node");
    test.arg(in_repository(script)).env("TIDINGS_BIN", env!("CARGO_BIN_EXE_tidings"));
    let output = match test.output() {
        Ok(output) => output,
        Err(error) => return skip("TIDINGS_REQUIRE_BROWSER", &format!("no node: {error}")),
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    if stderr.contains("SKIPPED") {
        skip("TIDINGS_REQUIRE_BROWSER", &stderr);
    }
}

/// A file of the repository.
pub(crate) fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}
