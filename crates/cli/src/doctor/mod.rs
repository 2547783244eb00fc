//! `tidings doctor`: what breaks streams between this machine and a server, and what to change.
//!
//! Of a Tidings server it has both ends in its hands: it publishes an evenly paced probe through
//! the same URL and watches it arrive ([`tidings`]). Any other event stream it can only watch
//! ([`observe`]). Each check says what it measured and one of four verdicts; what to change is one
//! table ([`advice`]).

mod advice;
mod checks;
mod finding;
mod observe;
mod pace;
mod plan;
mod progress;
mod proxy;
mod record;
mod report;
mod tidings;
mod wire;

use std::process::ExitCode;

use finding::{Check, Finding};
use plan::Plan;
use progress::Progress;
use report::{Kind, Report};

pub(crate) use plan::Arguments;

use crate::target::block_on;
use crate::terminal::{self, Paint};

pub(crate) const EXAMPLES: &str = "\
Against a Tidings server it publishes 10 events to a topic doctor/…, which it removes afterwards.
Any other event stream is only watched.

Examples:
  tidings doctor https://events.example.com
  tidings doctor https://events.example.com --idle 70s --for 5m --origin https://app.example
  tidings doctor https://api.example.com/stream --observe 30s --proxy nginx
  tidings doctor https://llm.example.com/v1/chat/completions --method POST --data ask.json \\
      --header 'Authorization: Bearer …'
  tidings doctor https://events.example.com --json | jq '.checks[] | select(.verdict != \"ok\")'

Exit codes:
  0 nothing to change   3 server not reached   7 warnings   8 something breaks streams";

/// Runs the checks and prints the report.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let plan = Plan::new(arguments)?;
    let progress = Progress::new(plan.json);
    let report = block_on(async { Ok(examine(&plan, &progress).await) })?;
    if plan.json {
        terminal::line(&format!("{:#}", report.json(&plan)))?;
    } else {
        terminal::line(report.text(&plan, Paint::stdout()).trim_end())?;
    }
    Ok(report.reason().map_or(ExitCode::SUCCESS, |reason| ExitCode::from(reason as u8)))
}

async fn examine(plan: &Plan, progress: &Progress) -> Report {
    let connected = checks::connection::check(&plan.address);
    let connected = match progress.during("connecting", connected).await {
        Ok(findings) => findings,
        Err(error) => {
            let refused = checks::connection::refused(&error);
            let rest = Check::ALL.into_iter().filter(|check| *check != Check::Connection);
            let rest = rest.map(|check| Finding::not_tested(check, "there was no connection"));
            let findings = rest.chain([refused]).collect();
            return Report::new(Kind::Nobody, findings, Vec::new());
        }
    };
    let server = match plan.method == hyper::Method::GET {
        true => progress.during("recognising", tidings::Server::recognise(plan)).await,
        false => None,
    };
    let report = match server {
        Some(server) => tidings::examine(plan, server, progress).await,
        None => observe::examine(plan, progress).await,
    };
    report.with(connected)
}
