//! A subscription: its bytes, and the events that the clients' decoder makes of them.

use std::collections::VecDeque;
use std::time::Instant;

use tidings_frame::sse_decode::Decoder;

use crate::support::{Conn, PATIENCE, Reply};

/// An event as an `EventSource` would see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) data: String,
}

/// A live subscription.
pub(crate) struct Stream {
    conn: Conn,
    /// The head of the answer.
    pub(crate) head: Reply,
    /// Every byte after the head that was read so far.
    pub(crate) raw: Vec<u8>,
    decoder: Decoder,
    events: VecDeque<Event>,
}

impl Stream {
    /// Reads the head of the answer to a subscription and the first comment.
    #[track_caller]
    pub(crate) fn open(mut conn: Conn) -> Self {
        let head = conn.reply_without_body_or_problem();
        assert_eq!(head.status, 200, "{}{}", head.head, head.text());
        let mut stream = Self {
            conn,
            head,
            raw: Vec::new(),
            decoder: Decoder::default(),
            events: VecDeque::new(),
        };
        while stream.raw.len() < 2 {
            assert!(stream.read(), "the stream ended before its first comment");
        }
        stream
    }

    /// The connection's name, as the list of connections says it.
    pub(crate) fn name(&self) -> String {
        let own = self.own_name();
        own.split_once('.').unwrap().0.to_owned()
    }

    /// The connection's name with its key, which only its client is told.
    pub(crate) fn own_name(&self) -> String {
        self.head.header("tidings-connection").unwrap().to_owned()
    }

    /// Reads more; `false` at the end.
    pub(crate) fn read(&mut self) -> bool {
        let mut bytes = self.conn.take_input();
        if bytes.is_empty() {
            if !self.conn.read_more() {
                return false;
            }
            bytes = self.conn.take_input();
        }
        self.raw.extend_from_slice(&bytes);
        let events = &mut self.events;
        let add = |event: tidings_frame::sse_decode::EventRef<'_>| {
            events.push_back(Event {
                id: event.last_event_id.to_owned(),
                kind: event.event_type.to_owned(),
                data: event.data.to_owned(),
            });
        };
        self.decoder.feed(&bytes, add).unwrap();
        true
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.conn.send(bytes);
    }

    /// Forgets the bytes that were read, for streams that are too long to keep.
    pub(crate) fn forget_raw(&mut self) {
        self.raw.clear();
    }

    #[track_caller]
    pub(crate) fn next(&mut self) -> Event {
        self.try_next().expect("an event, not the end of the stream")
    }

    /// The next event; none if the stream ends.
    pub(crate) fn try_next(&mut self) -> Option<Event> {
        // Heartbeats are no sign that it will come.
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no event came, only {} comments", self.comments());
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if !self.read() {
                return None;
            }
        }
    }

    #[track_caller]
    pub(crate) fn take(&mut self, count: usize) -> Vec<Event> {
        (0..count).map(|_| self.next()).collect()
    }

    #[track_caller]
    pub(crate) fn data(&mut self, count: usize) -> Vec<String> {
        self.take(count).into_iter().map(|event| event.data).collect()
    }

    /// The data of what comes before the event with this data.
    #[track_caller]
    pub(crate) fn data_before(&mut self, marker: &str) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            match self.next().data {
                data if data == marker => return all,
                data => all.push(data),
            }
        }
    }

    /// Everything up to the end of the stream.
    pub(crate) fn until_end(mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while let Some(event) = self.try_next() {
            all.push(event);
        }
        all
    }

    /// Comments so far.
    pub(crate) fn comments(&self) -> u64 {
        self.decoder.comments()
    }
}

impl Conn {
    /// The head of a stream, or a whole answer if it is something else.
    #[track_caller]
    fn reply_without_body_or_problem(&mut self) -> Reply {
        let mut head = self.reply_without_body();
        if head.status != 200 {
            while self.buffered() < length(&head) && self.read_more() {}
            head.body = self.take_input();
        }
        head
    }
}

fn length(head: &Reply) -> usize {
    head.header("content-length").map_or(0, |length| length.parse().unwrap())
}
