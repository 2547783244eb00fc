//! Each transcript becomes what it must, and costs what it must.

use tidings_relay::dialect::{Dialect, Progress, sequence_number};

use crate::support::{cases, tell};

#[test]
fn every_transcript_becomes_what_it_must() {
    let cases = cases();
    assert!(cases.len() >= 40, "{} cases were read", cases.len());
    for case in cases {
        let mut reader = case.reader();
        let mut told = tell(&mut reader, &case.upstream);
        let end = match (&case.cause, told.end()) {
            (None, Some(end)) => end,
            (Some((clean, cause)), None) => reader.finish(*clean, cause, &mut told.records),
            (cause, end) => panic!("{}: {cause:?}, {end:?}", case.name),
        };
        assert_eq!(end, case.end, "{}", case.name);
        let stored = told.stored();
        for (at, stored) in stored.iter().enumerate() {
            assert_eq!(Some(stored), case.stored.get(at), "{}: record {at}", case.name);
        }
        assert_eq!(stored.len(), case.stored.len(), "{}", case.name);
        let usage = reader.usage();
        let figure = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
        let about = if usage.estimated { "~" } else { "" };
        let (input, output) = (figure(usage.input_tokens), figure(usage.output_tokens));
        let usage = format!("{input} {about}{output} {}", usage.deltas);
        assert_eq!(Some(usage), case.usage.clone().or(Some("- - 0".into())), "{}", case.name);
        assert_eq!(reader.answer_id(), case.id.as_deref(), "{}", case.name);
        // Once over, always over, and nothing more is stored.
        let kept = told.records.len();
        assert_eq!(reader.event("", "{}", &mut told.records), Progress::Over(end));
        let cause = tidings_relay::dialect::Cause::Stopped;
        assert_eq!(reader.finish(true, &cause, &mut told.records), end);
        assert_eq!(told.records.len(), kept);
    }
}

#[test]
fn a_reader_that_replays_goes_on_where_the_other_was_lost() {
    for case in cases().into_iter().filter(|case| case.dialect != "ui") {
        let mut first = case.reader();
        let told = tell(&mut first, &case.upstream);
        if told.end().is_some() {
            continue;
        }
        let mut second = case.reader();
        for record in &told.records {
            second.replay(record.event_type.as_deref(), &record.data);
        }
        let (clean, cause) = case.cause.clone().unwrap();
        let (mut closing, mut again) = (Vec::new(), Vec::new());
        let end = first.finish(clean, &cause, &mut closing);
        assert_eq!(second.finish(clean, &cause, &mut again), end, "{}", case.name);
        assert_eq!(again, closing, "{}", case.name);
        assert_eq!(second.answer_id(), first.answer_id(), "{}", case.name);
    }
}

#[test]
fn every_stored_responses_event_has_a_number_above_the_one_before() {
    for case in cases().into_iter().filter(|case| case.dialect == "responses") {
        let mut last = None;
        for (_, data) in case.stored.iter().filter(|(_, data)| data.starts_with('{')) {
            let number = sequence_number(data);
            assert!(number > last, "{}: {data}", case.name);
            last = number;
        }
    }
    assert_eq!(sequence_number("{\"sequence_number\":7,\"x\":[{}]}"), Some(7));
    assert_eq!(sequence_number("{\"a\":{\"sequence_number\":7}}"), None);
    assert_eq!(sequence_number("7"), None);
}

#[test]
fn a_path_chooses_the_dialect() {
    assert_eq!(Dialect::of_path("chat/completions"), Some(Dialect::Chat));
    assert_eq!(Dialect::of_path("responses"), Some(Dialect::Responses));
    assert_eq!(Dialect::of_path("messages"), Some(Dialect::Messages));
    for other in ["", "/responses", "responses/", "responses/resp_1", "models", "messages/count"] {
        assert_eq!(Dialect::of_path(other), None, "{other}");
    }
}
