//! What must hold for every answer of an upstream, however it is cut. The fuzz target and a test on
//! stable run the same function, so what the fuzzer once found stays found.
//!
//! The oracle for chunks is the grammar of RFC 9112, section 7.1, followed without a thought for
//! speed: it has the whole body at once and no limits.

use tidings_relay::http1::ResponseError;
use tidings_relay::http1::body::{ASIDE_BYTES_MAX, BodyReader};
use tidings_relay::http1::head;

/// What an answer amounts to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Its status, once the head is complete.
    pub(crate) status: Option<u16>,
    /// Name and value of each field.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    /// The body as far as it came.
    pub(crate) body: Vec<u8>,
    /// Whether it has come to its end by itself.
    pub(crate) whole: bool,
    /// Whether another request may follow on the connection.
    pub(crate) persists: bool,
    /// Bytes after its end.
    pub(crate) spare: usize,
    /// Why it is not taken, the end of the connection included.
    pub(crate) error: Option<ResponseError>,
}

/// Reads an answer and then the end of its connection; `cuts` gives the lengths of what comes
/// together, over and over.
pub(crate) fn read(input: &[u8], cuts: &[usize], to_head: bool) -> Outcome {
    let mut outcome = Outcome::default();
    let (mut came, mut body) = (Vec::new(), None);
    let (mut rest, mut cuts) = (input, cuts.iter().cycle());
    while !rest.is_empty() {
        let cut = cuts.next().map_or(rest.len(), |cut| (*cut).clamp(1, rest.len()));
        let (bytes, after) = rest.split_at(cut);
        rest = after;
        let Some(reader) = &mut body else {
            came.extend_from_slice(bytes);
            match head::parse(&came, to_head) {
                Ok(None) => {}
                Err(error) => return Outcome { error: Some(error), ..outcome },
                Ok(Some((head, length))) => {
                    outcome.status = Some(head.status.as_u16());
                    outcome.persists = head.persists;
                    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                        (name.to_string(), value.as_bytes().to_vec())
                    };
                    outcome.fields = head.headers.iter().map(field).collect();
                    let reader = body.insert(head.body);
                    if feed(reader, &came[length..], &mut outcome) {
                        return outcome;
                    }
                }
            }
            continue;
        };
        if feed(reader, bytes, &mut outcome) {
            return outcome;
        }
    }
    match &mut body {
        None => outcome.error = Some(ResponseError::Cut),
        Some(reader) => {
            outcome.whole = reader.is_done();
            outcome.error = reader.cut().err();
        }
    }
    outcome
}

/// Whether that was the end of it.
fn feed(reader: &mut BodyReader, mut bytes: &[u8], outcome: &mut Outcome) -> bool {
    loop {
        match reader.take(&mut bytes) {
            Ok(Some(piece)) => outcome.body.extend_from_slice(piece),
            Ok(None) => break,
            Err(error) => {
                outcome.error = Some(error);
                return true;
            }
        }
    }
    outcome.spare += bytes.len();
    false
}

/// Reads chunks as the grammar has them: the body and what follows it; `None` if they are none.
pub(crate) fn by_the_book(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let (line, after) = line(rest)?;
        rest = after;
        let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
        let (size, extensions) = line.split_at(end);
        let blanks = extensions.trim_ascii_start();
        if size.is_empty() || size.len() > 15 || !matches!(blanks.first(), None | Some(b';')) {
            return None;
        }
        let odd = |byte: &u8| !matches!(byte, b' ' | b'\t');
        if extensions[..extensions.len() - blanks.len()].iter().any(odd) {
            return None;
        }
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest[size..].strip_prefix(b"\r\n")?;
    }
    loop {
        let (trailer, after) = line(rest)?;
        rest = after;
        if trailer.is_empty() {
            return Some((body, rest));
        }
    }
}

/// A line, which holds neither CR nor LF, and what is after its CRLF.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    Some((&bytes[..end], bytes[end..].strip_prefix(b"\r\n")?))
}

/// Checks one input: the first byte says how to cut, the rest is what the upstream sends.
pub(crate) fn check(input: &[u8]) {
    let Some((&how, input)) = input.split_first() else { return };
    let to_head = how & 1 == 1;
    let whole = read(input, &[usize::MAX], to_head);
    for cuts in [&[1][..], &[usize::from(how >> 1) + 1, 2, 7]] {
        assert_eq!(read(input, cuts, to_head), whole, "cut after {cuts:?}");
    }
    let mut chunked = BodyReader::chunked();
    let mut outcome = Outcome::default();
    feed(&mut chunked, input, &mut outcome);
    match by_the_book(input) {
        Some((body, rest)) if chunked.is_done() => {
            assert_eq!((outcome.body, outcome.spare), (body, rest.len()));
        }
        // The book knows no limits.
        Some(_) => assert!(input.len() > ASIDE_BYTES_MAX, "refused: {outcome:?}"),
        None => assert!(!chunked.is_done(), "taken: {outcome:?}"),
    }
}
