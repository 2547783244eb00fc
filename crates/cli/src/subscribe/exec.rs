//! `--exec`: one run of a command for each event, one after the other.
//!
//! What was published never becomes part of the command: the shell gets the text that the user
//! wrote, the data arrives on standard input and everything else in the environment. So no event,
//! whatever it holds, can make the shell do anything.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};

/// What a command is told about an event.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) id: String,
    pub(super) topic: String,
    pub(super) event_type: Option<String>,
    pub(super) key: Option<String>,
    pub(super) data: Vec<u8>,
}

/// Runs `command` and waits for its end.
pub(super) fn run(command: &str, told: Told) -> io::Result<ExitStatus> {
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).stdin(Stdio::piped());
    shell.env("TIDINGS_EVENT_ID", text(told.id)).env("TIDINGS_EVENT_TOPIC", text(told.topic));
    // Removed if there is none: the environment may hold those of an outer `--exec`.
    for (name, value) in [("TIDINGS_EVENT_TYPE", told.event_type), ("TIDINGS_EVENT_KEY", told.key)]
    {
        match value {
            Some(value) => shell.env(name, text(value)),
            None => shell.env_remove(name),
        };
    }
    let mut child = shell.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(&told.data) {
            // A command need not read what it gets.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    child.wait()
}

/// A variable cannot hold a NUL; names and keys cannot either, but this is not the place to trust
/// that.
fn text(value: String) -> OsString {
    let mut bytes = value.into_bytes();
    bytes.retain(|byte| *byte != 0);
    OsString::from_vec(bytes)
}

/// How a command ended, in words.
pub(super) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with code {code}"),
        (None, Some(signal)) => format!("signal {signal} ended it"),
        (None, None) => "it ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_and_environment_arrive_and_are_never_run() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let command = format!(
            "cat > '{0}'; printf '|%s|%s|%s|%s' \"$TIDINGS_EVENT_ID\" \"$TIDINGS_EVENT_TYPE\" \
             \"$TIDINGS_EVENT_TOPIC\" \"${{TIDINGS_EVENT_KEY-none}}\" >> '{0}'",
            out.display()
        );
        let told = Told {
            id: "e-1".into(),
            topic: "$(touch owned)".into(),
            event_type: Some("`exit 3`".into()),
            key: None,
            data: b"; exit 4".to_vec(),
        };
        assert!(run(&command, told).unwrap().success());
        let text = std::fs::read_to_string(out).unwrap();
        assert_eq!(text, "; exit 4|e-1|`exit 3`|$(touch owned)|none");
    }

    #[test]
    fn a_command_may_leave_its_input_unread() {
        let told = Told { data: vec![b'x'; 1 << 20], ..Told::default() };
        let status = run("exit 7", told).unwrap();
        assert_eq!(describe(status), "it ended with code 7");
    }
}
