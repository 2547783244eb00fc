//! The rules over made-up figures: each claim one way, the other way, and in between.

use super::*;
use crate::bench::result::{Column, Metric, Role, Sample};

/// The runs of one metric of a column.
type Runs<'a> = (&'a str, &'a str, &'a [f64]);
/// The runs behind each kind of proxy.
type Settings<'a> = [&'a [f64]; 3];

fn case(name: &str, runs: &[Runs<'_>]) -> Case {
    let mut columns: Vec<Column> = Vec::new();
    let mut metrics: Vec<Metric> = Vec::new();
    for (column, key, values) in runs {
        if !metrics.iter().any(|metric| metric.key == *key) {
            metrics.push(Metric::new(key, key, 0));
        }
        let at = columns.iter().position(|one| one.name == *column).unwrap_or_else(|| {
            let (name, role) = ((*column).to_owned(), Role::Ours);
            columns.push(Column { name, role, samples: Vec::new(), error: None });
            columns.len() - 1
        });
        let samples = &mut columns[at].samples;
        samples.resize(samples.len().max(values.len()), Sample::new());
        for (sample, value) in samples.iter_mut().zip(*values) {
            sample.insert((*key).to_owned(), *value);
        }
    }
    Case { name: name.to_owned(), title: name.to_owned(), metrics, columns }
}

#[track_caller]
fn verdict(claim: &str, cases: &[Case], expected: Verdict) {
    let row = rows(cases).remove(claim);
    assert_eq!(row.as_ref().map(|row| row.verdict), Some(expected), "{claim}: {cases:?}");
}

const C: Verdict = Verdict::Confirmed;
const R: Verdict = Verdict::Refuted;
const D: Verdict = Verdict::Depends;

#[test]
fn a_pair_is_judged_by_medians_that_lie_outside_of_each_others_runs() {
    // The claim, its case and metric, and what comes out when the WebSocket has more.
    let claims = [("H1", "H1", "kib", C), ("H7", "H7", "ms", C), ("upstream", "H6", "up", R)];
    for (claim, name, key, more) in claims {
        let less = if more == C { R } else { C };
        let table: [(&[f64], &[f64], Verdict); 6] = [
            (&[10.0], &[12.0], more),
            (&[12.0], &[10.0], less),
            (&[10.0], &[11.0], D),
            (&[0.0], &[0.0], D),
            (&[9.0, 10.0, 11.0], &[19.0, 20.0, 21.0], more),
            // The machine was busy: a run of one lies beyond the median of the other.
            (&[9.0, 10.0, 25.0], &[19.0, 20.0, 21.0], D),
        ];
        for (sse, ws, expected) in table {
            verdict(claim, &[case(name, &[(SSE, key, sse), (WS, key, ws)])], expected);
        }
    }
}

#[test]
fn the_handshake_is_judged_with_few_headers_and_with_a_browsers() {
    for (ws, expected) in [([200.0, 600.0], C), ([50.0, 200.0], R), ([50.0, 600.0], D)] {
        let runs = [
            (SSE, "up_least", &[90.0][..]),
            (SSE, "up", &[400.0]),
            (SSE, "down", &[200.0]),
            (WS, "up_least", &ws[..1]),
            (WS, "up", &ws[1..]),
            (WS, "down", &[300.0]),
        ];
        verdict("handshake", &[case("handshake", &runs)], expected);
    }
}

#[test]
fn bytes_depend_where_a_bare_websocket_wins_and_one_that_can_resume_does_not() {
    for (ws, bare, expected) in [(130.0, 2.0, D), (10.0, 2.0, C), (130.0, 90.0, R)] {
        let names = KINDS.map(|kind| (kind.name().to_owned(), format!("{}_over", kind.name())));
        let (ws, bare) = ([ws], [bare]);
        let mut packed = Vec::new();
        let mut over = Vec::new();
        for (plain, key) in &names {
            for (column, runs) in [(SSE, &[24.0]), (WS, &ws), (BARE, &bare)] {
                packed.push((column, plain.as_str(), &runs[..]));
                over.push((column, key.as_str(), &runs[..]));
            }
        }
        verdict("H3", &[case("H3", &packed)], expected);
        verdict("H2", &[case("H2", &over)], expected);
        let binary: Vec<Runs<'_>> =
            over[..3].iter().map(|(column, _, runs)| (*column, "binary_over", *runs)).collect();
        verdict("binary", &[case("H2", &binary)], expected);
    }
}

#[test]
fn all_loads_must_agree() {
    let load = |load: &crate::bench::transport::crowds::Load, ws: &[f64; 3]| {
        let keys = ["p50_ms", "p99_ms", "cpu_us"];
        let mut runs: Vec<Runs<'_>> = keys.iter().map(|key| (SSE, *key, &[10.0][..])).collect();
        runs.extend(keys.iter().zip(ws.chunks(1)).map(|(key, value)| (WS, *key, value)));
        case(&load.name(), &runs)
    };
    let both = |one: [f64; 3], two: [f64; 3]| vec![load(&LOADS[0], &one), load(&LOADS[1], &two)];
    verdict("H4", &both([5.0, 5.0, 5.0], [5.0, 5.0, 20.0]), C);
    verdict("H5", &both([5.0, 5.0, 5.0], [5.0, 5.0, 20.0]), D);
    verdict("H4", &both([20.0; 3], [20.0; 3]), R);
    verdict("H5", &both([20.0; 3], [20.0; 3]), R);
    verdict("H4", &both([5.0, 20.0, 5.0], [5.0; 3]), D);
}

#[test]
fn a_round_trip_is_judged_by_its_median_and_its_tail() {
    for (ws, expected) in [([5.0, 50.0], C), ([20.0, 200.0], R), ([5.0, 200.0], D)] {
        let runs = [
            (SSE, "p50_us", &[10.0][..]),
            (SSE, "p99_us", &[100.0]),
            (WS, "p50_us", &ws[..1]),
            (WS, "p99_us", &ws[1..]),
        ];
        verdict("H6", &[case("H6", &runs)], expected);
    }
}

#[test]
fn one_loss_in_one_run_is_a_loss() {
    // What SSE, the WebSocket that resumes, and the bare one have lost.
    let table: [([f64; 3], Verdict); 5] = [
        ([0.0, 0.0, 100.0], D),
        ([0.0, 1.0, 100.0], C),
        ([1.0, 0.0, 100.0], R),
        ([0.0, 0.0, 0.0], R),
        ([0.0, 1.0, 0.0], C),
    ];
    for ([sse, ws, bare], expected) in table {
        let lost = [[0.0, sse, 0.0], [ws, 0.0, 0.0], [bare, 0.0, 0.0]];
        let mut runs = Vec::new();
        for (column, lost) in [SSE, WS, BARE].into_iter().zip(&lost) {
            runs.push((column, "lost", &lost[..]));
            runs.push((column, "twice", &[0.0; 3][..]));
        }
        verdict("H8", &[case("H8", &runs)], expected);
        runs[1].2 = &[0.0, 0.0, 1.0];
        verdict("H8", &[case("H8", &runs)], R);
    }
}

#[test]
fn heartbeats_are_judged_by_packets() {
    for (ws, expected) in [(8.0, R), (2.0, C), (4.0, D)] {
        let ws = [ws];
        let runs = [
            (SSE, "packets", &[4.0][..]),
            (SSE, "bytes", &[8.0]),
            (WS, "packets", &ws),
            (WS, "bytes", &[32.0]),
        ];
        verdict("H9", &[case("H9", &runs)], expected);
    }
}

#[test]
fn proxies_are_judged_by_all_events_in_all_runs_and_by_silence() {
    let setting = |how: Setting, delivered: &[f64], outlives: &[f64]| {
        let sent = &[20.0; 3][..];
        let mut runs = Vec::new();
        for column in [SSE, WS] {
            runs.extend([(column, "sent", sent), (column, "delivered", delivered)]);
            runs.push((column, "outlives", outlives));
        }
        case(how.name(), &runs)
    };
    let (all, none, one) = (&[20.0; 3][..], &[0.0; 3][..], &[1.0; 3][..]);
    // Of each setting: delivered, and whether it outlived the silence.
    let table: [(Settings<'_>, Settings<'_>, Verdict); 5] = [
        ([all, all, all], [one, one, one], R),
        ([all, all, none], [one, one, none], D),
        ([none, none, none], [none, none, none], C),
        ([all, all, &[20.0, 19.0, 20.0]], [one, one, one], D),
        ([all, all, all], [one, &[1.0, 0.0, 1.0], one], D),
    ];
    for (delivered, outlives, expected) in table {
        let cases: Vec<Case> = SETTINGS
            .iter()
            .zip(delivered.into_iter().zip(outlives))
            .map(|(how, (delivered, outlives))| setting(*how, delivered, outlives))
            .collect();
        verdict("H11", &cases, expected);
    }
}

#[test]
fn what_was_not_measured_has_no_row() {
    assert!(rows(&[]).is_empty());
    assert!(rows(&[case("H1", &[(SSE, "kib", &[1.0])])]).is_empty());
    let names: Vec<&str> = CLAIMS.iter().map(|(name, _)| *name).collect();
    assert!(names.contains(&"H11") && !names.contains(&"H10"));
}

#[test]
fn a_row_has_every_figure_with_its_spread() {
    let runs = [(SSE, "kib", &[1.0, 3.0, 2.0][..]), (WS, "kib", &[9.0, 8.0, 7.0])];
    let row = rows(&[case("H1", &runs)]).remove("H1").unwrap();
    assert_eq!((row.sse.as_str(), row.ws.as_str()), ("2.00 KiB", "8.00 KiB"));
    let figures = &row.figures[0];
    assert_eq!(figures.columns[SSE], [2.0, 1.0, 3.0]);
    assert_eq!(figures.columns[WS], [8.0, 7.0, 9.0]);
}
