//! Answers that are taken, and those that are refused because they could be read in two ways.

use tidings_relay::http1::ResponseError;
use tidings_relay::http1::body::ASIDE_BYTES_MAX;
use tidings_relay::http1::head::{FIELDS_MAX, HEAD_BYTES_MAX, INTERIM_MAX};

use crate::harness::{Outcome, read};

/// Reads an answer cut in every two parts and byte by byte: always the same.
fn told(answer: &str, to_head: bool) -> Outcome {
    let whole = read(answer.as_bytes(), &[usize::MAX], to_head);
    assert_eq!(read(answer.as_bytes(), &[1], to_head), whole, "{answer:?}");
    for cut in 1..answer.len().min(300) {
        let cut = read(answer.as_bytes(), &[cut, usize::MAX], to_head);
        assert_eq!(cut, whole, "{answer:?}");
    }
    whole
}

const OK: &str = "HTTP/1.1 200 OK\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn a_body_ends_where_its_head_says() {
    for (answer, body, whole, persists, spare) in [
        (format!("{OK}Content-Length: 5\r\n\r\nhello"), "hello", true, true, 0),
        (format!("{OK}content-length:5 \r\n\r\nhelloHTTP/1.1"), "hello", true, true, 8),
        (format!("{OK}Content-Length: 0\r\n\r\n"), "", true, true, 0),
        (format!("{OK}Connection: a, Close\r\nContent-Length: 1\r\n\r\nx"), "x", true, false, 0),
        (format!("{OK}\r\nall the rest"), "all the rest", false, false, 0),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab".to_owned(), "ab", true, false, 0),
        (format!("{CHUNKED}5\r\nhello\r\n0\r\n\r\n"), "hello", true, true, 0),
        (
            format!("{CHUNKED}00A \t;x=\"y\"\r\n0123456789\r\n0;last\r\n\r\n!"),
            "0123456789",
            true,
            true,
            1,
        ),
        (
            format!("{CHUNKED}1\r\na\r\n2\r\nbc\r\n000\r\nSum: 1\r\nb: 2\r\n\r\n"),
            "abc",
            true,
            true,
            0,
        ),
        (format!("{OK}Transfer-Encoding:  Chunked \r\n\r\n0\r\n\r\n"), "", true, true, 0),
        ("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n".to_owned(), "", true, true, 0),
        ("HTTP/1.1 304 No\r\n\r\n".to_owned(), "", true, true, 0),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: <a>\r\n\r\nHTTP/1.1 404\r\n\
          Content-Length: 1\r\n\r\nx"
                .to_owned(),
            "x",
            true,
            true,
            0,
        ),
    ] {
        let outcome = told(&answer, false);
        assert_eq!(outcome.error, None, "{answer:?}");
        assert_eq!(String::from_utf8_lossy(&outcome.body), body, "{answer:?}");
        let ended = (outcome.whole, outcome.persists, outcome.spare);
        assert_eq!(ended, (whole, persists, spare), "{answer:?}");
    }
}

#[test]
fn an_answer_to_head_has_no_body() {
    for framing in ["Content-Length: 7", "Transfer-Encoding: chunked", "X: y"] {
        let outcome = told(&format!("{OK}{framing}\r\n\r\n"), true);
        assert!(outcome.whole && outcome.persists && outcome.body.is_empty(), "{framing}");
        let name = framing.split(':').next().unwrap().to_lowercase();
        assert_eq!(outcome.fields[0].0, name);
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    use ResponseError::{
        ChunkEnd, ChunkSize, Length, NotAHead, Trailers, TransferCoding, TwoLengths, Upgrade,
    };
    let head = |fields: &str| format!("{OK}{fields}\r\n\r\n");
    let chunks = |chunks: &str| format!("{CHUNKED}{chunks}");
    for (answer, error) in [
        (head("Content-Length: 5\r\nTransfer-Encoding: chunked"), TwoLengths),
        (head("Transfer-Encoding: chunked\r\nContent-Length: 5"), TwoLengths),
        (head("Content-Length: 5\r\nContent-Length: 6"), TwoLengths),
        (head("Content-Length: 5\r\nContent-Length: 5"), TwoLengths),
        (head("Content-Length: 5, 5"), Length),
        (head("Content-Length: +5"), Length),
        (head("Content-Length: -1"), Length),
        (head("Content-Length: 0x5"), Length),
        (head("Content-Length: 5 5"), Length),
        (head("Content-Length:"), Length),
        (head("Content-Length: 18446744073709551616"), Length),
        (head("Transfer-Encoding: gzip, chunked"), TransferCoding),
        (head("Transfer-Encoding: chunked, chunked"), TransferCoding),
        (head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), TransferCoding),
        (head("Transfer-Encoding: identity"), TransferCoding),
        (head("Transfer-Encoding: xchunked"), TransferCoding),
        (head("Transfer-Encoding:"), TransferCoding),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), TransferCoding),
        (head("Content-Length : 5"), NotAHead),
        (head("Content-Length: 5\r\n folded: 6"), NotAHead),
        (head("A\0: 5"), NotAHead),
        (head("A: 5\0"), NotAHead),
        (head("A: 5\rContent-Length: 6"), NotAHead),
        ("HTTP/2 200 OK\r\n\r\n".to_owned(), NotAHead),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n".to_owned(), NotAHead),
        ("<html>".to_owned(), NotAHead),
        ("HTTP/1.1 20 OK\r\n\r\n".to_owned(), NotAHead),
        ("HTTP/1.1 101 Other\r\nUpgrade: x\r\n\r\n".to_owned(), Upgrade),
        (chunks("\r\n"), ChunkSize),
        (chunks(" 5\r\nhello\r\n"), ChunkSize),
        (chunks("0x5\r\nhello\r\n"), ChunkSize),
        (chunks("5 5\r\nhello\r\n"), ChunkSize),
        (chunks("-5\r\nhello\r\n"), ChunkSize),
        (chunks("5\nhello\r\n"), ChunkSize),
        (chunks("5;a\nhello\r\n"), ChunkSize),
        (chunks("5\rhello\r\n"), ChunkSize),
        (chunks("5;a\rb\r\nhello\r\n"), ChunkSize),
        (chunks("1000000000000000\r\n"), ChunkSize),
        (chunks("5\r\nhello!\r\n"), ChunkEnd),
        (chunks("5\r\nhello\n0\r\n\r\n"), ChunkEnd),
        (chunks("5\r\nhello\r0\r\n\r\n"), ChunkEnd),
        (chunks("0\r\nA: b\n\r\n"), Trailers),
        (chunks("0\r\n\n"), Trailers),
        (chunks("0\r\nA: b\rc: d\r\n\r\n"), Trailers),
    ] {
        assert_eq!(told(&answer, false).error, Some(error), "{answer:?}");
    }
}

#[test]
fn a_cut_is_never_an_end() {
    for answer in [
        format!("{OK}Content-Length: 5\r\n\r\nhello"),
        format!("{CHUNKED}5\r\nhello\r\n0\r\nA: b\r\n\r\n"),
        format!("HTTP/1.1 100 Continue\r\n\r\n{OK}Content-Length: 1\r\n\r\nx"),
    ] {
        for end in 0..answer.len() {
            let outcome = told(&answer[..end], false);
            assert_eq!(outcome.error, Some(ResponseError::Cut), "{:?}", &answer[..end]);
        }
        assert_eq!(told(&answer, false).error, None);
    }
}

#[test]
fn nothing_is_longer_than_its_limit() {
    use ResponseError::{AsideTooLong, HeadTooLong, TooManyInterim};
    let fields = |count: usize| format!("{OK}{}\r\n", "A: b\r\n".repeat(count));
    let filled = |bytes: usize| {
        let rest = "A: \r\n\r\n".len();
        format!("{OK}A: {}\r\n\r\n", "x".repeat(bytes - OK.len() - rest))
    };
    let interim = |count: usize| {
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(count);
        format!("{interim}{OK}Content-Length: 0\r\n\r\n")
    };
    let chunk = |aside: usize| format!("{CHUNKED}1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(aside - 1));
    let trailer = |aside: usize| format!("{CHUNKED}0\r\n{}\r\n\r\n", "a".repeat(aside));
    type Make<'a> = &'a dyn Fn(usize) -> String;
    let cases: [(Make<'_>, usize, ResponseError); 5] = [
        (&fields, FIELDS_MAX, HeadTooLong),
        (&filled, HEAD_BYTES_MAX, HeadTooLong),
        (&interim, INTERIM_MAX, TooManyInterim),
        (&chunk, ASIDE_BYTES_MAX, AsideTooLong),
        (&trailer, ASIDE_BYTES_MAX, AsideTooLong),
    ];
    for (make, limit, error) in cases {
        for cuts in [usize::MAX, 1_000] {
            assert_eq!(read(make(limit).as_bytes(), &[cuts], false).error, None, "{error}");
            let more = read(make(limit + 1).as_bytes(), &[cuts], false);
            assert_eq!(more.error, Some(error), "{limit}");
        }
    }
    // The limit of one chunk, not of all.
    let long = format!("1;{}\r\nx\r\n", "a".repeat(ASIDE_BYTES_MAX - 1)).repeat(3);
    assert_eq!(told(&format!("{CHUNKED}{long}0\r\n\r\n"), false).body, b"xxx");
    let endless = format!("{OK}A: {}", "x".repeat(HEAD_BYTES_MAX));
    assert_eq!(read(endless.as_bytes(), &[1_000], false).error, Some(HeadTooLong));
}
