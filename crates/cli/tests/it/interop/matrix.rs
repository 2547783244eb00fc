//! The matrix itself: runs every client directly and through the relay, judges every case, and
//! compares the page.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tidings_scripted::Upstream;

use super::HEARTBEAT;
use super::client::{self, Results};
use super::environment::{self, Environment};
use super::flaky::{Flaky, LOST};
use super::judge::{Seen, Verdict};
use super::scenario::{self, BROKEN_AFTER, Label};
use super::variant::{Api, VARIANTS, Variant};
use crate::pages::check;
use crate::server::Server;

/// A column: a client and the API that it speaks.
struct Column {
    title: &'static str,
    /// The client, as its requests name it.
    client: &'static str,
    /// Its program below `interop/`, and the program's arguments.
    program: &'static str,
    api: Api,
}

const fn column(
    title: &'static str,
    client: &'static str,
    program: &'static str,
    api: Api,
) -> Column {
    Column { title, client, program, api }
}

/// The tables of the page.
const TABLES: [(&str, &[Column]); 3] = [
    (
        "OpenAI",
        &[
            column("Python, chat", "py-chat", "python/openai_client.py", Api::Chat),
            column("Python, responses", "py-resp", "python/openai_client.py", Api::Responses),
            column("JavaScript, chat", "js-chat", "javascript/openai.mjs", Api::Chat),
            column("JavaScript, responses", "js-resp", "javascript/openai.mjs", Api::Responses),
        ],
    ),
    (
        "Anthropic",
        &[
            column("Python", "py-mess", "python/anthropic_client.py", Api::Messages),
            column("JavaScript", "js-mess", "javascript/anthropic.mjs", Api::Messages),
        ],
    ),
    (
        "AI SDK",
        &[
            column("7", "ai-7", "javascript/ai.mjs 7", Api::Ui),
            column("6", "ai-6", "javascript/ai.mjs 6", Api::Ui),
            column("5", "ai-5", "javascript/ai.mjs 5", Api::Ui),
        ],
    ),
];

const PAGE: &str = "docs/interop.md";

/// Who answers: an upstream, and a network that loses answers in front of it.
struct Side {
    url: String,
    flaky: Flaky,
}

impl Side {
    fn of(url: &str) -> Self {
        let flaky = Flaky::start(url.trim_start_matches("http://"));
        Self { url: url.to_owned(), flaky }
    }
}

/// What all clients are pointed at.
struct World {
    asked: Upstream,
    behind: Upstream,
    direct: Side,
    relayed: Side,
    _server: Server,
}

impl World {
    fn start() -> Self {
        let (asked, behind) = (scenario::upstream(), scenario::upstream());
        let server = Server::start_with(&["--llm", &behind.url(), "--heartbeat", HEARTBEAT]);
        Self {
            direct: Side::of(&format!("http://{}", asked.address())),
            relayed: Side::of(&server.url),
            asked,
            behind,
            _server: server,
        }
    }

    /// Runs a client, first without the relay, then with it, and judges every case.
    fn run(&self, environment: &Environment, column: &Column) -> Vec<(&'static str, Verdict)> {
        let run = |side: &Side, direct: bool| -> Results {
            let jobs: Vec<Value> = rows(column.api)
                .filter(|variant| !direct || variant.expect.has_direct())
                .map(|variant| job(variant, column, side, direct))
                .collect();
            client::run(environment, column.program, &jobs)
        };
        let (direct, relayed) = (run(&self.direct, true), run(&self.relayed, false));
        let seen = Seen {
            client: column.client,
            direct: &direct,
            relayed: &relayed,
            asked: &self.asked,
            behind: &self.behind,
        };
        rows(column.api).map(|variant| (variant.name, seen.judge(variant))).collect()
    }
}

/// The rows of an API.
fn rows(api: Api) -> impl Iterator<Item = &'static Variant> {
    VARIANTS.iter().filter(move |variant| variant.apis.contains(&api))
}

/// What a client is to do.
fn job(variant: &Variant, column: &Column, side: &Side, direct: bool) -> Value {
    let base = if variant.name == LOST { side.flaky.url() } else { side.url.clone() };
    let label = Label { scenario: variant.scenario, variant: variant.name, client: column.client };
    json!({
        "case": variant.name,
        "do": variant.verb,
        "api": column.api.name(),
        "base": base,
        "text": label.text(),
        "more": variant.more(column.api),
        "headers": variant.headers(column.client),
        "retries": variant.retries(),
        "direct": direct,
        "chat": label.id(),
        // Within the text: after what opens the answer, before a broken one breaks.
        "take": BROKEN_AFTER,
    })
}

#[test]
fn clients_see_through_the_relay_what_they_would_see_without_it_or_better() {
    let Some(environment) = environment::clients() else { return };
    let world = World::start();
    let columns: Vec<&Column> = TABLES.iter().flat_map(|(_, columns)| *columns).collect();
    let verdicts: Vec<Vec<(&str, Verdict)>> = std::thread::scope(|scope| {
        let runs: Vec<_> =
            columns.iter().map(|column| scope.spawn(|| world.run(environment, column))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let wrong: Vec<String> = columns
        .iter()
        .zip(&verdicts)
        .flat_map(|(column, cases)| {
            cases.iter().filter_map(|(case, verdict)| {
                let why = verdict.as_ref().err()?;
                Some(format!("{} {case}: {why}", column.client))
            })
        })
        .collect();
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n\n"));
    check(PAGE, &page(&verdicts));
}

const OPENING: &str = "# Clients that work with the relay

Official clients, unmodified, as released; only their base URL is changed. For each row an upstream
that plays a script was asked twice: by the client itself, and by the client through
`tidings dev --llm`. This page is what the test of it saw (`make interop`); it fails if a client sees
anything else.

* **same**: event for event what the client sees without the relay, or the same error.
* **whole**: event for event a plain answer. After *direct* stands what the client makes of the same
  bytes without the relay.
* **raises**: all that came before the break, and then the client's own exception.
";

fn page(verdicts: &[Vec<(&str, Verdict)>]) -> String {
    let mut page = OPENING.to_owned();
    let mut verdicts = verdicts.iter();
    for (title, columns) in TABLES {
        let cases: Vec<_> = columns.iter().zip(&mut verdicts).collect();
        let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
        let _ = write!(
            page,
            "\n## {title}\n\n| | {} |\n|---|{}\n",
            titles.join(" | "),
            "---|".repeat(columns.len())
        );
        for variant in VARIANTS {
            let cells: Vec<&str> = cases
                .iter()
                .map(|(_, cases)| {
                    let case = cases.iter().find(|(name, _)| *name == variant.name);
                    case.and_then(|(_, verdict)| verdict.as_deref().ok()).unwrap_or("")
                })
                .collect();
            if cells.iter().any(|cell| !cell.is_empty()) {
                let _ = writeln!(page, "| {} | {} |", variant.title, cells.join(" | "));
            }
        }
    }
    page
}
