//! Runs the cases of `conformance/`, which every client of every language runs.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::Value;
use tidings_frame::sse_decode::Limits;
use tidings_frame::{
    NameError, Pattern, PatternError, Position, PositionError, TopicName, TopicNameError,
    check_event_type,
};

#[path = "../../../fuzz/harness/sse_decode.rs"]
#[allow(dead_code, reason = "each test needs a part of it")]
mod harness;

use harness::{Outcome, by_the_book, decode};

/// Random chunkings of each stream, besides the fixed ones.
const RECHUNKINGS: usize = 20;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance")).join(name)
}

fn read(name: &str) -> Value {
    serde_json::from_slice(&fs::read(folder(name)).unwrap()).unwrap()
}

/// A text: a string, or strings and repeats in a row.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(text).collect(),
        part => {
            let times = usize::try_from(part["times"].as_u64().unwrap()).unwrap();
            part["repeat"].as_str().unwrap().repeat(times)
        }
    }
}

fn hex(digits: &str) -> Vec<u8> {
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

fn expected(case: &Value) -> Outcome {
    let event = |event: &Value| (text(&event["type"]), text(&event["data"]), text(&event["id"]));
    Outcome {
        events: case["events"].as_array().unwrap().iter().map(event).collect(),
        last_event_id: text(&case["last_event_id"]),
        retry_ms: case["retry"].as_u64(),
        error: None,
    }
}

#[test]
fn every_stream_is_decoded_as_its_case_says_however_it_is_cut() {
    let mut names = BTreeSet::new();
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    for file in fs::read_dir(folder("sse")).unwrap() {
        let file: Value = serde_json::from_slice(&fs::read(file.unwrap().path()).unwrap()).unwrap();
        for case in file["cases"].as_array().unwrap() {
            let name = case["name"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name}: twice");
            let input = match case.get("input_hex") {
                Some(digits) => hex(digits.as_str().unwrap()),
                None => text(&case["input"]).into_bytes(),
            };
            let expected = expected(case);
            assert_eq!(by_the_book(&input), expected, "{name}: the oracle");
            for cuts in [&[][..], &[1], &[2]] {
                assert_eq!(decode(&input, cuts, Limits::default()), expected, "{name}: {cuts:?}");
            }
            for _ in 0..RECHUNKINGS {
                let cuts: Vec<usize> =
                    (0..8).map(|_| 1 + random.next_u32() as usize % 11).collect();
                assert_eq!(decode(&input, &cuts, Limits::default()), expected, "{name}: {cuts:?}");
            }
        }
    }
    assert!(names.len() >= 159, "cases have been lost: {}", names.len());
}

fn topic_reason(error: TopicNameError) -> &'static str {
    match error {
        TopicNameError::Empty => "empty",
        TopicNameError::TooLong => "too-long",
        TopicNameError::Control(_) => "control",
        TopicNameError::EmptySegment => "empty-segment",
        TopicNameError::DotSegment => "dot-segment",
        TopicNameError::Star => "star",
        TopicNameError::Percent => "percent",
        TopicNameError::Utf8 => "utf8",
    }
}

/// Runs `valid` and `invalid` of a file.
fn table(file: &Value, check: impl Fn(&str) -> Result<(), &'static str>) {
    for valid in file["valid"].as_array().unwrap() {
        assert_eq!(check(&text(valid)), Ok(()), "{valid}");
    }
    for invalid in file["invalid"].as_array().unwrap() {
        let reason = invalid["reason"].as_str().unwrap();
        assert_eq!(check(&text(&invalid["text"])), Err(reason), "{invalid}");
    }
}

#[test]
fn topic_names_and_their_paths() {
    let file = read("names/topics.json");
    table(&file, |text| {
        let name = TopicName::new(text).map_err(topic_reason)?;
        assert_eq!(name.as_str(), text);
        assert_eq!(TopicName::from_path(&name.to_path()), Ok(name), "{text}");
        Ok(())
    });
    for case in file["paths"].as_array().unwrap() {
        let path = text(&case["path"]);
        match TopicName::from_path(&path) {
            Ok(name) => {
                assert_eq!(name.as_str(), text(&case["name"]), "{path}");
                assert_eq!(name.to_path(), text(&case["canonical"]), "{path}");
            }
            Err(error) => assert_eq!(case["reason"], topic_reason(error), "{path}"),
        }
    }
}

#[test]
fn patterns_and_what_they_match() {
    let file = read("names/patterns.json");
    table(&file, |text| match Pattern::new(text) {
        Ok(pattern) => {
            assert_eq!(pattern.as_str(), text);
            Ok(())
        }
        Err(PatternError::Name(error)) => Err(topic_reason(error)),
        Err(PatternError::PartOfSegment) => Err("part-of-segment"),
        Err(PatternError::NotLast) => Err("not-last"),
    });
    for case in file["matches"].as_array().unwrap() {
        let pattern = Pattern::new(case["pattern"].as_str().unwrap()).unwrap();
        for (topics, expected) in [(&case["yes"], true), (&case["no"], false)] {
            for topic in topics.as_array().unwrap() {
                assert_eq!(pattern.matches(topic.as_str().unwrap()), expected, "{pattern} {topic}");
            }
        }
    }
    for case in file["covers"].as_array().unwrap() {
        let pattern = Pattern::new(case["pattern"].as_str().unwrap()).unwrap();
        for (list, expected) in [("yes", true), ("no", false)] {
            for other in case[list].as_array().unwrap() {
                let other = Pattern::new(other.as_str().unwrap()).unwrap();
                assert_eq!(pattern.covers(&other), expected, "{pattern} {other}");
            }
        }
    }
}

#[test]
fn positions_have_one_text_each() {
    table(&read("names/positions.json"), |text| match text.parse::<Position>() {
        Ok(position) => {
            assert_eq!(position.to_string(), text);
            Ok(())
        }
        Err(PositionError::TooLong) => Err("too-long"),
        Err(PositionError::Epoch) => Err("epoch"),
        Err(PositionError::Sequence) => Err("sequence"),
    });
}

#[test]
fn event_types() {
    table(&read("names/event_types.json"), |text| match check_event_type(text) {
        Ok(()) => Ok(()),
        Err(NameError::Empty) => Err("empty"),
        Err(NameError::TooLong(_)) => Err("too-long"),
        Err(NameError::Control(_)) => Err("control"),
        Err(NameError::Reserved) => Err("reserved"),
    });
}
