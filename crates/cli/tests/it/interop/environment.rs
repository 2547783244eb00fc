//! The environments that the clients run in: made when they are missing, left out with a notice
//! where they cannot be.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::program::in_repository;

/// Makes it a failure when an environment is missing.
const REQUIRED: &str = "TIDINGS_REQUIRE_INTEROP";

/// Where the environments are.
pub(super) struct Environment {
    /// Python with the clients in it.
    pub(super) python: PathBuf,
}

/// The environments of the clients, made by the scripts; `None`, and a notice, without them.
pub(super) fn clients() -> Option<&'static Environment> {
    static MADE: OnceLock<Option<Environment>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let folder = build_folder();
        let python = folder.join("interop-python");
        let requirements = in_repository("interop/python/requirements.txt");
        let cache = folder.join("npm-cache");
        let made = make("python-env.sh", &[&requirements, &python])
            .and_then(|()| make("node-env.sh", &[&in_repository("interop/javascript"), &cache]));
        noticed("the interop matrix", made)?;
        Some(Environment { python: python.join("bin/python") })
    });
    made.as_ref()
}

/// The environment of the real model.
pub(super) fn model() -> Option<PathBuf> {
    let folder = build_folder().join("demo-llm");
    let requirements = in_repository("interop/model/requirements.txt");
    let no_dependencies = Path::new("--no-deps");
    let made = make("python-env.sh", &[&requirements, &folder, no_dependencies]);
    noticed("the test with a real model", made)?;
    Some(folder)
}

/// The folder that cargo builds into: it is ignored, and kept.
fn build_folder() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_tidings"));
    // target/debug/tidings
    let folder = program.ancestors().nth(2).unwrap();
    folder.to_owned()
}

fn make(script: &str, arguments: &[&Path]) -> Result<(), String> {
    let script = in_repository("scripts").join(script);
    let made = Command::new(&script).args(arguments).output().map_err(|error| error.to_string())?;
    if made.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&made.stderr).trim().to_owned())
}

/// What was made, or else a notice that nobody can miss, or a failure where it is required.
fn noticed(what: &str, made: Result<(), String>) -> Option<()> {
    made.map_err(|why| skipped(what, &why)).ok()
}

/// Says that something is left out, and why; fails where it is required.
pub(super) fn skipped(what: &str, why: &str) {
    assert!(std::env::var_os(REQUIRED).is_none_or(|value| value == "0"), "{what}: {why}");
    // Not by a macro: what those print is only shown when a test fails.
    let notice = format!("\nNOTICE: {what} is SKIPPED ({REQUIRED}=1 makes this fail):\n{why}\n");
    let _ = std::io::stderr().write_all(notice.as_bytes());
}
