//! Heads that are not plain: refused here if they are wrong, else left to hyper.
//!
//! hyper answers what it cannot parse with a bare status. So it is given only heads that it can
//! parse, by the rules that it has (RFC 9112, sections 3 and 6.3), and what is wrong with any other
//! is told in a problem document. Only heads that follow on a connection which hyper has already
//! are beyond this door.

use tidings_frame::ErrorCode;

use super::door::Verdict;
use crate::head::{Head, Headers};

/// Header fields in one request.
pub(crate) const FIELDS_MAX: usize = 100;

/// Bytes of a request's target.
pub(crate) const TARGET_BYTES_MAX: usize = 8 << 10;

/// The longest body that hyper counts, in bytes.
const LENGTH_MAX: u64 = u64::MAX - 2;

/// Judges a head that is too long or has too many fields for the fast door. It may have
/// `head_bytes_max` bytes.
pub(super) fn judge_long(data: &[u8], head_bytes_max: usize) -> Verdict<'static> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(data);
    if target_so_far(data) > TARGET_BYTES_MAX {
        return refuse(ErrorCode::UriTooLong, "a target has at most 8192 bytes");
    }
    let too_large = || refuse(ErrorCode::HeaderTooLarge, "the head is larger than the limit");
    match parsed {
        Ok(httparse::Status::Complete(len)) if len > head_bytes_max => too_large(),
        Ok(httparse::Status::Partial) if data.len() >= head_bytes_max => too_large(),
        Ok(httparse::Status::Partial) => Verdict::More,
        Ok(httparse::Status::Complete(_)) => {
            let version = request.version.unwrap_or(1);
            let (method, target) = (request.method.unwrap_or(""), request.path.unwrap_or(""));
            judge_unusual(
                &Head::new(method, target, Headers::Raw(request.headers)),
                target,
                version,
            )
        }
        Err(httparse::Error::TooManyHeaders) => {
            refuse(ErrorCode::HeaderTooLarge, "a request has at most 100 header fields")
        }
        Err(error) => malformed(error),
    }
}

/// Judges a whole head that the fast door does not take.
pub(super) fn judge_unusual(head: &Head<'_>, target: &str, version: u8) -> Verdict<'static> {
    let invalid = |why| refuse(ErrorCode::InvalidRequest, why);
    // A bare authority is for CONNECT alone (RFC 9112, section 3.2.3).
    let is_target = |uri: http::Uri| uri.path_and_query().is_some() || head.method == "CONNECT";
    if !http::Uri::try_from(target).is_ok_and(is_target) {
        return invalid("the target of the request is not one");
    }
    let (mut chunked, mut length) = (None, None);
    for (name, value) in head.fields() {
        if name.eq_ignore_ascii_case("transfer-encoding") {
            if version == 0 {
                return invalid("HTTP/1.0 has no Transfer-Encoding");
            }
            let last = value.rsplit(|&byte| byte == b',').next().unwrap_or(value);
            chunked = Some(last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
        } else if name.eq_ignore_ascii_case("content-length") && chunked.is_none() {
            let Some(this) = content_length(value) else {
                return invalid("Content-Length is not a number of bytes");
            };
            if length.is_some_and(|length| length != this) {
                return invalid("two values of Content-Length");
            }
            length = Some(this);
        }
    }
    match chunked {
        Some(false) => invalid("the last Transfer-Encoding of a request is chunked"),
        _ => Verdict::Hyper,
    }
}

/// What the parser of heads has to say.
pub(super) fn malformed(error: httparse::Error) -> Verdict<'static> {
    let why = match error {
        httparse::Error::HeaderName => "a header name has a character that it must not have",
        httparse::Error::HeaderValue => "a header value has a character that it must not have",
        httparse::Error::NewLine => "a line of the head does not end as it must",
        httparse::Error::Version => "the request line does not end in HTTP/1.0 or HTTP/1.1",
        _ => "the request line is not a method, a target and a version",
    };
    refuse(ErrorCode::InvalidRequest, why)
}

fn refuse(code: ErrorCode, why: &'static str) -> Verdict<'static> {
    Verdict::Refuse { code, why }
}

fn content_length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits)?;
    text.parse().ok().filter(|length| *length <= LENGTH_MAX)
}

/// The length of the target in a head that may not be whole.
fn target_so_far(data: &[u8]) -> usize {
    let line = data.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty());
    let mut words = line.unwrap_or_default().split(|&byte| byte == b' ');
    words.nth(1).map_or(0, <[u8]>::len)
}
