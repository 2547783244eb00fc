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
        let requirements = in_repository("interop/python/requirements.txt");
        let cache = build_folder().join("npm-cache");
        let made = make("python-env.sh", &[&requirements]).and_then(|python| {
            make("node-env.sh", &[&in_repository("interop/javascript"), &cache])?;
            Ok(Environment { python: python.into() })
        });
        made.map_err(|why| skipped("the interop matrix", &why)).ok()
    });
    made.as_ref()
}

/// Python with the real model and its server in it.
pub(super) fn model() -> Option<PathBuf> {
    let requirements = in_repository("interop/model/requirements.txt");
    let made = make("python-env.sh", &[&requirements, Path::new("--no-deps")]);
    made.map(PathBuf::from).map_err(|why| skipped("the test with a real model", &why)).ok()
}

/// The folder that cargo builds into: it is ignored, and kept.
fn build_folder() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_tidings"));
    // target/debug/tidings
    let folder = program.ancestors().nth(2).unwrap();
    folder.to_owned()
}

/// Runs a script; the last line that it prints.
fn make(script: &str, arguments: &[&Path]) -> Result<String, String> {
    let script = in_repository("scripts").join(script);
    let made = Command::new(&script).args(arguments).output().map_err(|error| error.to_string())?;
    if made.status.success() {
        let said = String::from_utf8_lossy(&made.stdout).into_owned();
        return Ok(said.lines().last().unwrap_or_default().to_owned());
    }
    Err(String::from_utf8_lossy(&made.stderr).trim().to_owned())
}

/// Says that something is left out, and why; fails where it is required.
pub(super) fn skipped(what: &str, why: &str) {
    assert!(std::env::var_os(REQUIRED).is_none_or(|value| value == "0"), "{what}: {why}");
    // Not by a macro: what those print is only shown when a test fails.
    let notice = format!("\nNOTICE: {what} is SKIPPED ({REQUIRED}=1 makes this fail):\n{why}\n");
    let _ = std::io::stderr().write_all(notice.as_bytes());
}
