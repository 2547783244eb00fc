//! Reading a topic as JSON: a page of history, or a long-poll that waits for the next event.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidings_access::Caller;
use tidings_frame::limits::{HISTORY_PAGE_BYTES_MAX, HISTORY_PAGE_EVENTS_DEFAULT};
use tidings_frame::{ErrorCode, EventObject, GapNotice, Position};
use tidings_hub::{Backlog, Bell, Gap, ReadLimit, Selection, Start, Started};

use super::long_polls::Waiting;
use super::params;
use super::subscribe::{Asked, sees_private, selection};
use crate::app::App;
use crate::error::ApiError;
use crate::hook::judge::By;
use crate::peer::Peer;
use crate::reply::Reply;

/// How a page is written, and for whom.
#[derive(Clone, Copy)]
struct Form {
    /// Newline-delimited JSON rather than one object.
    lines: bool,
    /// Whether private events are shown.
    private: bool,
}

/// One page in the making.
struct Page {
    /// Newline-delimited JSON rather than one object.
    lines: bool,
    body: Vec<u8>,
    events: usize,
}

impl Page {
    fn new(lines: bool) -> Self {
        let body = if lines { Vec::new() } else { b"{\"events\":[".to_vec() };
        Self { lines, body, events: 0 }
    }

    fn add(&mut self, event: &EventObject<'_>) {
        if self.events > 0 && !self.lines {
            self.body.push(b',');
        }
        event.write_to(&mut self.body);
        if self.lines {
            self.body.push(b'\n');
        }
        self.events += 1;
    }

    /// `next` is the position to read on after; the page says whether there is more already.
    fn finish(mut self, next: Position, more: bool, gap: Option<&Gap>) -> Reply {
        let next = next.to_string();
        if self.lines {
            let reply = Reply::new(200, "application/x-ndjson", self.body)
                .with("tidings-next", next)
                .with("tidings-more", more.to_string());
            return match gap {
                Some(gap) => reply.with("tidings-gap", gap.reason.as_str()),
                None => reply,
            };
        }
        let rest = json!({"next": next, "more": more, "gap": gap.map(notice)});
        self.body.extend_from_slice(b"],");
        self.body.extend_from_slice(&rest.to_string().as_bytes()[1..]);
        self.body.push(b'\n');
        Reply::new(200, "application/json", self.body).with("cache-control", "no-store")
    }
}

/// A gap as it is told, in JSON and in SSE.
pub(crate) fn notice(gap: &Gap) -> GapNotice<'_> {
    GapNotice {
        reason: gap.reason,
        requested: gap.requested.as_str().into(),
        resumes: gap.resumes,
        topics: gap.topics.iter().map(|name| (&**name).into()).collect(),
    }
}

/// Answers a request for JSON: at once, or when there is an event if `poll` was given.
pub(crate) async fn read(
    app: &App,
    peer: Option<Peer>,
    asked: Asked<'_>,
    lines: bool,
) -> Result<Reply, ApiError> {
    app.limits.history(app.limits.of(asked.party, asked.who.caller()))?;
    let selection = Arc::new(selection(app, &asked.who, &asked.topics, &asked.patterns)?);
    let by = By { caller: asked.who.caller(), peer: asked.peer };
    app.ask_to_follow(by, &selection).await?;
    let form = Form { lines, private: sees_private(&asked.who, &selection) };
    let single = selection.single().is_some();
    let mut backlog = Backlog::new(selection.clone());
    if asked.poll_ms.is_none() && single && backlog.topics(&app.hub).is_empty() {
        return Err(ApiError::new(ErrorCode::TopicNotFound, "there is no such topic"));
    }
    let limit = ReadLimit {
        events: asked.limit.map_or(HISTORY_PAGE_EVENTS_DEFAULT, |limit| limit as usize),
        bytes: HISTORY_PAGE_BYTES_MAX,
    };
    let (start, through) = range(app, &asked)?;
    let waits = asked.poll_ms.map(|ms| (Duration::from_millis(ms), selection));
    let started = match (start, &waits) {
        (Some(start), _) => app.hub.start(&mut backlog, &start),
        (None, Some(_)) => app.hub.start(&mut backlog, &Start::Live),
        // Without a place to begin, the newest events up to where the page ends.
        (None, None) => {
            let through = through.min(app.hub.visible());
            let after = app.hub.before_last(&mut backlog, limit.events as u64, through);
            Started { after, gap: None }
        }
    };
    match waits {
        None => page(app, &mut backlog, started, through, limit, form).map(|page| page.reply),
        Some(waits) => {
            poll(app, (peer, asked.who.caller()), backlog, started, (limit, form), waits).await
        }
    }
}

/// Where to begin, and the last sequence to show.
fn range(app: &App, asked: &Asked<'_>) -> Result<(Option<Start>, u64), ApiError> {
    let mut start = asked.start.clone();
    if let Some(after) = &asked.after {
        if start.is_some() {
            return Err(ApiError::parameter("after", "a page begins in one place"));
        }
        // Checked, so that a page is never silently another log's.
        params::sequence("after", after, app.hub.epoch())?;
        start = Some(Start::After(after.to_string()));
    }
    let Some(before) = &asked.before else {
        return Ok((start, u64::MAX));
    };
    let before = params::sequence("before", before, app.hub.epoch())?;
    if asked.poll_ms.is_some() {
        return Err(ApiError::parameter("before", "a long-poll waits for what is to come"));
    }
    Ok((start, before.saturating_sub(1)))
}

/// A page that was read.
struct Read {
    reply: Reply,
    /// Whether it holds events or tells a gap.
    tells: bool,
    /// The sequence to read on after.
    next: u64,
}

fn page(
    app: &App,
    backlog: &mut Backlog,
    mut started: Started,
    through: u64,
    limit: ReadLimit,
    form: Form,
) -> Result<Read, ApiError> {
    let through = through.min(app.hub.visible());
    let mut page = Page::new(form.lines);
    let range = (started.after, through);
    let (after, more) =
        backlog.objects(&app.hub, range, limit, form.private, &mut |event| page.add(event))?;
    // Removed since the beginning was found.
    if let Some(gap) = backlog.missed(&app.hub, started.after) {
        started.gap = Some(match started.gap.take() {
            None => gap,
            Some(earlier) => earlier.and(gap),
        });
    }
    if let Some(gap) = &started.gap {
        app.told_gap(backlog.selection(), gap, None, None);
    }
    let tells = page.events > 0 || started.gap.is_some();
    // The end of what was asked for, when all of it was read: nothing is shown twice.
    let sequence = if more { after } else { through.max(started.after) };
    let next = Position { epoch: app.hub.epoch(), sequence };
    Ok(Read { reply: page.finish(next, more, started.gap.as_ref()), tells, next: sequence })
}

/// Unfollows when the client goes away in the middle.
struct Following<'a> {
    app: &'a App,
    bell: Arc<Bell>,
    topics: Vec<Arc<tidings_hub::Live>>,
    selection: Arc<Selection>,
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        for pattern in self.selection.patterns() {
            self.app.hub.detach_pattern(&self.bell, pattern, FRAMING);
        }
        // Topics that a pattern has matched are known to the bell only.
        self.bell.take(&mut self.topics);
        for topic in &self.topics {
            self.app.hub.detach(&self.bell, topic, FRAMING);
        }
    }
}

const FRAMING: tidings_hub::Framing = tidings_hub::Framing::Plain;

async fn poll(
    app: &App,
    (peer, caller): (Option<Peer>, Option<&Arc<Caller>>),
    mut backlog: Backlog,
    mut started: Started,
    (limit, form): (ReadLimit, Form),
    (wait, selection): (Duration, Arc<Selection>),
) -> Result<Reply, ApiError> {
    let deadline = tokio::time::Instant::now() + wait;
    let notify = Arc::new(tokio::sync::Notify::new());
    let waker = notify.clone();
    let bell = Bell::new(app.hub.visible(), move || waker.notify_one());
    let mut following = Following { app, bell: bell.clone(), topics: Vec::new(), selection };
    for name in following.selection.topics() {
        following.topics.push(app.hub.attach(&bell, name.as_str(), FRAMING));
    }
    for pattern in following.selection.patterns() {
        app.hub.attach_pattern(&bell, pattern.clone(), FRAMING);
    }
    let subject = caller.and_then(|caller| caller.subject.as_deref());
    let waiting = Waiting::new(app, (peer, subject), &following.selection, started.after);
    let mut over = std::pin::pin!(app.access.over(&app.hub, caller.cloned().into_iter().collect()));
    let mut ended = false;
    loop {
        // It may have ended while nothing was published.
        app.access.still(caller.map(|caller| &**caller), app.hub.now_ms())?;
        let read = page(app, &mut backlog, started, u64::MAX, limit, form)?;
        ended |= tokio::time::Instant::now() >= deadline || app.is_draining();
        if read.tells || ended {
            return Ok(read.reply);
        }
        // What was looked at and is not for this client need not be looked at again.
        started = Started { after: read.next, gap: None };
        if bell.sleep() {
            tokio::select! {
                () = notify.notified() => {}
                () = tokio::time::sleep_until(deadline) => {}
                () = app.drained() => {}
                () = waiting.ended() => ended = true,
                // Told at the beginning of the loop.
                () = &mut over => {}
            }
            bell.awake();
        }
        let before = following.topics.len();
        bell.take(&mut following.topics);
        forget_known(&mut following.topics, before);
    }
}

/// Keeps each topic once.
fn forget_known(topics: &mut Vec<Arc<tidings_hub::Live>>, known: usize) {
    let news = topics.split_off(known.min(topics.len()));
    for topic in news {
        if !topics.iter().any(|old| Arc::ptr_eq(old, &topic)) {
            topics.push(topic);
        }
    }
}
