//! HTTP/1.1 as a client of upstreams needs it: one request, the head of its answer, and a body
//! that comes for minutes in small pieces.
//!
//! A general client gives each connection a task, a channel and buffers of its own, and hands a
//! body on chunk by chunk; of a thousand answers that trickle in, this was a third of their memory
//! and of their cost. Here the task that wants an answer reads its socket itself, through a buffer
//! that all share, and gets whatever has come in one turn.
//!
//! What an answer may look like is decided without I/O ([`head`], [`body`]), and in doubt it is
//! refused: where it ends must have one meaning (RFC 9112, sections 6.3 and 11.2).

pub mod body;
pub(crate) mod conn;
pub mod head;
pub(crate) mod pool;
mod request;
#[cfg(test)]
mod tests;

/// Why an answer is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// The head is longer than [`head::HEAD_BYTES_MAX`], or has more fields than
    /// [`head::FIELDS_MAX`].
    #[error("its head is too long")]
    HeadTooLong,
    /// The head is not one of HTTP/1.
    #[error("its head is not one of HTTP/1")]
    NotAHead,
    /// More interim answers (1xx) than [`head::INTERIM_MAX`].
    #[error("it has too many interim answers")]
    TooManyInterim,
    /// It changes to a protocol that it was not asked for (101).
    #[error("it changes to another protocol")]
    Upgrade,
    /// Two statements of its length: they may not agree, and whoever believes the other one sees
    /// another answer.
    #[error("it states its length twice")]
    TwoLengths,
    /// A `Content-Length` that is no number of bytes.
    #[error("its length is no number")]
    Length,
    /// A transfer coding other than `chunked`, or one in HTTP/1.0.
    #[error("it has a transfer coding other than chunked")]
    TransferCoding,
    /// A chunk whose size is not one.
    #[error("a chunk has no proper size")]
    ChunkSize,
    /// A chunk that does not end where it should.
    #[error("a chunk does not end where it should")]
    ChunkEnd,
    /// A chunk's extensions, or the trailers, are longer than [`body::ASIDE_BYTES_MAX`].
    #[error("its extensions or trailers are too long")]
    AsideTooLong,
    /// A trailer line with a line end that is not CRLF.
    #[error("its trailers are not lines")]
    Trailers,
    /// The connection ended before the answer did.
    #[error("the connection ended before the answer did")]
    Cut,
}
