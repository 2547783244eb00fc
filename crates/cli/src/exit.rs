//! How the program ends: one code for each thing that a script may want to tell apart.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | something else went wrong; the message says what |
//! | 2 | the command line or the configuration is wrong; nothing was done |
//! | 3 | the server cannot be reached, or it broke off |
//! | 4 | the server refused the request |
//! | 5 | the stream ended with `error` or `cancelled` (`subscribe`) |
//! | 6 | a command given with `--exec` failed (`subscribe`) |
//! | 7 | something may break streams, or costs more than it must (`doctor`) |
//! | 8 | something breaks streams (`doctor`) |

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::terminal;

/// Why the program ends other than well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Failed = 1,
    Usage = 2,
    Unreachable = 3,
    Refused = 4,
    Ended = 5,
    Command = 6,
    StreamWarning = 7,
    StreamBroken = 8,
}

/// A message for the user with the code to end with.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) reason: Reason,
    message: String,
}

impl Exit {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Exit {}

/// Tells the user what went wrong, and turns it into the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        // Whoever read the output has seen enough (`tidings subscribe x | head`).
        return ExitCode::SUCCESS;
    }
    terminal::error(&one_line(error));
    ExitCode::from(code(error) as u8)
}

/// An error with what is underneath it. Many a message has its cause in it; that is told once.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if line.is_empty() {
            line = cause;
        } else if line != cause && !line.contains(&format!(": {cause}")) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

fn code(error: &anyhow::Error) -> Reason {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Exit>())
        .map_or(Reason::Failed, |exit| exit.reason)
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_found_below_a_context() {
        let error = anyhow::Error::new(Exit::new(Reason::Refused, "no")).context("cannot publish");
        assert_eq!(code(&error), Reason::Refused);
        assert_eq!(format!("{error:#}"), "cannot publish: no");
        assert_eq!(code(&anyhow::anyhow!("other")), Reason::Failed);
    }

    #[test]
    fn a_cause_is_told_once() {
        let line =
            |message: &'static str| one_line(&anyhow::anyhow!("it is full").context(message));
        assert_eq!(line("the folder"), "the folder: it is full");
        assert_eq!(line("the folder: it is full; choose"), "the folder: it is full; choose");
        assert_eq!(line("it is full"), "it is full");
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_closed_pipe(&anyhow::Error::new(closed).context("writing")));
        assert!(!is_closed_pipe(&anyhow::anyhow!("other")));
    }
}
