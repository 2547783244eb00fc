//! The file that the demo's page shows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bench::BenchError;
use crate::bench::result::Outcome;

/// What the file says who made it.
const BY: &str = "tidings bench transport";

/// The whole file. Rows that somebody else has measured (with `by` of their own) are kept as they
/// are.
#[derive(Debug, Serialize, Deserialize)]
struct File {
    /// RFC 3339, UTC.
    made: String,
    by: String,
    machine: String,
    /// What has to be known to read the figures.
    #[serde(default)]
    notes: Vec<String>,
    rows: BTreeMap<String, Value>,
}

/// Writes the rows of `outcome`, in the place of those of an earlier run.
pub(super) fn file(path: &Path, outcome: &Outcome) -> Result<(), BenchError> {
    let old = fs::read_to_string(path).unwrap_or_default();
    let mut text = merged(&old, outcome).map_err(BenchError::Json)?;
    text.push('\n');
    fs::write(path, text).map_err(|error| BenchError::Io("writing the verdicts", error))
}

fn merged(old: &str, outcome: &Outcome) -> serde_json::Result<String> {
    let mut rows: BTreeMap<String, Value> = serde_json::from_str::<File>(old)
        .map(|file| file.rows)
        .unwrap_or_default()
        .into_iter()
        .filter(|(_, row)| row["by"].is_string())
        .collect();
    for (name, row) in &outcome.rows {
        rows.insert(name.clone(), serde_json::to_value(row)?);
    }
    serde_json::to_string_pretty(&File {
        made: outcome.time.clone(),
        by: BY.to_owned(),
        machine: outcome.machine.describe(),
        notes: outcome.notes.clone(),
        rows,
    })
}
