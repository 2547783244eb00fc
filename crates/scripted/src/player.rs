//! Plays a script's body: bytes and moments, without sockets and without a clock of its own.
//!
//! The body is made step by step, when it is due, so that a thousand answers of any length cost
//! no more memory than the step that each is at.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::dialect::{Rendering, Score};
use crate::fault::{Action, At, Fault};
use crate::framing::{Sse, Writes};
use crate::http::Outbox;
use crate::script::{Coding, Script};

/// Bytes made for one turn; more are made when these are with the socket.
const TURN_BYTES: usize = 64 << 10;

/// What is to be done after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Call again when the bytes are with the socket.
    More,
    /// Call again then.
    Wait(Instant),
    /// Nothing will ever come.
    Hang,
    /// The body is complete.
    End,
    /// The body breaks off: close the connection.
    Close,
    /// The body breaks off: reset the connection.
    Reset,
}

/// The next thing to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Open,
    Begin(usize),
    Token(usize, usize),
    End(usize),
    Close,
    Over,
}

/// An answer's body while it is played.
pub(crate) struct Player {
    script: Arc<Script>,
    score: Box<dyn Score>,
    sse: Sse,
    /// How far `sse` has been put out.
    out: usize,
    lengths: Vec<usize>,
    step: Step,
    faults: Vec<Fault>,
    /// When the next token is due.
    due: Instant,
    /// Nothing moves before this, whatever is due.
    not_before: Option<Instant>,
    size: usize,
    pub(crate) bytes: u64,
    pub(crate) tokens: u64,
    skip: u64,
}

impl Player {
    /// The body's beginning, with the head just sent at `now`.
    pub(crate) fn new(script: Arc<Script>, rendering: Rendering, now: Instant) -> Self {
        Self {
            sse: Sse::new(script.framing.clone()),
            out: 0,
            lengths: rendering.lengths,
            step: Step::Open,
            faults: script.faults.iter().filter(|fault| fault.at != At::Head).cloned().collect(),
            due: now + script.first_after,
            not_before: None,
            size: 0,
            bytes: 0,
            tokens: 0,
            skip: script.from_byte,
            score: rendering.score,
            script,
        }
    }

    /// Puts out what is due at `now`, at most about [`TURN_BYTES`].
    pub(crate) fn turn(&mut self, now: Instant, out: &mut Outbox) -> Turn {
        loop {
            if let Some(until) = self.not_before {
                if until > now {
                    return Turn::Wait(until);
                }
                self.not_before = None;
            }
            if out.len() >= TURN_BYTES {
                return Turn::More;
            }
            if let Some(action) = self.fault_here() {
                if let Some(turn) = self.act(action, now, out) {
                    return turn;
                }
            } else if self.out < self.sse.bytes.len() {
                self.put_piece(now, out);
            } else if self.step == Step::Over {
                return Turn::End;
            } else if matches!(self.step, Step::Token(..)) && self.due > now {
                return Turn::Wait(self.due);
            } else {
                self.take_step();
            }
        }
    }

    /// The fault whose place is here, which is then done with.
    fn fault_here(&mut self) -> Option<Action> {
        let between = self.out == self.sse.bytes.len() && self.step != Step::Open;
        let here = |fault: &Fault| match fault.at {
            At::Head => false,
            At::Byte(at) => at <= self.bytes,
            At::Token(at) => between && at <= self.tokens,
        };
        let found = self.faults.iter().position(here)?;
        Some(self.faults.remove(found).action)
    }

    fn act(&mut self, action: Action, now: Instant, out: &mut Outbox) -> Option<Turn> {
        match action {
            Action::End => return Some(Turn::End),
            Action::Close => return Some(Turn::Close),
            Action::Reset => return Some(Turn::Reset),
            Action::Stall(None) => return Some(Turn::Hang),
            Action::Stall(Some(pause)) => {
                self.not_before = Some(now + pause);
                self.due += pause;
            }
            Action::Insert(bytes) => out.put(&bytes, true),
            Action::Error { kind, message } => {
                self.break_off();
                self.score.error(&mut self.sse, &kind, &message);
            }
            Action::Fail { message } => {
                self.break_off();
                self.score.fail(&mut self.sse, &message);
            }
        }
        None
    }

    /// Forgets everything that would have come.
    fn break_off(&mut self) {
        self.sse.clear();
        self.out = 0;
        self.step = Step::Over;
        self.faults.clear();
    }

    /// Makes the next step's bytes.
    fn take_step(&mut self) {
        self.sse.clear();
        self.out = 0;
        let sse = &mut self.sse;
        match self.step {
            Step::Open => self.score.open(sse),
            Step::Begin(part) => self.score.begin(sse, part),
            Step::Token(part, piece) => {
                let stamp = self.script.stamped.then(|| format!("{:020}", crate::monotonic_ns()));
                self.score.token(sse, part, piece, stamp.as_deref());
                self.tokens += 1;
                self.due += self.script.pace;
            }
            Step::End(part) => self.score.end(sse, part),
            Step::Close => self.score.close(sse),
            Step::Over => {}
        }
        self.step = self.after(self.step);
    }

    fn after(&self, step: Step) -> Step {
        let begin = |part: usize| {
            if part < self.lengths.len() { Step::Begin(part) } else { Step::Close }
        };
        let token = |part: usize, piece: usize| {
            if piece < self.lengths[part] { Step::Token(part, piece) } else { Step::End(part) }
        };
        match step {
            Step::Open => begin(0),
            Step::Begin(part) => token(part, 0),
            Step::Token(part, piece) => token(part, piece + 1),
            Step::End(part) => begin(part + 1),
            Step::Close | Step::Over => Step::Over,
        }
    }

    /// Puts the next piece out, at most to the next fault.
    fn put_piece(&mut self, now: Instant, out: &mut Outbox) {
        let rest = self.sse.bytes.len() - self.out;
        let mut len = match &self.script.writes {
            Writes::Sizes(sizes) if !sizes.is_empty() => {
                let size = sizes[self.size % sizes.len()].max(1);
                self.size += 1;
                size
            }
            _ => {
                let end = self.sse.ends.iter().find(|&&end| end > self.out);
                end.map_or(rest, |end| end - self.out)
            }
        };
        let places = self.faults.iter().filter_map(|fault| match fault.at {
            At::Byte(at) => usize::try_from(at - self.bytes).ok(),
            _ => None,
        });
        // Faults at or before this byte have happened, so that each is at least one byte away.
        len = places.fold(len.min(rest), usize::min);
        let piece = &self.sse.bytes[self.out..self.out + len];
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(len);
        if skipped < len {
            out.put(&piece[skipped..], self.script.writes != Writes::Together);
        }
        self.skip -= skipped as u64;
        self.out += len;
        self.bytes += len as u64;
        if !self.script.gap.is_zero() {
            self.not_before = Some(now + self.script.gap);
        }
    }
}

/// What happens before the head of the response: how long it lets itself be waited for, and what
/// then takes its place, if something does.
pub(crate) fn before_head(script: &Script) -> (Duration, Option<Turn>) {
    let mut delay = script.head_after;
    for fault in script.faults.iter().filter(|fault| fault.at == At::Head) {
        match &fault.action {
            Action::Stall(Some(pause)) => delay += *pause,
            Action::Stall(None) => return (delay, Some(Turn::Hang)),
            Action::Reset => return (delay, Some(Turn::Reset)),
            Action::End | Action::Close | Action::Error { .. } | Action::Fail { .. } => {
                return (delay, Some(Turn::Close));
            }
            Action::Insert(_) => {}
        }
    }
    (delay, None)
}

/// How many bytes the whole body has, without what would cut it short.
pub(crate) fn length(script: &Script, rendering: Rendering) -> u64 {
    let mut script = script.clone();
    (script.pace, script.gap, script.first_after) = Default::default();
    script
        .faults
        .retain(|fault| !matches!(fault.action, Action::Close | Action::Reset | Action::Stall(_)));
    let now = Instant::now();
    let mut player = Player::new(Arc::new(script), rendering, now);
    let mut out = Outbox::new(Coding::Length);
    let mut length = 0;
    while player.turn(now, &mut out) == Turn::More {
        length += out.len() as u64;
        out.clear();
    }
    length + out.len() as u64
}
