//! What is written to the terminal, and whether it may have colours.
//!
//! Results go to standard output, everything about them to standard error, so that a pipe carries
//! results only. Colours and moving lines appear only on a terminal, and never under `NO_COLOR`.

use std::io::{self, IsTerminal, Write};

/// How a piece of text is set off.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Style {
    Strong,
    Faint,
    Green,
    Yellow,
    Red,
    Cyan,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Strong => "1",
            Self::Faint => "2",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
            Self::Cyan => "36",
        }
    }
}

/// Paints text, or leaves it alone where colours do not belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paint(bool);

impl Paint {
    /// For standard output.
    pub(crate) fn stdout() -> Self {
        Self(io::stdout().is_terminal() && colours_wanted())
    }

    /// For standard error.
    pub(crate) fn is_on(self) -> bool {
        self.0
    }

    pub(crate) fn stderr() -> Self {
        Self(io::stderr().is_terminal() && colours_wanted())
    }

    /// Without colours.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self(false)
    }

    /// The text in this style.
    pub(crate) fn text(self, style: Style, text: &str) -> String {
        if self.0 { format!("\u{1b}[{}m{text}\u{1b}[0m", style.code()) } else { text.to_owned() }
    }
}

/// <https://no-color.org>: set and not empty means no colours.
fn colours_wanted() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    !no_color && !dumb
}

/// Text from elsewhere, safe to show on a terminal: control characters other than tab and
/// line feed are written out, because a terminal obeys them.
pub(crate) fn harmless(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escape = c.is_control() && c != '\t' && c != '\n';
            let shown: Box<dyn Iterator<Item = char>> =
                if escape { Box::new(c.escape_default()) } else { Box::new(std::iter::once(c)) };
            shown
        })
        .collect()
}

/// Writes a line to standard output.
pub(crate) fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Writes a line to standard error. Nobody can be told if that fails, so it is not an error.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes what went wrong to standard error.
pub(crate) fn error(text: &str) {
    let mark = Paint::stderr().text(Style::Red, "error:");
    if text.contains('\n') {
        let lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
        note(&format!("{mark}\n{}", lines.join("\n")));
    } else {
        note(&format!("{mark} {text}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(harmless("a\u{1b}[31m\tb\u{7}"), "a\\u{1b}[31m\tb\\u{7}");
        assert_eq!(harmless("grüße"), "grüße");
    }

    #[test]
    fn paint_is_left_out_where_it_does_not_belong() {
        assert_eq!(Paint(false).text(Style::Red, "x"), "x");
        assert_eq!(Paint(true).text(Style::Red, "x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
