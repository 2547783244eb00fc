//! Rules of Rust sources: size, width, opening, and words that mark something unfinished.

/// The most lines of a file, without its tests.
pub const FILE_LINES_MAX: usize = 600;
/// The most columns of a line.
pub const LINE_COLUMNS_MAX: usize = 100;
/// From this many lines on a file must open with why it exists.
pub const OPENING_FROM_LINES: usize = 100;

/// Macros that mark something unfinished.
const UNFINISHED_MACROS: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// Whether a file holds nothing but tests.
#[must_use]
pub fn is_test(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("/tests.rs") || name.contains("/benches/")
}

/// How many lines a file has before its tests begin.
#[must_use]
pub fn lines_without_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines
        .windows(2)
        .position(|pair| pair[0].starts_with("#[cfg(test)]") && pair[1].starts_with("mod tests {"));
    tests.unwrap_or(lines.len())
}

/// What is wrong with a Rust source.
#[must_use]
pub fn check(name: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines = lines_without_tests(text);
    if !is_test(name) && lines > FILE_LINES_MAX {
        wrong.push(format!("{name}: {lines} lines without tests, at most {FILE_LINES_MAX}"));
    }
    if text.lines().count() >= OPENING_FROM_LINES && !text.trim_start().starts_with("//!") {
        wrong.push(format!("{name}: it does not open with `//!` and why it exists"));
    }
    for (index, line) in text.lines().enumerate() {
        if let Some(problem) = check_line(line) {
            wrong.push(format!("{name}:{}: {problem}", index + 1));
        }
    }
    wrong
}

fn check_line(line: &str) -> Option<String> {
    // An address cannot be broken.
    if line.chars().count() > LINE_COLUMNS_MAX && !line.contains("://") {
        return Some(format!("more than {LINE_COLUMNS_MAX} columns"));
    }
    if let Some(word) = UNFINISHED_MACROS.iter().find(|word| is_called(line, word)) {
        return Some(format!("`{word}!` marks something unfinished"));
    }
    let attribute = line.trim_start();
    if attribute.starts_with("#[ignore") {
        return Some("a test that is never run proves nothing".to_owned());
    }
    None
}

fn is_called(line: &str, word: &str) -> bool {
    line.match_indices(&format!("{word}!")).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '`')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_found_but_tests_do_not_count() {
        let long = format!("//! Why.\n{}", "x\n".repeat(FILE_LINES_MAX));
        assert_eq!(check("crates/a/src/b.rs", &long).len(), 1);
        assert_eq!(check("crates/a/src/b/tests.rs", &long).len(), 0);
        let tested = format!("//! Why.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(700));
        assert_eq!(check("crates/a/src/b.rs", &tested).len(), 0);
    }

    #[test]
    fn a_long_file_without_an_opening_is_found() {
        let text = "x\n".repeat(OPENING_FROM_LINES);
        assert_eq!(check("a.rs", &text).len(), 1);
        assert_eq!(check("a.rs", &format!("//! Why.\n{text}")).len(), 0);
    }

    #[test]
    fn unfinished_things_are_found() {
        let call = |word: &str| format!("    {word}!()");
        for word in UNFINISHED_MACROS {
            assert_eq!(check("a.rs", &call(word)).len(), 1, "{word}");
            assert_eq!(check("a.rs", &call(&format!("not_{word}"))).len(), 0);
        }
        assert_eq!(check("a.rs", &format!("    #[{}]", "ignore")).len(), 1);
        assert_eq!(check("a.rs", &"é".repeat(100)).len(), 0);
        assert_eq!(check("a.rs", &"é".repeat(101)).len(), 1);
    }
}
