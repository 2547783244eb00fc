//! The bytes of an HTTP/2 connection on their way to and from h2, with what can only be seen there.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::meter::{Allowance, Meter};

/// What is known of a connection's other end.
#[derive(Debug)]
pub(super) struct Vitals {
    began: Instant,
    /// When something came last, in milliseconds since it began.
    heard_ms: AtomicU64,
    /// When the socket took something last, likewise.
    wrote_ms: AtomicU64,
    blocked: AtomicBool,
    flooded: AtomicBool,
}

impl Vitals {
    /// Milliseconds since it began.
    fn ms(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.began).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX)
    }

    /// Since when the socket takes nothing more, if it does not.
    pub(super) fn blocked_since(&self) -> Option<Instant> {
        let wrote = Duration::from_millis(self.wrote_ms.load(Ordering::Relaxed));
        self.is_blocked().then_some(self.began + wrote)
    }

    /// When something came last.
    pub(super) fn heard(&self) -> Instant {
        self.began + Duration::from_millis(self.heard_ms.load(Ordering::Relaxed))
    }

    /// Whether the socket takes nothing more.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    /// Whether more frames came than are allowed. Nothing is read any more then.
    pub(super) fn is_flooded(&self) -> bool {
        self.flooded.load(Ordering::Relaxed)
    }
}

/// The connection.
pub(super) struct Metered<S> {
    stream: S,
    meter: Meter,
    vitals: Arc<Vitals>,
}

impl<S> Metered<S> {
    pub(super) fn new(stream: S, allowance: Allowance) -> (Self, Arc<Vitals>) {
        let began = Instant::now();
        let vitals = Arc::new(Vitals {
            began,
            heard_ms: AtomicU64::new(0),
            wrote_ms: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
            flooded: AtomicBool::new(false),
        });
        (Self { stream, meter: Meter::new(began, allowance), vitals: vitals.clone() }, vitals)
    }

    fn note_written(&mut self, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.vitals.blocked.store(wrote.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(count)) = wrote {
            let now = self.vitals.ms(Instant::now());
            self.vitals.wrote_ms.store(now, Ordering::Relaxed);
            self.meter.wrote(count);
        }
        wrote
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.vitals.is_flooded() {
            // The connection's task has seen it, and says goodbye.
            return Poll::Pending;
        }
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, into))?;
        let now = Instant::now();
        self.vitals.heard_ms.store(self.vitals.ms(now), Ordering::Relaxed);
        if self.meter.read(&into.filled()[before..], now).is_err() {
            self.vitals.flooded.store(true, Ordering::Relaxed);
            into.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note_written(wrote)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.vitals.blocked.store(flushed.is_pending(), Ordering::Relaxed);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note_written(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
