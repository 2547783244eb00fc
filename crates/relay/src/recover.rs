//! What an earlier process left: answers that have ended are remembered, those that were running
//! are gone on with or ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tidings_frame::End;

use crate::answer::{ANSWERS, Answer, Begin, Known, Phase};
use crate::config::LlmConfig;
use crate::dialect::{Asked, Cause, Usage};
use crate::generation::{Asks, Generation};
use crate::ledger::{self, Entry};
use crate::outgoing::Outgoing;
use crate::relays::{Relays, StartError, millis};
use crate::store;

impl Relays {
    /// Reads the ledgers. What was running when the process ended is ended with an error, after
    /// what had come of it.
    pub(crate) fn recover(self: &Arc<Self>) -> Result<(), StartError> {
        for (relay, config) in self.configs.iter().enumerate() {
            let mut entries: HashMap<String, (usize, Entry)> = HashMap::new();
            let mut count = 0;
            ledger::read(&self.hub, &config.name, &mut |entry| {
                count += 1;
                let place = entries.get(&entry.answer).map_or(count, |(place, _)| *place);
                entries.insert(entry.answer.clone(), (place, entry));
            })?;
            let mut entries: Vec<(usize, Entry)> = entries.into_values().collect();
            entries.sort_unstable_by_key(|(_, entry)| entry.began_ms);
            for (_, entry) in entries {
                if entry.refused {
                    continue;
                }
                if entry.end.is_none() && self.take_up(relay, &entry) {
                    continue;
                }
                let entry = if entry.end.is_none() { self.close(config, entry)? } else { entry };
                self.remember(relay, entry);
            }
        }
        Ok(())
    }

    /// Goes on with an answer that was running when the process ended, if its upstream can. Keys of
    /// clients are stored nowhere, so this is for upstreams that want none or have the operator's.
    fn take_up(self: &Arc<Self>, relay: usize, entry: &Entry) -> bool {
        let config = self.configs[relay].clone();
        let asked = Asked { streams: true, background: entry.background, ..Asked::default() };
        let message = entry.ui.then(|| entry.answer.clone());
        let asks = Asks { dialect: entry.dialect, asked, message };
        let answer = known(relay, config.keep, entry.clone(), Phase::Asking);
        let mut generation = Generation::new(self.clone(), config.clone(), answer.clone(), asks);
        if !generation.remember() {
            return false;
        }
        self.answers.lock().insert(answer);
        let request =
            Outgoing::new(&config, Method::GET, String::new(), &HeaderMap::new(), Bytes::new());
        self.runtime.spawn(generation.take_up_again(request));
        true
    }

    /// Ends an answer that was running when the process ended.
    fn close(&self, config: &LlmConfig, mut entry: Entry) -> Result<Entry, StartError> {
        let topic = format!("{}{}", ANSWERS, entry.answer);
        let asked = Asked { streams: true, ..Asked::default() };
        let message = entry.ui.then(|| entry.answer.clone());
        let mut reader = Asks { dialect: entry.dialect, asked, message }.reader();
        let (mut events, mut ended) = (0_u64, None);
        store::read(&self.hub, &topic, 0, &mut |event| {
            ended = ended.or(event.end);
            events += 1;
            if let Ok(data) = std::str::from_utf8(&event.data) {
                reader.replay(event.event_type.as_deref(), data);
            }
        })?;
        let end = match ended {
            Some(end) => end,
            None => {
                let mut records = Vec::new();
                let end = reader.finish(false, &Cause::Lost, &mut records);
                store::append(&self.hub, &topic, &records, Some(end))?;
                end
            }
        };
        let usage = reader.usage();
        entry.end = Some(end);
        entry.response = entry.response.or_else(|| reader.answer_id().map(str::to_owned));
        entry.input_tokens = usage.input_tokens.unwrap_or(0);
        entry.output_tokens = usage.output_tokens.unwrap_or(0);
        entry.estimated = usage.estimated;
        self.note_end(&config.name, &entry)?;
        self.metrics.orphaned();
        tracing::info!(%topic, events, end = end.as_str(), "an unfinished answer was ended");
        Ok(entry)
    }

    fn remember(&self, relay: usize, entry: Entry) {
        let (owner, began_ms, tokens) = (entry.owner.clone(), entry.began_ms, entry.tokens());
        let phase = Phase::Ended(entry.end.unwrap_or(End::Error));
        let answer = known(relay, self.configs[relay].keep, entry, phase);
        let mut answers = self.answers.lock();
        answers.spend(&owner, began_ms, tokens);
        answers.insert(answer);
    }
}

/// The answer of an entry.
fn known(relay: usize, keep: Duration, entry: Entry, phase: Phase) -> Arc<Answer> {
    let usage = Usage {
        input_tokens: Some(entry.input_tokens),
        output_tokens: Some(entry.output_tokens),
        estimated: entry.estimated,
        ..Usage::default()
    };
    let known = Known { response: entry.response, model: entry.model, usage };
    let begin = Begin {
        name: entry.answer,
        relay,
        dialect: entry.dialect,
        ui: entry.ui,
        owner: entry.owner,
        asked: entry.asked,
        key: entry.key,
        chat: entry.chat,
        began_ms: entry.began_ms,
        before: entry.before,
        until_ms: entry.began_ms.saturating_add(millis(keep)),
        background: entry.background,
    };
    Answer::new(begin, phase, known)
}
