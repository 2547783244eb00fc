//! How far publishing many lines has come: one line on a terminal, drawn over itself.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// With a known size of the input; the position counts its bytes.
const KNOWN: &str = "{bar:24} {percent:>3} %  {msg}  {eta} left";
/// With an input that may never end.
const UNKNOWN: &str = "{spinner} {msg}";

/// Counts events and shows them where there is somebody to see it.
pub(super) struct Progress {
    events: u64,
    begun: Instant,
    bar: ProgressBar,
}

impl Progress {
    /// Begins; a bar is drawn if the size of everything is known.
    pub(super) fn begin(bytes_total: Option<u64>) -> Self {
        // Lines that a person types need no counter between them.
        let typed = bytes_total.is_none() && io::stdin().is_terminal();
        let target =
            if typed { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let template = if bytes_total.is_some() { KNOWN } else { UNKNOWN };
        let style = ProgressStyle::with_template(template)
            .expect("the templates are constants, and a test draws them");
        let bar = ProgressBar::with_draw_target(bytes_total, target).with_style(style);
        Self { events: 0, begun: Instant::now(), bar }
    }

    /// Counts what was published, and how much of the input it took.
    pub(super) fn add(&mut self, events: usize, bytes: u64) {
        self.events += events as u64;
        let rate = self.events as f64 / self.elapsed().as_secs_f64().max(0.001);
        let (events, rate) = (thousands(self.events), thousands(rate as u64));
        self.bar.set_message(format!("{events} events, {rate}/s"));
        self.bar.inc(bytes);
    }

    /// Wipes the line, so that what follows starts on a clean one.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Events so far.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// Time since the beginning.
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}

/// A number with commas between thousands.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn both_ways_to_show_it_count() {
        for total in [None, Some(100)] {
            let mut progress = Progress::begin(total);
            progress.add(2, 30);
            progress.add(3, 30);
            assert_eq!(progress.events(), 5);
            assert_eq!(progress.bar.position(), 60);
            assert!(progress.bar.message().starts_with("5 events, "));
            progress.clear();
        }
    }
}
