//! An answer cut at any byte is told from one that is complete.

use tidings_frame::End;
use tidings_relay::dialect::{Cause, Progress};

use crate::support::{Case, cases, sse, tell};

/// The answers that end by themselves, well.
fn complete() -> Vec<Case> {
    let done = |case: &Case| case.cause.is_none() && case.end == End::Done;
    let cases: Vec<_> = cases().into_iter().filter(done).collect();
    for dialect in ["chat", "responses", "messages", "ui"] {
        let count = cases.iter().filter(|case| case.dialect == dialect).count();
        assert!(count >= 3, "{count} of {dialect}");
    }
    cases
}

fn judge(case: &Case, cut: usize, clean: bool, cause: &Cause) {
    let context = format!("{} cut after {cut} bytes, {clean} {cause:?}", case.name);
    let events = sse(&String::from_utf8_lossy(&case.bytes.as_bytes()[..cut]));
    let mut reader = case.reader();
    let mut told = tell(&mut reader, &events);
    let whole = events.len() == case.upstream.len();
    assert_eq!(told.end().is_some(), whole, "{context}");
    let before = told.records.len();
    let end = reader.finish(clean, cause, &mut told.records);
    let stored = told.stored();
    if whole {
        assert_eq!((end, told.records.len()), (End::Done, before), "{context}");
        assert_eq!(stored, case.stored, "{context}");
        return;
    }
    let enough = case.complete.is_some_and(|enough| events.len() >= enough);
    if enough && clean && matches!(cause, Cause::Broken(_)) {
        assert_eq!(end, End::Done, "{context}");
        assert_eq!(stored.last().unwrap().1, "[DONE]", "{context}");
        return;
    }
    assert_eq!(end, cause.end(), "{context}");
    assert_ne!(end, End::Done, "{context}");
    if case.dialect == "ui" && *cause == Cause::Stopped {
        assert!(stored.iter().any(|(_, data)| data == "{\"type\":\"abort\"}"), "{context}");
    } else {
        assert!(case.raises(&stored), "{context}: {stored:?}");
    }
    // What was stored before the cut is what is stored without one.
    assert_eq!(stored[..before], case.stored[..before], "{context}");
}

#[test]
fn a_cut_after_any_byte_is_no_clean_end() {
    for case in complete() {
        // Without the line ends of the last event, of which one may be missing.
        for cut in 0..case.bytes.len() {
            judge(&case, cut, true, &Cause::Broken("closed".into()));
        }
    }
}

#[test]
fn a_cut_after_any_event_is_judged_by_its_cause() {
    for case in complete() {
        let mut cuts: Vec<_> = case.bytes.match_indices("\n\n").map(|(at, _)| at + 2).collect();
        cuts.insert(0, 0);
        for cut in cuts {
            for cause in [
                Cause::Broken("reset".into()),
                Cause::TimedOut("too long".into()),
                Cause::Stopped,
                Cause::Lost,
            ] {
                judge(&case, cut, false, &cause);
                judge(&case, cut, true, &cause);
            }
        }
    }
}

#[test]
fn another_upstream_can_take_over_until_the_first_part_of_the_answer() {
    for case in complete() {
        let progress = tell(&mut case.reader(), &case.upstream).progress;
        let first = progress.iter().position(|it| *it != Progress::Opening).unwrap();
        assert_eq!(progress[first], Progress::Token, "{}", case.name);
        let (name, data) = &case.upstream[first];
        // An opening says nothing that the model has chosen.
        for (_, data) in &case.upstream[..first] {
            let data: serde_json::Value = serde_json::from_str(data).unwrap_or_default();
            assert!(!data.to_string().contains("\"text\":\"T"), "{}: {data}", case.name);
        }
        let parts = ["delta", "call", "\"text\":"];
        assert!(name.contains("delta") || parts.iter().any(|part| data.contains(part)), "{data}");
    }
}
