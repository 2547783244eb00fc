//! What a check found: a verdict, the measured values, and what to change.

use std::time::Duration;

use serde_json::Value;

use super::advice::Change;

/// What is checked, in the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Check {
    Connection,
    Http,
    Stream,
    FirstByte,
    Pace,
    Compression,
    Headers,
    Resume,
    Cors,
    Idle,
    Length,
    Size,
}

impl Check {
    /// All of them.
    pub(super) const ALL: [Self; 12] = [
        Self::Connection,
        Self::Http,
        Self::Stream,
        Self::FirstByte,
        Self::Pace,
        Self::Compression,
        Self::Headers,
        Self::Resume,
        Self::Cors,
        Self::Idle,
        Self::Length,
        Self::Size,
    ];

    /// Its name in the report, and in JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Http => "http",
            Self::Stream => "event-stream",
            Self::FirstByte => "first-byte",
            Self::Pace => "pace",
            Self::Compression => "compression",
            Self::Headers => "headers",
            Self::Resume => "resume",
            Self::Cors => "cors",
            Self::Idle => "idle",
            Self::Length => "length",
            Self::Size => "publish-size",
        }
    }
}

/// How a check ended; the worst one last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    NotTested,
    Ok,
    Warning,
    Broken,
}

impl Verdict {
    /// As it is shown.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NotTested => "not tested",
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Broken => "broken",
        }
    }
}

/// What one check found.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) check: Check,
    pub(super) verdict: Verdict,
    /// One sentence, with the values that count.
    pub(super) says: String,
    /// What follows from it, or what it probably comes from.
    pub(super) why: Option<String>,
    /// The values for scripts; the unit is the end of the name.
    pub(super) measured: Vec<(&'static str, Value)>,
    /// What to change.
    pub(super) change: Option<Change>,
}

impl Finding {
    pub(super) fn new(check: Check, verdict: Verdict, says: impl Into<String>) -> Self {
        let says = says.into();
        Self { check, verdict, says, why: None, measured: Vec::new(), change: None }
    }

    pub(super) fn ok(check: Check, says: impl Into<String>) -> Self {
        Self::new(check, Verdict::Ok, says)
    }

    pub(super) fn warning(check: Check, says: impl Into<String>) -> Self {
        Self::new(check, Verdict::Warning, says)
    }

    pub(super) fn broken(check: Check, says: impl Into<String>) -> Self {
        Self::new(check, Verdict::Broken, says)
    }

    /// For a check that could not be made, or was not asked for.
    pub(super) fn not_tested(check: Check, why: impl Into<String>) -> Self {
        Self::new(check, Verdict::NotTested, why)
    }

    pub(super) fn why(mut self, why: impl Into<String>) -> Self {
        self.why = Some(why.into());
        self
    }

    pub(super) fn change(mut self, change: Change) -> Self {
        self.change = Some(change);
        self
    }

    pub(super) fn measured(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.measured.push((name, value.into()));
        self
    }

    /// Whether one of these was measured and is not 0.
    pub(super) fn has_measured(&self, names: &[&str]) -> bool {
        self.measured.iter().any(|(name, value)| names.contains(name) && *value != 0)
    }

    /// A duration, in milliseconds to the microsecond.
    pub(super) fn measured_ms(self, name: &'static str, duration: Duration) -> Self {
        self.measured(name, duration.as_micros() as f64 / 1_000.0)
    }
}

/// A duration as a person reads it.
pub(super) fn shown(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1_000.0;
    match ms {
        _ if ms < 10.0 => format!("{ms:.1} ms"),
        _ if ms < 1_000.0 => format!("{ms:.0} ms"),
        _ if ms < 120_000.0 => format!("{:.1} s", ms / 1_000.0),
        _ => format!("{:.0} min", ms / 60_000.0),
    }
}

/// A number with its noun.
pub(super) fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (ms, text) in [
            (0.25, "0.2 ms"),
            (12.4, "12 ms"),
            (1_234.0, "1.2 s"),
            (60_000.0, "60.0 s"),
            (300_000.0, "5 min"),
        ] {
            assert_eq!(shown(Duration::from_secs_f64(ms / 1_000.0)), text);
        }
    }

    #[test]
    fn the_worst_verdict_is_the_greatest() {
        let all = [Verdict::Ok, Verdict::Broken, Verdict::NotTested, Verdict::Warning];
        assert_eq!(all.iter().max(), Some(&Verdict::Broken));
        assert_eq!([Verdict::NotTested, Verdict::Ok].iter().max(), Some(&Verdict::Ok));
    }
}
