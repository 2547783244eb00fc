//! Outcomes on disk: one JSON file for each run, and RESULTS.md with the newest of each case.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::options::Options;
use super::result::{Case, Outcome};
use super::{BenchError, table};

/// Workloads in the order of the page.
const ORDER: [&str; 9] =
    ["fanout", "connect", "publish", "resume", "replay", "parse", "relay", "abuse", "transport"];

/// Writes `outcome` below `--out` and makes the page anew. Quick runs are not recorded.
pub(crate) fn write(options: &Options, outcome: &Outcome) -> Result<(), BenchError> {
    if options.quick || !options.out.is_dir() {
        return Ok(());
    }
    let io = |error| BenchError::Io("recording the results", error);
    let results = options.out.join("results");
    fs::create_dir_all(&results).map_err(io)?;
    let date = outcome.time.split('T').next().unwrap_or_default();
    // A single case does not replace the day's run of all of them.
    let case = match outcome.cases.as_slice() {
        [one] => format!("-{}", one.name.replace(' ', "-")),
        _ => String::new(),
    };
    let file = results.join(format!("{date}-{}{case}.json", outcome.workload));
    let mut text = serde_json::to_string_pretty(outcome).map_err(BenchError::Json)?;
    text.push('\n');
    fs::write(file, text).map_err(io)?;
    let page = page(&recorded(&results)?) + &by_others(&results)?;
    fs::write(options.out.join("RESULTS.md"), page).map_err(io)
}

/// All recorded outcomes, the newest first.
fn recorded(results: &Path) -> Result<Vec<Outcome>, BenchError> {
    let io = |error| BenchError::Io("reading earlier results", error);
    let mut outcomes = Vec::new();
    for entry in fs::read_dir(results).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = fs::read_to_string(&path).map_err(io)?;
        // A file of another format (of an older version) is left alone.
        if let Ok(outcome) = serde_json::from_str::<Outcome>(&text) {
            outcomes.push(outcome);
        }
    }
    outcomes.sort_by(|one, other| other.time.cmp(&one.time));
    Ok(outcomes)
}

/// What programs beside this one have written: Markdown, put below by the names of its files.
fn by_others(results: &Path) -> Result<String, BenchError> {
    let io = |error| BenchError::Io("reading earlier results", error);
    let mut files = Vec::new();
    for entry in fs::read_dir(results).map_err(io)? {
        files.push(entry.map_err(io)?.path());
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    let texts = files.iter().map(fs::read_to_string).collect::<Result<Vec<_>, _>>().map_err(io)?;
    Ok(texts.iter().map(|text| format!("\n{}\n", text.trim())).collect())
}

fn page(outcomes: &[Outcome]) -> String {
    let mut text = String::from(
        "# Results\n\n\
         Written by `tidings bench`: the newest recorded run of each case. How it is measured, and \
         how to measure on another machine: [README.md](README.md). Figures are medians of the \
         runs, with the lowest and highest in parentheses; = n× is the distance to what the \
         target is measured by, in the same run.\n",
    );
    for workload in ORDER {
        let mut heading = format!("\n## {workload}\n");
        let mut shown: Vec<&str> = Vec::new();
        for outcome in outcomes.iter().filter(|outcome| outcome.workload == workload) {
            let new = |case: &&Case| !shown.contains(&case.name.as_str());
            let cases: Vec<&Case> = outcome.cases.iter().filter(new).collect();
            if cases.is_empty() {
                continue;
            }
            text.push_str(&std::mem::take(&mut heading));
            section(outcome, &cases, &mut text);
            shown.extend(cases.iter().map(|case| case.name.as_str()));
        }
    }
    text
}

/// The cases of one run, and what has to be known to read them.
fn section(outcome: &Outcome, cases: &[&Case], text: &mut String) {
    let _ = write!(text, "\n{}, ", outcome.time);
    let _ = writeln!(text, "`tidings {}`", outcome.arguments.join(" "));
    let _ = write!(text, "\n{}", outcome.machine.describe());
    for note in &outcome.notes {
        let _ = write!(text, "\n{note}");
    }
    text.push('\n');
    for case in cases {
        let _ = writeln!(text, "\n### {}: {}\n", case.name, case.title);
        text.push_str(&table::render_case(case));
        for column in &case.columns {
            if let Some(error) = &column.error {
                let _ = writeln!(text, "\n{} failed: {}", column.name, error.trim());
            }
        }
    }
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
            rows: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn the_newest_run_of_each_case_is_on_the_page() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, outcome: &Outcome| {
            let text = serde_json::to_string(outcome).unwrap();
            fs::write(folder.path().join(name), text).unwrap();
        };
        let mut two = outcome("connect", "2025-01-01T00:00:00Z");
        two.cases.push(Case { name: "other".to_owned(), ..two.cases[0].clone() });
        write("1.json", &outcome("connect", "2025-01-02T00:00:00Z"));
        write("2.json", &two);
        write("3.json", &outcome("fanout", "2025-01-01T00:00:00Z"));
        fs::write(folder.path().join("4.json"), "{}").unwrap();
        fs::write(folder.path().join("notes.txt"), "no").unwrap();
        let page = page(&recorded(folder.path()).unwrap());
        let (fanout, connect) = (page.find("## fanout"), page.find("## connect"));
        assert!(fanout.is_some() && fanout < connect, "{page}");
        let (newer, other) = (page.find("2025-01-02"), page.find("### other"));
        assert!(connect < newer && newer < other, "{page}");
        assert_eq!(page.matches("### paced").count(), 2, "{page}");
        assert!(page.contains("A note."));
    }

    #[test]
    fn a_run_is_recorded_and_a_quick_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let options = |more: &[&str]| {
            let out = folder.path().to_str().unwrap();
            let line = ["bench", "--out", out].into_iter().chain(more.iter().copied());
            <super::super::options::tests::Line as clap::Parser>::parse_from(line).options
        };
        let outcome = outcome("fanout", "2025-01-01T00:00:00Z");
        write(&options(&["--quick"]), &outcome).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        fs::create_dir(folder.path().join("results")).unwrap();
        fs::write(folder.path().join("results/others.md"), "## others\n\nFigures.\n").unwrap();
        write(&options(&[]), &outcome).unwrap();
        assert!(folder.path().join("results/2025-01-01-fanout-paced.json").exists());
        let page = fs::read_to_string(folder.path().join("RESULTS.md")).unwrap();
        assert!(page.contains("### paced: one topic"), "{page}");
        assert!(page.ends_with("\n\n## others\n\nFigures.\n"), "{page}");
    }
}
