//! The report: for a person on a terminal or in a file, and for a program.

use serde_json::{Value, json};

use super::advice::{Change, Place, lines};
use super::finding::{Check, Finding, Verdict};
use super::plan::Plan;
use super::proxy::{Proxy, Sign};
use crate::exit::Reason;
use crate::terminal::{Paint, Style, harmless};

/// Columns of the report; configuration lines may be longer.
const COLUMNS: usize = 100;
/// Where the texts of the findings begin.
const INDENT: usize = 28;

/// Who answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A Tidings server of this version.
    Tidings(String),
    /// Something else.
    Any,
    /// Nobody.
    Nobody,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Report {
    kind: Kind,
    findings: Vec<Finding>,
    signs: Vec<Sign>,
    /// What else there is to tell.
    pub(super) notes: Vec<String>,
}

impl Report {
    pub(super) fn new(kind: Kind, findings: Vec<Finding>, signs: Vec<Sign>) -> Self {
        Self { kind, findings, signs, notes: Vec::new() }
    }

    /// With these findings too.
    pub(super) fn with(mut self, findings: impl IntoIterator<Item = Finding>) -> Self {
        self.findings.extend(findings);
        self
    }

    /// Every check once, in their order; those without a finding were not asked for.
    fn complete(&self) -> Vec<Finding> {
        let found = |check: Check| self.findings.iter().find(|found| found.check == check);
        let all = Check::ALL.into_iter();
        all.map(|check| found(check).cloned().unwrap_or_else(|| unasked(check))).collect()
    }

    /// The worst verdict.
    pub(super) fn verdict(&self) -> Verdict {
        self.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::NotTested)
    }

    /// How the program ends.
    pub(super) fn reason(&self) -> Option<Reason> {
        let connection = self.findings.iter().find(|found| found.check == Check::Connection);
        match self.verdict() {
            _ if connection.is_some_and(|found| found.verdict == Verdict::Broken) => {
                Some(Reason::Unreachable)
            }
            Verdict::Broken => Some(Reason::StreamBroken),
            Verdict::Warning => Some(Reason::StreamWarning),
            Verdict::Ok | Verdict::NotTested => None,
        }
    }

    /// Where a change can be made: the proxies that were recognised, then the server, then every
    /// other proxy.
    fn places(&self, change: Change) -> Vec<(Place, &'static [&'static str])> {
        let ours = |place: &Place| match place {
            Place::Tidings => matches!(self.kind, Kind::Tidings(_)),
            Place::Program => self.kind == Kind::Any,
            Place::Of(_) => true,
        };
        let mut places: Vec<_> = lines(change).filter(|(place, _)| ours(place)).collect();
        places.sort_by_key(|(place, _)| match place {
            Place::Of(proxy) => self.rank(*proxy),
            Place::Tidings | Place::Program => self.signs.len(),
        });
        places
    }

    fn rank(&self, proxy: Proxy) -> usize {
        let rank = self.signs.iter().position(|sign| sign.proxy == Some(proxy));
        rank.unwrap_or(self.signs.len() + 1)
    }

    /// Whether a place is shown to a person: those that were asked for, or else those that were
    /// recognised, or else all.
    fn is_shown(&self, place: Place, asked: &[Proxy]) -> bool {
        let Place::Of(proxy) = place else { return true };
        let known = self.signs.iter().any(|sign| sign.proxy.is_some());
        match (asked.is_empty(), known) {
            (false, _) => asked.contains(&proxy),
            (true, true) => self.rank(proxy) < self.signs.len(),
            (true, false) => true,
        }
    }

    /// For a program. Names and units are stable.
    pub(super) fn json(&self, plan: &Plan) -> Value {
        let signs = self.signs.iter();
        let checks = self.complete();
        json!({
            "url": plan.url,
            "tidings": match &self.kind {
                Kind::Tidings(version) => Some(version),
                Kind::Any | Kind::Nobody => None,
            },
            "verdict": self.verdict().name(),
            "proxies": signs
                .map(|sign| json!({ "name": sign.name, "evidence": sign.evidence }))
                .collect::<Vec<_>>(),
            "checks": checks.iter().map(|finding| self.check_json(finding)).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }

    fn check_json(&self, finding: &Finding) -> Value {
        let measured = finding.measured.iter();
        let measured: serde_json::Map<String, Value> =
            measured.map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let places = finding.change.map(|change| self.places(change)).unwrap_or_default();
        let places = places.iter();
        json!({
            "check": finding.check.name(),
            "verdict": finding.verdict.name(),
            "says": finding.says,
            "why": finding.why,
            "measured": measured,
            "change": places
                .map(|(place, lines)| json!({ "where": place.name(), "lines": lines }))
                .collect::<Vec<_>>(),
        })
    }

    /// For a person.
    pub(super) fn text(&self, plan: &Plan, paint: Paint) -> String {
        let mut text = self.opening(plan, paint);
        let findings = self.complete();
        let mut told: Vec<(Change, Check)> = Vec::new();
        for finding in &findings {
            // A list of what could not be tested says nothing when it is everything.
            if self.kind != Kind::Nobody || finding.check == Check::Connection {
                text.push_str(&self.finding(finding, paint));
                text.push_str(&self.change(finding, &mut told, plan, paint));
            }
        }
        let hidden = findings.iter().filter_map(|finding| finding.change).any(|change| {
            self.places(change).iter().any(|(place, _)| !self.is_shown(*place, &plan.proxies))
        });
        if hidden && plan.proxies.is_empty() {
            let hint = "Another proxy on the way? --proxy caddy (nginx, haproxy, alb, cloudflare)";
            text.push_str(&format!("\n{}\n", paint.text(Style::Faint, hint)));
        }
        for note in &self.notes {
            text.push_str(&format!("\nnote: {note}\n"));
        }
        text.push_str(&format!("\n{}\n", summary(&findings)));
        text
    }

    fn opening(&self, plan: &Plan, paint: Paint) -> String {
        let who = match &self.kind {
            Kind::Tidings(version) => format!("  Tidings {version}"),
            Kind::Any => "  not recognised as Tidings: watched, nothing published".to_owned(),
            Kind::Nobody => String::new(),
        };
        let mut text = format!("{}{who}\n", paint.text(Style::Strong, &harmless(&plan.url)));
        for sign in &self.signs {
            text.push_str(&format!("through {} ({})\n", sign.name, sign.evidence));
        }
        text.push('\n');
        text
    }

    fn finding(&self, finding: &Finding, paint: Paint) -> String {
        let verdict = format!("{:<12}", finding.verdict.name());
        let verdict = match finding.verdict {
            Verdict::Ok => paint.text(Style::Green, &verdict),
            Verdict::Warning => paint.text(Style::Yellow, &verdict),
            Verdict::Broken => paint.text(Style::Red, &verdict),
            Verdict::NotTested => paint.text(Style::Faint, &verdict),
        };
        let mut text = format!("  {verdict}{:<14}", finding.check.name());
        text.push_str(wrap(&finding.says).trim_start());
        if let Some(why) = &finding.why {
            text.push_str(&wrap(why));
        }
        text
    }

    /// The lines to change; once for each change.
    fn change(
        &self,
        finding: &Finding,
        told: &mut Vec<(Change, Check)>,
        plan: &Plan,
        paint: Paint,
    ) -> String {
        let Some(change) = finding.change else { return String::new() };
        if let Some((_, check)) = told.iter().find(|(told, _)| *told == change) {
            return wrap(&format!("to change: see {}", check.name()));
        }
        told.push((change, finding.check));
        let mut text = String::new();
        for (place, lines) in self.places(change) {
            if !self.is_shown(place, &plan.proxies) {
                continue;
            }
            let name = paint.text(Style::Strong, &format!("{}:", place.name()));
            text.push_str(&format!("{:INDENT$}{name}\n", ""));
            for line in lines {
                text.push_str(&format!("{:INDENT$}    {}\n", "", paint.text(Style::Cyan, line)));
            }
        }
        text
    }
}

fn unasked(check: Check) -> Finding {
    let how = match check {
        Check::Cors => "give --origin https://app.example",
        Check::Idle => "give --idle 70s to find limits on silence",
        Check::Length => "give --for 5m to find limits on the whole answer",
        Check::Size => "give --publish-size 4MiB",
        _ => "there was no connection",
    };
    Finding::not_tested(check, how)
}

/// Lines of the text's column, each with its indent and its end.
fn wrap(text: &str) -> String {
    let mut wrapped = String::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let columns = INDENT + line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && columns > COLUMNS {
            wrapped.push_str(&format!("{:INDENT$}{line}\n", ""));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    format!("{wrapped}{:INDENT$}{line}\n", "")
}

fn summary(findings: &[Finding]) -> String {
    let verdicts = [Verdict::Broken, Verdict::Warning, Verdict::Ok, Verdict::NotTested];
    let count = |verdict| findings.iter().filter(|found| found.verdict == verdict).count();
    let parts: Vec<String> = verdicts
        .into_iter()
        .map(|verdict| (count(verdict), verdict))
        .filter(|(count, _)| *count > 0)
        .map(|(count, verdict)| match (count, verdict) {
            (2.., Verdict::Warning) => format!("{count} warnings"),
            _ => format!("{count} {}", verdict.name()),
        })
        .collect();
    parts.join(", ")
}
