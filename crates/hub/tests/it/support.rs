//! A hub over a temporary folder, with a clock that the test moves.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tidings_frame::{Pattern, TopicName};
use tidings_hub::{
    Accepted, Backlog, Durability, Hub, NewEvent, Options, PolicyRule, PolicyRules, Publish,
    PublishError, Published, Retain, Selection, TopicPolicy,
};
use tidings_log as log;

/// Longest time that a condition may take to come true; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

/// The time at which every test begins.
pub(crate) const BEGIN_MS: u64 = 1_000_000;

pub(crate) struct TestHub {
    pub(crate) hub: Arc<Hub>,
    pub(crate) now_ms: Arc<AtomicU64>,
    folder: Option<TempDir>,
}

impl std::ops::Deref for TestHub {
    type Target = Hub;

    fn deref(&self) -> &Hub {
        &self.hub
    }
}

/// Policies by the first part of a topic's name, so that a test says what it wants by its names.
fn rules() -> PolicyRules {
    let rule = |pattern: &str, policy: TopicPolicy| PolicyRule {
        pattern: Pattern::new(pattern).unwrap(),
        policy,
    };
    let kept = || TopicPolicy { retain: Retain::default(), ..TopicPolicy::default() };
    let durable = |durability| TopicPolicy { durability, ..kept() };
    let few = Retain { count: Some(3), ..Retain::default() };
    PolicyRules {
        rules: vec![
            rule("memory/**", durable(Durability::Memory)),
            rule("synced/**", durable(Durability::Synced)),
            rule("few/**", TopicPolicy { retain: few, ..kept() }),
            rule("latest/**", TopicPolicy { conflate: true, ..kept() }),
            rule(
                "binary/**",
                TopicPolicy { content_type: Some("application/octet-stream".into()), ..kept() },
            ),
        ],
        default: kept(),
    }
}

fn open_in(folder: &Path, now_ms: &Arc<AtomicU64>) -> Arc<Hub> {
    let storage = Arc::new(log::FileStorage::new(folder).unwrap());
    let options =
        log::Options { now_ms: now_ms.load(Ordering::Relaxed), ..log::Options::default() };
    let opened = log::open(storage, options).unwrap();
    let clock = now_ms.clone();
    let options = Options {
        rules: rules(),
        event_bytes_max: 1 << 20,
        topics_max: usize::MAX,
        scheduled_bytes_max: 1 << 20,
        clock: Arc::new(move || clock.load(Ordering::Relaxed)),
    };
    Hub::open(opened, options).unwrap()
}

impl TestHub {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let now_ms = Arc::new(AtomicU64::new(BEGIN_MS));
        Self { hub: open_in(folder.path(), &now_ms), now_ms, folder: Some(folder) }
    }

    /// Closes in order, and opens again.
    pub(crate) fn reopened(mut self) -> Self {
        self.hub.close().unwrap();
        let folder = self.folder.take();
        let now_ms = self.now_ms.clone();
        drop(self);
        let hub = open_in(folder.as_ref().unwrap().path(), &now_ms);
        Self { hub, now_ms, folder }
    }

    pub(crate) fn publish(&self, request: &Publish<'_>) -> Result<Accepted, PublishError> {
        let mut round = self.hub.round();
        round.publish(request);
        let accepted = round.commit().pop().unwrap()?;
        if let Some(batch) = accepted.wait {
            let (done, synced) = std::sync::mpsc::sync_channel(1);
            self.hub.when_synced(batch, Box::new(move |result| done.send(result).unwrap()));
            synced.recv_timeout(PATIENCE).unwrap()?;
        }
        Ok(accepted)
    }

    /// Publishes one event; returns its sequence.
    pub(crate) fn say(&self, topic: &str, data: &str) -> u64 {
        first(&self.publish(&one(&[event(topic, data)])).unwrap())
    }

    /// Every event of the selection that is kept, as (sequence, data).
    pub(crate) fn read(&self, selection: &Selection, after: u64) -> Vec<(u64, String)> {
        let mut backlog = Backlog::new(Arc::new(selection.clone()));
        let mut events = Vec::new();
        let limit = log::ReadLimit { events: usize::MAX, bytes: usize::MAX };
        let mut after = after;
        loop {
            let range = (after, self.hub.visible());
            let (next, more) = backlog
                .objects(&self.hub, range, limit, true, &mut |event| {
                    let data = String::from_utf8(event.data.to_vec()).unwrap();
                    events.push((event.id.sequence, data));
                })
                .unwrap();
            if !more {
                return events;
            }
            after = next;
        }
    }
}

impl Drop for TestHub {
    fn drop(&mut self) {
        if self.folder.is_some() {
            // A test that closed it already, or broke it on purpose, has said so.
            let _ = self.hub.close();
        }
    }
}

pub(crate) fn event<'a>(topic: &'a str, data: &'a str) -> NewEvent<'a> {
    NewEvent {
        topic: Cow::Borrowed(topic),
        data: Cow::Borrowed(data.as_bytes()),
        ..NewEvent::default()
    }
}

pub(crate) fn one<'a>(events: &'a [NewEvent<'a>]) -> Publish<'a> {
    Publish { events, ..Publish::default() }
}

pub(crate) fn first(accepted: &Accepted) -> u64 {
    match accepted.result {
        Published::Stored { first, .. } => first,
        other => panic!("not stored: {other:?}"),
    }
}

pub(crate) fn topics(names: &[&str]) -> Selection {
    let names = names.iter().map(|name| TopicName::new(name).unwrap());
    Selection::new(names.collect(), Vec::new()).unwrap()
}

/// Waits until something is so; panics when it never is.
pub(crate) fn until(mut so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < PATIENCE, "it never came true");
        std::thread::yield_now();
    }
}
