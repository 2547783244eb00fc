//! A real server for a test: the program itself, on a free port, with a folder of its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Stdio};

use crate::program::{Outcome, command, finish};

/// A running `tidings dev`. It is stopped when it is dropped.
pub(crate) struct Server {
    child: Child,
    // Kept open: a server whose standard output is closed must not be what is tested.
    _stdout: BufReader<ChildStdout>,
    pub(crate) url: String,
    /// What it said when it was ready.
    pub(crate) welcome: String,
    folder: tempfile::TempDir,
    /// What it was started with besides.
    arguments: Vec<String>,
}

impl Server {
    /// Starts a server and waits until it says that it is ready.
    pub(crate) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), "127.0.0.1:0", Vec::new(), &[])
    }

    /// Starts a server with more arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self::start_in(tempfile::tempdir().unwrap(), "127.0.0.1:0", arguments, &[])
    }

    /// Starts a server with these environment variables, which are its configuration.
    pub(crate) fn start_in_environment(settings: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), "127.0.0.1:0", Vec::new(), settings)
    }

    fn start_in(
        folder: tempfile::TempDir,
        listen: &str,
        arguments: Vec<String>,
        settings: &[(&str, &str)],
    ) -> Self {
        let mut child = command()
            .args(["dev", "--listen", listen, "--data-dir"])
            .arg(folder.path())
            .args(&arguments)
            .env("TIDINGS_DRAIN__JITTER", "0s")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut welcome = String::new();
        // The welcome ends with an empty line.
        while !welcome.ends_with("\n\n") || welcome.matches("\n\n").count() < 2 {
            if stdout.read_line(&mut welcome).unwrap() == 0 {
                let mut stderr = String::new();
                child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
                panic!("the server ended before it was ready:\n{welcome}\n{stderr}");
            }
        }
        let url = welcome.split_whitespace().find(|word| word.starts_with("http://")).unwrap();
        Self { url: url.to_owned(), child, _stdout: stdout, welcome, folder, arguments }
    }

    /// Ends the server without a warning, as a crash would, and starts it again on the same port.
    pub(crate) fn crash_and_restart(self) -> Self {
        self.crash().restart()
    }

    /// Ends the server without a warning.
    pub(crate) fn crash(mut self) -> Crashed {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let listen = self.url.trim_start_matches("http://").to_owned();
        let empty = tempfile::tempdir().unwrap();
        let arguments = std::mem::take(&mut self.arguments);
        Crashed { folder: std::mem::replace(&mut self.folder, empty), listen, arguments }
    }

    /// Memory of the server's process in use, in bytes.
    pub(crate) fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
    }

    /// Runs the program against this server.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        finish(self.command().args(arguments))
    }

    /// The program, told where this server is.
    pub(crate) fn command(&self) -> std::process::Command {
        let mut command = command();
        command.env("TIDINGS_URL", &self.url);
        command
    }

    /// Asks the server to stop as an operator would, and returns its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        self.terminate();
        self.child.wait().unwrap().code()
    }

    fn terminate(&self) {
        let id = self.child.id().to_string();
        let status = std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(status.success());
    }
}

/// What a crash has left: a folder, and the port that clients know.
pub(crate) struct Crashed {
    folder: tempfile::TempDir,
    listen: String,
    arguments: Vec<String>,
}

impl Crashed {
    pub(crate) fn restart(self) -> Server {
        Server::start_in(self.folder, &self.listen, self.arguments, &[])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
