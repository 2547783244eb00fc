//! The load generator: a process of its own, one thread, one epoll loop.
//!
//! The bench starts it pinned to another core than the server, writes a [`Job`] to its standard
//! input as one line of JSON, waits for the line `ready`, answers `go`, and reads a [`Report`].
//! The generator also keeps the server's books ([`Account`]), because only it knows the exact
//! moments between which it was loading. Every loop in it is bounded in count and in time.

mod abuse;
mod bystander;
mod catchup;
mod closed;
mod crowd;
mod fanout;
mod fill;
pub(crate) mod frames;
mod lines;
mod publisher;
mod scanner;
mod stamp;
mod storm;
pub(crate) mod wire;

use std::io::{self, BufRead, Write};

use rustix::io::Errno;
use rustix::process::{Signal, set_parent_process_death_signal};
use serde::{Deserialize, Serialize};

use super::account::Account;
use super::histogram::Histogram;
use super::http::HeadError;
use super::relay::load::{self as relay, RelayJob};
pub(crate) use abuse::{AbuseJob, Attack};
pub(crate) use bystander::BystanderJob;
pub(crate) use catchup::CatchupJob;
pub(crate) use closed::ClosedJob;
pub(crate) use crowd::{CrowdPlan, Tally};
pub(crate) use fanout::{FanoutJob, Share};
pub(crate) use fill::FillJob;
pub(crate) use lines::{Lines, ScanError};
pub(crate) use storm::StormJob;
pub(crate) use wire::Wire;

/// One measurement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Subscribers and a publisher.
    Fanout(FanoutJob),
    /// Subscriptions opened as fast as they can be, then idle.
    Storm(StormJob),
    /// Publishers that each wait for their answer.
    Closed(ClosedJob),
    /// Subscribers that resume far behind.
    Catchup(CatchupJob),
    /// Publishes a number of events, to be read later.
    Fill(FillJob),
    /// Something that nobody should do.
    Abuse(AbuseJob),
    /// Somebody else whom that is done to.
    Bystander(BystanderJob),
    /// Streamed answers of an LLM, directly or through a relay.
    Relay(RelayJob),
}

/// What a measurement found. Fields that a job does not measure stay at zero.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// What the subscribers received while it was measured.
    pub(crate) tally: Tally,
    /// From request to answer of each measured publish, or to the first token of an LLM's answer,
    /// nanoseconds.
    pub(crate) answers: Histogram,
    /// Publishes, or connections, or events, or tokens that were measured.
    pub(crate) operations: u64,
    /// How long it took, nanoseconds.
    pub(crate) elapsed_ns: u64,
    /// What the server spent meanwhile; all zero when its process is not known.
    pub(crate) cost: Account,
    /// The server's resident memory before and after, bytes.
    pub(crate) rss_before_bytes: u64,
    pub(crate) rss_after_bytes: u64,
    /// CPU time while all subscribers were idle, nanoseconds per second.
    pub(crate) idle_cpu_ns: u64,
    /// When each subscriber had caught up, nanoseconds after the start.
    pub(crate) caught_up: Histogram,
    /// The event ids of a fill: of its first and its last event.
    pub(crate) first_id: String,
    pub(crate) last_id: String,
    /// What an attacker has tried, and how often it saw itself refused.
    pub(crate) attempts: u64,
    pub(crate) refused: u64,
}

impl Report {
    /// Adds what another process of the same measurement found.
    pub(crate) fn merge(&mut self, other: &Report) {
        self.tally.merge(&other.tally);
        self.answers.merge(&other.answers);
        self.caught_up.merge(&other.caught_up);
        self.attempts += other.attempts;
        self.refused += other.refused;
        self.operations += other.operations;
        self.elapsed_ns = self.elapsed_ns.max(other.elapsed_ns);
    }
}

/// Why a measurement did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("{0}: {1}")]
    Socket(&'static str, Errno),
    #[error(transparent)]
    Scan(#[from] ScanError),
    #[error(transparent)]
    Head(HeadError),
    #[error("the server answered {0}: {1}")]
    Refused(u16, String),
    #[error("{0}")]
    Protocol(&'static str),
    #[error("{0} took too long")]
    Deadline(&'static str),
    #[error("reading the server's books: {0}")]
    Account(io::Error),
    #[error("talking to the bench: {0}")]
    Pipe(#[from] io::Error),
    #[error("the job is not understood: {0}")]
    Job(#[from] serde_json::Error),
}

/// Runs the job that standard input names and writes its report to standard output.
pub(crate) fn serve() -> Result<(), LoadError> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let job: Job = serde_json::from_str(&line)?;
    let report = run(&job, &mut wait_for_go)?;
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &report)?;
    writeln!(out)?;
    Ok(())
}

fn wait_for_go() -> Result<(), LoadError> {
    let mut out = io::stdout().lock();
    writeln!(out, "ready")?;
    out.flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    if line.trim_end() == "go" { Ok(()) } else { Err(LoadError::Protocol("the bench went away")) }
}

/// Runs one job. `go` is called once everything that is not measured is prepared, and returns
/// when the measurement may begin.
pub(crate) fn run(
    job: &Job,
    go: &mut dyn FnMut() -> Result<(), LoadError>,
) -> Result<Report, LoadError> {
    match job {
        Job::Fanout(job) => fanout::run(job, go),
        Job::Storm(job) => storm::run(job, go),
        Job::Closed(job) => closed::run(job, go),
        Job::Catchup(job) => catchup::run(job, go),
        Job::Fill(job) => fill::run(job, go),
        Job::Abuse(job) => abuse::run(job, go),
        Job::Bystander(job) => bystander::run(job, go),
        Job::Relay(job) => relay::run(job, go),
    }
}

/// The server's books now; nothing for a server whose process is not known.
pub(crate) fn account(pids: &[u32]) -> Result<Account, LoadError> {
    Account::read(pids).map_err(LoadError::Account)
}
