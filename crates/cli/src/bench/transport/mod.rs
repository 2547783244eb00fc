//! `tidings bench transport`: server-sent events and the WebSocket over the same log.
//!
//! Each claim that is made about the two is measured over both, in turns, by readers that differ
//! in nothing else, and judged by a rule in [`claims`]. Where it means something a long-poll is
//! beside them, and a WebSocket without a protocol on top. `--write` makes the file that the demo's
//! page shows; docs/transport.md says how to read it.

pub(crate) mod claims;
mod crowds;
mod decode;
mod drops;
mod idle;
mod line;
mod part;
mod payload;
mod post;
mod proxy;
mod show;
mod trip;
mod wires;
mod write;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use clap::Args;

use super::contender::{Contender, Server};
use super::machine::Machine;
use super::options::{Durability, Options};
use super::result::{Case, Column, Outcome, Role, Sample};
use super::workloads::{named_column, outcome};
use super::{Bench, BenchError, pinned, rounds};
use claims::{SSE, WS};
use part::Part;

pub(crate) use show::summary;

/// Arguments of `bench transport`.
#[derive(Debug, Args)]
pub(crate) struct TransportArgs {
    #[command(flatten)]
    options: Options,
    /// Measures these rows only, such as H1,H6,handshake.
    #[arg(long, value_delimiter = ',', value_name = "ROW")]
    rows: Vec<String>,
    /// Writes the verdicts for the demo's page to this file; rows of it that are measured
    /// elsewhere (in a browser) stay.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// Measures every part over each of its columns.
pub(crate) fn run(args: TransportArgs) -> Result<(Options, Outcome), BenchError> {
    if args.options.url.is_some() || !args.options.only.is_empty() {
        let text = "transport measures servers that it starts itself: no --url, no --only";
        return Err(BenchError::Workload(text.to_owned()));
    }
    let mut setup = Setup::new(&args.options)?;
    let machine = Machine::look(&setup.bench.data_dir);
    let quick = args.options.quick;
    let mut parts: Vec<Part> = part::all(quick);
    if setup.nginx.is_none() {
        parts.retain(|part| !matches!(part, Part::Proxy(_)));
        let note = "H11 is not measured: no nginx (apt-get install nginx-light)";
        setup.bench.notes.push(note.to_owned());
    }
    parts.retain(|part| part.wanted(&args.rows));
    if parts.is_empty() {
        return Err(BenchError::Workload("--rows names none that can be measured".to_owned()));
    }
    let mut cases: Vec<Case> = parts.iter().map(|part| case(*part, quick)).collect();
    rounds::measure(&setup.bench, &mut cases, |case, column| {
        setup.measure(parts[case], column, quick)
    });
    setup.notes(&parts);
    let mut outcome = outcome(&mut setup.bench, "transport", machine, cases);
    outcome.rows = claims::rows(&outcome.cases);
    if let Some(file) = &args.write {
        write::file(file, &outcome)?;
    }
    Ok((args.options, outcome))
}

fn case(part: Part, quick: bool) -> Case {
    Case {
        name: part.name(),
        title: part.title(quick),
        metrics: part.metrics(),
        columns: part.columns().iter().map(|name| column(name)).collect(),
    }
}

fn column(name: &str) -> Column {
    let role = if [SSE, WS].contains(&name) { Role::Ours } else { Role::Peer };
    named_column(name, role)
}

/// What the parts are measured with.
struct Setup {
    bench: Bench,
    /// The same with a short heartbeat.
    beating: Bench,
    nginx: Option<PathBuf>,
    /// Started when they are first needed: one server for everything that is measured by a single
    /// reader, so that both transports read the same topics of the same process.
    shared: RefCell<Option<Rc<Server>>>,
    shared_beating: RefCell<Option<Rc<Server>>>,
}

impl Setup {
    fn new(options: &Options) -> Result<Setup, BenchError> {
        let bench = Bench::new(options.clone(), Durability::Memory)?;
        let mut beating = Bench::new(options.clone(), Durability::Memory)?;
        beating.settings = vec![("TIDINGS_SERVER__HEARTBEAT", idle::HEARTBEAT)];
        Ok(Setup {
            bench,
            beating,
            nginx: proxy::program(),
            shared: RefCell::default(),
            shared_beating: RefCell::default(),
        })
    }

    fn measure(&self, part: Part, column: usize, quick: bool) -> Result<Sample, BenchError> {
        let fresh = || Contender::Tidings.start(&self.bench);
        let shared = || started(&self.shared, &self.bench);
        let beating = || started(&self.shared_beating, &self.beating);
        let wire = part.wire(column);
        let way = part.way(column);
        // A reader by itself runs where the generator would.
        let cpu = self.bench.load_cpu;
        match part {
            Part::Memory => {
                let servers = (fresh()?, fresh()?);
                crowds::memory([&servers.0, &servers.1], &self.bench, wire, part::crowd(quick))
            }
            Part::Storm => crowds::storm(&fresh()?, &self.bench, wire, part::storm(quick)),
            Part::Fanout(load) => {
                crowds::fanout(&fresh()?, &self.bench, wire, load, part::fanout_ms(quick))
            }
            Part::Handshake => {
                let server = shared()?;
                let times = part::openings(quick);
                on(cpu, &server, |server| wires::handshake(server, way, times))
            }
            Part::Bytes | Part::Packed => {
                let (server, lane, count) = (shared()?, part.lane(column), part::messages(quick));
                on(cpu, &server, |server| match part {
                    Part::Bytes => wires::bytes(server, lane, count),
                    _ => wires::packed(server, lane, count),
                })
            }
            Part::Trip => {
                let server = shared()?;
                on(cpu, &server, |server| trip::run(server, way, part::messages(quick)))
            }
            Part::Drops => {
                let (server, how) = (shared()?, part.comeback(column));
                on(cpu, &server, |server| drops::run(server, how, part::drops(quick)))
            }
            Part::Idle => {
                let server = beating()?;
                on(cpu, &server, |server| idle::run(server, way, part::beats(quick)))
            }
            Part::Proxy(how) => {
                let server = beating()?;
                let Some(nginx) = &self.nginx else {
                    return Err(BenchError::Never("an nginx"));
                };
                let silent = !quick || how == proxy::Setting::Upgrade;
                let count = part::proxied(quick);
                proxy::run(&self.bench, nginx, &server, (how, way), count, silent)
            }
        }
    }

    /// What has to be known to read the figures of these parts.
    fn notes(&mut self, parts: &[Part]) {
        let notes = &mut self.bench.notes;
        let durability = self.bench.durability.name();
        notes.push(format!(
            "HTTP/1.1 without TLS over loopback; durability of tidings: {durability}."
        ));
        if parts.contains(&Part::Packed) {
            notes.push(
                "H3 is what flate2 makes of the messages in this process: Tidings refuses \
             permessage-deflate and leaves the compression of SSE to a proxy."
                    .to_owned(),
            );
        }
        let nginx = self
            .nginx
            .as_deref()
            .filter(|_| parts.iter().any(|part| matches!(part, Part::Proxy(_))));
        if let Some(version) = nginx.and_then(proxy::version) {
            notes.push(format!("Behind {version}, its timeout and the heartbeat shortened."));
        }
    }
}

fn started(slot: &RefCell<Option<Rc<Server>>>, bench: &Bench) -> Result<Rc<Server>, BenchError> {
    if let Some(server) = &*slot.borrow() {
        return Ok(Rc::clone(server));
    }
    let server = Rc::new(Contender::Tidings.start(bench)?);
    *slot.borrow_mut() = Some(Rc::clone(&server));
    Ok(server)
}

/// Runs a single reader's work on the generator's core.
fn on(
    cpu: Option<usize>,
    server: &Server,
    work: impl FnOnce(&Server) -> Result<Sample, BenchError> + Send,
) -> Result<Sample, BenchError> {
    pinned::run(cpu, move || work(server))
}
