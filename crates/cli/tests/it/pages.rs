//! Pages that are made from the program, so that they cannot go stale: `make docs` writes them, and
//! without it these tests compare.

use std::fmt::Write as _;

use crate::program::{in_repository, run};

/// The commands in the order of the page.
pub(crate) const COMMANDS: [&str; 10] = [
    "dev",
    "serve",
    "publish",
    "subscribe",
    "history",
    "topics",
    "doctor",
    "bench",
    "config",
    "completions",
];

/// Commands below those.
const NESTED: [[&str; 2]; 3] = [["config", "check"], ["config", "show"], ["config", "schema"]];

const OPENING: &str = "# The command line

This page is what `tidings --help` and `tidings COMMAND --help` print, collected by `make docs`; a
test fails if it is out of date.
";

/// Compares a page with the one in the repository, or writes it there.
pub(crate) fn check(path: &str, page: &str) {
    let file = in_repository(path);
    if std::env::var_os("TIDINGS_WRITE_DOCS").is_some() {
        std::fs::write(&file, page).unwrap();
    }
    let present = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(present == page, "{path} is out of date: run `make docs` and commit it");
}

#[test]
fn the_page_of_the_command_line_is_up_to_date() {
    let mut page = OPENING.to_owned();
    let mut add = |command: &[&str]| {
        let arguments: Vec<&str> = command.iter().copied().chain(["--help"]).collect();
        let help = run(&arguments).success();
        let help = help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        let title = ["tidings"].iter().chain(command).copied().collect::<Vec<_>>().join(" ");
        let _ = write!(page, "\n## {title}\n\n```text\n{}\n```\n", help.trim_end());
    };
    add(&[]);
    for command in COMMANDS {
        add(&[command]);
        for nested in NESTED.iter().filter(|nested| nested[0] == command) {
            add(nested);
        }
    }
    check("docs/cli.md", &page);
}

#[test]
fn the_page_of_the_configuration_is_up_to_date() {
    check("docs/configuration.md", &tidings_server::config::reference());
}
