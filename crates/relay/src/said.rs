//! What an owner's answers have said, by the names that the API has given to it: items of the
//! output, and the containers in which code ran. To the API everything that was asked with one key
//! belongs to one account, so only here is known whose it is.

use std::collections::HashSet;

use serde::Deserialize;
use tidings_hub::StoreError;

use crate::answer::Answer;
use crate::dialect::Dialect;
use crate::relays::Relays;

/// Answers of an owner that are looked at, newest first: what a conversation of ordinary length
/// goes back to.
const LOOKED_AT_MAX: usize = 200;

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    item: Option<Item>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    container_id: Option<String>,
}

impl Relays {
    /// Whether all of these were said by the newest 200 answers that this owner has got of this
    /// relay. What was said before is read back from the log once, so that it holds after a restart
    /// for as long as answers are kept.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn has_said(
        &self,
        relay: usize,
        owner: &str,
        names: &[String],
    ) -> Result<bool, StoreError> {
        let mut left: HashSet<&str> = names.iter().map(String::as_str).collect();
        let answers = self.newest_of(relay, owner, LOOKED_AT_MAX);
        for answer in answers.iter().filter(|answer| answer.dialect == Dialect::Responses) {
            if left.is_empty() {
                break;
            }
            match answer.said.get() {
                Some(said) => left.retain(|name| !said.contains(*name)),
                None => {
                    let ended = answer.ended().is_some();
                    let said = self.said(answer)?;
                    left.retain(|name| !said.contains(*name));
                    if ended {
                        // Somebody else may have been first, with the same.
                        let _ = answer.said.set(said);
                    }
                }
            }
        }
        Ok(left.is_empty())
    }

    fn said(&self, answer: &Answer) -> Result<HashSet<String>, StoreError> {
        let mut said = HashSet::new();
        self.events(&answer.name, &mut |event| {
            let data = std::str::from_utf8(&event.data).unwrap_or_default();
            if !data.contains("output_item") {
                return;
            }
            if let Ok(Event { item: Some(item) }) = serde_json::from_str(data) {
                said.extend([item.id, item.container_id].into_iter().flatten());
            }
        })?;
        Ok(said)
    }
}
