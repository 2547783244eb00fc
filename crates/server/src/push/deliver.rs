//! The task of one subscription: catch up, follow, send; while the push service is away, hold a
//! position and nothing else.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tidings_frame::{EventObject, GapReason, Position};
use tidings_hub::{Framing, Start, View};

use super::Push;
use super::patience::Patience;
use super::send::{Sent, send};
use super::subscription::Subscription;
use crate::app::scatter;
use crate::follower::{Follower, News};

/// Whoever pushes has no right to private events.
const VIEW: View = View { framing: Framing::Objects, private: false, conflate: false };

/// After the log could not be read.
const LOG_AGAIN: Duration = Duration::from_secs(5);

/// Messages that are refused one after the other before the subscription is taken for dead: its
/// keys are not ours, or the push service changed its mind about us.
const REFUSED_MAX: u32 = 20;

/// How a round ended.
enum Next {
    Again,
    After(Duration),
    Gone,
}

/// Delivers until the subscription is gone. The task is ended from outside when it is removed.
pub(super) async fn deliver(push: Arc<Push>, to: Arc<Subscription>) {
    let mut patience = Patience::default();
    loop {
        match follow(&push, &to, &mut patience).await {
            Next::Again => {}
            Next::After(wait) => tokio::time::sleep(wait).await,
            Next::Gone => return push.forget(&to),
        }
    }
}

/// Follows from the subscription's position until something is in the way.
async fn follow(push: &Arc<Push>, to: &Arc<Subscription>, patience: &mut Patience) -> Next {
    let selection = to.terms().selection.clone();
    let id = Position { epoch: push.hub.epoch(), sequence: to.after() }.to_string();
    let (board, reader) = (push.board.clone(), push.reader.clone());
    let mut follower = Follower::new(board, reader, selection, Start::After(id), VIEW);
    loop {
        let news = tokio::select! {
            news = poll_fn(|context| follower.poll_next(context)) => news,
            () = to.changed.notified(), if follower.has_begun() => {
                let after = follower.change(to.terms().selection.clone());
                push.reached(to, after);
                continue;
            }
        };
        match news {
            Ok(News::Began { gap: Some(gap), .. })
                if matches!(gap.reason, GapReason::Epoch | GapReason::UnknownId) =>
            {
                // A position of another log: everything that is kept would be news.
                push.reached(to, push.hub.visible());
                return Next::Again;
            }
            Ok(News::Began { .. }) => {}
            Ok(News::Span { span, .. }) => {
                if let Some(next) = send_all(push, to, &span.bytes, patience).await {
                    return next;
                }
                push.reached(to, follower.after());
            }
            Err(error) => {
                tracing::warn!(%error, "the log could not be read for Web Push");
                return Next::After(LOG_AGAIN);
            }
        }
    }
}

/// Sends the events of a span in their order. What it returns ends the round.
async fn send_all(
    push: &Arc<Push>,
    to: &Arc<Subscription>,
    span: &[u8],
    patience: &mut Patience,
) -> Option<Next> {
    for event in objects(span) {
        let sequence = event.id.sequence;
        match send(push, to, &event).await {
            Sent::Taken => {
                push.metrics.sent.inc();
                patience.reset();
                to.was_taken();
            }
            Sent::Expired => {
                push.metrics.expired.inc();
            }
            Sent::Refused => {
                push.metrics.refused.inc();
                if to.was_refused() >= REFUSED_MAX {
                    return Some(Next::Gone);
                }
            }
            Sent::Gone => return Some(Next::Gone),
            Sent::Later(asked) => {
                push.metrics.delayed.inc();
                return Some(Next::After(patience.next(asked, scatter(sequence ^ to.number))));
            }
        }
        push.reached(to, sequence);
    }
    None
}

/// The events of a span: objects, each with a comma.
fn objects(span: &[u8]) -> Vec<EventObject<'_>> {
    let mut rest = span;
    let mut events = Vec::new();
    while !rest.is_empty() {
        let mut stream = serde_json::Deserializer::from_slice(rest).into_iter();
        match stream.next() {
            Some(Ok(event)) => events.push(event),
            end => {
                // It was encoded here; if it cannot be read, the next one cannot be found.
                if let Some(Err(error)) = end {
                    tracing::error!(%error, "an event for Web Push");
                }
                break;
            }
        }
        let end = stream.byte_offset();
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_taken_apart() {
        let one = |n: u64| {
            format!(
                "{{\"id\":\"80aqvuid-{n}\",\"topic\":\"a\",\"time\":\"1970-01-01T00:00:00Z\",\
                 \"data\":\"}},{{\\\"{n}\"}},"
            )
        };
        let span = format!("{}{}{}", one(1), one(2), one(3));
        let events = objects(span.as_bytes());
        let read: Vec<_> = events.iter().map(|e| (e.id.sequence, e.text().into_owned())).collect();
        assert_eq!(read[2], (3, "},{\"3".to_owned()));
        assert_eq!(read.len(), 3);
        assert!(objects(b"").is_empty());
    }
}
