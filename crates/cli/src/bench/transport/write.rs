//! The file that the demo's page shows.

use std::collections::BTreeMap;
use std::fs;
use std::io;
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
///
/// A file that is there and cannot be read is left alone: rows of a browser may be in it, which
/// nothing here can measure again.
pub(super) fn file(path: &Path, outcome: &Outcome) -> Result<(), BenchError> {
    let old = match fs::read_to_string(path) {
        Ok(old) => Some(old),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(BenchError::Io("reading the earlier verdicts", error)),
    };
    let mut text = merged(old.as_deref(), outcome).map_err(|error| {
        let path = path.display();
        BenchError::Workload(format!("{path}: {error}; move it away, and it is written anew"))
    })?;
    text.push('\n');
    fs::write(path, text).map_err(|error| BenchError::Io("writing the verdicts", error))
}

fn merged(old: Option<&str>, outcome: &Outcome) -> serde_json::Result<String> {
    let old: Option<File> = old.map(serde_json::from_str).transpose()?;
    let mut rows = old.map(|file| file.rows).unwrap_or_default();
    rows.retain(|_, row| row["by"].is_string());
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

#[cfg(test)]
mod tests {
    use super::super::claims::{Row, Verdict};
    use super::*;
    use crate::bench::machine::Machine;

    fn outcome(sse: &str) -> Outcome {
        let row = Row {
            verdict: Verdict::Depends,
            sse: sse.to_owned(),
            ws: "2 B".to_owned(),
            bare: None,
            poll: None,
            figures: Vec::new(),
        };
        Outcome {
            workload: "transport".to_owned(),
            time: "2026-01-02T00:00:00Z".to_owned(),
            arguments: Vec::new(),
            machine: Machine::default(),
            notes: Vec::new(),
            cases: Vec::new(),
            rows: BTreeMap::from([("H2".to_owned(), row)]),
        }
    }

    #[test]
    fn rows_are_replaced_and_those_of_others_stay() {
        let old = r#"{"made":"2025","by":"x","machine":"m","rows":{
            "H1":{"verdict":"depends","sse":"1","ws":"2"},
            "H10":{"verdict":"refuted","sse":"1","ws":"2","by":"Chromium"}}}"#;
        let first = merged(Some(old), &outcome("24 B")).unwrap();
        let again = merged(Some(&first), &outcome("25 B")).unwrap();
        let file: Value = serde_json::from_str(&again).unwrap();
        assert_eq!(
            (file["by"].as_str(), file["made"].as_str()),
            (Some(BY), Some("2026-01-02T00:00:00Z"))
        );
        assert_eq!(file["rows"]["H2"]["sse"], "25 B");
        assert_eq!(file["rows"]["H2"]["verdict"], "depends");
        assert_eq!(file["rows"]["H10"]["by"], "Chromium");
        assert_eq!(file["rows"].as_object().unwrap().len(), 2);
    }

    #[test]
    fn a_file_that_is_not_understood_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("transport.json");
        file(&path, &outcome("24 B")).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("24 B"));
        for old in ["", "{}", "nonsense", r#"{"made":"2025","rows":{}}"#] {
            fs::write(&path, old).unwrap();
            file(&path, &outcome("25 B")).unwrap_err();
            assert_eq!(fs::read_to_string(&path).unwrap(), old);
        }
    }
}
