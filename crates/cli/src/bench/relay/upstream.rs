//! The upstream of the relay's measurement: a process of its own that answers chat completions.
//!
//! Every token carries the time at which it was handed to the socket, so that whoever receives it
//! knows how long it was under way. How many tokens an answer has, its request says (`max_tokens`).

use std::net::SocketAddrV4;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use clap::Args;
use rustix::process::{Signal, set_parent_process_death_signal};
use tidings_scripted::{Received, Script, Upstream};

/// Most tokens of one answer.
const TOKENS_MAX: u64 = 1_000_000;

/// Arguments of the hidden `upstream` subcommand.
#[derive(Clone, Debug, Args)]
pub(crate) struct UpstreamArgs {
    /// Where to listen.
    #[arg(long)]
    pub(crate) listen: SocketAddrV4,
    /// Microseconds from one token of an answer to the next.
    #[arg(long)]
    pub(crate) pace_us: u64,
}

/// Serves until its parent ends it.
pub(crate) fn serve(args: &UpstreamArgs) -> std::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let upstream = Upstream::start_on(args.listen.into())?;
    upstream.remember(0);
    let pace = Duration::from_micros(args.pace_us);
    // Nearly all answers of a measurement are of one length: their script is made once.
    let last: Mutex<Option<(u64, Script)>> = Mutex::new(None);
    upstream.play(move |request| {
        if request.method == "GET" {
            return Script::body(200, "text/plain", "ready");
        }
        let tokens = tokens(request);
        let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &*last {
            Some((known, script)) if *known == tokens => script.clone(),
            _ => {
                let script = answer(tokens, pace);
                *last = Some((tokens, script.clone()));
                script
            }
        }
    });
    loop {
        thread::park();
    }
}

fn tokens(request: &Received) -> u64 {
    request.json()["max_tokens"].as_u64().unwrap_or(1).min(TOKENS_MAX)
}

fn answer(tokens: u64, pace: Duration) -> Script {
    // Their text is replaced by the time.
    Script::tokens((0..tokens).map(|_| String::new()).collect()).pace(pace).stamped()
}
