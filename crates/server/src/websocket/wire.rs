//! What a WebSocket is spoken over: a socket, or TLS on one.
//!
//! The connection's task asks what is ready, and reads and writes without waiting. TLS fits in with
//! two peculiarities: whether there is something to read is known only once it is decrypted, and
//! what was written may still wait here for the socket.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use rustix::net::Shutdown;
use tokio::io::{AsyncBufRead as _, AsyncWrite as _, Interest};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// The connection.
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    /// Waits until it can be read from, or written to if that is of interest; whether it can be
    /// read from.
    pub(super) async fn ready(&mut self, interest: Interest) -> io::Result<bool> {
        match self {
            Self::Plain(stream) => Ok(stream.ready(interest).await?.is_readable()),
            Self::Tls(stream) => {
                poll_fn(|context| {
                    if interest.is_readable() {
                        if let Poll::Ready(read) = Pin::new(&mut **stream).poll_fill_buf(context) {
                            return Poll::Ready(read.map(|_| true));
                        }
                    }
                    if interest.is_writable() {
                        if let Poll::Ready(flushed) = Pin::new(&mut **stream).poll_flush(context) {
                            return Poll::Ready(flushed.map(|()| false));
                        }
                    }
                    Poll::Pending
                })
                .await
            }
        }
    }

    /// Reads what there is.
    pub(super) fn try_read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.try_read(into),
            Self::Tls(stream) => {
                let mut stream = Pin::new(&mut **stream);
                let read = now(stream.as_mut().poll_fill_buf(&mut nobody()))?;
                let count = read.len().min(into.len());
                into[..count].copy_from_slice(&read[..count]);
                stream.consume(count);
                Ok(count)
            }
        }
    }

    /// Writes what it takes.
    pub(super) fn try_write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.try_write_vectored(slices),
            Self::Tls(stream) => {
                now(Pin::new(&mut **stream).poll_write_vectored(&mut nobody(), slices))
            }
        }
    }

    /// Has what was written sent; would block if the socket does not take it yet.
    pub(super) fn try_flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(stream) => now(Pin::new(&mut **stream).poll_flush(&mut nobody())),
        }
    }

    /// Ends our side.
    pub(super) fn end(&mut self) -> io::Result<()> {
        let socket = match self {
            Self::Plain(stream) => &*stream,
            Self::Tls(stream) => {
                stream.get_mut().1.send_close_notify();
                // A socket that is full of what came before is ended without it.
                let _ = self.try_flush();
                let Self::Tls(stream) = self else { return Ok(()) };
                stream.get_ref().0
            }
        };
        Ok(rustix::net::shutdown(socket, Shutdown::Write)?)
    }
}

/// A context that wakes nobody: who tries does not wait.
fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn now<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(done) => done,
        Poll::Pending => Err(ErrorKind::WouldBlock.into()),
    }
}
