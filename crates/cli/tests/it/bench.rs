//! The benchmark measures something, and what it measures arrived. No figure is judged: a test
//! machine is busy.
#![cfg(target_os = "linux")]

use serde_json::Value;

use crate::program;

/// Runs a workload in its smallest form and returns what it found.
fn quick(arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let outcome = program::finish(
        program::command()
            .arg("bench")
            .args(arguments)
            .args(["--quick", "--json", "--out"])
            .arg(folder.path().join("nowhere"))
            .arg("--data-dir")
            .arg(folder.path()),
    );
    serde_json::from_str(&outcome.success()).unwrap()
}

/// The sample of each column of each case; fails if a column has none.
fn samples(outcome: &Value) -> Vec<(String, &Value)> {
    let mut all = Vec::new();
    for case in outcome["cases"].as_array().unwrap() {
        for column in case["columns"].as_array().unwrap() {
            let name = format!("{} of {}", column["name"], case["name"]);
            assert_eq!(column["error"], Value::Null, "{name}");
            assert_eq!(column["samples"].as_array().unwrap().len(), 1, "{name}");
            all.push((name, &column["samples"][0]));
        }
    }
    all
}

#[track_caller]
fn positive(name: &str, sample: &Value, key: &str) {
    assert!(sample[key].as_f64().unwrap() > 0.0, "{name}: {sample}");
}

#[test]
fn fan_out_delivers_everything_in_all_shapes() {
    let outcome = quick(&["fanout", "--only", "limit-each,limit-coalesce,tidings"]);
    let samples = samples(&outcome);
    assert_eq!(samples.len(), 12);
    for (name, sample) in &samples {
        assert_eq!(sample["lost"], 0.0, "{name}");
        positive(name, sample, "deliveries_per_s");
        positive(name, sample, "p99_ms");
        positive(name, sample, "cpu_us");
    }
}

#[test]
fn abuse_is_tried_and_refused_and_nobody_else_loses_anything() {
    let outcome = quick(&["abuse", "--subscribers", "20"]);
    let samples = samples(&outcome);
    assert_eq!(samples.len(), 6);
    for (name, sample) in &samples {
        assert_eq!(sample["lost"], 0.0, "{name}");
        for key in ["attempts", "p99_ms", "alone_p99_ms", "times", "peak_mib"] {
            positive(name, sample, key);
        }
    }
    for (name, sample) in samples.iter().filter(|(name, _)| name.ends_with("publishes")) {
        positive(name, sample, "refused");
    }
}

#[test]
fn a_connect_storm_connects_everyone() {
    let outcome = quick(&["connect", "--only", "limit-each,tidings"]);
    let samples = samples(&outcome);
    assert_eq!(samples.len(), 2);
    for (name, sample) in &samples {
        assert_eq!(sample["lost"], 0.0, "{name}");
        positive(name, sample, "connects_per_s");
    }
}

#[test]
fn whoever_resumes_catches_up() {
    for workload in ["resume", "replay"] {
        let outcome = quick(&[workload, "--only", "limit-coalesce,tidings"]);
        for (name, sample) in &samples(&outcome) {
            assert_eq!(sample["lost"], 0.0, "{workload}: {name}");
            positive(name, sample, "events_per_s");
        }
    }
}

#[test]
fn publishes_are_answered_and_the_log_commits() {
    let outcome = quick(&["publish", "--only", "limit-each,tidings", "--publishers", "1,8"]);
    let samples = samples(&outcome);
    assert_eq!(samples.len(), 12);
    for (name, sample) in &samples {
        positive(name, sample, "appends_per_s");
    }
}

#[test]
fn decoding_finds_every_event() {
    let outcome = quick(&["parse", "--peers", "nowhere"]);
    let samples = samples(&outcome);
    assert_eq!(samples.len(), 4);
    for (name, sample) in &samples {
        positive(name, sample, "mb_per_s");
    }
}

#[test]
fn every_token_of_every_answer_comes_through_the_relay_once() {
    let outcome = quick(&["relay", "--only", "limit-proxy,tidings"]);
    let samples = samples(&outcome);
    assert_eq!(samples.len(), 6);
    for (answers, samples) in [1.0, 20.0].iter().zip(samples.chunks(3)) {
        let due = &samples[0].1["tokens"].as_f64().unwrap();
        assert!(*due >= 90.0 * answers, "{samples:?}");
        for (name, sample) in samples {
            assert_eq!(sample["tokens"].as_f64(), Some(*due), "{name}: {sample}");
            assert_eq!(sample["lost"], 0.0, "{name}");
            assert_eq!(sample["broken"], 0.0, "{name}");
            positive(name, sample, "first_ms");
            positive(name, sample, "p99_us");
        }
        for (name, sample) in &samples[1..] {
            positive(name, sample, "cpu_us");
            assert!(sample["p50_added_us"].is_f64(), "{name}: {sample}");
        }
    }
}

#[test]
fn both_transports_are_measured_and_who_resumes_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("transport.json");
    let others = r#"{"made":"","by":"","machine":"","rows":{"H12":{"by":"a browser"}}}"#;
    std::fs::write(&file, others).unwrap();
    let outcome = quick(&["transport", "--write", file.to_str().unwrap()]);
    let samples = samples(&outcome);
    let of = |column: &str, case: &str| {
        let name = format!("\"{column}\" of \"{case}\"");
        let found = samples.iter().find(|(one, _)| *one == name);
        found.unwrap_or_else(|| panic!("no {name}")).1
    };
    for column in ["SSE", "WebSocket"] {
        assert_eq!(of(column, "H4 100 × 100/s")["lost"], 0.0, "{column}");
        assert_eq!(of(column, "H4 100 × 100/s")["delivered"], 2_000.0, "{column}");
        assert_eq!(of(column, "H7")["closed"], 0.0, "{column}");
    }
    for column in ["SSE", "WebSocket", "long-poll"] {
        let drops = of(column, "H8");
        positive(column, drops, "published");
        assert_eq!((&drops["lost"], &drops["twice"]), (&0.0.into(), &0.0.into()), "{column}");
    }
    for column in ["SSE, no ids", "WebSocket, bare"] {
        positive(column, of(column, "H8"), "lost");
    }
    let written: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(written["by"], "tidings bench transport");
    let mut measured = written["rows"].as_object().unwrap().clone();
    assert_eq!(measured.remove("H12").unwrap()["by"], "a browser");
    assert_eq!(Value::from(measured.clone()), outcome["rows"]);
    for row in ["handshake", "H1", "H2", "binary", "H3", "H4", "H5", "H6", "upstream", "H7", "H9"] {
        for member in ["verdict", "sse", "ws"] {
            assert!(measured[row][member].is_string(), "{row}: {measured:?}");
        }
        assert!(!measured[row]["figures"].as_array().unwrap().is_empty(), "{row}");
    }
    assert_eq!(measured["H8"]["verdict"], "depends");
}

#[test]
fn a_server_that_is_not_there_is_a_failure() {
    let url = ["--quick", "--only", "tidings", "--url", "http://127.0.0.1:1"];
    let outcome = program::finish(program::command().args(["bench", "connect"]).args(url));
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stdout.contains("to be ready"), "{outcome:?}");
}
