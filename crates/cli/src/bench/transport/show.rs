//! The verdicts as a table for people, after the figures they were made of.

use std::fmt::Write as _;

use super::claims::{CLAIMS, Row, Verdict};
use crate::bench::result::Outcome;
use crate::terminal::{Paint, Style};

/// Every claim with its verdict and its figures in short; nothing for other workloads.
pub(crate) fn summary(outcome: &Outcome, paint: Paint) -> String {
    let measured: Vec<(&str, &str, &Row)> = CLAIMS
        .iter()
        .filter_map(|(name, claim)| Some((*name, *claim, outcome.rows.get(*name)?)))
        .collect();
    let width = |of: &dyn Fn(&(&str, &str, &Row)) -> usize| measured.iter().map(of).max();
    let claim_width = width(&|(_, claim, _)| claim.chars().count()).unwrap_or(0);
    let sse_width = width(&|(_, _, row)| row.sse.chars().count()).unwrap_or(0).max(3);
    let mut text = String::new();
    if measured.is_empty() {
        return text;
    }
    let head = format!(
        "{:<10}{:<claim_width$}  {:<9}  {:<sse_width$}  WebSocket",
        "", "claim", "verdict", "SSE"
    );
    let _ = writeln!(text, "{}", paint.text(Style::Strong, &head));
    for (name, claim, row) in &measured {
        let (style, word) = match row.verdict {
            Verdict::Confirmed => (Style::Green, "confirmed"),
            Verdict::Refuted => (Style::Red, "refuted"),
            Verdict::Depends => (Style::Yellow, "depends"),
        };
        let verdict = paint.text(style, &format!("{word:<9}"));
        let mut ws = row.ws.clone();
        for (what, figure) in [("bare", &row.bare), ("long-poll", &row.poll)] {
            if let Some(figure) = figure {
                let _ = write!(ws, "; {what}: {figure}");
            }
        }
        let sse = &row.sse;
        let _ =
            writeln!(text, "{name:<10}{claim:<claim_width$}  {verdict}  {sse:<sse_width$}  {ws}");
    }
    let wins: Vec<&str> = WINS
        .iter()
        .filter(|(name, _)| {
            outcome.rows.get(*name).is_some_and(|row| row.verdict != Verdict::Refuted)
        })
        .map(|(_, what)| *what)
        .collect();
    if !wins.is_empty() {
        let _ = writeln!(text, "\nWhere a WebSocket wins: {}.", wins.join("; "));
    }
    text.push('\n');
    text
}

/// What a WebSocket is better at, as long as the row is not refuted.
const WINS: [(&str, &str); 3] = [
    ("H2", "the fewest bytes for a small message, where nothing has to be resumed"),
    ("upstream", "small messages upstream, many times over"),
    ("binary", "binary data as it is, in a protocol made for it"),
];
