//! The processes of a measurement: each on its own core, none left behind.
//!
//! A child inherits the affinity of the thread that starts it, so the bench takes the child's
//! core, starts it, and goes back: no thread of the child ever runs anywhere else.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::BenchError;
use super::load::{Job, Report};

/// How often a condition is looked at, and how many times before giving up: 60 s in all. A peer
/// in Python takes long to start.
const LOOK: Duration = Duration::from_millis(10);
const LOOKS_MAX: u32 = 6_000;
/// Looks at an ending process before it is killed: 3 s.
const ENDING_LOOKS: u32 = 300;

/// Starts `command` on `cpu` alone (`None`: wherever the scheduler likes).
pub(crate) fn spawn(command: &mut Command, cpu: Option<usize>) -> io::Result<Guard> {
    let Some(cpu) = cpu else {
        return command.spawn().map(Guard);
    };
    let before = sched_getaffinity(None)?;
    let mut only = CpuSet::new();
    only.set(cpu);
    sched_setaffinity(None, &only)?;
    let child = command.spawn();
    sched_setaffinity(None, &before)?;
    child.map(Guard)
}

/// A process that ends, with its children, when this is dropped.
pub(crate) struct Guard(Child);

impl Guard {
    /// The process and all its descendants.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let mut pids = vec![self.0.id()];
        let mut next = 0;
        while let Some(pid) = pids.get(next).copied() {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            let children = children.unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|one| one.parse::<u32>().ok()));
            next += 1;
        }
        pids
    }

    /// An error once the process has ended.
    pub(crate) fn check_alive(&mut self) -> Result<(), BenchError> {
        match self.0.try_wait() {
            Ok(Some(status)) => Err(BenchError::Ended(status.to_string())),
            Ok(None) => Ok(()),
            Err(error) => Err(BenchError::Io("waiting for a process", error)),
        }
    }

    fn ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Asked first: nginx's master takes its workers along only then.
        if let Some(pid) =
            i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).filter(|_| !self.ended())
        {
            let _ = kill_process(pid, Signal::TERM);
        }
        for _ in 0..ENDING_LOOKS {
            if self.ended() {
                return;
            }
            thread::sleep(LOOK);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Looks at `condition` every 10 ms until it holds, at most 60 s.
pub(crate) fn wait_until(
    what: &'static str,
    mut condition: impl FnMut() -> Result<bool, BenchError>,
) -> Result<(), BenchError> {
    for _ in 0..LOOKS_MAX {
        if condition()? {
            return Ok(());
        }
        thread::sleep(LOOK);
    }
    Err(BenchError::Never(what))
}

/// One load generator process.
pub(crate) struct Generator {
    guard: Guard,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Generator {
    /// Starts `command` (this executable's hidden `load` subcommand) on `cpu` with `job`.
    pub(crate) fn start(
        command: &mut Command,
        cpu: Option<usize>,
        job: &Job,
    ) -> Result<Generator, BenchError> {
        let io = |error| BenchError::Io("starting the load generator", error);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut guard = spawn(command, cpu).map_err(io)?;
        let (input, output) = (guard.0.stdin.take(), guard.0.stdout.take());
        let (Some(mut input), Some(output)) = (input, output) else {
            return Err(BenchError::Generator("it has no pipes".to_owned()));
        };
        let mut line = serde_json::to_vec(job).map_err(BenchError::Json)?;
        line.push(b'\n');
        input.write_all(&line).map_err(io)?;
        Ok(Generator { guard, input, output: BufReader::new(output) })
    }

    /// Waits until everything is prepared.
    pub(crate) fn ready(&mut self) -> Result<(), BenchError> {
        match self.line()?.trim_end() {
            "ready" => Ok(()),
            other => Err(BenchError::Generator(format!("it said {other:?}"))),
        }
    }

    /// Lets the measurement begin.
    pub(crate) fn go(&mut self) -> Result<(), BenchError> {
        let io = |error| BenchError::Io("talking to the load generator", error);
        self.input.write_all(b"go\n").and_then(|()| self.input.flush()).map_err(io)
    }

    /// Waits for the end of the measurement.
    pub(crate) fn report(&mut self) -> Result<Report, BenchError> {
        let line = self.line()?;
        serde_json::from_str(&line).map_err(BenchError::Json)
    }

    fn line(&mut self) -> Result<String, BenchError> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        read.map_err(|error| BenchError::Io("reading from the load generator", error))?;
        if line.is_empty() {
            self.guard.check_alive()?;
            return Err(BenchError::Generator("it went away".to_owned()));
        }
        Ok(line)
    }
}
