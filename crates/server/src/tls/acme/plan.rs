//! What is to be done about the certificate, and when: asking for advice, ordering, or waiting.
//!
//! There is no clock, no network and no file here; whoever asks brings the time. What is kept of an
//! attempt that did not succeed outlives the process, so that a server that is started again and
//! again orders no more often than one that runs.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::schedule::{self, ASKED_WAIT_MAX, DAY, Failed, seconds};
use crate::config::{AcmeConfig, Challenge, Pace};
use crate::tls::x509::Known;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The authority is asked when it wants the certificate to be renewed.
    Ask,
    /// A certificate is ordered.
    Order,
    /// Nothing, for so long at most: the clock may be set meanwhile.
    Wait(Duration),
}

/// What an authority advises (RFC 9773, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    /// Between which two moments to renew, as unix times.
    pub(super) window: (i64, i64),
    /// When to ask again.
    pub(super) again: Duration,
}

/// What an order is to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// The certificate whose place the new one takes, if the authority is to be told.
    pub(super) replaces: Option<Known>,
    /// Which of the challenges is taken first, counted from the preferred one and around.
    pub(super) first: usize,
}

/// What was asked for. Whoever asks for something else has not tried yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    directory: String,
    directory_ca: Option<PathBuf>,
    domains: Vec<String>,
    contact: Vec<String>,
    challenges: Vec<Challenge>,
    account: Option<String>,
}

impl Asked {
    fn of(config: &AcmeConfig) -> Self {
        Self {
            directory: config.directory.to_string(),
            directory_ca: config.directory_ca.clone(),
            domains: config.domains.clone(),
            contact: config.contact.clone(),
            challenges: config.challenges.clone(),
            account: config.external_account.as_ref().map(|known| known.id.clone()),
        }
    }
}

/// An attempt that has not succeeded (yet), as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempt {
    asked: Asked,
    /// When it was made, and before when there is no other; unix times.
    at: i64,
    next: i64,
    /// How many there were in a row, and in how many of them a name was not proven.
    failures: u32,
    unproven: u32,
}

impl Attempt {
    /// How long there is none yet.
    pub(super) fn left(&self, now: i64) -> Duration {
        Duration::from_secs(self.next.saturating_sub(now).try_into().unwrap_or_default())
    }

    /// A clock that was set back makes nobody wait longer than was meant.
    fn rebase(&mut self, now: i64) {
        let early = self.at.saturating_sub(now).max(0);
        self.at = self.at.saturating_sub(early);
        let longest = self.at.saturating_add(seconds(ASKED_WAIT_MAX));
        self.next = self.next.saturating_sub(early).min(longest);
    }
}

/// All that the next step depends on.
pub(super) struct Plan {
    asked: Asked,
    pace: Pace,
    /// The certificate that is shown, and whether it is for what is asked now.
    shown: Option<(Known, bool)>,
    /// The moment that the authority advises.
    advised: Option<i64>,
    ask_at: i64,
    attempt: Option<Attempt>,
}

impl Plan {
    /// Nothing is shown; `attempt` was kept by the process before.
    pub(super) fn new(config: &AcmeConfig, attempt: Option<Attempt>) -> Self {
        let asked = Asked::of(config);
        let attempt = attempt.filter(|kept| kept.asked == asked);
        Self { asked, pace: config.pace, shown: None, advised: None, ask_at: i64::MIN, attempt }
    }

    /// This one is shown from now on; `wanted` is whether it is for what is asked.
    pub(super) fn shows(&mut self, known: Known, wanted: bool) {
        self.shown = Some((known, wanted));
        self.advised = None;
        self.ask_at = i64::MIN;
    }

    /// What to do at this unix time.
    pub(super) fn next(&mut self, now: i64) -> Next {
        self.ask_at = self.ask_at.min(now.saturating_add(DAY));
        let due = self.due().max(now.saturating_add(seconds(self.patience(now))));
        if due <= now {
            return Next::Order;
        }
        let mut until = due;
        if self.wanted().is_some() {
            if self.ask_at <= now {
                return Next::Ask;
            }
            until = until.min(self.ask_at);
        }
        let left = u64::try_from(until.saturating_sub(now)).unwrap_or_default();
        Next::Wait(Duration::from_secs(left).min(self.pace.look))
    }

    /// When there is to be another certificate, whether one may be ordered then or not.
    pub(super) fn due(&self) -> i64 {
        let Some(known) = self.wanted() else { return i64::MIN };
        schedule::renewal(known).min(self.advised.unwrap_or(i64::MAX))
    }

    /// How long nothing is ordered, because of an attempt that failed.
    pub(super) fn patience(&mut self, now: i64) -> Duration {
        let Some(attempt) = &mut self.attempt else { return Duration::ZERO };
        attempt.rebase(now);
        attempt.left(now)
    }

    /// The certificate that is shown, if it is for what is asked.
    pub(super) fn wanted(&self) -> Option<&Known> {
        self.shown.as_ref().filter(|(_, wanted)| *wanted).map(|(known, _)| known)
    }

    /// The authority was asked, and has advised this if anything.
    pub(super) fn advised(&mut self, now: i64, advice: Option<Advice>) {
        let mut again = self.pace.ask;
        if let (Some(known), Some(advice)) = (self.wanted(), advice) {
            self.advised = Some(schedule::within(advice.window, known));
            again = again.max(advice.again.min(ASKED_WAIT_MAX));
        }
        self.ask_at = now.saturating_add(seconds(again));
    }

    /// What the next order is to be like. What a renewal takes the place of is said once: not every
    /// authority has to believe it.
    pub(super) fn turn(&self) -> Turn {
        let (failures, unproven) =
            self.attempt.as_ref().map_or((0, 0), |last| (last.failures, last.unproven));
        let ways = self.asked.challenges.len().max(1);
        let first = usize::try_from(unproven).unwrap_or_default() % ways;
        Turn { replaces: self.wanted().filter(|_| failures == 0).cloned(), first }
    }

    /// An order is about to be placed. It counts as a failure until it is known better.
    pub(super) fn begins(&mut self, now: i64, dice: u64) -> &Attempt {
        let last = self.attempt.take();
        let (failures, unproven) = last.map_or((0, 0), |last| (last.failures, last.unproven));
        let failures = failures.saturating_add(1);
        let wait = schedule::wait(failures, Failed::Refused, None, &self.pace, dice);
        let next = now.saturating_add(seconds(wait));
        let asked = self.asked.clone();
        self.attempt.insert(Attempt { asked, at: now, next, failures, unproven })
    }

    /// The order that was begun has failed. `told` is how long the authority asks to wait.
    pub(super) fn failed(
        &mut self,
        now: i64,
        failed: Failed,
        told: Option<Duration>,
        dice: u64,
    ) -> Option<&Attempt> {
        let attempt = self.attempt.as_mut()?;
        let wait = schedule::wait(attempt.failures, failed, told, &self.pace, dice);
        (attempt.at, attempt.next) = (now, now.saturating_add(seconds(wait)));
        let unproven = u32::from(failed == Failed::NotProven);
        attempt.unproven = attempt.unproven.saturating_add(unproven);
        Some(attempt)
    }

    /// The order that was begun has brought what is shown now.
    pub(super) fn succeeded(&mut self) {
        self.attempt = None;
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
