//! Fills a topic with events that a later measurement reads, and says where they begin and end.

use std::time::Duration;

use rustix::event::epoll::EventFlags;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddrV4};

use super::publisher::Publisher;
use super::stamp::Stamp;
use super::{LoadError, Report};
use crate::bench::clock::now_ns;
use crate::bench::socket::Poll;

/// Requests under way at once.
const IN_FLIGHT: usize = 16;
/// Without any answer for this long, the server counts as stuck.
const STUCK: Duration = Duration::from_secs(30);

/// What to fill a topic with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FillJob {
    pub(crate) target: SocketAddrV4,
    pub(crate) source: Option<Ipv4Addr>,
    /// The path of the topic.
    pub(crate) path: String,
    /// The stamp of the first event; the others count on from it.
    pub(crate) first: u64,
    pub(crate) events: u64,
    /// Bytes of a payload.
    pub(crate) payload_bytes: usize,
    /// Events of one request, as lines of JSON; one event and no JSON when this is 1.
    pub(crate) batch: u64,
}

pub(super) fn run(
    job: &FillJob,
    go: &mut dyn FnMut() -> Result<(), LoadError>,
) -> Result<Report, LoadError> {
    let mut poll = Poll::new().map_err(|error| LoadError::Socket("epoll", error))?;
    let mut publisher = Publisher::connect(job.source, job.target)?;
    let added = poll.add(&publisher, 0, EventFlags::IN);
    added.map_err(|error| LoadError::Socket("epoll_ctl", error))?;
    go()?;
    let start = now_ns();
    let (mut next, end) = (job.first, job.first + job.events);
    let mut first_id = String::new();
    while next < end || publisher.in_flight() > 0 {
        // The first answer alone, for its id.
        let limit = if first_id.is_empty() { 1 } else { IN_FLIGHT };
        while next < end && publisher.in_flight() < limit && !publisher.blocked() {
            let batch = job.batch.min(end - next);
            publish(&mut publisher, job, next, batch)?;
            next += batch;
        }
        let blocked = publisher.blocked();
        let timeout = if blocked { Duration::from_millis(1) } else { STUCK };
        let events = poll.wait(Some(timeout));
        let events = events.map_err(|error| LoadError::Socket("epoll_wait", error))?;
        if events == 0 && !blocked {
            return Err(LoadError::Deadline("an answer to a publish"));
        }
        publisher.flush()?;
        publisher.read()?;
        if first_id.is_empty() && publisher.answered > 0 {
            first_id = ids(&publisher.last_answer).0.unwrap_or_default();
        }
    }
    Ok(Report {
        operations: job.events,
        elapsed_ns: now_ns() - start,
        first_id,
        last_id: ids(&publisher.last_answer).1.unwrap_or_default(),
        ..Report::default()
    })
}

fn publish(
    publisher: &mut Publisher,
    job: &FillJob,
    first: u64,
    batch: u64,
) -> Result<(), LoadError> {
    let stamp = |sequence| Stamp { sequence, sent_ns: now_ns() };
    if job.batch == 1 {
        return publisher.publish(&job.path, stamp(first), job.payload_bytes);
    }
    let mut lines = Vec::new();
    for sequence in first..first + batch {
        lines.extend_from_slice(br#"{"data":""#);
        stamp(sequence).write(job.payload_bytes, &mut lines);
        lines.extend_from_slice(b"\"}\n");
    }
    publisher.post(&job.path, "application/x-ndjson", &lines)
}

/// The first and the last `"id":"..."` of an answer, wherever they stand in it.
fn ids(answer: &[u8]) -> (Option<String>, Option<String>) {
    let text = String::from_utf8_lossy(answer);
    let mut found = text.split("\"id\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    let first = found.next().map(str::to_owned);
    let last = found.last().map(str::to_owned).or_else(|| first.clone());
    (first, last)
}

#[cfg(test)]
mod tests {
    use super::ids;

    #[test]
    fn ids_are_found_in_single_and_batch_answers() {
        let one = ids(br#"{"id":"a-1","topic":"t"}"#);
        assert_eq!(one, (Some("a-1".to_owned()), Some("a-1".to_owned())));
        let batch = ids(br#"{"events":[{"id":"a-1"},{"id":"a-2"},{"id":"a-3"}]}"#);
        assert_eq!(batch, (Some("a-1".to_owned()), Some("a-3".to_owned())));
        assert_eq!(ids(b"ok"), (None, None));
    }
}
