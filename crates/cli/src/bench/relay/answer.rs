//! Reads one streamed answer and checks it: every token once, in order, up to the end.

use memchr::memmem;

use crate::bench::load::{Lines, ScanError};

/// Digits of the time that a token is made of.
const STAMP_DIGITS: usize = 20;

/// What a line of an answer is to the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// A token, and when it was handed to the upstream's socket: nanoseconds of the monotonic
    /// clock.
    Token(u64),
    /// The mark of a whole answer.
    Done,
    Other,
}

/// One answer as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Answer {
    lines: Lines,
    /// The time of the last token.
    last: u64,
    pub(super) tokens: u64,
    /// Tokens that came again, or before one that is older.
    pub(super) repeated: u64,
    /// Whether the mark of a whole answer has come.
    pub(super) whole: bool,
}

impl Answer {
    /// Takes the next bytes, and hands out the time of each token that is new.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        token: &mut impl FnMut(u64),
    ) -> Result<(), ScanError> {
        let Answer { lines, last, tokens, repeated, whole } = self;
        lines.feed(bytes, &mut |line| match read(line) {
            // Two tokens of one answer are never handed out at the same time.
            Line::Token(sent_ns) if sent_ns <= *last => *repeated += 1,
            Line::Token(sent_ns) => {
                *last = sent_ns;
                *tokens += 1;
                token(sent_ns);
            }
            Line::Done => *whole = true,
            Line::Other => {}
        })
    }
}

fn read(line: &[u8]) -> Line {
    let Some(data) = line.strip_prefix(b"data:") else { return Line::Other };
    let data = data.trim_ascii();
    if data == b"[DONE]" {
        return Line::Done;
    }
    const NAME: &[u8] = b"\"content\":";
    let value = memmem::find(data, NAME).map(|at| data[at + NAME.len()..].trim_ascii_start());
    let digits = value.and_then(|value| value.get(1..=STAMP_DIGITS));
    digits.and_then(number).map_or(Line::Other, Line::Token)
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time: u64) -> String {
        format!("id: e-1\ndata: {{\"choices\":[{{\"delta\":{{\"content\":\"{time:020}\"}}}}]}}\n\n")
    }

    fn answer(body: &str, size: usize) -> (Answer, Vec<u64>) {
        let bytes = format!("HTTP/1.1 200 OK\r\n\r\n{body}");
        let (mut answer, mut times) = (Answer::default(), Vec::new());
        for piece in bytes.as_bytes().chunks(size) {
            answer.feed(piece, &mut |time| times.push(time)).unwrap();
        }
        (answer, times)
    }

    #[test]
    fn tokens_are_told_from_all_else_wherever_they_are_cut() {
        let role =
            "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
        let loose = "data: {\"delta\": {\"content\": \"00000000000000000009\"}}\n\n";
        let body = format!("{role}: ping\n\n{}{}{loose}data: [DONE]\n\n", line(5), line(7));
        for size in [1, 3, 50, 10_000] {
            let (answer, times) = answer(&body, size);
            assert_eq!(times, [5, 7, 9], "{size}");
            assert_eq!((answer.tokens, answer.repeated, answer.whole), (3, 0, true));
        }
    }

    #[test]
    fn what_comes_again_is_counted_and_not_taken_for_a_token() {
        let (answer, times) = answer(&[line(5), line(7), line(7), line(5)].concat(), 10_000);
        assert_eq!(times, [5, 7]);
        assert_eq!((answer.tokens, answer.repeated, answer.whole), (2, 2, false));
    }

    #[test]
    fn a_refusal_is_an_error() {
        let mut answer = Answer::default();
        let refused = answer.feed(b"HTTP/1.1 500 No\r\n\r\n", &mut |_| ());
        assert_eq!(refused, Err(ScanError::Refused(500)));
    }
}
