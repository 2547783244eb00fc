//! What the upstream says, chosen by the request's own text: `scenario:NAME variant:NAME
//! client:NAME`, which every client and every dialect carries through unchanged.

use std::time::Duration;

use tidings_scripted::{At, Fault, Finish, Framing, LineEnd, Received, Script, Upstream, Writes};

use super::{SILENCE, silence};

/// What is said: words, and characters of two, three and four bytes.
pub(super) const TEXT: &str = "The tide comes in, 潮水湧來, 世界🌊, and goes out past the café: \
    nothing is lost, nothing comes twice, and whoever left finds the place again.";

/// How many tokens a broken answer has before it breaks.
pub(super) const BROKEN_AFTER: u64 = 5;

/// What a request says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label<'a> {
    pub(super) scenario: &'a str,
    pub(super) variant: &'a str,
    pub(super) client: &'a str,
}

impl<'a> Label<'a> {
    /// The label in a request's body.
    pub(super) fn of(body: &'a [u8]) -> Option<Self> {
        let body = std::str::from_utf8(body).ok()?;
        let word = |name: &str| {
            let (_, after) = body.split_once(name)?;
            after.split([' ', '"', '\\']).next()
        };
        let (scenario, variant) = (word("scenario:")?, word("variant:")?);
        Some(Self { scenario, variant, client: word("client:")? })
    }

    /// What a client asks to get this.
    pub(super) fn text(self) -> String {
        format!("scenario:{} variant:{} client:{}", self.scenario, self.variant, self.client)
    }

    /// What ids are made of.
    pub(super) fn id(self) -> String {
        format!("{}.{}", self.variant, self.client)
    }
}

/// Starts an upstream that plays the scenarios.
pub(super) fn upstream() -> Upstream {
    let upstream = Upstream::start().unwrap();
    upstream.play(script);
    upstream
}

fn script(request: &Received) -> Script {
    match Label::of(&request.body) {
        Some(label) if request.method == "POST" => said(label).usage(11, 22).id(&label.id()),
        _ => tidings_scripted::default_script(request),
    }
}

fn said(label: Label<'_>) -> Script {
    let text = Script::text(TEXT);
    let at = At::Token(BROKEN_AFTER);
    let insert = |bytes: &str| Script::text(TEXT).fault(Fault::insert(At::Token(2), bytes));
    let pace = Duration::from_millis(20);
    match label.scenario {
        "tools" => Script::text("Let me look.")
            .then_call("weather", r#"{"city": "Taipei 臺北", "days": 3}"#)
            .then_call("tides", r#"{"harbour": "Keelung"}"#),
        "reasoning" => Script::parts(Vec::new())
            .then_reasoning("First the moon, then the sun, 然後是風.")
            .then_text(TEXT),
        "length" => text.finish(Finish::Length),
        "silence" => text.fault(Fault::pause(At::Token(3), silence())),
        "first-token" => text.first_after(silence()),
        // Runs for long enough that somebody who comes back at once finds it running.
        "kept" => text.fault(Fault::pause(At::Token(8), Duration::from_secs(5))),
        "paced" => text.pace(pace),
        "split" => text.writes(Writes::Sizes(vec![1, 2, 3]), Duration::ZERO),
        "crlf" => text.line_end(LineEnd::CrLf),
        "cr" => text.line_end(LineEnd::Cr),
        "comments" => text.comment("keep-alive", 1, true),
        "ids" => text.framing(ids()),
        "ids-comments" => text.framing(ids()).comment("keep-alive", 2, true),
        "bom" => text.framing(Framing { bom: true, ..Framing::default() }),
        "retry-alone" => insert("retry: 3000\n\n"),
        "id-alone" => insert("id: 0\n\n"),
        "ping-empty" => insert("event: ping\n\n"),
        "ping-data" => insert("event: ping\ndata: {}\n\n"),
        "bare" => text.without_indices(),
        "unmarked" => text.without_end_marker(),
        "truncated" => text.fault(Fault::end(at)),
        "closed" => text.fault(Fault::close(at)),
        "reset" => text.fault(Fault::reset(at)),
        "error" => text.fault(Fault::error(at, "the model fell asleep")),
        "hang" => text.fault(Fault::hang(at)),
        refused => match refused.strip_prefix("refuse-").and_then(|status| status.parse().ok()) {
            Some(status) => Script::refuse(status, "not like this"),
            None => text,
        },
    }
}

fn ids() -> Framing {
    Framing { ids_from: Some(0), ..Framing::default() }
}

/// How often a variant was asked of an upstream by one client.
pub(super) fn asked(upstream: &Upstream, variant: &str, client: &str) -> usize {
    upstream.look(|seen| {
        let labels = seen.answers.iter().filter_map(|answer| Label::of(&answer.request.body));
        labels.filter(|label| label.variant == variant && label.client == client).count()
    })
}

/// Waits until the upstream sees that nobody wants the rest of an answer.
pub(super) fn closed(upstream: &Upstream, variant: &str, client: &str) -> bool {
    upstream.wait_for(|seen| {
        seen.answers.iter().any(|answer| {
            let label = Label::of(&answer.request.body);
            label.is_some_and(|label| label.variant == variant && label.client == client)
                && answer.closed_by_client.is_some()
        })
    })
}

/// Waits until the upstream has said an answer to its end.
pub(super) fn finished(upstream: &Upstream, variant: &str, client: &str) -> bool {
    upstream.wait_for(|seen| {
        seen.answers.iter().any(|answer| {
            let label = Label::of(&answer.request.body);
            label.is_some_and(|label| label.variant == variant && label.client == client)
                && answer.finished.is_some()
        })
    })
}

#[test]
fn a_silence_spans_several_heartbeats() {
    assert!(silence() >= SILENCE);
    let label = Label { scenario: "plain", variant: "v", client: "c" };
    assert_eq!(Label::of(format!("{{\"content\":\"{}\"}}", label.text()).as_bytes()), Some(label));
}
