//! The rules of `xtask`, applied to the repository. One test a rule, so that a failure names its
//! rule.

use std::path::Path;

use xtask::{manifest, markdown, repository, source};

/// Fails with one line for each thing that is wrong.
fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn crates_know_only_those_below_them() {
    let manifests = repository::texts("Cargo.toml").unwrap();
    // What `bench` measures against is built by itself and is none of ours.
    let packages: Vec<_> = manifests
        .iter()
        .filter(|(name, text)| !name.starts_with("bench/") && manifest::name(text).is_some())
        .collect();
    assert!(packages.len() >= manifest::MAY_KNOW.len(), "a crate of the list is missing");
    let wrong: Vec<String> =
        packages.iter().flat_map(|(_, text)| manifest::check_direction(text)).collect();
    assert_none(&wrong);
}

#[test]
fn crates_share_the_lints() {
    let wrong: Vec<String> = repository::texts("Cargo.toml")
        .unwrap()
        .into_iter()
        .filter(|(_, text)| manifest::name(text).is_some())
        // A workspace of its own has no lints to take.
        .filter(|(_, text)| !text.lines().any(|line| line == "[workspace]"))
        .filter(|(_, text)| !text.contains("[lints]\nworkspace = true"))
        .map(|(name, _)| format!("{name}: it does not take the lints of the workspace"))
        .collect();
    assert_none(&wrong);
}

#[test]
fn sources_are_small_explained_and_finished() {
    let sources = repository::texts(".rs").unwrap();
    assert!(sources.len() > 10, "the sources were not found");
    let wrong: Vec<String> =
        sources.iter().flat_map(|(name, text)| source::check(name, text)).collect();
    assert_none(&wrong);
}

#[test]
fn nothing_large_or_binary_is_tracked() {
    let root = repository::root();
    let wrong: Vec<String> = repository::files()
        .unwrap()
        .into_iter()
        .filter_map(|name| {
            let bytes = std::fs::read(root.join(&name)).unwrap();
            repository::check_bytes(&name, &bytes).map(|problem| format!("{name}: {problem}"))
        })
        .collect();
    assert_none(&wrong);
}

#[test]
fn every_dependency_is_explained() {
    let read = |name: &str| std::fs::read_to_string(repository::root().join(name)).unwrap();
    let wrong: Vec<String> =
        manifest::check_explained(&read("Cargo.toml"), &read("docs/dependencies.md"))
            .into_iter()
            .map(|name| format!("docs/dependencies.md has no line for `{name}`, or several"))
            .collect();
    assert_none(&wrong);
}

#[test]
fn links_between_pages_lead_somewhere() {
    let root = repository::root();
    let mut wrong = Vec::new();
    for (page, text) in repository::texts(".md").unwrap() {
        for (line, link) in markdown::links(&text) {
            let missing = |target: &Path| !root.join(target).exists();
            if markdown::target(&page, &link).is_some_and(|target| missing(&target)) {
                wrong.push(format!("{page}:{line}: {link} does not exist"));
            }
        }
    }
    assert_none(&wrong);
}
