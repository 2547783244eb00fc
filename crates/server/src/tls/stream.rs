//! An event stream over HTTP/1.1 in TLS: once its head is out there is no HTTP left, and the bytes
//! are those of a plain connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::app::App;
use crate::dates::Dates;
use crate::http::linger;
use crate::http::subscribe::Subscribe;
use crate::peer::Peer;
use crate::stream::{Carrier, Ended, Gone, Opened, Stream};

/// Rests up to this size are copied, so that they do not pin the span that they are the end of.
const REST_COPIED_BYTES: usize = 1 << 10;

/// Bytes that are read at a time, and not looked at.
const PASSED_BYTES: usize = 512;

/// Times they are read before others have a turn.
const PASSES_PER_TURN: usize = 16;

/// How long a client has for our part of the end.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// Serves a subscription until it ends.
pub(super) async fn serve(
    app: &Arc<App>,
    mut tls: TlsStream<TcpStream>,
    peer: Peer,
    asked: Box<Subscribe>,
) {
    let (mut stream, position) = match Box::pin(Stream::open(app, peer, &asked)).await {
        Opened::Stream(stream, position) => (stream, position),
        Opened::Reply(reply) => {
            let mut answer = Vec::new();
            let (reply, origin) = (reply.with("connection", "close"), asked.origin.as_deref());
            Dates::default().reply(&reply, origin, app.hub.now_ms(), &mut answer);
            return Box::pin(linger::answer_and_end(app, tls, &answer)).await;
        }
    };
    let (name, now_ms) = (stream.name(), app.hub.now_ms());
    stream.begin_with(Dates::default().stream_head(&name, position, &asked, now_ms));
    drop(asked);
    let ended = stream.run(&mut Sealed(&mut tls)).await;
    // Gone from the list, before its client can see the end.
    drop(stream);
    if ended != Ended::Gone {
        // A client that takes nothing does not see it.
        let _ = tokio::time::timeout(CLOSE_TIME, tls.shutdown()).await;
    }
}

/// The connection as a stream writes to it.
struct Sealed<'a>(&'a mut TlsStream<TcpStream>);

impl Carrier for Sealed<'_> {
    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        rest: &mut Bytes,
    ) -> Poll<Result<(), Gone>> {
        while !rest.is_empty() {
            match Pin::new(&mut *self.0).poll_write(context, rest) {
                Poll::Ready(Ok(count)) if count > 0 => rest.advance(count),
                Poll::Ready(_) => return Poll::Ready(Err(Gone)),
                Poll::Pending => {
                    if rest.len() <= REST_COPIED_BYTES {
                        *rest = Bytes::copy_from_slice(rest);
                    }
                    return Poll::Pending;
                }
            }
        }
        // What it has taken may still wait here, encrypted.
        Pin::new(&mut *self.0).poll_flush(context).map_err(|_| Gone)
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..PASSES_PER_TURN {
            let mut passed = [0; PASSED_BYTES];
            let mut passed = ReadBuf::new(&mut passed);
            match ready!(Pin::new(&mut *self.0).poll_read(context, &mut passed)) {
                Ok(()) if !passed.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
