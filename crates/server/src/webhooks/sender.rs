//! The task that sends to one receiver, from its queue in the log.
//!
//! It takes in what the log has as far as there is room, sends so much at a time, and notes how far
//! it has come. Nothing of another receiver waits for it.

use std::sync::Arc;
use std::time::Duration;

use tidings_frame::Position as EventId;
use tidings_hub::{Backlog, Bell, Framing, Hub, NewEvent, ReadLimit, Selection, StoreError};
use tidings_relay::fetch::{Bounds, Client, FetchError};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::metrics::Counts;
use super::queue::{DELAY_MAX, Item, Position, Queue, delay};
use super::{POSITIONS, QUEUES, publish, story, topic};
use crate::config::WebhookConfig;
use crate::outgoing::post;

/// Events read from the log at a time.
const READ: ReadLimit = ReadLimit { events: 500, bytes: 1 << 20 };

/// Bytes of an answer that are read; nothing in it matters.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Failures in a row after which one request at a time is made, until one is accepted.
const FAILURES_MAX: u32 = 5;

/// How often it is noted at most how far it has come.
const NOTE_EVERY: Duration = Duration::from_millis(250);

/// How long requests under way have to be answered when the server stops.
const STOP_TIME: Duration = Duration::from_secs(2);

/// Wait before the log is read again that could not be.
const READ_RETRY: Duration = Duration::from_secs(5);

/// What became of a request.
#[derive(Debug)]
enum Sent {
    Accepted,
    /// The receiver wants nothing more.
    Gone,
    Failed {
        why: String,
        /// When it asks to be tried again.
        after: Option<Duration>,
    },
}

/// The task's state.
pub(super) struct Sender {
    hub: Arc<Hub>,
    config: Arc<WebhookConfig>,
    client: Client,
    counts: Counts,
    backlog: Backlog,
    queue: Queue,
    /// How far an earlier process had come, as long as that has to be read again.
    before: Position,
    /// Everything up to here was read.
    read: u64,
    news: Arc<Notify>,
    bell: Arc<Bell>,
    under_way: JoinSet<(u64, Item, Sent)>,
    /// Failures since something was accepted.
    failures: u32,
    noted: Position,
    note_at: Option<Instant>,
}

impl Sender {
    /// The sender, which goes on from where an earlier process had come to.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(super) fn new(
        hub: &Arc<Hub>,
        config: WebhookConfig,
        client: Client,
        counts: Counts,
    ) -> Result<Self, StoreError> {
        let name = format!("{QUEUES}{}", config.name);
        let news = Arc::new(Notify::new());
        let wake = news.clone();
        let bell = Bell::new(hub.visible(), move || wake.notify_one());
        hub.attach(&bell, &name, Framing::Plain);
        let before = noted(hub, &config.name)?;
        let mut queue = Queue::default();
        queue.taken_in(before.after());
        Ok(Self {
            backlog: Backlog::new(Arc::new(Selection::one(topic(&name)))),
            read: before.after(),
            noted: before.clone(),
            before,
            hub: hub.clone(),
            config: Arc::new(config),
            client,
            counts,
            queue,
            news,
            bell,
            under_way: JoinSet::new(),
            failures: 0,
            note_at: None,
        })
    }

    pub(super) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        loop {
            let unread = self.take_in();
            let due = self.queue.due(Instant::now());
            self.send();
            self.note_in_time();
            let wake = [due, self.note_at, unread].into_iter().flatten().min();
            self.count();
            let sent = tokio::select! {
                biased;
                _ = stopping.wait_for(|stop| *stop) => break,
                Some(sent) = self.under_way.join_next() => Some(sent),
                () = self.news.notified() => None,
                () = async {
                    match wake {
                        Some(at) => sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                } => None,
            };
            // A request that panicked has said so; its line stands still.
            let Some(Ok((line, item, sent))) = sent else { continue };
            if !self.judge(line, &item, sent) {
                self.disable().await;
                // The sender lives as long as the worker.
                let _ = stopping.wait_for(|stop| *stop).await;
                return;
            }
        }
        self.leave().await;
    }

    /// Takes in what the log has. When it is to be tried again, if that is not for the bell to say.
    fn take_in(&mut self) -> Option<Instant> {
        loop {
            self.bell.awake();
            // What they are is known: there is only one topic.
            self.bell.take(&mut Vec::new());
            let through = self.hub.visible();
            while self.queue.has_room() && self.read < through {
                let (queue, before) = (&mut self.queue, &self.before);
                let range = (self.read, through);
                let read = self.backlog.objects(&self.hub, range, READ, true, &mut |event| {
                    let sequence = event.id.sequence;
                    let line = story::about(&event.data);
                    if before.is_done(line, sequence) {
                        return;
                    }
                    let body = event.data.to_vec().into();
                    queue.push(line, Item { sequence, time_ms: event.time_ms, body });
                });
                match read {
                    Ok((after, more)) => {
                        self.read = if more { after } else { through };
                        self.queue.taken_in(self.read);
                    }
                    Err(error) => {
                        tracing::error!(webhook = %self.config.name, %error, "unreadable queue");
                        return Some(Instant::now() + READ_RETRY);
                    }
                }
            }
            if !self.queue.has_room() || self.bell.sleep() {
                return None;
            }
        }
    }

    /// Sends what can be sent now.
    fn send(&mut self) {
        let many = self.failures < FAILURES_MAX;
        let most = if many { self.config.concurrency } else { 1 };
        while self.under_way.len() < most {
            let Some((line, item)) = self.queue.next() else { return };
            let (client, config) = (self.client.clone(), self.config.clone());
            let id = EventId { epoch: self.hub.epoch(), sequence: item.sequence };
            let seconds = self.hub.now_ms() / 1_000;
            self.under_way.spawn(async move {
                let sent = attempt(&client, &config, &id, seconds, &item).await;
                (line, item, sent)
            });
        }
    }

    /// What follows from the answer; `false` if nothing more is to be sent.
    fn judge(&mut self, line: u64, item: &Item, sent: Sent) -> bool {
        let (webhook, sequence) = (&self.config.name, item.sequence);
        match sent {
            Sent::Accepted => {
                self.failures = 0;
                self.counts.sent.inc();
                self.queue.done(line);
            }
            Sent::Gone => return false,
            Sent::Failed { why, after } => {
                self.failures = self.failures.saturating_add(1);
                self.counts.failed.inc();
                let now_ms = self.hub.now_ms();
                let age = Duration::from_millis(now_ms.saturating_sub(item.time_ms));
                if age >= self.config.retry_for {
                    tracing::error!(%webhook, sequence, %why, "given up: not accepted in time");
                    self.counts.given_up.inc();
                    self.queue.done(line);
                } else {
                    let failures = self.queue.failed(line);
                    let dice = crate::app::scatter(now_ms ^ sequence);
                    let wait = delay(self.config.first_retry, failures, dice);
                    let wait = wait.max(after.unwrap_or_default()).min(DELAY_MAX);
                    tracing::warn!(%webhook, sequence, failures, ?wait, %why, "not accepted");
                    self.queue.again(line, Instant::now() + wait);
                }
            }
        }
        self.note_at.get_or_insert_with(|| Instant::now() + NOTE_EVERY);
        true
    }

    fn count(&self) {
        self.counts.waiting.set(i64::try_from(self.queue.held()).unwrap_or(i64::MAX));
    }

    fn note_in_time(&mut self) {
        if self.note_at.is_some_and(|at| at <= Instant::now()) {
            self.note_at = None;
            self.note();
        }
    }

    /// Notes how far it has come.
    fn note(&mut self) {
        let position = self.queue.position();
        if position == self.noted {
            return;
        }
        let data = serde_json::to_vec(&position).expect("numbers can be written as JSON");
        let event = NewEvent {
            topic: POSITIONS.into(),
            key: Some(self.config.name.as_str().into()),
            data: data.into(),
            ..NewEvent::default()
        };
        match publish(&self.hub, &[event]) {
            Ok(()) => self.noted = position,
            // Without it some are sent again after a restart, which receivers are used to.
            Err(error) => {
                tracing::warn!(webhook = %self.config.name, %error, "the position is not noted");
                self.note_at = Some(Instant::now() + READ_RETRY);
            }
        }
    }

    /// Nothing more is sent until the next start.
    async fn disable(&mut self) {
        let webhook = &self.config.name;
        tracing::error!(%webhook, "the receiver answered 410: it is told nothing until a restart");
        self.counts.disabled.set(1);
        self.under_way.shutdown().await;
        self.note();
    }

    /// The server stops: what is under way has a moment to be answered.
    async fn leave(mut self) {
        let deadline = Instant::now() + STOP_TIME;
        while let Ok(Some(sent)) =
            tokio::time::timeout_at(deadline, self.under_way.join_next()).await
        {
            if let Ok((line, item, sent)) = sent {
                self.judge(line, &item, sent);
            }
        }
        self.note();
    }
}

/// One request.
async fn attempt(
    client: &Client,
    config: &WebhookConfig,
    id: &EventId,
    seconds: u64,
    item: &Item,
) -> Sent {
    let fields = config.secrets.sign(&format!("msg_{id}"), seconds, &item.body);
    let bounds = Bounds { deadline: config.timeout, body_bytes_max: ANSWER_BYTES_MAX };
    let failed = |why: String| Sent::Failed { why, after: None };
    match post(client, &config.target, &fields, item.body.clone(), bounds).await {
        Ok(answer) if answer.status().is_success() => Sent::Accepted,
        Ok(answer) if answer.status() == http::StatusCode::GONE => Sent::Gone,
        Ok(answer) => {
            let after = answer.headers().get(http::header::RETRY_AFTER);
            let after = after.and_then(|value| value.to_str().ok()?.trim().parse().ok());
            let why = format!("{} answered {}", config.target.place(), answer.status());
            Sent::Failed { why, after: after.map(Duration::from_secs) }
        }
        // It has said what it thinks of it before it talked on.
        Err(FetchError::TooLong(bytes)) => {
            failed(format!("{} answered with more than {bytes} bytes", config.target.place()))
        }
        Err(error) => failed(format!("{}: {error}", config.target.place())),
    }
}

/// How far an earlier process had come.
fn noted(hub: &Hub, webhook: &str) -> Result<Position, StoreError> {
    let mut backlog = Backlog::new(Arc::new(Selection::one(topic(POSITIONS))));
    let (mut after, through, mut found) = (0, hub.visible(), Position::default());
    loop {
        let (read_to, more) = backlog.objects(hub, (after, through), READ, true, &mut |event| {
            if event.key.as_deref() == Some(webhook) {
                found = serde_json::from_slice(&event.data).unwrap_or_default();
            }
        })?;
        after = read_to;
        if !more {
            return Ok(found);
        }
    }
}
