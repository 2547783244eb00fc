//! The examples in a real browser, what is foreign unmodified (`examples/test.mjs`). Without Node,
//! npm's packages or Chromium the script says so and does nothing, unless
//! `TIDINGS_REQUIRE_BROWSER=1`.

use std::process::Command;

use crate::program::{in_repository, skip};

#[test]
fn what_people_have_follows_resumes_and_shows() {
    let mut test = Command::new("node");
    test.arg(in_repository("examples/test.mjs"));
    let output = match test.env("TIDINGS_BIN", env!("CARGO_BIN_EXE_tidings")).output() {
        Ok(output) => output,
        Err(error) => return skip("TIDINGS_REQUIRE_BROWSER", &format!("no node: {error}")),
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    if stderr.contains("SKIPPED") {
        skip("TIDINGS_REQUIRE_BROWSER", &stderr);
    }
}
