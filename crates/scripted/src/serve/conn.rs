//! One connection: requests in, answers out, one after the other.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Play;
use crate::dialect::{Facts, content_type, render};
use crate::http::{Outbox, Taken, head, take};
use crate::id::Ids;
use crate::player::{Player, Turn, before_head, length};
use crate::script::{Coding, Script};
use crate::seen::{Board, Received};

/// Bytes that a client may send ahead of being answered.
const AHEAD_BYTES_MAX: usize = 128 << 20;

/// Steps of one connection before others get a turn.
const STEPS_PER_TURN: usize = 16;

/// What all connections share.
pub(super) struct Shop<'a> {
    pub(super) board: &'a Board,
    pub(super) play: &'a Play,
    pub(super) ids: &'a mut Ids,
    /// The next request's number.
    pub(super) next: &'a mut u64,
}

/// What a connection waits for.
pub(super) enum After {
    /// Its client.
    Client,
    /// A moment, and its client.
    Moment(Instant),
    /// That its socket takes more.
    Writable,
    /// Nothing: it is over.
    Gone,
}

/// An answer that has begun.
struct Running {
    request: Arc<Received>,
    script: Arc<Script>,
    begun: Instant,
    keep_alive: bool,
}

enum State {
    Idle,
    /// Before the head of the response.
    Before(Running, Instant, Option<Turn>),
    Playing(Running, Box<Player>),
    /// Nothing will come.
    Hanging(Running),
    /// To be closed when everything is written; `true`: with a reset.
    Leaving(bool),
}

/// A connection.
pub(super) struct Conn {
    pub(super) stream: TcpStream,
    /// The tick at which it wants to be called, if it does.
    pub(super) timer: Option<u64>,
    /// Whether epoll tells when its socket takes more.
    pub(super) watches_out: bool,
    input: Vec<u8>,
    out: Outbox,
    state: State,
}

impl Conn {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            timer: None,
            watches_out: false,
            input: Vec::new(),
            out: Outbox::new(Coding::Length),
            state: State::Idle,
        }
    }

    /// Takes what the client has sent, and goes on.
    pub(super) fn readable(&mut self, shop: &mut Shop<'_>, scratch: &mut [u8]) -> After {
        let closed = loop {
            match (&self.stream).read(scratch) {
                Ok(0) => break true,
                Ok(read) => self.input.extend_from_slice(&scratch[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break true,
            }
            if self.input.len() > AHEAD_BYTES_MAX {
                break true;
            }
        };
        let after = self.go(shop, Instant::now());
        if closed { self.closed_by_client(shop) } else { after }
    }

    /// Does everything that can be done at `now`.
    pub(super) fn go(&mut self, shop: &mut Shop<'_>, now: Instant) -> After {
        for _ in 0..STEPS_PER_TURN {
            match self.out.flush(&self.stream) {
                Ok(true) => {}
                Ok(false) => return After::Writable,
                Err(_) => return self.closed_by_client(shop),
            }
            if let Some(after) = self.step(shop, now) {
                if !self.out.is_empty() {
                    match self.out.flush(&self.stream) {
                        Ok(true) => {}
                        Ok(false) => return After::Writable,
                        Err(_) => return self.closed_by_client(shop),
                    }
                }
                return after;
            }
        }
        After::Moment(now)
    }

    /// One step, and what to wait for before the next, if anything.
    fn step(&mut self, shop: &mut Shop<'_>, now: Instant) -> Option<After> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => match take(&mut self.input, *shop.next) {
                Taken::Request(request, keep_alive) => {
                    self.begin(shop, request, keep_alive);
                    None
                }
                Taken::Partial(go_on) => {
                    if go_on {
                        self.out.raw(b"HTTP/1.1 100 Continue\r\n\r\n");
                    }
                    Some(After::Client)
                }
                Taken::Bad => {
                    let head = head(400, "text/plain", &[], Some(0), false, false);
                    self.out.raw(head.as_bytes());
                    self.state = State::Leaving(false);
                    None
                }
            },
            State::Before(running, until, instead) => {
                if until > now {
                    self.state = State::Before(running, until, instead);
                    return Some(After::Moment(until));
                }
                match instead {
                    Some(turn) => self.finish(shop, running, turn, now),
                    None => {
                        self.open(shop, running, now);
                        None
                    }
                }
            }
            State::Playing(running, player) => self.play(shop, running, player, now),
            State::Hanging(running) => {
                self.state = State::Hanging(running);
                Some(After::Client)
            }
            State::Leaving(reset) => {
                if reset {
                    // Without it the connection ends in order, which the client notices too.
                    let _ =
                        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
                }
                Some(After::Gone)
            }
        }
    }

    fn begin(&mut self, shop: &mut Shop<'_>, request: Received, keep_alive: bool) {
        *shop.next += 1;
        let request = Arc::new(request);
        shop.board.begin(&request);
        let script = Arc::new((shop.play)(&request));
        let begun = request.at;
        let (delay, instead) = before_head(&script);
        let keep_alive = keep_alive && script.coding != Coding::UntilClose;
        let running = Running { request, script, begun, keep_alive };
        self.state = State::Before(running, begun + delay, instead);
    }

    /// The head of the response, and the body made ready.
    fn open(&mut self, shop: &mut Shop<'_>, running: Running, now: Instant) {
        let script = &running.script;
        let facts = Facts::new(Arc::clone(script), &running.request, &shop.ids.next());
        let (content_type, streams) = content_type(&facts);
        let coding = if streams { script.coding } else { script.whole_coding() };
        let whole = (coding == Coding::Length).then(|| length(script, render(facts.clone())));
        let chunked = coding == Coding::Chunked;
        let keep_alive = running.keep_alive;
        let head = head(script.status, content_type, &script.headers, whole, chunked, keep_alive);
        self.out.raw(head.as_bytes());
        self.out.set_coding(coding);
        let player = Player::new(Arc::clone(script), render(facts), now);
        self.state = State::Playing(running, Box::new(player));
    }

    fn play(
        &mut self,
        shop: &mut Shop<'_>,
        running: Running,
        mut player: Box<Player>,
        now: Instant,
    ) -> Option<After> {
        let before = (player.bytes, player.tokens);
        let turn = player.turn(now, &mut self.out);
        let (bytes, tokens) = (player.bytes, player.tokens);
        if before != (bytes, tokens) {
            shop.board.update_answer(running.request.number, |answer| {
                (answer.bytes, answer.tokens) = (bytes, tokens);
            });
        }
        match turn {
            Turn::More => {
                self.state = State::Playing(running, player);
                None
            }
            Turn::Wait(until) => {
                self.state = State::Playing(running, player);
                Some(After::Moment(until))
            }
            Turn::End => {
                self.out.end();
                self.finish(shop, running, turn, now)
            }
            Turn::Hang | Turn::Close | Turn::Reset => self.finish(shop, running, turn, now),
        }
    }

    /// The end of an answer.
    fn finish(
        &mut self,
        shop: &mut Shop<'_>,
        running: Running,
        turn: Turn,
        now: Instant,
    ) -> Option<After> {
        if turn == Turn::Hang {
            self.state = State::Hanging(running);
            return Some(After::Client);
        }
        shop.board.update_answer(running.request.number, |answer| {
            answer.finished = Some(now.saturating_duration_since(running.begun));
            answer.blocked = false;
        });
        self.state = match turn {
            Turn::End if running.keep_alive => State::Idle,
            turn => State::Leaving(turn == Turn::Reset),
        };
        None
    }

    /// Tells whether the answer that is being played stands still because nobody reads it.
    pub(super) fn note_blocked(&self, board: &Board, blocked: bool) {
        if let State::Playing(running, _) = &self.state {
            board.update_answer(running.request.number, |answer| answer.blocked = blocked);
        }
    }

    fn closed_by_client(&mut self, shop: &mut Shop<'_>) -> After {
        let state = std::mem::replace(&mut self.state, State::Leaving(false));
        if let State::Before(running, ..) | State::Playing(running, _) | State::Hanging(running) =
            state
        {
            let after = running.begun.elapsed();
            shop.board.update_answer(running.request.number, |answer| {
                answer.closed_by_client = Some(after);
            });
        }
        After::Gone
    }
}
