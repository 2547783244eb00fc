//! The head of an answer: status, fields, and how its body ends (RFC 9112, sections 4 to 6).

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::ResponseError;
use super::body::BodyReader;

/// Longest head, interim answers included, in bytes.
pub const HEAD_BYTES_MAX: usize = 64 << 10;

/// Most fields of a head.
pub const FIELDS_MAX: usize = 128;

/// Most interim answers (1xx) before the answer.
pub const INTERIM_MAX: usize = 8;

/// The head of an answer.
#[derive(Debug)]
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    /// Reads the body.
    pub body: BodyReader,
    /// Whether another request may follow on the connection, once the body has come to its end.
    pub persists: bool,
}

/// Reads the head that `bytes` begin with, and how many of them it takes; `None` if it is not
/// complete. Interim answers are passed over. `to_head` is whether it answers a HEAD request.
///
/// # Errors
/// See [`ResponseError`]; more bytes do not mend it.
pub fn parse(bytes: &[u8], to_head: bool) -> Result<Option<(Head, usize)>, ResponseError> {
    let mut begin = 0;
    for _ in 0..=INTERIM_MAX {
        let rest = &bytes[begin..];
        if rest.first().is_some_and(|first| *first != b'H') {
            return Err(ResponseError::NotAHead);
        }
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let length = match response.parse(rest) {
            Ok(httparse::Status::Complete(length)) if begin + length <= HEAD_BYTES_MAX => length,
            Ok(httparse::Status::Partial) if bytes.len() <= HEAD_BYTES_MAX => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(ResponseError::HeadTooLong),
            Err(_) => return Err(ResponseError::NotAHead),
        };
        begin += length;
        match response.code.unwrap_or_default() {
            101 => return Err(ResponseError::Upgrade),
            100..=199 => {}
            _ => return Ok(Some((head(&response, to_head)?, begin))),
        }
    }
    Err(ResponseError::TooManyInterim)
}

fn head(response: &httparse::Response<'_, '_>, to_head: bool) -> Result<Head, ResponseError> {
    let code = response.code.unwrap_or_default();
    let status = StatusCode::from_u16(code).map_err(|_| ResponseError::NotAHead)?;
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    for field in &*response.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let name = name.map_err(|_| ResponseError::NotAHead)?;
        let value = HeaderValue::from_bytes(field.value);
        headers.append(name, value.map_err(|_| ResponseError::NotAHead)?);
    }
    let current = response.version == Some(1);
    let bodiless = to_head || matches!(code, 204 | 304);
    let body = framing(&headers, current)?.filter(|_| !bodiless);
    let body = if bodiless { BodyReader::length(0) } else { body.unwrap_or(BodyReader::rest()) };
    let persists = current && !closes(&headers) && !body.takes_the_rest();
    Ok(Head { status, headers, body, persists })
}

/// How a body that there is ends, if the fields say so (RFC 9112, section 6.3).
fn framing(headers: &HeaderMap, current: bool) -> Result<Option<BodyReader>, ResponseError> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let stated = (codings.next(), codings.next(), lengths.next(), lengths.next());
    match stated {
        (None, _, None, _) => Ok(None),
        (Some(coding), None, None, _) => {
            let chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
            // In HTTP/1.0 there is none: whoever passed this on did not understand it.
            let known = chunked && current;
            if known { Ok(Some(BodyReader::chunked())) } else { Err(ResponseError::TransferCoding) }
        }
        (Some(_), Some(_), None, _) => Err(ResponseError::TransferCoding),
        (None, _, Some(length), None) => {
            // Only digits: `parse` alone would take a sign.
            let digits = length.as_bytes().iter().all(u8::is_ascii_digit);
            let length = length.to_str().ok().filter(|_| digits);
            let length = length.and_then(|length| length.parse().ok());
            length.map(|length| Some(BodyReader::length(length))).ok_or(ResponseError::Length)
        }
        _ => Err(ResponseError::TwoLengths),
    }
}

fn closes(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(CONNECTION).iter().filter_map(|field| field.to_str().ok());
    let mut options = fields.flat_map(|field| field.split(','));
    options.any(|option| option.trim().eq_ignore_ascii_case("close"))
}
