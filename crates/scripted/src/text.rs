//! Text as a model would say it, token by token, and as JSON has it.

use std::fmt::{self, Display, Write as _};

/// Cuts a text into tokens: a word with the white space before it, or one character of a script
/// that is written without spaces. Put together they are the text.
///
/// ```
/// assert_eq!(tidings_scripted::tokens("Go on, 世界!"), ["Go", " on,", " 世", "界", "!"]);
/// ```
#[must_use]
pub fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut token = String::new();
    let mut previous = ' ';
    for c in text.chars() {
        let begins = if c.is_whitespace() {
            !previous.is_whitespace()
        } else {
            !previous.is_whitespace() && (is_ideographic(previous) || is_ideographic(c))
        };
        if begins && !token.is_empty() {
            tokens.push(std::mem::take(&mut token));
        }
        token.push(c);
        previous = c;
    }
    if !token.is_empty() {
        tokens.push(token);
    }
    tokens
}

/// Whether a character belongs to the scripts of Chinese, Japanese and Korean (the blocks of
/// Unicode that hold them, punctuation and full-width forms included).
pub(crate) fn is_ideographic(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}'
        | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}')
}

/// A text as a JSON string, quotes included (RFC 8259, section 7).
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut rest = self.0;
        while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
            f.write_str(&rest[..at])?;
            match rest.as_bytes()[at] {
                b'"' => f.write_str("\\\"")?,
                b'\\' => f.write_str("\\\\")?,
                b'\n' => f.write_str("\\n")?,
                b'\r' => f.write_str("\\r")?,
                b'\t' => f.write_str("\\t")?,
                other => write!(f, "\\u{other:04x}")?,
            }
            rest = &rest[at + 1..];
        }
        f.write_str(rest)?;
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_put_together_are_the_text() {
        for text in ["", " ", "one  two\n\nthree ", "這是一個腳本。Two 字\t", "a\u{301}é"]
        {
            assert_eq!(tokens(text).concat(), text);
        }
    }

    #[test]
    fn every_character_survives_json() {
        let text: String = (0..0x300).filter_map(char::from_u32).chain("世界🌊".chars()).collect();
        let quoted = Quoted(&text).to_string();
        let back: String = serde_json::from_str(&quoted).unwrap();
        assert_eq!(back, text);
    }
}
