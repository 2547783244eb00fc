//! What an owner's answers have said, by the names that the API has given to it: items of the
//! output, sounds, and the containers in which code ran. To the API everything that was asked with
//! one key belongs to one account, so only here is known whose it is.

use std::collections::HashSet;
use std::sync::Arc;

use tidings_hub::StoreError;

use crate::answer::Answer;
use crate::dialect::Dialect;
use crate::relays::Relays;
use crate::store;

/// Answers of an owner that are looked at, newest first: what a conversation of ordinary length
/// goes back to.
const LOOKED_AT_MAX: usize = 200;

/// What an answer has said, as far as it was read.
#[derive(Debug, Default)]
pub(crate) struct Said {
    names: HashSet<String>,
    /// The position up to which it was read.
    read_to: u64,
    /// Whether its end was read.
    is_whole: bool,
}

/// Where an event has names: a word without which it has none, and the paths (RFC 6901). Only what
/// the API itself says: within a tool's definition or output anybody could plant a name.
fn places(dialect: Dialect) -> (&'static str, &'static [&'static str]) {
    match dialect {
        Dialect::Responses => {
            ("output_item", &["/item/id", "/item/container_id", "/item/environment/container_id"])
        }
        Dialect::Chat => ("audio", &["/choices/0/delta/audio/id"]),
        Dialect::Messages => ("container", &["/message/container/id", "/delta/container/id"]),
    }
}

impl Relays {
    /// Whether all of these were said by the newest 200 answers that this owner has got, or told
    /// by others that were no stream. What streamed ones have said is read back from the log once,
    /// on a thread that may wait, so that it holds after a restart for as long as answers are kept.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn has_said(
        self: &Arc<Self>,
        owner: &str,
        dialect: Dialect,
        names: Vec<String>,
    ) -> Result<bool, StoreError> {
        let (relays, owner) = (self.clone(), owner.to_owned());
        let looked = tokio::task::spawn_blocking(move || relays.looks(&owner, dialect, &names));
        looked.await.unwrap_or_else(|error| Err(StoreError::Failed(error.to_string())))
    }

    fn looks(&self, owner: &str, dialect: Dialect, names: &[String]) -> Result<bool, StoreError> {
        let mut left: HashSet<&str> = names.iter().map(String::as_str).collect();
        if left.contains("") {
            // Nobody's: nothing has to be read for it.
            return Ok(false);
        }
        {
            let told = self.told.lock();
            left.retain(|name| !told.has_said(owner, dialect, name));
        }
        if left.is_empty() {
            return Ok(true);
        }
        let answers = self.newest_of(owner, LOOKED_AT_MAX);
        for answer in answers.iter().filter(|answer| answer.dialect == dialect) {
            if left.is_empty() {
                break;
            }
            let mut said = answer.said.lock();
            self.read_on(answer, &mut said)?;
            left.retain(|name| !said.names.contains(*name));
        }
        Ok(left.is_empty())
    }

    /// Reads what has come since it was read last.
    fn read_on(&self, answer: &Answer, said: &mut Said) -> Result<(), StoreError> {
        if said.is_whole {
            return Ok(());
        }
        let (word, paths) = places(answer.dialect);
        let Said { names, is_whole, read_to } = said;
        *read_to = store::read(&self.hub, &answer.topic(), *read_to, &mut |event| {
            *is_whole |= event.end.is_some();
            let data = std::str::from_utf8(&event.data).unwrap_or_default();
            if !data.contains(word) {
                return;
            }
            let data: serde_json::Value = serde_json::from_str(data).unwrap_or_default();
            let found = paths.iter().filter_map(|path| data.pointer(path)?.as_str());
            names.extend(found.map(str::to_owned));
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Begin, Known, Phase};
    use crate::bench::Bench;
    use crate::dialect::Record;
    use tidings_frame::End;

    fn answer(bench: &Bench, name: &str, owner: &str, dialect: Dialect) -> Arc<Answer> {
        let begin = Begin { owner: owner.to_owned(), dialect, ..Bench::begin(name, 60_000) };
        let answer = Answer::new(begin, Phase::Streaming(None), Known::default());
        bench.relays.answers.lock().insert(answer.clone());
        answer
    }

    fn say(bench: &Bench, answer: &Answer, data: &[&str], end: Option<End>) {
        let record = |data: &&str| Record { event_type: None, data: (*data).to_owned() };
        let records: Vec<Record> = data.iter().map(record).collect();
        store::append(&bench.hub, &answer.topic(), &records, end).unwrap();
    }

    fn has_said(bench: &Bench, owner: &str, dialect: Dialect, names: &[&str]) -> bool {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        bench.relays.looks(owner, dialect, &names).unwrap()
    }

    #[test]
    fn what_an_answer_has_said_is_its_owners() {
        let bench = Bench::new(|_| {});
        for (dialect, data, said, unsaid) in [
            (
                Dialect::Responses,
                r#"{"type":"response.output_item.done","item":{"type":"mcp_list_tools","id":"m",
                    "tools":[{"input_schema":{"id":"planted","container_id":"planted"}}]}}"#,
                "m",
                "planted",
            ),
            (
                Dialect::Responses,
                r#"{"type":"response.output_item.added","item":{"id":"ci","container_id":"n"}}"#,
                "n",
                "response.output_item.added",
            ),
            (
                Dialect::Responses,
                r#"{"type":"response.output_item.done",
                    "item":{"id":"sh","environment":{"container_id":"e"}}}"#,
                "e",
                "container_id",
            ),
            (Dialect::Chat, r#"{"choices":[{"delta":{"audio":{"id":"a"}}}]}"#, "a", "audio"),
            (Dialect::Messages, r#"{"message":{"container":{"id":"c"}}}"#, "c", "container"),
            (Dialect::Messages, r#"{"delta":{"container":{"id":"d"}}}"#, "d", "container"),
        ] {
            let answer = answer(&bench, said, "ada", dialect);
            say(&bench, &answer, &["{}", data, "no JSON: output_item audio container"], None);
            assert!(has_said(&bench, "ada", dialect, &[said]), "{data}");
            assert!(!has_said(&bench, "ada", dialect, &[said, unsaid]), "{data}");
            assert!(!has_said(&bench, "ada", dialect, &[""]), "{data}");
            assert!(!has_said(&bench, "bob", dialect, &[said]), "{data}");
        }
        assert!(!has_said(&bench, "ada", Dialect::Chat, &["m"]), "another API's");
    }

    #[test]
    fn an_answer_is_read_on_from_where_it_was_read() {
        let bench = Bench::new(|_| {});
        let answer = answer(&bench, "a", "ada", Dialect::Responses);
        let item =
            |id: &str| format!(r#"{{"type":"response.output_item.done","item":{{"id":"{id}"}}}}"#);
        let mine = |id: &str| has_said(&bench, "ada", Dialect::Responses, &[id]);
        say(&bench, &answer, &[&item("first")], None);
        assert!(mine("first") && !mine("second"));
        say(&bench, &answer, &[&item("second")], None);
        assert!(mine("second") && mine("first"));
        // What is forgotten is not found again: it is not read again.
        answer.said.lock().names.clear();
        say(&bench, &answer, &[&item("third")], Some(End::Done));
        assert!(mine("third") && !mine("second"));
        assert!(answer.said.lock().is_whole);
    }
}
