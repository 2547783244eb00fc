//! Nonsense, and sense with something broken in it: what the fuzzer does for hours, for a second.

use proptest::prelude::*;

use crate::harness::{by_the_book, check};

/// What answers are made of, so that chance makes something like one.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 204\r\n",
        "HTTP/1.1 100 C\r\n\r\n",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: close\r\n",
        "\r\n",
        "\r",
        "\n",
        "0\r\n",
        "3\r\nabc\r\n",
        "A\r\n0123456789\r\n",
        "2",
        ";x=y",
        " ",
        "abc",
        "A: b\r\n",
        "0\r\n\r\n",
    ];
    prop_oneof![
        9 => prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn an_answer_is_the_same_however_it_is_cut(
        how in any::<u8>(), parts in prop::collection::vec(part(), 0..14),
    ) {
        check(&[vec![how], parts.concat()].concat());
    }

    #[test]
    fn chunks_are_what_the_grammar_says(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        at in any::<prop::sample::Index>(), to in any::<u8>(),
    ) {
        let chunk = |piece: &Vec<u8>| {
            [format!("{:x};q\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat()
        };
        let mut chunks: Vec<u8> = pieces.iter().flat_map(chunk).collect();
        chunks.extend_from_slice(b"0\r\nA: b\r\n\r\nnext");
        let told = by_the_book(&chunks).unwrap();
        prop_assert_eq!(told, (pieces.concat(), &b"next"[..]));
        check(&[&[0], &chunks[..]].concat());
        let at = at.index(chunks.len());
        chunks[at] = to;
        check(&[&[0], &chunks[..]].concat());
    }
}
