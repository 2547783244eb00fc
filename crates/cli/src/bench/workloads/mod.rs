//! The workloads: what is measured, with which numbers, and what is to be reached.

mod abuse;
mod connect;
mod fanout;
mod parse;
mod publish;
mod replay;
mod resume;

use std::collections::BTreeMap;

use super::contender::{Contender, Server};
use super::load::{Job, Report};
use super::machine::Machine;
use super::process::Generator;
use super::result::{Case, Column, Outcome, Role};
use super::{Bench, BenchError};

pub(crate) use abuse::{AbuseArgs, run as abuse};
pub(crate) use connect::{ConnectArgs, run as connect};
pub(crate) use fanout::{FanoutArgs, run as fanout};
pub(crate) use parse::{ParseArgs, run as parse};
pub(crate) use publish::{PublishArgs, run as publish};
pub(crate) use replay::{ReplayArgs, run as replay};
pub(crate) use resume::{ResumeArgs, run as resume};

/// Runs one load generator for each job, all at the same time, against servers that are ready;
/// the first one leads.
pub(crate) fn generate(bench: &Bench, jobs: &[Job]) -> Result<Report, BenchError> {
    let mut generators = Vec::with_capacity(jobs.len());
    for job in jobs {
        let mut command = bench.hidden("load");
        let cpu = match job {
            Job::Bystander(_) => bench.server_cpu,
            _ => bench.load_cpu,
        };
        generators.push(Generator::start(&mut command, cpu, job)?);
    }
    for generator in &mut generators {
        generator.ready()?;
    }
    // The leader begins last: nobody may miss its first event.
    for generator in generators.iter_mut().rev() {
        generator.go()?;
    }
    let mut reports = generators.iter_mut();
    let mut sum = match reports.next() {
        Some(leader) => leader.report()?,
        None => Report::default(),
    };
    for follower in reports {
        sum.merge(&follower.report()?);
    }
    Ok(sum)
}

/// An empty column of a case.
pub(crate) fn column(contender: Contender) -> Column {
    let role = if contender.is_limit() {
        Role::Limit
    } else if contender.is_peer() {
        Role::Peer
    } else {
        Role::Ours
    };
    named_column(contender.name(), role)
}

pub(crate) fn named_column(name: &str, role: Role) -> Column {
    Column { name: name.to_owned(), role, samples: Vec::new(), error: None }
}

pub(crate) fn outcome(
    bench: &mut Bench,
    workload: &str,
    machine: Machine,
    cases: Vec<Case>,
) -> Outcome {
    Outcome {
        workload: workload.to_owned(),
        time: jiff::Timestamp::now().to_string(),
        arguments: std::env::args().skip(1).collect(),
        machine,
        notes: std::mem::take(&mut bench.notes),
        cases,
        rows: BTreeMap::new(),
    }
}

/// True when the server's processes are known, so that its cost can be told.
pub(crate) fn has_books(server: &Server) -> bool {
    !server.pids.is_empty()
}

pub(crate) fn ms(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// `count` per second.
pub(crate) fn per_second(count: u64, elapsed_ns: u64) -> f64 {
    count as f64 * 1e9 / elapsed_ns.max(1) as f64
}

/// Microseconds for each of `count`.
pub(crate) fn us_each(nanoseconds: u64, count: u64) -> f64 {
    nanoseconds as f64 / 1e3 / count.max(1) as f64
}
