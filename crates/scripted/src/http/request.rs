//! A request out of the bytes of a connection.

use std::time::Instant;

use crate::seen::Received;

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Headers of a request.
const HEADERS_MAX: usize = 128;

/// Bytes of a request's body, also as chunks.
const BODY_BYTES_MAX: usize = 64 << 20;

/// What there is at the beginning of a connection's bytes.
pub(crate) enum Taken {
    /// A request, taken out of the bytes; whether the connection stays open after it.
    Request(Received, bool),
    /// Not all of a request. `true`: its client wants to hear `100 Continue` before the body
    /// (RFC 9110, section 10.1.1).
    Partial(bool),
    /// Not HTTP, or more than an upstream takes.
    Bad,
}

/// Takes a request, which gets the number `number`.
pub(crate) fn take(input: &mut Vec<u8>, number: u64) -> Taken {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    let head_len = match head.parse(input) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if input.len() < HEAD_BYTES_MAX => {
            return Taken::Partial(false);
        }
        _ => return Taken::Bad,
    };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), text(header.value)))
        .collect();
    let method = head.method.unwrap_or_default().to_owned();
    let target = head.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let has = |name: &str, value: &str| {
        headers.iter().any(|(n, v)| n == name && v.to_ascii_lowercase().contains(value))
    };
    let keep_alive = head.version == Some(1) && !has("connection", "close");
    let body = if has("transfer-encoding", "chunked") {
        chunks(&input[head_len..])
    } else {
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length = length.map_or(Ok(0), |(_, value)| value.parse::<usize>());
        length.map_err(|_| ()).map(|length| {
            let body = input[head_len..].get(..length);
            body.map(|body| (body.to_vec(), length)).ok_or(length)
        })
    };
    match body {
        Ok(Ok((body, len))) => {
            input.drain(..head_len + len);
            let at = Instant::now();
            Taken::Request(Received { number, method, path, query, headers, body, at }, keep_alive)
        }
        Ok(Err(announced)) if announced <= BODY_BYTES_MAX => {
            Taken::Partial(input.len() == head_len && has("expect", "100-continue"))
        }
        _ => Taken::Bad,
    }
}

/// The body out of chunks (RFC 9112, section 7.1) and how many bytes it took; `Ok(Err)` with what
/// there is so far, as long as it is not complete.
fn chunks(input: &[u8]) -> Result<Result<(Vec<u8>, usize), usize>, ()> {
    let mut body = Vec::new();
    let mut at = 0;
    let line = |from: usize| {
        let len = input[from..].windows(2).position(|pair| pair == b"\r\n")?;
        Some((&input[from..from + len], from + len + 2))
    };
    loop {
        let Some((size, next)) = line(at) else { return Ok(Err(input.len())) };
        let size = std::str::from_utf8(size).map_err(|_| ())?;
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| ())?;
        at = next;
        if size == 0 {
            break;
        }
        if size > BODY_BYTES_MAX {
            return Err(());
        }
        let Some(chunk) = input.get(at..at + size + 2) else { return Ok(Err(input.len())) };
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
    }
    loop {
        let Some((trailer, next)) = line(at) else { return Ok(Err(input.len())) };
        at = next;
        if trailer.is_empty() {
            return Ok(Ok((body, at)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_at_every_cut(wire: &[u8]) -> Received {
        for cut in 0..wire.len() {
            let mut part = wire[..cut].to_vec();
            assert!(matches!(take(&mut part, 0), Taken::Partial(_)), "{cut}");
        }
        let mut whole = [wire, b"next"].concat();
        let Taken::Request(request, keep_alive) = take(&mut whole, 7) else {
            panic!("no request");
        };
        assert!(keep_alive);
        assert_eq!(whole, b"next");
        request
    }

    #[test]
    fn a_body_with_a_length() {
        let wire = b"POST /v1/x?a=b HTTP/1.1\r\nContent-Length: 5\r\nX-A: B\r\n\r\nhello";
        let request = all_at_every_cut(wire);
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/x"));
        assert_eq!((request.query.as_str(), request.header("x-a")), ("a=b", Some("B")));
        assert_eq!((request.body.as_slice(), request.number), (&b"hello"[..], 7));
    }

    #[test]
    fn a_body_in_chunks() {
        let wire = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
            3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n";
        assert_eq!(all_at_every_cut(wire).body, b"hello");
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let bad = [
            "\u{1}\u{2} / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        ];
        for wire in bad {
            assert!(matches!(take(&mut wire.as_bytes().to_vec(), 0), Taken::Bad), "{wire}");
        }
    }
}
