//! A request as it is sent (RFC 9112, sections 3 and 5).

use bytes::Bytes;
use http::{Method, Request, Uri, header};

/// Bytes of a body that are sent together with the head.
const TOGETHER_BYTES_MAX: usize = 16 << 10;

/// The request's head and body: the first part begins with the head and has all of a short body.
pub(super) fn encode(request: Request<Bytes>) -> [Bytes; 2] {
    let (parts, body) = request.into_parts();
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut head = format!("{} {target} HTTP/1.1\r\n", parts.method).into_bytes();
    let mut field = |name: &str, value: &[u8]| {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            head.extend_from_slice(part);
        }
    };
    if !parts.headers.contains_key(header::HOST) {
        field("host", host(&parts.uri).as_bytes());
    }
    for (name, value) in &parts.headers {
        // How long the body is, is known here.
        if !matches!(*name, header::CONTENT_LENGTH | header::TRANSFER_ENCODING) {
            field(name.as_str(), value.as_bytes());
        }
    }
    let expected = [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method);
    if expected || !body.is_empty() {
        field("content-length", body.len().to_string().as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    if body.len() > TOGETHER_BYTES_MAX {
        return [head.into(), body];
    }
    head.extend_from_slice(&body);
    [head.into(), Bytes::new()]
}

/// Host, and port if it is not the scheme's own.
fn host(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    match (uri.port_u16(), uri.scheme_str()) {
        (None, _) | (Some(80), Some("http")) | (Some(443), Some("https")) => host.to_owned(),
        (Some(port), _) => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(request: Request<Bytes>) -> String {
        String::from_utf8(encode(request).concat()).unwrap()
    }

    #[test]
    fn says_where_to_what_and_how_much() {
        let post = Request::post("http://user:word@h:8080/v1/chat?a=b").header("x-a", "ä");
        assert_eq!(
            encoded(post.body("{}".into()).unwrap()),
            "POST /v1/chat?a=b HTTP/1.1\r\nhost: h:8080\r\nx-a: ä\r\ncontent-length: 2\r\n\r\n{}"
        );
        let get = Request::get("https://[::1]:443").header("content-length", "7");
        assert_eq!(
            encoded(get.body(Bytes::new()).unwrap()),
            "GET / HTTP/1.1\r\nhost: [::1]\r\n\r\n"
        );
        let put = Request::put("http://h/").header("host", "other");
        assert_eq!(
            encoded(put.body(Bytes::new()).unwrap()),
            "PUT / HTTP/1.1\r\nhost: other\r\ncontent-length: 0\r\n\r\n"
        );
        let long = Bytes::from(vec![b'x'; TOGETHER_BYTES_MAX + 1]);
        let [head, body] = encode(Request::post("http://h/").body(long.clone()).unwrap());
        assert!(head.ends_with(b"content-length: 16385\r\n\r\n"));
        assert_eq!(body, long);
    }
}
