//! Links in Markdown that lead to a file of the repository.

use std::path::{Component, Path, PathBuf};

/// The targets of the links in a text, with their lines. Code blocks hold no links.
#[must_use]
pub fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    let mut code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            code = !code;
        }
        if code {
            continue;
        }
        // Every second part of a line split at backticks is code.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("_");
        for after in prose.split("](").skip(1) {
            if let Some(target) = after.split([')', ' ']).next() {
                links.push((index + 1, target.to_owned()));
            }
        }
    }
    links
}

/// The file that a relative link in `page` leads to, relative to the root; none if it leads
/// elsewhere.
#[must_use]
pub fn target(page: &str, link: &str) -> Option<PathBuf> {
    let path = link.split(['#', '?']).next().unwrap_or_default();
    if path.is_empty() || link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let base = Path::new(page).parent().unwrap_or(Path::new(""));
    let joined = match path.strip_prefix('/') {
        Some(from_root) => PathBuf::from(from_root),
        None => base.join(path),
    };
    let mut plain = PathBuf::new();
    for component in joined.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_code() {
        let text = "[a](b.md) `[c](d)` [e](f.md#g \"title\")\n```\n[h](i)\n```\n[j](../k)\n";
        let expected = [(1, "b.md".to_owned()), (1, "f.md#g".to_owned()), (5, "../k".to_owned())];
        assert_eq!(links(text), expected);
    }

    #[test]
    fn targets_are_relative_to_their_page() {
        for (page, link, expected) in [
            ("README.md", "docs/a.md", Some("docs/a.md")),
            ("docs/a.md", "../b.md#c", Some("b.md")),
            ("docs/a.md", "./d/e.md", Some("docs/d/e.md")),
            ("docs/a.md", "/LICENSE", Some("LICENSE")),
            ("docs/a.md", "#here", None),
            ("docs/a.md", "https://example.com/x", None),
        ] {
            assert_eq!(target(page, link), expected.map(PathBuf::from), "{link}");
        }
    }
}
