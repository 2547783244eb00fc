//! A connection: a request goes out, and the task that wants the answer reads it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{Method, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::body::BodyReader;
use super::pool::{Place, Pool};
use super::request::encode;
use super::{ResponseError, head};

/// Bytes read at a time, into a buffer that all connections of a thread share.
const READ_BYTES: usize = 64 << 10;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// A connection, encrypted or not.
pub(crate) type Io = Box<dyn Duplex>;

/// Both directions of a connection.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// The connection broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What came is no proper answer.
    #[error("the upstream's answer is not taken: {0}")]
    Response(#[from] ResponseError),
    /// It is longer than somebody wants it.
    #[error("the upstream's answer is longer than {0} bytes")]
    TooLong(usize),
}

/// Reads what has come and hands it to `use_it`: nothing at the end of the connection.
fn poll_read<T>(
    io: &mut Io,
    context: &mut Context<'_>,
    use_it: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    BUFFER.with_borrow_mut(|buffer| {
        let mut read = ReadBuf::new(buffer);
        ready!(Pin::new(io).poll_read(context, &mut read))?;
        Poll::Ready(Ok(use_it(read.filled())))
    })
}

/// What is not sent yet of a request.
struct Unsent {
    parts: [Bytes; 2],
    flushed: bool,
}

impl Unsent {
    fn poll(&mut self, io: &mut Io, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        for part in &mut self.parts {
            while !part.is_empty() {
                match ready!(Pin::new(&mut *io).poll_write(context, part))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => part.advance(count),
                }
            }
        }
        if !self.flushed {
            ready!(Pin::new(io).poll_flush(context))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}

/// Sends a request and returns the head of its answer. The answer may come before the request is
/// all sent, as a refusal does; what is left of the request is then kept back.
pub(crate) async fn exchange(
    mut io: Io,
    request: Request<Bytes>,
    home: (Arc<Pool>, Place),
) -> Result<Response<Body>, ExchangeError> {
    let to_head = request.method() == Method::HEAD;
    let mut unsent = Unsent { parts: encode(request), flushed: false };
    let (mut came, mut broken) = (Vec::new(), None);
    let (head, length) = poll_fn(|context| {
        if broken.is_none() {
            // A server that refuses a long request may close its side of it first.
            if let Poll::Ready(Err(error)) = unsent.poll(&mut io, context) {
                broken = Some(error);
            }
        }
        loop {
            let read = poll_read(&mut io, context, |bytes| {
                came.extend_from_slice(bytes);
                (bytes.is_empty(), bytes.contains(&b'\n'))
            });
            match ready!(read) {
                Ok((true, _)) => {
                    let cut = || ResponseError::Cut.into();
                    return Poll::Ready(Err(broken.take().map_or_else(cut, Into::into)));
                }
                Err(error) => return Poll::Ready(Err(broken.take().unwrap_or(error).into())),
                Ok((_, line)) if line || came.len() > head::HEAD_BYTES_MAX => {
                    if let Some(head) = head::parse(&came, to_head)? {
                        return Poll::Ready(Ok::<_, ExchangeError>(head));
                    }
                }
                Ok(_) => {}
            }
        }
    })
    .await?;
    came.drain(..length);
    came.shrink_to_fit();
    let persists = head.persists && unsent.flushed;
    let home = persists.then_some(home);
    let pieces = Pieces { reader: head.body, failed: None, spare: false };
    let body = Body { io: Some(io), pieces, ahead: came, home };
    let mut response = Response::new(body);
    (*response.status_mut(), *response.headers_mut()) = (head.status, head.headers);
    Ok(response)
}

/// The body of an answer. Dropping it closes the connection, unless it has come to its end and the
/// connection can serve another request.
pub(crate) struct Body {
    /// None once the body has come to its end.
    io: Option<Io>,
    pieces: Pieces,
    /// What came together with the head.
    ahead: Vec<u8>,
    /// Where the connection goes afterwards, if it can be used again.
    home: Option<(Arc<Pool>, Place)>,
}

/// A body as far as it has come.
struct Pieces {
    reader: BodyReader,
    /// What came to light behind pieces that were good.
    failed: Option<ResponseError>,
    /// Whether something follows that is not of the body.
    spare: bool,
}

impl Pieces {
    /// Hands out the pieces that are in `bytes`, of which none are the end of the connection.
    /// Returns whether there were any.
    fn feed(&mut self, mut bytes: &[u8], each: &mut impl FnMut(&[u8])) -> bool {
        if bytes.is_empty() {
            self.failed = self.reader.cut().err();
            return false;
        }
        let mut some = false;
        loop {
            match self.reader.take(&mut bytes) {
                Ok(Some(piece)) => {
                    some = true;
                    each(piece);
                }
                Ok(None) => break,
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        self.spare |= !bytes.is_empty();
        some
    }
}

impl Body {
    /// Waits until something has come and hands all of it to `each`, piece by piece; `false` at the
    /// end of the body. Nothing is lost when this is dropped while it waits.
    ///
    /// # Errors
    /// When the connection breaks, or the body ends otherwise than it has to.
    pub(crate) async fn next(
        &mut self,
        mut each: impl FnMut(&[u8]),
    ) -> Result<bool, ExchangeError> {
        loop {
            self.release();
            if let Some(error) = self.pieces.failed {
                return Err(error.into());
            }
            let pieces = &mut self.pieces;
            let some = if self.ahead.is_empty() {
                let Some(io) = &mut self.io else { return Ok(false) };
                poll_fn(|context| poll_read(io, context, |bytes| pieces.feed(bytes, &mut each)))
                    .await?
            } else {
                pieces.feed(&std::mem::take(&mut self.ahead), &mut each)
            };
            if some {
                self.release();
                return Ok(true);
            }
        }
    }

    /// Lets the connection go once the body has come to its end.
    fn release(&mut self) {
        if !self.pieces.reader.is_done() || !self.ahead.is_empty() {
            return;
        }
        if let (Some(io), Some((pool, place))) = (self.io.take(), self.home.take()) {
            if !self.pieces.spare && self.pieces.failed.is_none() {
                pool.put(place, io);
            }
        }
    }

    /// Whether it has come to its end.
    pub(crate) fn is_over(&self) -> bool {
        self.io.is_none()
    }

    /// The rest of it, unless that is more than `bytes_max`.
    ///
    /// # Errors
    /// Those of [`next`](Self::next), and when it is more.
    pub(crate) async fn collect(mut self, bytes_max: usize) -> Result<Bytes, ExchangeError> {
        let mut whole = Vec::new();
        while self.next(|piece| whole.extend_from_slice(piece)).await? {
            if whole.len() > bytes_max {
                return Err(ExchangeError::TooLong(bytes_max));
            }
        }
        Ok(whole.into())
    }
}
