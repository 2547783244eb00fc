//! A connection of the general door, guarded: what its requests and answers hold is counted, and a
//! client that takes nothing of an answer does not keep it for ever.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Held, RequestMemory};

/// What a connection's requests and answers hold. Shared by the connection and whoever answers.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<Mutex<Account>>);

struct Account {
    held: Held,
    /// Bytes read of a request that is not answered.
    read: usize,
    /// Bytes that it has said it will have.
    said: usize,
    /// Bytes of answers that were not written.
    unsent: usize,
}

impl Account {
    fn settle(&mut self) -> bool {
        self.held.set(self.read.max(self.said) + self.unsent)
    }
}

impl Ledger {
    pub(crate) fn new(memory: &Arc<RequestMemory>) -> Self {
        let account = Account { held: Held::of(memory), read: 0, said: 0, unsent: 0 };
        Self(Arc::new(Mutex::new(account)))
    }

    /// A request says that it has so many bytes; `false` if there is no room for them.
    pub(crate) fn expect(&self, bytes: usize) -> bool {
        let mut account = self.0.lock();
        account.said = bytes;
        let fits = account.settle();
        if !fits {
            account.said = 0;
        }
        fits
    }

    /// A request is answered with so many bytes; `false` if there is no room for them.
    pub(crate) fn answer(&self, bytes: usize) -> bool {
        let mut account = self.0.lock();
        (account.read, account.said) = (0, 0);
        account.unsent += bytes;
        let fits = account.settle();
        if !fits {
            account.unsent -= bytes;
            // Less always fits.
            let _ = account.settle();
        }
        fits
    }

    fn read(&self, bytes: usize) -> io::Result<()> {
        let mut account = self.0.lock();
        account.read += bytes;
        if account.settle() {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::OutOfMemory, "requests hold as much as they may"))
    }

    fn wrote(&self, bytes: usize) {
        let mut account = self.0.lock();
        if account.unsent > 0 {
            account.unsent = account.unsent.saturating_sub(bytes);
            // Less always fits.
            let _ = account.settle();
        }
    }
}

/// The connection.
pub(crate) struct Guarded<S> {
    inner: S,
    ledger: Ledger,
    /// How long it may take nothing.
    stall: Duration,
    /// When its patience ends, while it takes nothing.
    stalls: Option<Pin<Box<Sleep>>>,
}

impl<S> Guarded<S> {
    pub(crate) fn new(inner: S, ledger: Ledger, stall: Duration) -> Self {
        Self { inner, ledger, stall, stalls: None }
    }

    pub(crate) fn into_inner(self) -> S {
        self.inner
    }

    fn written(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(count)) => {
                self.stalls = None;
                self.ledger.wrote(count);
                Poll::Ready(Ok(count))
            }
            Poll::Pending => {
                let stall = self.stall;
                let stalls = self
                    .stalls
                    .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + stall)));
                match stalls.as_mut().poll(context) {
                    Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                    Poll::Pending => Poll::Pending,
                }
            }
            failed => failed,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, into);
        if matches!(read, Poll::Ready(Ok(()))) {
            self.ledger.read(into.filled().len() - before)?;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.written(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
