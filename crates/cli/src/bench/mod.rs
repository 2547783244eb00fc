//! `tidings bench`: measures a server, and in the same run what the machine allows.
//!
//! A figure without its limit says nothing: the same server is twice as fast on another machine.
//! So every workload measures, one after the other and several times over, a bare loop that does
//! only what cannot be left out ([`limit`]), this server, and the peers that are installed; the
//! verdict compares medians of one run. The server has one core, the load generator ([`load`])
//! another, and CPU comes from the scheduler's own books ([`account`]).
//!
//! Linux only: epoll, `/proc` and core affinity are what the measurements are made of.

mod account;
mod clock;
mod contender;
mod histogram;
mod http;
mod limit;
mod load;
mod machine;
mod options;
mod pinned;
mod process;
mod record;
mod relay;
mod result;
mod rounds;
mod socket;
mod table;
mod transport;
mod workloads;

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::{Args, Subcommand};

use contender::Contender;
use options::{Durability, Options};
use result::Outcome;

use crate::terminal::Paint;

/// Measures a server against what the machine allows.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    command: BenchCommand,
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// One event to many subscribers: CPU per delivery and delay.
    Fanout(workloads::FanoutArgs),
    /// Subscriptions opened at once: rate, CPU and memory of each.
    Connect(workloads::ConnectArgs),
    /// Everyone reconnects at once, each some events behind.
    Resume(workloads::ResumeArgs),
    /// Durable publishes: the log alone and over HTTP.
    Publish(workloads::PublishArgs),
    /// A long history read from the start.
    Replay(workloads::ReplayArgs),
    /// Decoding of server-sent events.
    Parse(workloads::ParseArgs),
    /// What those who do nothing wrong feel of those who do.
    Abuse(workloads::AbuseArgs),
    /// LLM answers through the relay: delay, CPU and memory that it adds.
    Relay(relay::RelayArgs),
    /// Server-sent events and the WebSocket over the same log: what is said of them, measured.
    Transport(transport::TransportArgs),
    /// The bare loop that the others are measured against.
    #[command(hide = true)]
    Limit(limit::LimitArgs),
    /// The upstream of the relay's measurement.
    #[command(hide = true)]
    Upstream(relay::upstream::UpstreamArgs),
    /// The bare loop that a relay is measured against.
    #[command(hide = true)]
    Proxy(relay::proxy::ProxyArgs),
    /// A load generator; it takes its job from standard input.
    #[command(hide = true)]
    Load,
}

/// Why a benchmark did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error("{0}: {1}")]
    Io(&'static str, #[source] io::Error),
    #[error("the limit server: {0}")]
    Limit(rustix::io::Errno),
    #[error("{0}")]
    Load(#[from] load::LoadError),
    #[error("the load generator: {0}")]
    Generator(String),
    #[error("a process ended early ({0})")]
    Ended(String),
    #[error("waited in vain for {0}")]
    Never(&'static str),
    #[error("{0} did not start: {1}\n{2}")]
    Start(&'static str, #[source] Box<BenchError>, String),
    #[error("JSON: {0}")]
    Json(#[source] serde_json::Error),
    #[error("--url must be http://ADDRESS:PORT with an IPv4 address or a name that has one")]
    Url,
    #[error("the log: {0}")]
    Log(String),
    #[error("{0}")]
    Workload(String),
}

/// Runs one workload: prints its table, records its outcome, and fails with exit code 1 if the
/// server could not be measured, or if `--check` was given and a target was missed.
pub(crate) fn run(args: BenchArgs) -> Result<ExitCode, BenchError> {
    let (options, outcome) = match args.command {
        BenchCommand::Limit(args) => {
            return limit::serve(&args).map_err(BenchError::Limit).map(|()| ExitCode::SUCCESS);
        }
        BenchCommand::Upstream(args) => {
            let served = relay::upstream::serve(&args);
            let served = served.map_err(|error| BenchError::Io("the upstream", error));
            return served.map(|()| ExitCode::SUCCESS);
        }
        BenchCommand::Proxy(args) => {
            return relay::proxy::serve(&args)
                .map_err(BenchError::Limit)
                .map(|()| ExitCode::SUCCESS);
        }
        BenchCommand::Load => {
            return load::serve().map_err(BenchError::Load).map(|()| ExitCode::SUCCESS);
        }
        BenchCommand::Fanout(args) => workloads::fanout(args)?,
        BenchCommand::Connect(args) => workloads::connect(args)?,
        BenchCommand::Resume(args) => workloads::resume(args)?,
        BenchCommand::Publish(args) => workloads::publish(args)?,
        BenchCommand::Replay(args) => workloads::replay(args)?,
        BenchCommand::Parse(args) => workloads::parse(args)?,
        BenchCommand::Abuse(args) => workloads::abuse(args)?,
        BenchCommand::Relay(args) => relay::run(args)?,
        BenchCommand::Transport(args) => transport::run(args)?,
    };
    print(&options, &outcome)?;
    record::write(&options, &outcome)?;
    let missed = options.check && !outcome.reached_all();
    Ok(if missed || outcome.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(options: &Options, outcome: &Outcome) -> Result<(), BenchError> {
    let mut out = io::stdout().lock();
    let printed = if options.json {
        let text = serde_json::to_string_pretty(outcome).map_err(BenchError::Json)?;
        writeln!(out, "{text}")
    } else {
        let summary = transport::summary(outcome, Paint::stdout());
        out.write_all((table::render(outcome) + &summary).as_bytes())
    };
    printed.map_err(|error| BenchError::Io("printing", error))
}

/// What a workload runs with: the options and what follows from them.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) options: Options,
    pub(crate) data_dir: PathBuf,
    pub(crate) durability: Durability,
    /// The bare loop keeps its events and lets subscribers resume.
    pub(crate) keep: bool,
    /// What the servers stand in front of, in the relay's workload.
    pub(crate) upstream: Option<SocketAddrV4>,
    /// Environment variables of our own server.
    pub(crate) settings: Vec<(&'static str, &'static str)>,
    /// `None`: not pinned.
    pub(crate) server_cpu: Option<usize>,
    pub(crate) load_cpu: Option<usize>,
    executable: PathBuf,
    /// What to tell the reader of the result.
    pub(crate) notes: Vec<String>,
}

impl Bench {
    pub(crate) fn new(options: Options, durability: Durability) -> Result<Bench, BenchError> {
        let executable = std::env::current_exe();
        let executable =
            executable.map_err(|error| BenchError::Io("finding this program", error))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut notes = Vec::new();
        let (server_cpu, load_cpu) = if cores > options.server_cpu.max(options.load_cpu) {
            (Some(options.server_cpu), Some(options.load_cpu))
        } else {
            notes.push("Not pinned to cores: the machine has too few.".to_owned());
            (None, None)
        };
        if cfg!(debug_assertions) {
            notes.push("A debug build: its figures mean nothing.".to_owned());
        }
        Ok(Bench {
            data_dir: options.data_dir.clone().unwrap_or_else(std::env::temp_dir),
            durability: options.durability.unwrap_or(durability),
            keep: false,
            upstream: None,
            settings: Vec::new(),
            options,
            server_cpu,
            load_cpu,
            executable,
            notes,
        })
    }

    /// A command that runs a hidden subcommand of this program.
    pub(crate) fn hidden(&self, name: &str) -> Command {
        let mut command = Command::new(&self.executable);
        command.args(["bench", name]);
        command
    }

    /// The executable whose server is measured: this one unless told otherwise.
    pub(crate) fn server_executable(&self) -> OsString {
        let other = self.options.server.clone();
        other.unwrap_or_else(|| self.executable.clone()).into_os_string()
    }

    /// Of `all`, those that were asked for and can be started; says what is missing.
    pub(crate) fn contenders(&mut self, all: &[Contender]) -> Vec<Contender> {
        let ours = if self.options.url.is_some() { Contender::Running } else { Contender::Tidings };
        let mut chosen = Vec::new();
        for asked in all.iter().copied() {
            let only = &self.options.only;
            if !only.is_empty() && !only.contains(&asked) {
                continue;
            }
            let contender = if asked == Contender::Tidings { ours } else { asked };
            match contender.missing(self) {
                Some(how) => self.notes.push(how),
                None => chosen.push(contender),
            }
        }
        chosen
    }
}
