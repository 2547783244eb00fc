//! Reading: the upstream's bytes become records, and records are handed to the log.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tidings_frame::End;
use tidings_frame::sse_decode::DecodeError;
use tidings_hub::PublishError;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::Generation;
use crate::answer::Phase;
use crate::dialect::{Cause, Progress, Record, sequence_number};
use crate::http1::conn::Body;

/// How long the end of an upstream's body is waited for, once its answer is complete, and how many
/// bytes of it are read.
const REST_WAIT: Duration = Duration::from_secs(1);
const REST_BYTES_MAX: usize = 64 << 10;

/// How reading a body went on.
pub(super) enum Read {
    Over(End),
    /// It broke off. `again` if that was the connection's fault, so that another may do better.
    Broken {
        clean: bool,
        cause: Cause,
        again: bool,
    },
}

/// The bytes of an upstream's body, as they come.
pub(super) struct Coming {
    body: Body,
    /// Longest time without a part of the answer.
    silence: Duration,
    heard: Instant,
    /// Set anew when it fires, not with each token.
    alarm: Pin<Box<Sleep>>,
    closes: bool,
    at_end: bool,
}

impl Coming {
    /// `closes` the body with a blank line; not where it is gone on with inside of an event.
    fn new(body: Body, silence: Duration, closes: bool) -> Self {
        let heard = Instant::now();
        let alarm = Box::pin(sleep_until(heard + silence));
        Self { body, silence, heard, alarm, closes, at_end: false }
    }

    /// Hands the next bytes to `each`, all that have come; or says how the body ended. A body that
    /// ends as HTTP wants it ends with a blank line once, of which `each` is told that it is one: a
    /// last event without one is none by the standard, but the SDKs take it.
    async fn next(&mut self, mut each: impl FnMut(&[u8], bool)) -> Result<(), Read> {
        while !self.at_end {
            tokio::select! {
                biased;
                came = self.body.next(|bytes| each(bytes, false)) => match came {
                    Ok(true) => return Ok(()),
                    Ok(false) => self.at_end = true,
                    Err(error) => return Err(broken(false, error.to_string())),
                },
                () = &mut self.alarm => {
                    let due = self.heard + self.silence;
                    if due <= Instant::now() {
                        let why = format!("the upstream said nothing for {:?}", self.silence);
                        let cause = Cause::TimedOut(why);
                        return Err(Read::Broken { clean: false, cause, again: false });
                    }
                    self.alarm.as_mut().reset(due);
                }
            }
        }
        if std::mem::take(&mut self.closes) {
            each(b"\n\n", true);
            return Ok(());
        }
        Err(broken(true, "the upstream ended before its answer did".into()))
    }

    /// The answer is complete; what is left is the end of the body. With it read, the connection
    /// can be used again.
    fn finish(self) {
        if !self.body.is_over() {
            tokio::spawn(timeout(REST_WAIT, self.body.collect(REST_BYTES_MAX)));
        }
    }
}

/// What was decoded of the bytes that came together.
struct Came {
    records: Vec<Record>,
    progress: Progress,
    over: Option<End>,
    /// What is wrong with the bytes.
    wrong: Option<DecodeError>,
    /// Whether the answer has become longer than it may be.
    too_long: bool,
}

impl Generation {
    /// Reads an upstream's stream into the topic.
    pub(super) async fn read(&mut self, body: Body, hold: bool) -> Read {
        let mut coming = Coming::new(body, self.config.idle_timeout, !self.goes_on_by_bytes());
        loop {
            let mut came = Came {
                records: Vec::new(),
                progress: Progress::Opening,
                over: None,
                wrong: None,
                too_long: false,
            };
            let next = coming.next(|bytes, at_end| self.decode(bytes, at_end, &mut came));
            if let Err(ended) = next.await {
                return ended;
            }
            let Came { mut records, progress, over, wrong, too_long } = came;
            if !records.is_empty() || progress == Progress::Token {
                coming.heard = Instant::now();
            }
            if progress == Progress::Token {
                self.token(coming.heard);
            }
            self.note_progress();
            let held = hold && self.last_token.is_none() && over.is_none();
            if held {
                self.held.append(&mut records);
            } else {
                self.learn();
                if let Err(why) = self.store(&mut records, over).await {
                    return unfit(why);
                }
            }
            if let Some(end) = over {
                coming.finish();
                return Read::Over(end);
            }
            if let Some(why) = wrong {
                return unfit(why.to_string());
            }
            if too_long {
                let limit = self.config.answer_bytes_max;
                return unfit(format!("the answer is longer than {limit} bytes"));
            }
        }
    }

    /// Decodes bytes of the body, or what closes it, into records. After an end, or something
    /// wrong, there are none.
    fn decode(&mut self, bytes: &[u8], at_end: bool, came: &mut Came) {
        if came.over.is_some() || came.wrong.is_some() || came.too_long {
            return;
        }
        let Came { records, progress, over, wrong, too_long } = came;
        let bytes_max = self.config.answer_bytes_max;
        let (reader, count, skip) = (&mut self.reader, &mut self.bytes, &mut self.skip);
        let (numbered, number) = (self.asks.asked.background, &mut self.number);
        if !at_end {
            self.received += bytes.len() as u64;
        }
        let fed = self.decoder.feed(bytes, |event| {
            if over.is_some() || *too_long || (at_end && !is_whole(event.data)) {
                return;
            }
            *count += event.data.len();
            // Here and not after the read: its end may have come in the same one.
            *too_long = *count > bytes_max;
            if *too_long {
                return;
            }
            let before = records.len();
            match reader.event(event.event_type, event.data, records) {
                Progress::Over(end) => *over = Some(end),
                Progress::Token => *progress = Progress::Token,
                Progress::Opening => {}
            }
            let known = (*skip).min(records.len() - before);
            records.drain(before..before + known);
            *skip -= known;
            if numbered {
                *number = sequence_number(event.data).or(*number);
            }
        });
        *wrong = fed.err();
    }

    /// Hands in what was held and `records`; what it returns concerns what was handed in before.
    /// An end is stored when this returns.
    pub(super) async fn store(
        &mut self,
        records: &mut Vec<Record>,
        end: Option<End>,
    ) -> Result<(), String> {
        // Held while it waits: whoever stops the answer then finds them there.
        self.held.append(records);
        if self.held.is_empty() && end.is_none() {
            return Ok(());
        }
        if !self.entered {
            self.answer.enter(Phase::Streaming(None));
            self.entered = true;
        }
        let why = |error: Arc<PublishError>| format!("the answer cannot be stored: {error}");
        self.line.settled().await.map_err(why)?;
        if let Some(end) = end {
            self.relays.ending(&self.answer, end);
        }
        self.line.hand_in(std::mem::take(&mut self.held), end);
        if end.is_some() {
            self.ended = true;
            self.line.settled().await.map_err(why)?;
        }
        Ok(())
    }

    /// Counts a part of the answer.
    fn token(&mut self, now: Instant) {
        let metrics = &self.relays.metrics;
        match self.last_token.replace(now) {
            None => metrics.first_token(now - self.begun),
            Some(last) => metrics.next_token(now - last),
        }
    }

    /// Notes for whoever watches how far the answer has come.
    fn note_progress(&self) {
        let mut progress = self.answer.progress.lock();
        progress.tokens = self.reader.usage().output_tokens.unwrap_or(0);
        progress.bytes = self.bytes as u64;
        if progress.first_ms.is_none() && self.last_token.is_some() {
            progress.first_ms = Some(self.relays.hub.now_ms());
        }
    }

    /// Notes the upstream's name of the answer once it has said it.
    fn learn(&mut self) {
        let Some(response) = self.reader.answer_id().filter(|_| !self.learnt) else { return };
        self.learnt = true;
        let mut known = self.answer.known.lock();
        if known.response.is_none() {
            known.response = Some(response.to_owned());
            known.model = self.reader.model().map(str::to_owned);
            drop(known);
            self.relays.named(&self.answer, response);
        }
    }
}

pub(super) fn broken(clean: bool, why: String) -> Read {
    Read::Broken { clean, cause: Cause::Broken(why), again: true }
}

/// What another connection would not mend.
fn unfit(why: String) -> Read {
    Read::Broken { clean: false, cause: Cause::Broken(why), again: false }
}

/// Whether the data of an event that the end of the body may have cut is whole.
fn is_whole(data: &str) -> bool {
    data.trim_ascii() == "[DONE]" || serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok()
}
