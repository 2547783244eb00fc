//! Outcomes on disk: one JSON file for each run, and RESULTS.md with the newest of each workload.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::options::Options;
use super::result::Outcome;
use super::{BenchError, table};

/// Workloads in the order of the page.
const ORDER: [&str; 6] = ["fanout", "connect", "publish", "resume", "replay", "parse"];

/// Writes `outcome` below `--out` and makes the page anew. Quick runs are not recorded.
pub(crate) fn write(options: &Options, outcome: &Outcome) -> Result<(), BenchError> {
    if options.quick || !options.out.is_dir() {
        return Ok(());
    }
    let io = |error| BenchError::Io("recording the results", error);
    let results = options.out.join("results");
    fs::create_dir_all(&results).map_err(io)?;
    let date = outcome.time.split('T').next().unwrap_or_default();
    let file = results.join(format!("{date}-{}.json", outcome.workload));
    let mut text = serde_json::to_string_pretty(outcome).map_err(BenchError::Json)?;
    text.push('\n');
    fs::write(file, text).map_err(io)?;
    let page = page(&newest(&results)?);
    fs::write(options.out.join("RESULTS.md"), page).map_err(io)
}

/// The newest recorded outcome of each workload.
fn newest(results: &Path) -> Result<BTreeMap<String, Outcome>, BenchError> {
    let io = |error| BenchError::Io("reading earlier results", error);
    let mut newest: BTreeMap<String, Outcome> = BTreeMap::new();
    for entry in fs::read_dir(results).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(io)?;
        // A file of another format (of an older version) is left alone.
        let Ok(outcome) = serde_json::from_str::<Outcome>(&text) else {
            continue;
        };
        let known = newest.get(&outcome.workload);
        if known.is_none_or(|known| known.time < outcome.time) {
            newest.insert(outcome.workload.clone(), outcome);
        }
    }
    Ok(newest)
}

fn page(outcomes: &BTreeMap<String, Outcome>) -> String {
    let mut text = String::from(
        "# Results\n\n\
         Written by `tidings bench`; each section is the newest recorded run of a workload. How \
         it is measured, and how to measure on another machine: [README.md](README.md). Figures \
         are medians of the runs, with the lowest and highest in parentheses; = n× is the \
         distance to the limit that was measured in the same run.\n",
    );
    for workload in ORDER {
        let Some(outcome) = outcomes.get(workload) else {
            continue;
        };
        let _ = write!(text, "\n## {workload}\n\n{}, ", outcome.time);
        let _ = writeln!(text, "`tidings {}`\n", outcome.arguments.join(" "));
        let _ = writeln!(text, "{}", outcome.machine.describe());
        for case in &outcome.cases {
            let _ = writeln!(text, "\n### {}: {}\n", case.name, case.title);
            text.push_str(&table::render_case(case));
            for column in &case.columns {
                if let Some(error) = &column.error {
                    let _ = writeln!(text, "\n{} failed: {}", column.name, error.trim());
                }
            }
        }
        for note in &outcome.notes {
            let _ = write!(text, "\n{note}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::machine::Machine;
    use super::super::result::{Target, tests::case};
    use super::*;

    fn outcome(workload: &str, time: &str) -> Outcome {
        Outcome {
            workload: workload.to_owned(),
            time: time.to_owned(),
            arguments: vec!["bench".to_owned(), workload.to_owned()],
            machine: Machine::default(),
            notes: vec!["A note.".to_owned()],
            cases: vec![case(Target::AtMost(1.0), &[0.5])],
        }
    }

    #[test]
    fn the_newest_run_of_each_workload_is_on_the_page() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, outcome: &Outcome| {
            let text = serde_json::to_string(outcome).unwrap();
            fs::write(folder.path().join(name), text).unwrap();
        };
        write("1.json", &outcome("connect", "2025-01-02T00:00:00Z"));
        write("2.json", &outcome("connect", "2025-01-01T00:00:00Z"));
        write("3.json", &outcome("fanout", "2025-01-01T00:00:00Z"));
        fs::write(folder.path().join("4.json"), "{}").unwrap();
        fs::write(folder.path().join("notes.txt"), "no").unwrap();
        let page = page(&newest(folder.path()).unwrap());
        let (fanout, connect) = (page.find("## fanout"), page.find("## connect"));
        assert!(fanout.is_some() && fanout < connect, "{page}");
        assert!(page.contains("2025-01-02") && !page.contains("connect\n\n2025-01-01"));
        assert!(page.contains("A note."));
    }
}
