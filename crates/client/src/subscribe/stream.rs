//! The subscription as it lives: connecting, open, waiting to reconnect, closed.
//!
//! Everything is driven by polling, without a task of its own: what nobody polls reads nothing, and
//! what is dropped is closed. `next` can be cancelled at any await without losing an item.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use hyper::body::Incoming;
use tidings_frame::Position;
use tidings_frame::limits::RETRY_MAX;
use tokio::time::{Instant, Sleep};

use super::attempt::{Attempt, attempt, connection_name, request, start_position};
use super::reader::Reader;
use super::watch::Watched;
use super::{ConnectionState, Item, Start, Subscribe};
use crate::backoff::{Random, wait};
use crate::error::{Cause, SubscribeError};

/// Shortest bound of the wait between attempts, whatever `retry:` says: with 0 a server that cannot
/// answer would be asked in an endless loop.
const RETRY_MIN: Duration = Duration::from_millis(1);

/// Topics that are being followed. Ends when its only topic has ended or the server says that there
/// is nothing more (204); otherwise it goes on until it is dropped or fails for good.
#[must_use = "a subscription does nothing until it is polled"]
pub struct Subscription {
    request: Subscribe,
    reader: Reader,
    state: State,
    random: Random,
    /// Failed attempts in a row.
    failures: u32,
    /// Whether any attempt has been answered with a stream.
    was_open: bool,
    position: Option<Position>,
    /// What the server calls the connection that is open.
    connection: Option<String>,
}

enum State {
    /// Nothing has been asked yet.
    New,
    Connecting(Pin<Box<dyn Future<Output = Attempt> + Send>>),
    Open {
        body: Watched<Incoming>,
        since: Instant,
    },
    Waiting(Pin<Box<Sleep>>),
    Closed,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("request", &self.request)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl Subscription {
    pub(super) fn new(request: Subscribe) -> Self {
        let only = match (&request.topics[..], &request.patterns[..]) {
            ([topic], []) => Some(topic.clone()),
            _ => None,
        };
        let mut reader = Reader::new(request.limits(), only);
        if let Start::After(id) = &request.start {
            reader.set_cursor(id);
        }
        Self {
            request,
            reader,
            state: State::New,
            random: Random::new(),
            failures: 0,
            was_open: false,
            position: None,
            connection: None,
        }
    }

    /// The next item; none once nothing will come any more. Cancel-safe.
    ///
    /// # Errors
    ///
    /// What reconnecting cannot mend. Nothing comes after an error.
    pub async fn next(&mut self) -> Option<Result<Item, SubscribeError>> {
        poll_fn(|context| self.poll_item(context)).await
    }

    /// The position of the last item taken or, before the first, the one that the server said it
    /// begins after. Whoever stores it can begin there another time ([`Start::After`]).
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// The name of the connection that is open, with its key: who shows it may change what it
    /// follows ([`Client::change_connection`](crate::Client::change_connection)), or end it. After
    /// a reconnect there is another.
    #[must_use]
    pub fn connection(&self) -> Option<&str> {
        self.connection.as_deref()
    }

    fn poll_item(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Item, SubscribeError>>> {
        loop {
            if let Some(item) = self.reader.next() {
                self.failures = 0;
                self.position = item.as_ref().ok().map(Item::position).or(self.position);
                if item.is_err() || self.is_last(&item) {
                    self.close();
                }
                return Poll::Ready(Some(item));
            }
            let result = match &mut self.state {
                State::New => self.connect(),
                State::Closed => return Poll::Ready(None),
                State::Waiting(sleep) => {
                    ready!(sleep.as_mut().poll(context));
                    self.connect()
                }
                State::Connecting(answer) => {
                    let answer = ready!(answer.as_mut().poll(context));
                    self.answered(answer)
                }
                State::Open { body, since } => match ready!(body.poll_data(context)) {
                    Ok(bytes) => {
                        self.reader.push(bytes);
                        Ok(())
                    }
                    Err(cause) => {
                        // It has served its time: this is not a server that cannot keep one open.
                        if since.elapsed() >= self.request.silence {
                            self.failures = 0;
                        }
                        self.again(cause, None)
                    }
                },
            };
            if let Err(error) = result {
                self.close();
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    fn is_last(&self, item: &Result<Item, SubscribeError>) -> bool {
        let only = self.request.topics.len() == 1 && self.request.patterns.is_empty();
        only && matches!(item, Ok(Item::End(_)))
    }

    fn tell(&mut self, state: &ConnectionState) {
        if let Some(on_state) = &mut self.request.on_state {
            on_state(state);
        }
    }

    fn close(&mut self) {
        self.state = State::Closed;
        self.connection = None;
        self.reader.clear();
        self.tell(&ConnectionState::Closed);
    }

    fn connect(&mut self) -> Result<(), SubscribeError> {
        self.connection = None;
        self.reader.reset();
        let Subscribe { client, topics, patterns, start, silence, .. } = &self.request;
        let call = request(client, topics, patterns, start, self.reader.cursor())?;
        self.state = State::Connecting(Box::pin(attempt(client.clone(), call, *silence)));
        self.tell(&ConnectionState::Connecting);
        Ok(())
    }

    fn answered(&mut self, answer: Attempt) -> Result<(), SubscribeError> {
        match answer {
            Attempt::Open(body, headers) => {
                if self.reader.cursor().is_empty() {
                    let start = start_position(&headers);
                    self.reader.set_cursor(start.unwrap_or_default());
                    self.position = start.and_then(|id| id.parse().ok());
                }
                self.connection = connection_name(&headers);
                let body = Watched::new(body, self.request.silence);
                self.state = State::Open { body, since: Instant::now() };
                self.was_open = true;
                self.tell(&ConnectionState::Open);
                Ok(())
            }
            Attempt::Stop => {
                self.close();
                Ok(())
            }
            Attempt::Again(cause, at_least) => self.again(cause, at_least),
            Attempt::Final(error) => Err(error),
        }
    }

    fn again(&mut self, cause: Cause, at_least: Option<Duration>) -> Result<(), SubscribeError> {
        self.failures = self.failures.saturating_add(1);
        let attempts = self.failures;
        let enough = self.request.attempts_max.is_some_and(|max| attempts >= max);
        if enough || (self.request.first_attempt_final && !self.was_open) {
            return Err(SubscribeError::GaveUp { attempts, cause });
        }
        let base =
            self.reader.retry_ms().map_or(self.request.client.inner.retry, Duration::from_millis);
        let base = base.max(RETRY_MIN);
        self.connection = None;
        let wait = wait(&mut self.random, base, RETRY_MAX.max(base), attempts, at_least);
        self.state = State::Waiting(Box::pin(tokio::time::sleep(wait)));
        self.tell(&ConnectionState::Reconnecting { wait, attempt: attempts, cause });
        Ok(())
    }
}

impl Stream for Subscription {
    type Item = Result<Item, SubscribeError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_item(context)
    }
}
