//! A right for one pattern covers a subscription to another: exactly where no topic tells them
//! apart, over every small pattern and name.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use tidings_frame::Pattern;

/// Every row of 1 to `max` of these segments.
fn rows(segments: &[&str], max: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut longest = vec![String::new()];
    for _ in 0..max {
        let longer = |row: &String| {
            let with = |segment: &&str| match row.as_str() {
                "" => (*segment).to_owned(),
                row => format!("{row}/{segment}"),
            };
            segments.iter().map(with).collect::<Vec<_>>()
        };
        longest = longest.iter().flat_map(longer).collect();
        all.extend(longest.iter().cloned());
    }
    all
}

#[test]
fn covers_is_what_matching_says() {
    let patterns: Vec<Pattern> = rows(&["a", "b", "$a", "*", "**"], 3)
        .iter()
        .filter_map(|text| Pattern::new(text).ok())
        .collect();
    // One segment more than the longest pattern, and a letter that no pattern names.
    let names = rows(&["a", "b", "$a", "c"], 4);
    let matched: Vec<Vec<bool>> = patterns
        .iter()
        .map(|pattern| names.iter().map(|name| pattern.matches(name)).collect())
        .collect();
    let mut covered = 0;
    for (mine, of_mine) in patterns.iter().zip(&matched) {
        for (theirs, of_theirs) in patterns.iter().zip(&matched) {
            let wanted = of_mine.iter().zip(of_theirs).all(|(mine, theirs)| *mine || !*theirs);
            assert_eq!(mine.covers(theirs), wanted, "{mine} covers {theirs}");
            covered += usize::from(wanted);
        }
    }
    assert!(covered > patterns.len(), "some cover others than themselves");
}
