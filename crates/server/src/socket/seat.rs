//! A subscriber's place in the live fan-out: how it gets one, and how it moves to the thread that
//! reads the log and back.

use std::os::fd::OwnedFd;

use rustix::event::epoll;
use tidings_frame::Position;
use tidings_hub::{Reach, Start, View};

use super::conn::{Requester, Subscriber, Wrote};
use super::mail::{Change, Changed, Mail};
use super::shard::{Conn, Seat, Shard};
use super::slots::Key;
use crate::error::ApiError;
use crate::http::subscribe::Subscribe;
use crate::peer::Peer;
use crate::reply::Reply;
use crate::webhooks::occupancy::Attending;

impl Shard {
    /// Makes a requester a subscriber.
    pub(super) fn subscribe(&mut self, key: Key, asked: Subscribe) {
        if self.app.is_draining() {
            let reply = Reply::from(ApiError::draining()).with("connection", "close");
            self.reply(key, &asked.origin, &reply);
            if let Some(Conn::Requester(requester)) = self.conns.get_mut(key) {
                requester.closing = true;
            }
            return self.flush(key);
        }
        let Some(after) = self.starts_here(&asked) else {
            if let Some(Conn::Requester(requester)) = self.conns.remove(key) {
                let _ = epoll::delete(&self.poll, &requester.fd);
                self.start_in_log(requester.fd, requester.peer, asked);
            }
            return;
        };
        let (app, now_ms) = (self.app.clone(), self.now_ms);
        self.conns.replace(key, |conn| match conn {
            Conn::Requester(Requester { fd, peer, .. }) => {
                Conn::Seat(Seat::new(Subscriber::new(&app, fd, peer, &asked, now_ms)))
            }
            seat @ Conn::Seat(_) => seat,
        });
        self.welcome(key, after, &asked);
    }

    /// Takes a subscriber that came by way of hyper.
    pub(super) fn adopt(&mut self, fd: OwnedFd, peer: Peer, asked: Subscribe) {
        match self.starts_here(&asked) {
            None => self.start_in_log(fd, peer, asked),
            Some(after) => {
                let subscriber = Subscriber::new(&self.app, fd, peer, &asked, self.now_ms);
                if let Some(key) = self.insert(subscriber) {
                    self.welcome(key, after, &asked);
                }
            }
        }
    }

    pub(super) fn start_in_log(&self, fd: OwnedFd, peer: Peer, asked: Subscribe) {
        let subscriber = Subscriber::new(&self.app, fd, peer, &asked, self.now_ms);
        let mail = Mail::Start(Box::new(subscriber), Box::new(asked));
        self.app.backfills[self.number].send(mail);
    }

    pub(super) fn insert(&mut self, subscriber: Subscriber) -> Option<Key> {
        let key = self.conns.insert(Conn::Seat(Seat::new(subscriber)));
        match self.register(key) {
            Ok(()) => Some(key),
            Err(_) => {
                self.close(key);
                None
            }
        }
    }

    /// Sends the head of the stream, and joins the fan-out.
    pub(super) fn welcome(&mut self, key: Key, after: u64, asked: &Subscribe) {
        let (now_ms, timer_ms) = (self.now_ms, self.timer_ms);
        let Some(Conn::Seat(seat)) = self.conns.get_mut(key) else {
            return;
        };
        seat.subscriber.after = after;
        let position = Position { epoch: self.app.hub.epoch(), sequence: after };
        let name = self.app.names.own(seat.subscriber.id);
        let head = self.dates.stream(&name, position, asked, now_ms);
        match seat.subscriber.write(&head.into(), timer_ms) {
            Wrote::Gone => self.close(key),
            wrote => {
                seat.blocked = wrote == Wrote::Part;
                self.join(key);
            }
        }
    }

    /// The position of a subscription that can begin without the log.
    pub(super) fn starts_here(&mut self, asked: &Subscribe) -> Option<u64> {
        let view = asked.view;
        let live = asked.selection.single().map(|name| {
            let topic = self.follows.follow(name.as_str(), view.framing);
            self.follows.get(topic).map(|followed| followed.live.clone())
        });
        let live = live.flatten();
        if live.as_ref().is_some_and(|live| live.has_ended()) {
            return None;
        }
        match &asked.start {
            Start::Live => Some(self.app.hub.visible()),
            Start::After(id) => {
                let position: Position = id.parse().ok()?;
                let after = position.sequence;
                let visible = self.app.hub.visible();
                if position.epoch != self.app.hub.epoch()
                    || after > visible
                    || !self.app.hub.is_of_this_life(after)
                {
                    return None;
                }
                let all = View { private: true, ..view };
                match live?.reach(after, visible, all, self.now_ms) {
                    Reach::Behind => None,
                    Reach::Nothing | Reach::Due(_) => Some(after),
                }
            }
            _ => None,
        }
    }

    /// Gives a subscriber in the table its place in the live fan-out.
    pub(super) fn join(&mut self, key: Key) {
        let Some(Conn::Seat(seat)) = self.conns.get(key) else {
            return;
        };
        let mut selection = seat.subscriber.selection.clone();
        let framing = seat.subscriber.view.framing;
        let topic = selection.single().map(|name| self.follows.follow(name.as_str(), framing));
        match topic {
            Some(topic) => {
                self.follows.join_single(topic, key, &mut selection);
                if let Some(Conn::Seat(seat)) = self.conns.get_mut(key) {
                    seat.topic = topic;
                    seat.subscriber.selection = selection;
                }
                self.catch_up_with_tail(key, topic);
            }
            None => {
                let needed = self.follows.join_many(key, &selection, framing);
                let mut after = 0;
                if let Some(Conn::Seat(seat)) = self.conns.get_mut(key) {
                    seat.many = Some(Box::default());
                    after = seat.subscriber.after;
                }
                if after < needed {
                    return self.send_to_backfill(key);
                }
                self.catch_up_with_tails(key, &selection);
            }
        }
    }

    /// What became visible between its position and its seat was told to others, not to it.
    pub(super) fn catch_up_with_tail(&mut self, key: Key, topic: u64) {
        let Some(Conn::Seat(seat)) = self.conns.get(key) else {
            return;
        };
        let (after, view) = (seat.subscriber.after, seat.subscriber.view);
        let visible = self.app.hub.rung();
        let Some(followed) = self.follows.get_mut(topic) else {
            return;
        };
        match followed.live.reach(after, visible, view, self.now_ms) {
            Reach::Nothing => return,
            // Of what the bell has not told yet it may never tell: it was rung before it hung here.
            _ if visible > self.visible => return self.send_to_backfill(key),
            _ => {}
        }
        if followed.queued {
            followed.again = true;
        } else {
            followed.queued = true;
            followed.next = 0;
            self.line.push_back(topic);
        }
    }

    pub(super) fn catch_up_with_tails(&mut self, key: Key, selection: &tidings_hub::Selection) {
        let topics = self.follows.matching(selection);
        let visible = self.app.hub.rung();
        let Some(Conn::Seat(seat)) = self.conns.get(key) else {
            return;
        };
        let (after, view) = (seat.subscriber.after, seat.subscriber.view);
        let untold = |topic: &u64| {
            let live = self.follows.get(*topic).map(|followed| &followed.live);
            live.is_some_and(|live| live.reach(after, visible, view, self.now_ms) != Reach::Nothing)
        };
        if visible > self.visible && topics.iter().any(untold) {
            // As for one topic; and the next event of another would move it past them.
            return self.send_to_backfill(key);
        }
        if let Some(Conn::Seat(Seat { many: Some(many), .. })) = self.conns.get_mut(key) {
            many.due.extend(topics);
            many.queued = true;
            self.line_of_many.push_back(key);
        }
    }

    /// Moves a subscriber to the thread that reads the log.
    pub(super) fn send_to_backfill(&mut self, key: Key) {
        if let Some(subscriber) = self.unseat(key) {
            let _ = epoll::delete(&self.poll, &subscriber.fd);
            self.app.backfills[self.number].send(Mail::Subscriber(Box::new(subscriber)));
        }
    }

    pub(super) fn unseat(&mut self, key: Key) -> Option<Subscriber> {
        let Some(Conn::Seat(_)) = self.conns.get(key) else {
            return None;
        };
        let Some(Conn::Seat(seat)) = self.conns.remove(key) else {
            return None;
        };
        if seat.many.is_some() {
            let framing = seat.subscriber.view.framing;
            self.follows.leave_many(key, &seat.subscriber.selection, framing, self.timer_ms);
        } else {
            self.follows.leave_single(seat.topic, key, self.timer_ms);
        }
        Some(seat.subscriber)
    }

    /// Changes what a connection is subscribed to; it goes on from its position, by way of the log.
    pub(super) fn change(&mut self, key: Key, change: Change) -> Option<Changed> {
        // All that is visible now is in the lines, also of topics that nobody here follows.
        let visible = self.app.hub.rung();
        let mut topics = Vec::new();
        self.visible = self.mail.bell.take(&mut topics).max(self.visible);
        self.news(&mut topics);
        let Some(Conn::Seat(seat)) = self.conns.get_mut(key) else {
            return None;
        };
        let next = seat.subscriber.change(change)?;
        let up_to_date = match (&seat.many, self.follows.get(seat.topic)) {
            (Some(many), _) => many.due.is_empty(),
            (None, Some(followed)) => {
                let subscriber = &seat.subscriber;
                let reach = |live: &tidings_hub::Live| {
                    live.reach(subscriber.after, visible, subscriber.view, self.now_ms)
                };
                reach(&followed.live) == Reach::Nothing
            }
            (None, None) => false,
        };
        if up_to_date && !seat.blocked {
            // It has had everything up to now, so of a topic that it adds it wants what comes now.
            seat.subscriber.after = seat.subscriber.after.max(visible);
        }
        let mut subscriber = self.unseat(key)?;
        let _ = epoll::delete(&self.poll, &subscriber.fd);
        Attending::changed(&mut subscriber.attending, &next);
        subscriber.selection = next.clone();
        let after = subscriber.after;
        self.app.backfills[self.number].send(Mail::Subscriber(Box::new(subscriber)));
        Some(Changed { selection: next, after })
    }
}
