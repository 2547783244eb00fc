//! The order of measurements: every contender once, then all again.
//!
//! A shared machine drifts; contenders measured one after the other drift together, and a median
//! over rounds drops the round that something else disturbed.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::result::{Case, Column, Sample};
use super::{Bench, BenchError};

/// How often the progress line moves while a measurement runs.
const TICK: Duration = Duration::from_millis(250);

/// Measures every column of every case `--runs` times with `measure(case, column)`, and adds the
/// samples to the columns. A column that fails keeps its error and is not tried again.
pub(crate) fn measure(
    bench: &Bench,
    cases: &mut [Case],
    mut measure: impl FnMut(usize, usize) -> Result<Sample, BenchError>,
) {
    let rounds = bench.options.rounds();
    let columns: usize = cases.iter().map(|case| case.columns.len()).sum();
    let progress = progress(u64::from(rounds) * columns as u64);
    for (case_index, case) in cases.iter_mut().enumerate() {
        for round in 1..=rounds {
            for (index, column) in case.columns.iter_mut().enumerate() {
                let message = format!("{} · {} · run {round}", case.name, column.name);
                progress.set_message(message);
                one(column, || measure(case_index, index));
                progress.inc(1);
            }
        }
    }
    progress.finish_and_clear();
}

fn one(column: &mut Column, measure: impl FnOnce() -> Result<Sample, BenchError>) {
    if column.error.is_some() {
        return;
    }
    match measure() {
        Ok(sample) => column.samples.push(sample),
        Err(error) => column.error = Some(error.to_string()),
    }
}

fn progress(length: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length);
    let style = ProgressStyle::with_template("{spinner} [{bar:30}] {pos}/{len} {msg} {elapsed}");
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(TICK);
    bar
}
