//! A workload's outcome: cases, columns, samples, and whether the targets were reached.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::transport::claims::Row;

/// One measurement's figures by [`Metric::key`].
pub(crate) type Sample = BTreeMap<String, f64>;

/// What a column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// What the machine allows.
    Limit,
    /// What the verdict is about.
    Ours,
    Peer,
}

/// One row of a case's table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Metric {
    pub(crate) key: String,
    /// With its unit.
    pub(crate) label: String,
    pub(crate) decimals: usize,
    pub(crate) target: Option<Target>,
}

/// What is to be reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
    /// At most this many times the named column's figure of the same run.
    TimesAtMost(f64, String),
    TimesAtLeast(f64, String),
}

impl Metric {
    pub(crate) fn new(key: &str, label: &str, decimals: usize) -> Metric {
        Metric { key: key.to_owned(), label: label.to_owned(), decimals, target: None }
    }

    pub(crate) fn target(mut self, target: Target) -> Metric {
        self.target = Some(target);
        self
    }
}

/// One contender's samples in a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) samples: Vec<Sample>,
    /// Why there are no more of them.
    pub(crate) error: Option<String>,
}

/// Median and spread of a metric over the runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Column {
    /// The figure of a metric; `None` when it was not measured.
    pub(crate) fn figure(&self, key: &str) -> Option<Figure> {
        let mut values: Vec<f64> =
            self.samples.iter().filter_map(|sample| sample.get(key).copied()).collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            (values[middle - 1] + values[middle]) / 2.0
        };
        Some(Figure { median, min, max })
    }
}

/// One table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// In words: topics, subscribers, sizes.
    pub(crate) title: String,
    pub(crate) metrics: Vec<Metric>,
    pub(crate) columns: Vec<Column>,
}

/// Whether a target was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Reached,
    Missed,
    /// There is no figure to judge, or none to judge it by.
    Unknown,
}

impl Case {
    /// The column that verdicts are about.
    pub(crate) fn ours(&self) -> Option<&Column> {
        self.columns.iter().find(|column| column.role == Role::Ours)
    }

    /// The bound of a target as a number, in this run.
    pub(crate) fn bound(&self, metric: &Metric) -> Option<f64> {
        let of = |name: &str| {
            let column = self.columns.iter().find(|column| column.name == name)?;
            Some(column.figure(&metric.key)?.median)
        };
        match metric.target.as_ref()? {
            Target::AtMost(bound) | Target::AtLeast(bound) => Some(*bound),
            Target::TimesAtMost(times, name) | Target::TimesAtLeast(times, name) => {
                Some(times * of(name)?)
            }
        }
    }

    /// `None` for a metric without target.
    pub(crate) fn verdict(&self, metric: &Metric) -> Option<Verdict> {
        let target = metric.target.as_ref()?;
        let ours = self.ours().and_then(|column| column.figure(&metric.key));
        let (Some(ours), Some(bound)) = (ours, self.bound(metric)) else {
            return Some(Verdict::Unknown);
        };
        let reached = match target {
            Target::AtMost(_) | Target::TimesAtMost(..) => ours.median <= bound,
            Target::AtLeast(_) | Target::TimesAtLeast(..) => ours.median >= bound,
        };
        Some(if reached { Verdict::Reached } else { Verdict::Missed })
    }
}

/// A whole run of a workload, as it is written to disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) workload: String,
    /// RFC 3339, UTC.
    pub(crate) time: String,
    /// The arguments it was run with.
    pub(crate) arguments: Vec<String>,
    pub(crate) machine: Machine,
    /// Anything that has to be known to read the figures.
    pub(crate) notes: Vec<String>,
    pub(crate) cases: Vec<Case>,
    /// Of the workload `transport`: each claim with its verdict.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) rows: BTreeMap<String, Row>,
}

impl Outcome {
    /// True when what the verdicts are about could not be measured somewhere.
    pub(crate) fn failed(&self) -> bool {
        let columns = self.cases.iter().flat_map(|case| &case.columns);
        let mut ours = columns.filter(|column| column.role == Role::Ours);
        ours.any(|column| column.error.is_some())
    }

    /// True unless some target was missed or could not be judged.
    pub(crate) fn reached_all(&self) -> bool {
        let metrics = self
            .cases
            .iter()
            .flat_map(|case| case.metrics.iter().filter_map(|metric| case.verdict(metric)));
        metrics.into_iter().all(|verdict| verdict == Verdict::Reached)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn column(name: &str, role: Role, values: &[f64]) -> Column {
        let samples = values.iter().map(|value| Sample::from([("cpu".to_owned(), *value)]));
        Column { name: name.to_owned(), role, samples: samples.collect(), error: None }
    }

    pub(crate) fn case(target: Target, ours: &[f64]) -> Case {
        Case {
            name: "paced".to_owned(),
            title: "one topic".to_owned(),
            metrics: vec![Metric::new("cpu", "CPU µs/delivery", 2).target(target)],
            columns: vec![
                column("limit, each", Role::Limit, &[4.0, 3.0, 8.0]),
                column("tidings", Role::Ours, ours),
            ],
        }
    }

    fn verdict(target: Target, ours: &[f64]) -> Option<Verdict> {
        let case = case(target, ours);
        case.verdict(&case.metrics[0])
    }

    #[test]
    fn the_middle_run_counts() {
        let figure = column("x", Role::Peer, &[9.0, 1.0, 5.0]).figure("cpu").unwrap();
        assert_eq!(figure, Figure { median: 5.0, min: 1.0, max: 9.0 });
        let even = column("x", Role::Peer, &[1.0, 2.0]).figure("cpu").unwrap();
        assert!((even.median - 1.5).abs() < 1e-9);
        assert_eq!(column("x", Role::Peer, &[1.0]).figure("other"), None);
    }

    #[test]
    fn targets_are_judged_by_the_medians_of_the_same_run() {
        let limit = || "limit, each".to_owned();
        let at_most = Target::TimesAtMost(1.15, limit());
        assert_eq!(verdict(at_most.clone(), &[4.6]), Some(Verdict::Reached));
        assert_eq!(verdict(at_most, &[4.7]), Some(Verdict::Missed));
        let at_least = Target::TimesAtLeast(0.8, limit());
        assert_eq!(verdict(at_least.clone(), &[3.3, 3.3, 0.1]), Some(Verdict::Reached));
        assert_eq!(verdict(at_least, &[3.1]), Some(Verdict::Missed));
        assert_eq!(verdict(Target::AtMost(1.0), &[]), Some(Verdict::Unknown));
        let unknown = Target::TimesAtMost(1.0, "nobody".to_owned());
        assert_eq!(verdict(unknown, &[1.0]), Some(Verdict::Unknown));
    }
}
