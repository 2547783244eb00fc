//! What many answers have to say at the same time, appended together.
//!
//! A thousand answers at fifty tokens a second would be fifty thousand appends a second, each with
//! a write, the hub's lock and a bell. So a token is handed in, and the appender's task appends
//! whatever was: it stands in the runtime's queue behind all tasks that were woken before it, and
//! so takes what their turns have handed in. It never waits, and a lone token has to wait for
//! nobody.
//!
//! A [`Line`] hands in one thing at a time, so that nothing of an answer is stored after something
//! that could not be.

use std::sync::Arc;

use parking_lot::Mutex;
use tidings_frame::End;
use tidings_frame::limits::BATCH_EVENTS_MAX;
use tidings_hub::{Hub, Publish, PublishError, StoreError};
use tokio::sync::Notify;

use crate::dialect::Record;
use crate::store;

/// Most hand-ins of one append. The hub's lock is held meanwhile: some hundred microseconds.
const TOGETHER_MAX: usize = 256;

/// Takes what all lines hand in.
pub(crate) struct Appender {
    hub: Arc<Hub>,
    due: Mutex<Vec<Due>>,
    work: Notify,
}

/// Something that was handed in.
struct Due {
    line: Arc<Shared>,
    records: Vec<Record>,
    end: Option<End>,
}

/// What became of a line's last hand-in.
#[derive(Clone, Debug, Default)]
enum Stored {
    #[default]
    Yes,
    NotYet,
    No(Arc<PublishError>),
}

/// What a line and the appender share.
struct Shared {
    topic: String,
    stored: Mutex<Stored>,
    settled: Notify,
}

/// One topic's way to the log.
pub(crate) struct Line {
    appender: Arc<Appender>,
    shared: Arc<Shared>,
}

impl Appender {
    pub(crate) fn new(hub: Arc<Hub>) -> Arc<Self> {
        Arc::new(Self { hub, due: Mutex::default(), work: Notify::new() })
    }

    /// A line to this topic.
    pub(crate) fn line(self: &Arc<Self>, topic: String) -> Line {
        let shared = Shared { topic, stored: Mutex::default(), settled: Notify::new() };
        Line { appender: self.clone(), shared: Arc::new(shared) }
    }

    /// Appends for as long as it is polled.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            self.work.notified().await;
            self.append();
        }
    }

    /// Appends what was handed in.
    fn append(&self) {
        let due = std::mem::take(&mut *self.due.lock());
        for due in due.chunks(TOGETHER_MAX) {
            self.append_together(due);
        }
    }

    fn append_together(&self, due: &[Due]) {
        let events: Vec<_> =
            due.iter().map(|due| store::events(&due.line.topic, &due.records, due.end)).collect();
        let fits = |events: &Vec<_>| events.len() <= BATCH_EVENTS_MAX;
        let mut round = self.hub.round();
        for events in events.iter().filter(|events| fits(events)) {
            round.publish(&Publish { events, operator: true, relay: true, ..Publish::default() });
        }
        let mut outcomes = round.commit().into_iter();
        for (due, events) in due.iter().zip(&events) {
            let outcome = if fits(events) {
                let none = || Err(StoreError::Failed("a request without an outcome".into()).into());
                outcomes.next().unwrap_or_else(none).map(drop)
            } else {
                store::publish(&self.hub, events).map(drop)
            };
            *due.line.stored.lock() = match outcome {
                Ok(()) => Stored::Yes,
                Err(error) => Stored::No(Arc::new(error)),
            };
            due.line.settled.notify_one();
        }
    }
}

impl Line {
    /// The topic.
    pub(crate) fn topic(&self) -> &str {
        &self.shared.topic
    }

    /// Returns once what was handed in is stored, or cannot be; nothing can be from then on.
    pub(crate) async fn settled(&self) -> Result<(), Arc<PublishError>> {
        loop {
            match &*self.shared.stored.lock() {
                Stored::Yes => return Ok(()),
                Stored::No(error) => return Err(error.clone()),
                Stored::NotYet => {}
            }
            self.shared.settled.notified().await;
        }
    }

    /// Hands records in, and the topic's end if `end` says how. Only after
    /// [`settled`](Self::settled).
    pub(crate) fn hand_in(&self, records: Vec<Record>, end: Option<End>) {
        *self.shared.stored.lock() = Stored::NotYet;
        let mut due = self.appender.due.lock();
        due.push(Due { line: self.shared.clone(), records, end });
        if due.len() == 1 {
            self.appender.work.notify_one();
        }
    }

    /// Stores what was handed in at once, without waiting for the appender's turn.
    pub(crate) fn settle(&self) -> Result<(), Arc<PublishError>> {
        self.appender.append();
        match &*self.shared.stored.lock() {
            Stored::No(error) => Err(error.clone()),
            // Whatever was handed in has been appended.
            Stored::Yes | Stored::NotYet => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_hub::{Durability, Options, PolicyRules, TopicPolicy};

    fn hub(folder: &std::path::Path) -> Arc<Hub> {
        let rules = crate::policies(&[], Durability::Memory);
        let rules = PolicyRules { rules, default: TopicPolicy::default() };
        let options = Options {
            rules,
            event_bytes_max: 1 << 20,
            topics_max: usize::MAX,
            scheduled_bytes_max: usize::MAX,
            clock: Arc::new(|| 1_000),
        };
        Hub::open_folder(folder, 16 << 20, options).unwrap()
    }

    fn record(data: &str) -> Record {
        Record { event_type: None, data: data.to_owned() }
    }

    fn stored(hub: &Hub, topic: &str) -> Vec<String> {
        let mut all = Vec::new();
        store::read(hub, topic, 0, &mut |event| {
            let end = event.end.map(|end| format!("<{}>", end.as_str()));
            all.push(end.unwrap_or_else(|| String::from_utf8(event.data.to_vec()).unwrap()));
        })
        .unwrap();
        all
    }

    #[tokio::test]
    async fn what_is_handed_in_is_stored_in_order_on_every_line() {
        let folder = tempfile::tempdir().unwrap();
        let hub = hub(folder.path());
        let appender = Appender::new(hub.clone());
        tokio::spawn(appender.clone().run());
        let lines: Vec<Line> = (0..600).map(|n| appender.line(format!("$answers/{n}"))).collect();
        for round in 0..3 {
            for line in &lines {
                line.settled().await.unwrap();
                let end = (round == 2).then_some(End::Done);
                line.hand_in(vec![record(&format!("{round}a")), record(&format!("{round}b"))], end);
            }
        }
        for line in &lines {
            line.settled().await.unwrap();
            let expected = ["0a", "0b", "1a", "1b", "2a", "2b", "<done>"];
            assert_eq!(stored(&hub, line.topic()), expected);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_stored_fails_its_own_line_alone() {
        let folder = tempfile::tempdir().unwrap();
        let hub = hub(folder.path());
        let appender = Appender::new(hub.clone());
        let [one, two, three] =
            ["one", "two", "three"].map(|name| appender.line(format!("$answers/{name}")));
        one.hand_in(vec![record("a")], Some(End::Done));
        one.settle().unwrap();
        one.hand_in(vec![record("late")], None);
        let many: Vec<Record> = (0..BATCH_EVENTS_MAX + 5).map(|_| record("x")).collect();
        two.hand_in(many, None);
        three.hand_in(vec![record("b")], None);
        assert!(one.settle().is_err());
        assert!(one.settled().await.is_err());
        two.settled().await.unwrap();
        three.settled().await.unwrap();
        assert_eq!(stored(&hub, one.topic()), ["a", "<done>"]);
        assert_eq!(stored(&hub, three.topic()), ["b"]);
        assert_eq!(stored(&hub, two.topic()).len(), BATCH_EVENTS_MAX + 5);
    }
}
