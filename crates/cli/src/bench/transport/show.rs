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
        .filter(|(name, when, _)| {
            outcome.rows.get(*name).is_some_and(|row| when.contains(&row.verdict))
        })
        .map(|(_, _, what)| *what)
        .collect();
    if !wins.is_empty() {
        let _ = writeln!(text, "\nWhere a WebSocket wins: {}.", wins.join("; "));
    }
    text.push('\n');
    text
}

/// What a WebSocket is better at, and the verdicts that say so.
const WINS: [(&str, &[Verdict], &str); 4] = [
    ("H2", EVER, "the fewest bytes for a small message, where nothing has to be resumed"),
    ("upstream", &[Verdict::Confirmed], "small messages upstream, many times over"),
    ("binary", EVER, "binary data as it is, in a protocol made for it"),
    ("H11", EVER, "a proxy that buffers answers whatever they ask for"),
];
const EVER: &[Verdict] = &[Verdict::Confirmed, Verdict::Depends];

#[cfg(test)]
mod tests {
    use super::super::claims::{BARE, SSE, WS, rows};
    use super::*;
    use crate::bench::machine::Machine;
    use crate::bench::result::{Case, Column, Metric, Role, Sample};

    #[test]
    fn every_measured_claim_is_a_line_and_what_a_websocket_wins_is_said() {
        let column = |name: &str, value| Column {
            name: name.to_owned(),
            role: Role::Ours,
            samples: vec![Sample::from([("binary_over".to_owned(), value)])],
            error: None,
        };
        let cases = vec![Case {
            name: "H2".to_owned(),
            title: "bytes".to_owned(),
            metrics: vec![Metric::new("binary_over", "binary", 1)],
            columns: vec![column(SSE, 361.0), column(WS, 467.0), column(BARE, 4.0)],
        }];
        let mut outcome = Outcome {
            workload: "transport".to_owned(),
            time: String::new(),
            arguments: Vec::new(),
            machine: Machine::default(),
            notes: Vec::new(),
            rows: rows(&cases),
            cases,
        };
        let text = summary(&outcome, Paint::plain());
        assert!(text.contains("depends    361 B  467 B; bare: 4 B"), "{text}");
        assert!(text.contains("Where a WebSocket wins: binary data"), "{text}");
        assert_eq!(text.lines().count(), 5, "{text}");
        outcome.rows.clear();
        assert_eq!(summary(&outcome, Paint::plain()), "");
    }
}
