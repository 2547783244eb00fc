//! Where a value came from, and what is wrong with it.
//!
//! Every value of the configuration keeps the place it was written at, so that `config show` can
//! name it and every [`Problem`] points at a line, a variable or a flag instead of at "the
//! configuration".

use std::fmt;

/// The place a value was set. Later ones win: default, file, environment, flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Built in.
    Default,
    /// What `tidings dev` sets where nothing else does.
    Dev,
    /// A configuration file.
    File {
        /// The file as it was named to the program.
        name: String,
        /// The line, counted from 1.
        line: usize,
    },
    /// An environment variable, by its name.
    Environment(String),
    /// A command-line flag, by its name (`--listen`).
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Dev => f.write_str("default of `tidings dev`"),
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the value was set; none if it is missing altogether.
    pub source: Option<Source>,
    /// The full name of the value (`server.heartbeat`), or empty if the text itself cannot be read.
    pub path: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            None | Some(Source::Default) => {}
            Some(source) => write!(f, "{source}: ")?,
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with the configuration, never only the first of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The problems in the order they were found; at least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// The number of single-character edits (insert, delete, replace, swap neighbours) between two
/// words.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut current = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replace = previous[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            current[j] = replace.min(previous[j] + 1).min(current[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                current[j] = current[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut previous, current);
    }
    previous[b.len()]
}

/// The longest word a suggestion is looked for, in bytes: the comparison is quadratic.
const SUGGEST_BYTES_MAX: usize = 64;

/// The known word nearest to `word`, if it is near enough to be what was meant.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > SUGGEST_BYTES_MAX {
        return None;
    }
    let word = word.replace('-', "_").to_ascii_lowercase();
    known
        .map(|candidate| (edit_distance(&word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(word.len()) / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits_and_swaps() {
        for (a, b, distance) in
            [("", "", 0), ("a", "", 1), ("listen", "lsiten", 1), ("listen", "listne", 1)]
        {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
        }
        assert_eq!(edit_distance("heartbeat", "hartbeet"), 2);
    }

    #[test]
    fn only_a_near_word_is_suggested() {
        let known = ["listen", "data_dir", "heartbeat"];
        assert_eq!(nearest("data-dir", known.into_iter()), Some("data_dir"));
        assert_eq!(nearest("hartbeat", known.into_iter()), Some("heartbeat"));
        assert_eq!(nearest("tls", known.into_iter()), None);
        assert_eq!(nearest(&"x".repeat(1_000_000), known.into_iter()), None);
    }

    #[test]
    fn a_problem_names_its_place() {
        let problem = Problem {
            source: Some(Source::File { name: "tidings.toml".into(), line: 3 }),
            path: "server.listen".into(),
            message: "wrong".into(),
        };
        assert_eq!(problem.to_string(), "tidings.toml:3: server.listen: wrong");
    }
}
