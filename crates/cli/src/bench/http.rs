//! As much of HTTP/1.1 as a measurement needs: where a head ends and how long the body is.
//!
//! Total functions over byte slices, shared by the limit server and the load generator. Not a
//! general parser: header folding, trailers and transfer codings other than chunked are refused
//! or ignored, since no contender sends them.

use memchr::{memchr, memmem};

/// A request or response head longer than this is refused, bytes.
pub(crate) const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The head of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RequestHead<'a> {
    pub(crate) method: &'a [u8],
    /// The target as sent, with its query.
    pub(crate) target: &'a [u8],
    pub(crate) last_event_id: Option<&'a [u8]>,
    /// 0 when the header is absent.
    pub(crate) content_length: usize,
    /// Bytes of the head with its blank line.
    pub(crate) length: usize,
}

/// The head of a response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) content_length: Option<usize>,
    pub(crate) chunked: bool,
    /// Bytes of the head with its blank line.
    pub(crate) length: usize,
}

/// What is wrong with a head.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadError {
    #[error("HTTP head of more than {HEAD_BYTES_MAX} bytes")]
    TooLong,
    #[error("malformed HTTP head")]
    Malformed,
}

/// The request head at the start of `bytes`; `None` while it is incomplete.
pub(crate) fn request_head(bytes: &[u8]) -> Result<Option<RequestHead<'_>>, HeadError> {
    let Some(length) = head_length(bytes)? else {
        return Ok(None);
    };
    let head = &bytes[..length];
    let line_end = memchr(b'\r', head).ok_or(HeadError::Malformed)?;
    let mut words = head[..line_end].splitn(3, |byte| *byte == b' ');
    let method = words.next().ok_or(HeadError::Malformed)?;
    let target = words.next().ok_or(HeadError::Malformed)?;
    let content_length = header(head, b"content-length").map(number).transpose()?.unwrap_or(0);
    Ok(Some(RequestHead {
        method,
        target,
        last_event_id: header(head, b"last-event-id"),
        content_length,
        length,
    }))
}

/// The response head at the start of `bytes`; `None` while it is incomplete.
pub(crate) fn response_head(bytes: &[u8]) -> Result<Option<ResponseHead>, HeadError> {
    let Some(length) = head_length(bytes)? else {
        return Ok(None);
    };
    let head = &bytes[..length];
    // "HTTP/1.1 200 ..."
    let digits = head.get(9..12).filter(|_| head.starts_with(b"HTTP/1."));
    let status = digits.ok_or(HeadError::Malformed).and_then(number)?;
    let content_length = header(head, b"content-length").map(number).transpose()?;
    let chunked = header(head, b"transfer-encoding")
        .is_some_and(|value| value.eq_ignore_ascii_case(b"chunked"));
    let status = u16::try_from(status).map_err(|_| HeadError::Malformed)?;
    Ok(Some(ResponseHead { status, content_length, chunked, length }))
}

fn head_length(bytes: &[u8]) -> Result<Option<usize>, HeadError> {
    let window = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    match memmem::find(window, b"\r\n\r\n") {
        Some(at) => Ok(Some(at + 4)),
        None if bytes.len() >= HEAD_BYTES_MAX => Err(HeadError::TooLong),
        None => Ok(None),
    }
}

/// The value of the first header called `name` (lower case), without blanks around it.
fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut rest = &head[memchr(b'\n', head)? + 1..];
    while let Some(end) = memchr(b'\n', rest) {
        let line = &rest[..end];
        if line.len() > name.len()
            && line[name.len()] == b':'
            && line[..name.len()].eq_ignore_ascii_case(name)
        {
            return Some(line[name.len() + 1..].trim_ascii());
        }
        rest = &rest[end + 1..];
    }
    None
}

fn number(digits: &[u8]) -> Result<usize, HeadError> {
    let text = std::str::from_utf8(digits).map_err(|_| HeadError::Malformed)?;
    text.parse().map_err(|_| HeadError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_head_says_where_its_body_is() {
        let bytes = b"POST /topics/a?x=1 HTTP/1.1\r\nHost: h\r\nCONTENT-length:  12 \r\n\r\nbody";
        let head = request_head(bytes).unwrap().unwrap();
        assert_eq!((head.method, head.target), (&b"POST"[..], &b"/topics/a?x=1"[..]));
        assert_eq!((head.content_length, head.length), (12, bytes.len() - 4));
    }

    #[test]
    fn a_head_may_come_in_pieces_but_not_for_ever() {
        let bytes = b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n";
        for end in 0..bytes.len() {
            assert_eq!(response_head(&bytes[..end]), Ok(None));
        }
        let head = response_head(bytes).unwrap().unwrap();
        assert_eq!((head.status, head.content_length, head.chunked), (202, None, true));
        assert_eq!(request_head(&[b'a'; HEAD_BYTES_MAX]), Err(HeadError::TooLong));
    }

    #[test]
    fn nonsense_is_refused() {
        assert_eq!(response_head(b"SMTP ready\r\n\r\n"), Err(HeadError::Malformed));
        assert_eq!(response_head(b"HTTP/1.1 abc\r\n\r\n"), Err(HeadError::Malformed));
        let negative = b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n";
        assert_eq!(request_head(negative), Err(HeadError::Malformed));
    }
}
