//! What the tests of the crate's inside share: relays over a disk that can be full, with a clock
//! that the test moves, and an answer of theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use tidings_hub::{Durability, Hub, Options, PolicyRules, TopicPolicy};
use tidings_log::testing::CrashStorage;

use crate::answer::{Answer, Begin, Known, Phase};
use crate::config::LlmConfig;
use crate::dialect::Dialect;
use crate::relays::Relays;
use crate::store;
use crate::work::{Work, Worker};

/// The time at which every test begins, in milliseconds since 1970.
pub(crate) const BEGIN_MS: u64 = 1_000_000;

/// Relays whose own thread has ended: what is to be done, the test does.
pub(crate) struct Bench {
    pub(crate) disk: CrashStorage,
    pub(crate) hub: Arc<Hub>,
    pub(crate) relays: Arc<Relays>,
    pub(crate) now_ms: Arc<AtomicU64>,
    worker: Option<Worker>,
    _folder: TempDir,
}

impl Bench {
    pub(crate) fn new(change: impl FnOnce(&mut LlmConfig)) -> Self {
        let mut bench = Self::running(change);
        bench.worker().stop();
        bench
    }

    /// Relays with their thread.
    pub(crate) fn running(change: impl FnOnce(&mut LlmConfig)) -> Self {
        let mut config = LlmConfig::new("llm", "/v1", "http://127.0.0.1:1/v1".parse().unwrap());
        change(&mut config);
        let disk = CrashStorage::new();
        let now_ms = Arc::new(AtomicU64::new(BEGIN_MS));
        let options = tidings_log::Options { now_ms: BEGIN_MS, ..Default::default() };
        let opened = tidings_log::open(Arc::new(disk.clone()), options).unwrap();
        let rules = crate::policies(std::slice::from_ref(&config), Durability::Written);
        let rules = PolicyRules { rules, default: TopicPolicy::default() };
        let clock = now_ms.clone();
        let clock = Arc::new(move || clock.load(Ordering::Relaxed));
        let hub = Hub::open(
            opened,
            Options {
                rules,
                event_bytes_max: 1 << 20,
                topics_max: usize::MAX,
                scheduled_bytes_max: usize::MAX,
                clock,
            },
        )
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let work = Work::prepare().unwrap();
        let relays = Relays::start(hub.clone(), folder.path(), vec![config], &work, None).unwrap();
        let worker = Some(work.start().unwrap());
        Self { disk, hub, relays, now_ms, worker, _folder: folder }
    }

    /// The relays' thread, once.
    pub(crate) fn worker(&mut self) -> Worker {
        self.worker.take().expect("it has not been taken")
    }

    /// What an answer that began at [`BEGIN_MS`] begins with; it is kept for `keep_ms`.
    pub(crate) fn begin(name: &str, keep_ms: u64) -> Begin {
        Begin {
            name: name.to_owned(),
            relay: 0,
            dialect: Dialect::Chat,
            ui: false,
            owner: "owner".to_owned(),
            asked: "asked".to_owned(),
            key: None,
            chat: None,
            began_ms: BEGIN_MS,
            before: 0,
            until_ms: BEGIN_MS + keep_ms,
            background: false,
        }
    }

    pub(crate) fn answer(name: &str) -> Arc<Answer> {
        Answer::new(Self::begin(name, 60_000), Phase::Streaming(None), Known::default())
    }

    /// The data of everything in a topic, and how it ended.
    pub(crate) fn stored(&self, topic: &str) -> Vec<String> {
        let mut all = Vec::new();
        store::read(&self.hub, topic, 0, &mut |event| {
            let end = event.end.map(|end| format!("<{}>", end.as_str()));
            all.push(end.unwrap_or_else(|| String::from_utf8(event.data.to_vec()).unwrap()));
        })
        .unwrap();
        all
    }
}
