//! Whether a client that comes back goes on where it was.

use std::time::Duration;

use crate::doctor::advice::Change;
use crate::doctor::finding::{Check, Finding};
use crate::doctor::record::{Came, Listening, Record};
use crate::doctor::wire::Ask;

/// How long to wait for the first event of a resumed stream.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// The ids of the probe's events lie behind us. Asks for what follows the third of them, as
/// `EventSource` does, and if that is not what comes, with the id in the query.
pub(in crate::doctor) async fn check(ask: Ask, ids: &[String]) -> Finding {
    let [_, _, third, fourth, ..] = ids else {
        return Finding::not_tested(Check::Resume, "too few events were published");
    };
    let by_header = first(ask.clone().with("last-event-id", third)).await;
    if by_header.as_ref().is_some_and(|event| event.id == *fourth) {
        return Finding::ok(
            Check::Resume,
            "Last-Event-ID arrives: after the 3rd event came the 4th",
        )
        .measured("header", true);
    }
    let came = match by_header {
        Some(event) if event.event_type == "gap" => "the server told of a gap".to_owned(),
        Some(event) if ids.contains(&event.id) => "another event came".to_owned(),
        Some(_) => "none of the events after it came".to_owned(),
        None => "nothing came".to_owned(),
    };
    let by_query = match with_query(&ask, third) {
        Some(ask) => first(ask).await.is_some_and(|event| event.id == *fourth),
        None => false,
    };
    let says = format!("asked for what follows the 3rd event, {came}: Last-Event-ID is lost");
    let why = match by_query {
        true => "?lastEventId= in the URL works, but a browser that reconnects sends the header",
        false => "?lastEventId= in the URL does not work either",
    };
    Finding::broken(Check::Resume, says)
        .why(why)
        .change(Change::Resume)
        .measured("header", false)
        .measured("query", by_query)
}

fn with_query(ask: &Ask, id: &str) -> Option<Ask> {
    // An id has only characters that need no encoding (PROTOCOL.md, section 3).
    let uri = format!("{}?lastEventId={id}", ask.uri).parse().ok()?;
    Some(Ask { uri, ..ask.clone() })
}

async fn first(ask: Ask) -> Option<Came> {
    let mut stream = Listening::start(ask);
    stream.until(ANSWER_WAIT, |record| !record.events.is_empty()).await;
    stream.record().events.into_iter().next()
}

/// A stream whose sender is not ours: asks for what follows the event in the middle of those that
/// came, and compares.
pub(in crate::doctor) async fn check_any(ask: Ask, record: &Record) -> Finding {
    let ids: Vec<&str> = record.events.iter().map(|event| event.id.as_str()).collect();
    if ids.is_empty() {
        return Finding::not_tested(Check::Resume, "no event came");
    }
    if ids.iter().all(|id| id.is_empty()) {
        return Finding::warning(Check::Resume, "no event has an id: who comes back has lost some")
            .change(Change::Resume);
    }
    let distinct = ids.windows(2).all(|pair| pair[0] != pair[1] && !pair[0].is_empty());
    if ids.len() < 3 || !distinct {
        return Finding::not_tested(Check::Resume, "it takes three events with ids of their own");
    }
    let middle = ids.len() / 2;
    let Some(event) = first(ask.with("last-event-id", ids[middle - 1])).await else {
        return Finding::not_tested(Check::Resume, "nothing came when asked with Last-Event-ID");
    };
    if event.id == ids[middle] {
        Finding::ok(Check::Resume, "asked with the id of an event, the one after it came")
    } else if event.id == ids[0] {
        Finding::warning(
            Check::Resume,
            "asked with the id of an event, it began at the first again",
        )
        .why("Last-Event-ID is lost on the way, or the server does not look at it")
        .change(Change::Resume)
    } else {
        let says = "asked with the id of an event, one came that was not seen before";
        Finding::not_tested(Check::Resume, says).why(
            "a server that does not look at Last-Event-ID does the same as one that has no more",
        )
    }
}
