//! Fan-out against a model: whatever is published, whoever subscribes when and reads how rarely,
//! everybody gets exactly the events after their start, in order; or, of a topic that was deleted,
//! a gap.
//!
//! The readers here do what a shard does (bell, tails, backlog), without sockets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use tidings_frame::sse_decode::Decoder;
use tidings_frame::{GapReason, Pattern, Position, TopicName};
use tidings_hub::{Backlog, Bell, Framing, Gap, Gathered, Live, Reach, Selection, View};

use super::support::{TestHub, event, one, until};

const VIEW: View = View { framing: Framing::Plain, private: false, conflate: false };

/// Topics of every durability, so that what is written has to wait for what is synced.
const TOPICS: [&str; 5] = ["a", "chat/1", "chat/2", "memory/x", "synced/y"];

/// A subscriber as a shard has it.
struct Reader {
    selection: Arc<Selection>,
    bell: Arc<Bell>,
    backlog: Backlog,
    live: Vec<Arc<Live>>,
    /// Topics with news.
    due: Vec<Arc<Live>>,
    after: u64,
    behind: bool,
    got: Vec<u8>,
    gaps: Vec<Gap>,
}

impl Reader {
    fn new(hub: &TestHub, selection: Selection, after: u64) -> Self {
        let selection = Arc::new(selection);
        let bell = Bell::new(hub.visible(), || {});
        let live: Vec<Arc<Live>> = selection
            .topics()
            .iter()
            .map(|name| hub.attach(&bell, name.as_str(), VIEW.framing))
            .collect();
        for pattern in selection.patterns() {
            hub.attach_pattern(&bell, pattern.clone(), VIEW.framing);
        }
        let backlog = Backlog::new(selection.clone());
        let (mut due, got, gaps) = (Vec::new(), Vec::new(), Vec::new());
        // As a shard does: the log is asked first, unless the tail of the only topic holds all and
        // the bell has told of all that is visible.
        let rung = hub.rung();
        let behind = selection.single().is_none()
            || bell.take(&mut due) < rung
            || live[0].reach(after, rung, VIEW, hub.now_ms()) == Reach::Behind;
        Self { selection, bell, backlog, live, due, after, behind, got, gaps }
    }

    /// Reads all that there is.
    fn read(&mut self, hub: &TestHub) {
        let visible = self.bell.take(&mut self.due);
        while self.behind {
            let step = self.backlog.step(hub, self.after, VIEW).unwrap();
            assert!(step.span.after >= self.after, "a position never goes back");
            if let Some(gap) = step.gap {
                assert_eq!(gap.requested, format!("{}-{}", hub.epoch(), self.after));
                assert!((self.after..=step.span.after).contains(&gap.resumes.sequence));
                self.gaps.push(gap);
            }
            self.got.extend_from_slice(&step.span.bytes);
            self.after = step.span.after;
            self.behind = !step.caught_up;
        }
        match self.selection.single() {
            Some(_) => self.read_one(hub, visible),
            None => self.read_many(hub, visible),
        }
    }

    fn fall_behind(&mut self, hub: &TestHub) {
        self.backlog = Backlog::new(self.selection.clone());
        self.behind = true;
        self.read(hub);
    }

    fn read_one(&mut self, hub: &TestHub, visible: u64) {
        self.due.clear();
        loop {
            match self.live[0].reach(self.after, visible, VIEW, hub.now_ms()) {
                Reach::Nothing => return,
                Reach::Behind => return self.fall_behind(hub),
                Reach::Due(span) => {
                    assert!(span.after > self.after);
                    self.got.extend_from_slice(&span.bytes);
                    self.after = span.after;
                }
            }
        }
    }

    fn read_many(&mut self, hub: &TestHub, visible: u64) {
        loop {
            let mut gathered = Gathered::default();
            for live in &self.due {
                if !live.gather(self.after, visible, VIEW, hub.now_ms(), &mut gathered) {
                    return self.fall_behind(hub);
                }
            }
            let Some(span) = gathered.take(visible, false) else {
                break;
            };
            self.got.extend_from_slice(&span.bytes);
            self.after = span.after;
            if span.after >= visible {
                break;
            }
        }
        self.after = self.after.max(visible);
        self.due.clear();
    }

    fn events(&self) -> Vec<(String, String)> {
        let mut events = Vec::new();
        let mut decoder = Decoder::default();
        decoder
            .feed(&self.got, |event| {
                events.push((event.last_event_id.to_string(), event.data.to_string()));
            })
            .unwrap();
        events
    }
}

#[derive(Clone, Debug)]
enum Step {
    Publish { topic: usize, alternate: Option<usize>, size: usize },
    Round { topics: Vec<usize> },
    Subscribe { which: usize, back: u64 },
    Read { reader: usize },
    Forget,
    Delete { topic: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let topic = 0..TOPICS.len();
    let publish = (topic.clone(), proptest::option::weighted(0.2, topic.clone()), 0..3_usize)
        .prop_map(|(topic, alternate, size)| Step::Publish { topic, alternate, size });
    let round =
        proptest::collection::vec(topic.clone(), 1..8).prop_map(|topics| Step::Round { topics });
    let step = prop_oneof![
        6 => publish,
        2 => round,
        2 => (0..SELECTIONS, 0..20_u64).prop_map(|(which, back)| Step::Subscribe { which, back }),
        4 => any::<usize>().prop_map(|reader| Step::Read { reader }),
        1 => Just(Step::Forget),
        1 => topic.prop_map(|topic| Step::Delete { topic }),
    ];
    proptest::collection::vec(step, 1..60)
}

const SELECTIONS: usize = 6;

fn selection(which: usize) -> Selection {
    let name = |name: &str| TopicName::new(name).unwrap();
    let chat = || Pattern::new("chat/*").unwrap();
    let (topics, patterns) = match which {
        0 => (vec![name("a")], vec![]),
        1 => (vec![name("synced/y")], vec![]),
        2 => (vec![name("a"), name("memory/x"), name("synced/y")], vec![]),
        3 => (vec![], vec![chat()]),
        4 => (vec![name("chat/1"), name("a")], vec![chat()]),
        _ => (vec![], vec![Pattern::new("**").unwrap()]),
    };
    Selection::new(topics, patterns).unwrap()
}

/// What was published.
#[derive(Clone)]
struct Published {
    /// Its topics, and whether each still has it.
    topics: Vec<(&'static str, bool)>,
    data: String,
}

/// By sequence.
type Model = BTreeMap<u64, Published>;

/// Compares what a reader has with what was published after its start.
fn check(hub: &TestHub, model: &Model, reader: &Reader, after: u64) {
    let sequence = |id: &str| id.parse::<Position>().unwrap().sequence;
    let events = reader.events();
    let ids: Vec<u64> = events.iter().map(|(id, _)| sequence(id)).collect();
    assert!(ids.windows(2).all(|two| two[0] < two[1]), "once and in order: {ids:?}");
    let got: BTreeMap<u64, String> =
        events.into_iter().map(|(id, data)| (sequence(&id), data)).collect();
    assert!(got.keys().all(|sequence| *sequence > after && model.contains_key(sequence)));
    let at = |gap: &Gap| sequence(&gap.requested);
    let told = |name: &str, after: u64| {
        reader
            .gaps
            .iter()
            .any(|gap| at(gap) < after && gap.topics.iter().any(|topic| **topic == *name))
    };
    for (&sequence, event) in model.range(after + 1..) {
        let mut wanted = event.topics.iter().filter(|(name, _)| reader.selection.matches(name));
        match got.get(&sequence) {
            Some(data) => {
                assert!(wanted.next().is_some(), "{sequence} is not for {:?}", reader.selection);
                assert!(*data == event.data, "{sequence} has the wrong data");
            }
            None => assert!(
                wanted.all(|(name, kept)| !kept && told(name, sequence)),
                "{sequence} {:?} is missing; {:?} {:?}",
                event.topics,
                reader.selection,
                reader.gaps
            ),
        }
    }
    // And no gap without something that is gone.
    for gap in &reader.gaps {
        assert_eq!(gap.reason, GapReason::Retention);
        let requested = at(gap);
        let gone = |name: &str| {
            let mut later = model.range(requested + 1..);
            later.any(|(_, event)| event.topics.contains(&(name, false)))
        };
        assert!(!gap.topics.is_empty() && gap.topics.iter().all(|name| gone(name)), "{gap:?}");
        assert!(gap.resumes.sequence == requested || reader.selection.single().is_some());
        assert_eq!(gap.resumes.epoch, hub.epoch());
    }
}

fn delete(hub: &TestHub, model: &mut Model, topic: &'static str) {
    if hub.remove_topic(&TopicName::new(topic).unwrap()).is_err() {
        return;
    }
    for event in model.values_mut() {
        for (name, kept) in &mut event.topics {
            *kept &= *name != topic;
        }
    }
}

fn publish(hub: &TestHub, model: &mut Model, requests: &[(Vec<usize>, usize)]) {
    let datas: Vec<String> = requests
        .iter()
        .enumerate()
        .map(|(at, (_, size))| {
            format!("{}.{at} {}", model.len(), "x".repeat([0, 500, 40_000][*size]))
        })
        .collect();
    let mut round = hub.round();
    for ((topics, _), data) in requests.iter().zip(&datas) {
        let mut new = event(TOPICS[topics[0]], data);
        new.alternates = topics[1..].iter().map(|&topic| TOPICS[topic].into()).collect();
        round.publish(&one(&[new]));
    }
    for (outcome, ((topics, _), data)) in round.commit().into_iter().zip(requests.iter().zip(datas))
    {
        let sequence = super::support::first(&outcome.unwrap());
        let topics = topics.iter().map(|&topic| (TOPICS[topic], true)).collect();
        let event = Published { topics, data };
        assert!(model.insert(sequence, event).is_none(), "a sequence given twice");
    }
}

fn run(steps: Vec<Step>) {
    let hub = TestHub::new();
    let mut model = Model::new();
    let mut readers: Vec<(Reader, u64)> = Vec::new();
    for step in steps {
        match step {
            Step::Publish { topic, alternate, size } => {
                let topics = std::iter::once(topic).chain(alternate).collect();
                publish(&hub, &mut model, &[(topics, size)]);
            }
            Step::Round { topics } => {
                let requests: Vec<_> = topics.into_iter().map(|topic| (vec![topic], 0)).collect();
                publish(&hub, &mut model, &requests);
            }
            Step::Subscribe { which, back } => {
                let after = hub.visible().saturating_sub(back);
                readers.push((Reader::new(&hub, selection(which), after), after));
            }
            Step::Read { .. } if readers.is_empty() => {}
            Step::Read { reader } => {
                let at = reader % readers.len();
                readers[at].0.read(&hub);
            }
            Step::Delete { topic } => delete(&hub, &mut model, TOPICS[topic]),
            Step::Forget => {
                // Time passes: tails let go of what is old.
                hub.now_ms.fetch_add(3_000, Ordering::Relaxed);
                hub.forget_old_frames();
            }
        }
    }
    let newest = model.keys().next_back().copied().unwrap_or(0);
    until(|| hub.rung() >= newest);
    for (reader, after) in &mut readers {
        reader.read(&hub);
        check(&hub, &model, reader, *after);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn everybody_gets_everything_once_in_order(steps in steps()) {
        run(steps);
    }
}

#[test]
fn nobody_is_told_before_it_is_as_durable_as_asked_and_acknowledged() {
    let hub = TestHub::new();
    let bell = Bell::new(hub.visible(), || {});
    for name in ["synced/y", "a"] {
        hub.attach(&bell, name, VIEW.framing);
    }
    for round in 0..50 {
        let data = round.to_string();
        let before = hub.rung();
        let mut publishes = hub.round();
        publishes.publish(&one(&[event("synced/y", &data)]));
        publishes.publish(&one(&[event("a", &data)]));
        let outcomes = publishes.commit();
        let wait = outcomes[0].as_ref().unwrap().wait.unwrap();
        assert_eq!(outcomes[1].as_ref().unwrap().wait, None, "written is acknowledged at once");
        let (seen, was) = std::sync::mpsc::sync_channel(1);
        let (here, rung) = (std::thread::current().id(), bell.clone());
        let look = move |_| {
            let at_once = std::thread::current().id() == here;
            seen.send((at_once, rung.take(&mut Vec::new()))).unwrap();
        };
        hub.when_synced(wait, Box::new(look));
        let (at_once, told) = was.recv().unwrap();
        // Acknowledged first: unless the disk was there before the question, nobody has been told
        // at that moment, not even of the event that only had to be written.
        assert!(at_once || told == before);
        until(|| hub.rung() == before + 2);
        assert_eq!(bell.take(&mut Vec::new()), before + 2);
    }
}

#[test]
fn letting_go_of_a_topic_again_takes_it_away_from_nobody_else() {
    let hub = TestHub::new();
    let (one, other) = (Bell::new(hub.visible(), || {}), Bell::new(hub.visible(), || {}));
    let before = hub.attach(&one, "a", VIEW.framing);
    hub.detach(&one, &before, VIEW.framing);
    let now = hub.attach(&other, "a", VIEW.framing);
    // Its news may be found in the bell only now.
    hub.detach(&one, &before, VIEW.framing);
    let sequence = hub.say("a", "x");
    until(|| hub.rung() >= sequence);
    let mut told = Vec::new();
    assert_eq!(other.take(&mut told), sequence);
    assert!(told.iter().any(|live| Arc::ptr_eq(live, &now)));
    assert!(matches!(now.reach(sequence - 1, sequence, VIEW, hub.now_ms()), Reach::Due(_)));
}
