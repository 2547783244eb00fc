//! What depends on who is asked first, without sockets.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::future::poll_fn;
use std::sync::Arc;

use tidings_access::Verifier;
use tidings_frame::TopicName;
use tidings_hub::{Framing, NewEvent, Publish, Selection, Start, View};
use tokio::sync::mpsc;

use super::connection::next_news;
use super::publishing::{Staged, publish};
use super::subscription::Subscription;
use crate::app::App;
use crate::config::Config;
use crate::follower::News;
use crate::head::{Head, Headers};
use crate::http::publish::Request;
use crate::http::subscribe::Subscribe;
use crate::peer::Peer;

/// An address that no peer of these tests has.
const PEER: ([u8; 4], u16) = ([127, 0, 0, 1], 1);

struct Base {
    app: Arc<App>,
    _folder: tempfile::TempDir,
}

fn base(config: impl FnOnce(&mut Config)) -> Base {
    let folder = tempfile::tempdir().unwrap();
    let mut all = Config::dev();
    all.data_dir = folder.path().to_owned();
    config(&mut all);
    let hub = crate::run::open_hub(&all).unwrap();
    let (hyper, _) = mpsc::channel(1);
    let app = Arc::new(App::new(hub, all, Verifier::default(), None, None, None, hyper).unwrap());
    Base { app, _folder: folder }
}

fn event<'a>(topic: &'a str, data: &'a str) -> NewEvent<'a> {
    NewEvent { topic: topic.into(), data: data.as_bytes().into(), ..NewEvent::default() }
}

fn subscription(app: &Arc<App>, name: &str, start: Start) -> Subscription {
    let topics = vec![TopicName::new("t").unwrap()];
    let asked = Subscribe {
        selection: Arc::new(Selection::new(topics, Vec::new()).unwrap()),
        start,
        view: View { framing: Framing::Objects, private: false, conflate: false },
        origin: None,
        caller: None,
        expiring: crate::access::expiring::Expiring::default(),
        opening: None,
        admission: crate::limits::Admission::default(),
    };
    Subscription::new(app, Peer::plain(PEER.into()), name.to_owned(), None, asked)
}

/// Two that both have a lot to take are served in turn.
#[test]
fn no_subscription_of_a_connection_waits_for_all_of_another() {
    let base = base(|_| {});
    let app = &base.app;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| app.log_reader.run(&app.hub));
        // The topic is followed, so that it has a tail.
        let _first = subscription(app, "first", Start::Live);
        let start = Start::After(format!("{}-0", app.hub.epoch()));
        let data = "x".repeat(40 << 10);
        for _ in 0..10 {
            let mut round = app.hub.round();
            round.publish(&Publish { events: &[event("t", &data)], ..Publish::default() });
            round.commit();
        }
        let mut both = ["a", "b"].map(|name| subscription(app, name, start.clone()));
        // Each by itself: one that begins before the other would be through before it.
        for one in &mut both {
            let begun = runtime.block_on(poll_fn(|context| one.follower.poll_next(context)));
            assert!(matches!(begun, Ok(News::Began { .. })));
        }
        let (mut turn, mut served) = (0, Vec::new());
        while served.len() < 10 {
            let (at, news) = runtime.block_on(next_news(&mut both, &mut turn));
            assert!(matches!(news, Ok(News::Span { .. })));
            served.push(at);
        }
        app.log_reader.stop();
        assert!(served.windows(2).all(|two| two[0] != two[1]), "{served:?}");
    });
}

#[test]
fn a_receipt_that_waits_for_the_disk_is_not_given_at_once() {
    let base = base(|config| config.durability = tidings_hub::Durability::Synced);
    let (receipts, mut to_come) = mpsc::channel(4);
    for number in 0..20 {
        let data = number.to_string();
        let request = Request {
            party: crate::limits::Party::default(),
            idempotency_key: None,
            at_ms: None,
            batch: false,
            events: vec![event("t", &data)],
        };
        let mut staged = vec![Staged { reference: None, request, operator: false }];
        let headers = http::HeaderMap::new();
        let who = base.app.who(&Head::new("GET", "/ws", Headers::Map(&headers))).unwrap();
        let publisher = (Peer::plain(([127, 0, 0, 1], 1).into()), &who);
        publish(&base.app, publisher, &mut staged, &receipts, |_| panic!("before it was on disk"));
        let receipt = to_come.blocking_recv().unwrap();
        assert!(receipt.starts_with(b"{\"op\":\"published\""));
    }
}
