//! Runs a client's program with a list of jobs, and collects what each came to.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use super::environment::Environment;
use super::silence;
use crate::program::{begin_with_input, in_repository};

/// Longest time for all jobs of one program, besides the silences.
const PROGRAM_MAX: Duration = Duration::from_secs(240);

/// Silences that one program sits through, at most.
const SILENCES: u32 = 6;

/// What each job came to, by its name.
pub(super) type Results = HashMap<String, Value>;

/// Runs a program below `interop/`, `python/…` or `javascript/…`, with these jobs.
pub(super) fn run(environment: &Environment, program: &str, jobs: &[Value]) -> Results {
    let node = Path::new("node").to_owned();
    let of_python = Path::new(program).extension().is_some_and(|it| it == "py");
    let interpreter = if of_python { environment.python.clone() } else { node };
    let mut words = program.split(' ');
    let script = in_repository("interop").join(words.next().unwrap());
    let mut command = Command::new(interpreter);
    command
        .arg(script)
        .args(words)
        // Nothing is written beside the sources, and nobody's settings change what is tested.
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "127.0.0.1");
    let (mut child, _) = begin_with_input(&mut command, serde_json::to_vec(jobs).unwrap());
    let (done, over) = mpsc::channel();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        text
    });
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stdout.read_to_string(&mut text);
        let _ = done.send(text);
    });
    let most = PROGRAM_MAX + silence() * SILENCES;
    let Ok(text) = over.recv_timeout(most) else {
        let _ = child.kill();
        let said = over.recv().unwrap_or_default();
        panic!("{program} takes longer than {most:?}; it has said:\n{said}");
    };
    let status = child.wait().unwrap();
    let results: Results = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|result| Some((result["case"].as_str()?.to_owned(), result)))
        .collect();
    let errors = errors.join().unwrap_or_default();
    assert!(!results.is_empty(), "{program} has said nothing ({status}):\n{errors}");
    results
}
