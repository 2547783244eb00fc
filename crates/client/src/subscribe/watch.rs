//! A response body under watch: it must bring a byte now and then, or it is taken for dead.
//!
//! A connection whose other end has vanished (a laptop asleep, a NAT that forgot) stays open for
//! ever; heartbeats are how it is told from a silent topic. The time runs only while somebody waits
//! for bytes, so that a slow reader does not mistake its own absence for the server's.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body;
use tokio::time::{Instant, Sleep};

use crate::error::{Cause, Source};
use crate::transport::chain;

/// A body and its watchdog.
#[derive(Debug)]
pub(super) struct Watched<B> {
    body: Pin<Box<B>>,
    silence: Duration,
    /// Runs since the first poll that found nothing.
    alarm: Pin<Box<Sleep>>,
    waiting: bool,
}

impl<B> Watched<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Source>,
{
    pub(super) fn new(body: B, silence: Duration) -> Self {
        Self {
            body: Box::pin(body),
            silence,
            alarm: Box::pin(tokio::time::sleep(silence)),
            waiting: false,
        }
    }

    /// The next bytes, or why there will be none.
    pub(super) fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, Cause>> {
        while let Poll::Ready(frame) = self.body.as_mut().poll_frame(context) {
            self.waiting = false;
            match frame {
                None => return Poll::Ready(Err(Cause::Closed)),
                Some(Err(error)) => {
                    return Poll::Ready(Err(Cause::Broken(chain(&*error.into()))));
                }
                // Trailers are no data; an empty chunk is no sign of the end.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Poll::Ready(Ok(data)),
                    _ => {}
                },
            }
        }
        if !self.waiting {
            self.waiting = true;
            self.alarm.as_mut().reset(Instant::now() + self.silence);
        }
        ready!(self.alarm.as_mut().poll(context));
        Poll::Ready(Err(Cause::Silence(self.silence)))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::poll_fn;

    use hyper::body::Frame;
    use tokio::sync::mpsc;

    use super::*;

    /// A body whose chunks the test sends.
    struct Sent(mpsc::Receiver<&'static str>);

    impl Body for Sent {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.0.poll_recv(context).map(|text| Some(Ok(Frame::data(text?.into()))))
        }
    }

    const SILENCE: Duration = Duration::from_secs(45);

    fn watched() -> (mpsc::Sender<&'static str>, Watched<Sent>) {
        let (sender, receiver) = mpsc::channel(8);
        (sender, Watched::new(Sent(receiver), SILENCE))
    }

    async fn next(watched: &mut Watched<Sent>) -> Result<Bytes, Cause> {
        poll_fn(|context| watched.poll_data(context)).await
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_noticed_after_its_time_and_not_before() {
        let (_sender, mut watched) = watched();
        let start = Instant::now();
        assert!(matches!(next(&mut watched).await, Err(Cause::Silence(SILENCE))));
        assert_eq!(start.elapsed(), SILENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn every_heartbeat_begins_the_time_anew() {
        let (sender, mut watched) = watched();
        let heart = tokio::spawn(async move {
            for _ in 0..100 {
                tokio::time::sleep(SILENCE - Duration::from_millis(1)).await;
                sender.send(":\n").await.unwrap();
            }
            // Alive, but silent.
            tokio::time::sleep(10 * SILENCE).await;
        });
        let start = Instant::now();
        for _ in 0..100 {
            assert_eq!(next(&mut watched).await.unwrap(), ":\n");
        }
        assert!(matches!(next(&mut watched).await, Err(Cause::Silence(SILENCE))));
        assert_eq!(start.elapsed(), 101 * SILENCE - Duration::from_millis(100));
        heart.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn the_readers_own_absence_is_not_silence() {
        let (sender, mut watched) = watched();
        sender.send("a").await.unwrap();
        assert_eq!(next(&mut watched).await.unwrap(), "a");
        tokio::time::sleep(10 * SILENCE).await;
        let start = Instant::now();
        assert!(matches!(next(&mut watched).await, Err(Cause::Silence(SILENCE))));
        assert_eq!(start.elapsed(), SILENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_arrived_counts_before_the_alarm_does() {
        let (sender, mut watched) = watched();
        let poll = poll_fn(|context| Poll::Ready(watched.poll_data(context).is_pending()));
        assert!(poll.await, "nothing has come yet");
        tokio::time::sleep(10 * SILENCE).await;
        sender.send("late").await.unwrap();
        assert_eq!(next(&mut watched).await.unwrap(), "late");
        drop(sender);
        assert!(matches!(next(&mut watched).await, Err(Cause::Closed)));
    }
}
