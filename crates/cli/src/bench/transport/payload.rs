//! What is sent: three kinds of messages as they occur, the same in every run.

/// A chunk of an OpenAI chat completion, around its word.
const CHUNK: [&str; 2] = [
    concat!(
        r#"{"id":"chatcmpl-9fA1","object":"chat.completion.chunk","created":1790000000,"#,
        r#""model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":""#,
    ),
    r#""},"finish_reason":null}]}"#,
];

/// One kind of message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A price.
    Tick,
    /// A chunk of an OpenAI chat completion.
    Chunk,
    /// A part of a text, as the AI SDK streams it.
    Delta,
}

/// All of them.
pub(super) const KINDS: [Kind; 3] = [Kind::Tick, Kind::Chunk, Kind::Delta];

const WORDS: [&str; 16] = [
    " the", " stream", " of", " events", " that", " goes", " on", " where", " it", " was", " cut",
    ",", " and", " nothing", " is", " lost",
];
const SYMBOLS: [&str; 8] = ["ACME", "BOLT", "CRUX", "DUNE", "ECHO", "FLUX", "GALE", "HALO"];

impl Kind {
    /// The name of its figures.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Tick => "tick",
            Kind::Chunk => "chunk",
            Kind::Delta => "delta",
        }
    }

    /// For people.
    pub(super) fn label(self) -> &'static str {
        match self {
            Kind::Tick => "price",
            Kind::Chunk => "LLM chunk",
            Kind::Delta => "LLM delta",
        }
    }

    /// `count` messages of this kind.
    pub(super) fn messages(self, count: usize) -> Vec<String> {
        let mut state = 7_u64;
        let mut random = |below: u64| {
            // Knuth's generator; the low bits of it are poor.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        let one = |index: usize| {
            let word = WORDS[random(WORDS.len() as u64) as usize];
            match self {
                Kind::Tick => format!(
                    r#"{{"s":"{}","p":{}.{:02},"v":{},"t":{}}}"#,
                    SYMBOLS[random(8) as usize],
                    100 + random(50),
                    random(100),
                    random(9_000) + 100,
                    1_790_000_000_000 + index as u64 * 37
                ),
                Kind::Chunk => [CHUNK[0], word, CHUNK[1]].concat(),
                Kind::Delta => {
                    format!(r#"{{"type":"text-delta","id":"t1","delta":"{word}"}}"#)
                }
            }
        };
        (0..count).map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_json_differ_and_are_the_same_in_every_run() {
        for kind in KINDS {
            let messages = kind.messages(100);
            assert_eq!(messages, kind.messages(100));
            assert!(messages.windows(2).any(|pair| pair[0] != pair[1]));
            for message in &messages {
                assert!(serde_json::from_str::<serde_json::Value>(message).is_ok(), "{message}");
            }
        }
    }
}
