//! A follower, its board and the reader of the log, led by hand through every order of their
//! turns. Each has its turn only when it was woken: a wake-up that is lost, or a position that runs
//! ahead of what is noted, shows as a follower that waits and has not everything.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use serde_json::Value;
use tidings_frame::{Pattern, Position, TopicName};
use tidings_hub::{Framing, NewEvent, Publish, Published};

use super::reader::Job;
use super::*;
use crate::config::Config;

/// Orders of turns that one case may have: a test that would run for ever fails instead.
const ORDERS_MAX: usize = 20_000;

/// Turns of one order.
const TURNS_MAX: usize = 100;

/// Every way to choose, one after the other: the first choices stay as long as the later ones have
/// others left.
#[derive(Default)]
struct Choices {
    /// What was chosen, of how many.
    chosen: Vec<(usize, usize)>,
    at: usize,
}

impl Choices {
    fn choose(&mut self, of: usize) -> usize {
        if self.at == self.chosen.len() {
            self.chosen.push((0, of));
        }
        let (chosen, as_before) = self.chosen[self.at];
        assert_eq!(of, as_before, "the same choices lead to the same place");
        self.at += 1;
        chosen
    }

    /// Goes on to the next way; whether there is one.
    fn advance(&mut self) -> bool {
        self.at = 0;
        while let Some((chosen, of)) = self.chosen.pop() {
            if chosen + 1 < of {
                self.chosen.push((chosen + 1, of));
                return true;
            }
        }
        false
    }
}

/// Whether a task was woken since its last turn.
struct Woken(AtomicBool);

impl Woken {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Takes the turn.
    fn take(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Publishes as another thread would; returns the sequence.
fn publish(hub: &Hub, topic: &str) -> u64 {
    let events = [NewEvent { topic: topic.into(), ..NewEvent::default() }];
    let mut round = hub.round();
    round.publish(&Publish { events: &events, ..Publish::default() });
    match round.commit().pop().unwrap().unwrap().result {
        Published::Stored { first, .. } => first,
        other => panic!("not stored: {other:?}"),
    }
}

fn selection(topics: &[String], patterns: &[String]) -> Arc<Selection> {
    let topics = topics.iter().map(|name| TopicName::new(name).unwrap()).collect();
    let patterns = patterns.iter().map(|pattern| Pattern::new(pattern).unwrap()).collect();
    Arc::new(Selection::new(topics, patterns).unwrap())
}

/// Which events a span holds.
fn sequences(span: &Span) -> Vec<u64> {
    let events = std::str::from_utf8(&span.bytes).unwrap();
    let events = format!("[{}]", events.strip_suffix(',').unwrap());
    let events: Vec<Value> = serde_json::from_str(&events).unwrap();
    let ids = events.iter().map(|event| event["id"].as_str().unwrap().parse::<Position>());
    ids.map(|id| id.unwrap().sequence).collect()
}

const VIEW: View = View { framing: Framing::Objects, private: false, conflate: false };

/// A hub in a folder that goes away with it.
struct Base {
    hub: Arc<Hub>,
    _folder: tempfile::TempDir,
}

impl Base {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::dev();
        config.data_dir = folder.path().to_owned();
        Self { hub: crate::run::open_hub(&config).unwrap(), _folder: folder }
    }
}

/// What can be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Publish,
    Subscribe,
    Follower,
    Board,
    Reader,
    /// Another follower of the same topics goes.
    OtherLeaves,
    Change,
}

/// What one follower is to do and others do beside it.
#[derive(Clone, Copy, Debug)]
struct Case {
    topics: &'static [&'static str],
    patterns: &'static [&'static str],
    start: Begin,
    /// Published in this order.
    publishes: &'static [&'static str],
    /// What another follower that goes at some time follows.
    other: Option<(&'static [&'static str], &'static [&'static str])>,
    /// What the follower follows from some time on.
    change: Option<(&'static [&'static str], &'static [&'static str])>,
}

#[derive(Clone, Copy, Debug)]
enum Begin {
    Live,
    AfterFirst,
    Earliest,
}

const CASE: Case = Case {
    topics: &["a"],
    patterns: &[],
    start: Begin::Live,
    publishes: &["a", "b"],
    other: None,
    change: None,
};

/// One order of turns on the way.
struct Led<'a> {
    hub: &'a Hub,
    case: Case,
    prefix: String,
    board: Arc<Board>,
    reader: Arc<LogReader>,
    news: Pin<Box<dyn Future<Output = ()>>>,
    board_woken: Arc<Woken>,
    job: Option<Job>,
    follower: Option<Follower>,
    follower_woken: Arc<Woken>,
    other: Option<Follower>,
    to_publish: VecDeque<&'static str>,
    published: Vec<(u64, &'static str)>,
    /// How many were published when it was told where it begins.
    before_begun: usize,
    began: Option<u64>,
    changed: Option<u64>,
    had: Vec<u64>,
    turns: Vec<Turn>,
}

impl<'a> Led<'a> {
    fn new(base: &'a Base, case: Case, number: usize) -> Self {
        let prefix = format!("n{number}/");
        let hub = &base.hub;
        let published = ["a", "b"].map(|topic| (publish(hub, &format!("{prefix}{topic}")), topic));
        let board = Arc::new(Board::new(hub.clone(), 1));
        let of_board = board.clone();
        let mut led = Self {
            hub,
            case,
            prefix,
            board,
            reader: Arc::default(),
            news: Box::pin(async move { of_board.run().await }),
            board_woken: Woken::new(),
            job: None,
            follower: None,
            follower_woken: Woken::new(),
            other: None,
            to_publish: case.publishes.iter().copied().collect(),
            published: published.into(),
            before_begun: 0,
            began: None,
            changed: None,
            had: Vec::new(),
            turns: Vec::new(),
        };
        // The board sleeps until it is rung.
        led.take(Turn::Board);
        led.other = case.other.map(|of| led.follow(of, Start::Live));
        // Nobody reads for it, and nobody asks it.
        led.reader.next_job();
        led
    }

    fn of(&self, (topics, patterns): (&[&str], &[&str])) -> Arc<Selection> {
        let named = |all: &[&str]| -> Vec<String> {
            all.iter().map(|name| format!("{}{name}", self.prefix)).collect()
        };
        selection(&named(topics), &named(patterns))
    }

    fn follow(&self, of: (&[&str], &[&str]), start: Start) -> Follower {
        Follower::new(self.board.clone(), self.reader.clone(), self.of(of), start, VIEW)
    }

    fn possible(&mut self) -> Vec<Turn> {
        if self.job.is_none() {
            self.job = self.reader.next_job();
        }
        let begun = self.began.is_some();
        let all = [
            (Turn::Publish, !self.to_publish.is_empty()),
            (Turn::Subscribe, self.follower.is_none()),
            (Turn::Follower, self.follower.is_some() && self.follower_woken.is_set()),
            (Turn::Board, self.board_woken.is_set()),
            (Turn::Reader, self.job.is_some()),
            (Turn::OtherLeaves, self.other.is_some()),
            (Turn::Change, begun && self.case.change.is_some() && self.changed.is_none()),
        ];
        all.into_iter().filter(|&(_, can)| can).map(|(turn, _)| turn).collect()
    }

    fn take(&mut self, turn: Turn) {
        self.turns.push(turn);
        assert!(self.turns.len() < TURNS_MAX, "without end: {:?}", self.turns);
        match turn {
            Turn::Publish => {
                let topic = self.to_publish.pop_front().unwrap();
                let sequence = publish(self.hub, &format!("{}{topic}", self.prefix));
                self.published.push((sequence, topic));
            }
            Turn::Subscribe => {
                let id = Position { epoch: self.hub.epoch(), sequence: self.published[0].0 };
                let start = match self.case.start {
                    Begin::Live => Start::Live,
                    Begin::AfterFirst => Start::After(id.to_string()),
                    Begin::Earliest => Start::Earliest,
                };
                self.follower = Some(self.follow((self.case.topics, self.case.patterns), start));
            }
            Turn::Follower => self.have_followed(),
            Turn::Board => {
                self.board_woken.take();
                let waker = Waker::from(self.board_woken.clone());
                let news = self.news.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(news.is_pending());
            }
            Turn::Reader => (self.job.take().unwrap())(self.hub),
            Turn::OtherLeaves => self.other = None,
            Turn::Change => {
                let next = self.of(self.case.change.unwrap());
                self.changed = Some(self.follower.as_mut().unwrap().change(next));
                // Its connection asks it after every change.
                self.follower_woken.0.store(true, Ordering::SeqCst);
            }
        }
    }

    /// One piece of news, if there is any. It is asked again after each, as a connection does.
    fn have_followed(&mut self) {
        self.follower_woken.take();
        let waker = Waker::from(self.follower_woken.clone());
        let follower = self.follower.as_mut().unwrap();
        let news = follower.poll_next(&mut Context::from_waker(&waker));
        let Poll::Ready(news) = news else { return };
        self.follower_woken.0.store(true, Ordering::SeqCst);
        match news.unwrap() {
            News::Began { after, gap, over } => {
                assert_eq!((gap, over), (None, None));
                assert_eq!(self.began.replace(after), None, "it begins once");
                self.before_begun = self.published.len();
            }
            News::Span { gap, span, .. } => {
                assert_eq!(gap, None);
                self.had.extend(sequences(&span));
            }
        }
    }

    /// Nobody has anything left to do: the follower has everything.
    fn check(&self) {
        let began = self.began.expect("it has begun");
        let first = self.published[0].0;
        match self.case.start {
            Begin::Live => {
                let newest = self.published[self.before_begun - 1].0;
                assert!(began <= newest && began >= self.published[1].0, "{:?}", self.turns);
            }
            Begin::AfterFirst => assert_eq!(began, first),
            Begin::Earliest => assert!(began < first),
        }
        let wanted = |of: (&[&str], &[&str]), sequence: u64, topic: &str| {
            let of = self.of(of);
            let name = format!("{}{topic}", self.prefix);
            let named = of.topics().iter().any(|topic| topic.as_str() == name);
            let matched = of.patterns().iter().any(|pattern| pattern.matches(&name));
            sequence > began && (named || matched)
        };
        let changed = self.changed.unwrap_or(u64::MAX);
        let expect: Vec<u64> = self
            .published
            .iter()
            .filter(|&&(sequence, topic)| match self.case.change {
                Some(next) if sequence > changed => wanted(next, sequence, topic),
                _ => wanted((self.case.topics, self.case.patterns), sequence, topic),
            })
            .map(|&(sequence, _)| sequence)
            .collect();
        assert_eq!(self.had, expect, "after {began}: {:?} {:?}", self.turns, self.published);
    }
}

/// Leads the case through every order of turns; returns how many there were.
fn in_every_order(case: Case) -> usize {
    let base = Base::new();
    let mut choices = Choices::default();
    let mut orders = 0;
    loop {
        orders += 1;
        assert!(orders <= ORDERS_MAX, "{case:?}");
        let mut led = Led::new(&base, case, orders);
        loop {
            let possible = led.possible();
            if possible.is_empty() {
                break;
            }
            led.take(possible[choices.choose(possible.len())]);
        }
        led.check();
        if !choices.advance() {
            return orders;
        }
    }
}

#[test]
fn nothing_is_lost_whoever_has_a_turn_first() {
    let mut orders = 0;
    for (topics, patterns) in
        [(&["a"][..], &[][..]), (&["a", "b"], &[]), (&["b"], &["a"]), (&[], &["*"])]
    {
        for start in [Begin::Live, Begin::AfterFirst] {
            orders += in_every_order(Case { topics, patterns, start, ..CASE });
        }
    }
    orders += in_every_order(Case { start: Begin::Earliest, ..CASE });
    assert!(orders > 1_000, "{orders}");
}

#[test]
fn nothing_is_lost_when_another_follower_leaves() {
    for (topics, patterns) in [(&["a", "b"][..], &[][..]), (&[], &["*"])] {
        for other in [(&["a"][..], &[][..]), (&["b"], &["*"])] {
            let publishes = &["a"];
            in_every_order(Case { topics, patterns, publishes, other: Some(other), ..CASE });
        }
    }
}

#[test]
fn nothing_is_lost_over_a_change_of_what_is_followed() {
    for next in [(&["b"][..], &[][..]), (&["a", "b"], &[]), (&[], &["*"])] {
        in_every_order(Case { change: Some(next), ..CASE });
    }
}

/// Publishes in the moment in which it is woken, once.
struct Publishes {
    hub: Arc<Hub>,
    woken: AtomicBool,
}

impl Wake for Publishes {
    fn wake(self: Arc<Self>) {
        if !self.woken.swap(true, Ordering::SeqCst) {
            publish(&self.hub, "t");
        }
    }
}

/// The board takes news, and before it sleeps there is more.
#[test]
fn what_comes_between_the_news_and_the_sleep_is_not_slept_through() {
    let base = Base::new();
    let board = Arc::new(Board::new(base.hub.clone(), 1));
    let reader = Arc::new(LogReader::default());
    let mut news = Box::pin(board.run());
    let board_woken = Woken::new();
    let board_waker = Waker::from(board_woken.clone());
    assert!(news.as_mut().poll(&mut Context::from_waker(&board_waker)).is_pending());
    let of = selection(&["t".to_owned()], &[]);
    let mut follower = Follower::new(board.clone(), reader.clone(), of, Start::Live, VIEW);
    reader.next_job().unwrap()(&base.hub);
    let publishes = Publishes { hub: base.hub.clone(), woken: AtomicBool::new(false) };
    let waker = Waker::from(Arc::new(publishes));
    let mut context = Context::from_waker(&waker);
    let began = follower.poll_next(&mut context);
    assert!(matches!(began, Poll::Ready(Ok(News::Began { .. }))), "{began:?}");
    assert!(follower.poll_next(&mut context).is_pending());
    board_woken.take();
    publish(&base.hub, "t");
    // As long as it is woken, and no longer.
    while board_woken.take() {
        assert!(news.as_mut().poll(&mut Context::from_waker(&board_waker)).is_pending());
    }
    let mut events = 0;
    while let Poll::Ready(news) = follower.poll_next(&mut context) {
        let News::Span { span, .. } = news.unwrap() else { panic!("it begins once") };
        events += span.events;
    }
    assert_eq!(events, 2);
}

/// Deletes a topic that has had an event.
fn delete(hub: &Hub, topic: &str) {
    publish(hub, topic);
    hub.remove_topic(&TopicName::new(topic).unwrap()).unwrap();
}

/// A change finds a read in hand whose gap nobody was told of.
#[test]
fn what_is_missing_is_told_once_over_a_change() {
    let base = Base::new();
    let hub = &base.hub;
    let board = Arc::new(Board::new(hub.clone(), 1));
    let reader = Arc::new(LogReader::default());
    let waker = Waker::from(Woken::new());
    let mut context = Context::from_waker(&waker);
    let names = ["a", "b", "c"].map(str::to_owned);
    publish(hub, "a");
    let of = selection(&names[..2], &[]);
    let mut follower = Follower::new(board.clone(), reader.clone(), of, Start::Earliest, VIEW);
    reader.next_job().unwrap()(hub);
    assert!(matches!(follower.poll_next(&mut context), Poll::Ready(Ok(News::Began { .. }))));
    delete(hub, "b");
    assert!(follower.poll_next(&mut context).is_pending());
    reader.next_job().unwrap()(hub);
    follower.change(selection(&names, &[]));
    let mut gaps = Vec::new();
    for job in [true, true, false] {
        while let Poll::Ready(news) = follower.poll_next(&mut context) {
            if let News::Span { gap: Some(gap), .. } = news.unwrap() {
                gaps.extend(gap.topics);
            }
        }
        reader.next_job().into_iter().filter(|_| job).for_each(|job| job(hub));
    }
    assert_eq!(gaps, ["b".into()]);
}

#[test]
fn whoever_is_on_another_lane_is_woken_there() {
    let base = Base::new();
    let board = Arc::new(Board::new(base.hub.clone(), 2));
    let reader = Arc::new(LogReader::default());
    let mut wakes = Box::pin(board.wake_those_of(1));
    let lane_woken = Woken::new();
    let lane_waker = Waker::from(lane_woken.clone());
    let mut lane = Context::from_waker(&lane_waker);
    assert!(wakes.as_mut().poll(&mut lane).is_pending());
    let of = selection(&["t".to_owned()], &[]);
    let mut follower = Follower::new(board.clone(), reader.clone(), of, Start::Live, VIEW);
    reader.next_job().unwrap()(&base.hub);
    let woken = Woken::new();
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    assert!(matches!(follower.poll_next(&mut context), Poll::Ready(Ok(News::Began { .. }))));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            lanes::enter(1);
            let mut context = Context::from_waker(&waker);
            assert!(follower.poll_next(&mut context).is_pending());
        });
    });
    for asleep in [&woken, &lane_woken] {
        asleep.take();
    }
    publish(&base.hub, "t");
    board.take_news(&mut board.table());
    assert!(!woken.is_set() && lane_woken.is_set(), "its lane is told, and not it");
    assert!(wakes.as_mut().poll(&mut lane).is_pending());
    assert!(woken.is_set());
}
