//! Which crate may know which, and which dependencies are explained.
//!
//! Manifests are read line by line: they are written by hand in one style, and a table header
//! followed by `name.workspace = true` or `name = …` is all that a rule needs.

use std::collections::BTreeMap;

/// The direction of knowledge: a crate may depend on these crates of ours and on no other. A
/// shortcut (the server reaching past the hub to the log) is as wrong as a circle.
pub const MAY_KNOW: [(&str, &[&str]); 12] = [
    ("tidings-frame", &[]),
    ("tidings-log", &[]),
    ("tidings-access", &["tidings-frame"]),
    ("tidings-hub", &["tidings-frame", "tidings-log"]),
    ("tidings-relay", &["tidings-frame", "tidings-hub"]),
    // Bytes in, bytes out: it knows nothing of topics.
    ("tidings-push", &[]),
    (
        "tidings-server",
        &["tidings-access", "tidings-frame", "tidings-hub", "tidings-push", "tidings-relay"],
    ),
    ("tidings-client", &["tidings-frame"]),
    // Everything else that it knows goes through the client and the server; `bench` measures the
    // decoder and the log by themselves, which is why these two are here.
    (
        "tidings",
        &[
            "tidings-access",
            "tidings-client",
            "tidings-server",
            "tidings-frame",
            "tidings-log",
            "tidings-scripted",
        ],
    ),
    // Plays the part of somebody else's program, so it knows nothing of ours.
    ("tidings-scripted", &[]),
    ("tidings-fuzz", &["tidings-access", "tidings-frame", "tidings-log", "tidings-relay"]),
    ("xtask", &[]),
];

/// The crate whose errors are only shown to a person, never matched on.
const APPLICATION: &str = "tidings";

/// The tables of a manifest that name what the crate itself is built with.
const TABLES: [&str; 2] = ["dependencies", "build-dependencies"];

/// The keys of each table of a manifest, by the table's name.
#[must_use]
pub fn tables(manifest: &str) -> BTreeMap<String, Vec<String>> {
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut current = String::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            current = header.trim_end_matches(']').to_owned();
        } else if let Some((key, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            let key = key.trim().split('.').next().unwrap_or_default();
            tables.entry(current.clone()).or_default().push(key.to_owned());
        }
    }
    tables
}

/// The name of a package, from its manifest.
#[must_use]
pub fn name(manifest: &str) -> Option<&str> {
    let rest = manifest.split("[package]").nth(1)?;
    let line = rest.lines().find_map(|line| line.trim().strip_prefix("name = "))?;
    Some(line.trim_matches('"'))
}

/// What a manifest depends on that it must not.
#[must_use]
pub fn check_direction(manifest: &str) -> Vec<String> {
    let name = name(manifest).unwrap_or("a crate without a name");
    let Some((_, allowed)) = MAY_KNOW.iter().find(|(known, _)| *known == name) else {
        return vec![format!("{name} is not in the list of crates (xtask/src/manifest.rs)")];
    };
    let tables = tables(manifest);
    let mut wrong = Vec::new();
    if name != APPLICATION && tables.values().flatten().any(|key| key == "anyhow") {
        wrong.push(format!("{name} must not use anyhow: its errors are part of its interface"));
    }
    let ours = |key: &&String| MAY_KNOW.iter().any(|(known, _)| known == *key);
    let known = tables
        .iter()
        .filter(|(table, _)| {
            TABLES.iter().any(|known| *table == known || table.ends_with(&format!(".{known}")))
        })
        .flat_map(|(_, keys)| keys)
        .filter(ours)
        .filter(|key| !allowed.contains(&key.as_str()))
        .map(|key| format!("{name} must not depend on {key}"));
    wrong.extend(known);
    wrong
}

/// The dependencies of the workspace that the page of dependencies explains not once but never, or
/// several times.
#[must_use]
pub fn check_explained(workspace: &str, page: &str) -> Vec<String> {
    let lines_of = |name: &str| {
        let explains = |line: &&str| {
            let first = line.split('|').nth(1).unwrap_or_default();
            first.split(['`', ',', ' ']).any(|word| word == name)
        };
        page.lines().filter(explains).count()
    };
    tables(workspace)
        .remove("workspace.dependencies")
        .unwrap_or_default()
        .into_iter()
        .filter(|name| !name.starts_with("tidings"))
        .filter(|name| lines_of(name) != 1)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortcuts_and_circles_are_found() {
        let server = "[package]\nname = \"tidings-server\"\n[dependencies]\n\
                      tidings-log.workspace = true\ntidings-hub = { path = \"x\" }\n";
        assert_eq!(check_direction(server), ["tidings-server must not depend on tidings-log"]);
        let frame = "[package]\nname = \"tidings-frame\"\n\
                     [target.'cfg(unix)'.dependencies]\ntidings-hub.workspace = true\n";
        assert_eq!(check_direction(frame), ["tidings-frame must not depend on tidings-hub"]);
        let hub = "[package]\nname = \"tidings-hub\"\n[dependencies]\nanyhow = \"1\"\n";
        assert_eq!(check_direction(hub).len(), 1);
        let stranger = "[package]\nname = \"tidings-util\"\n";
        assert_eq!(check_direction(stranger).len(), 1);
        let tests = "[package]\nname = \"tidings-server\"\n[dev-dependencies]\n\
                     tidings-client.workspace = true\n";
        assert_eq!(check_direction(tests), Vec::<String>::new());
    }

    #[test]
    fn a_dependency_is_explained_once() {
        let workspace = "[workspace.dependencies]\ntidings-log = { path = \"x\" }\n# a = 1\n\
                         serde = \"1\"\nserde_json = \"1\"\nhyper = \"1\"\n\
                         [profile.dev]\ndebug = 1\n";
        let page = "| `serde_json` | for | why serde |\n| http, `hyper` | a | b |\n";
        assert_eq!(check_explained(workspace, page), ["serde"]);
        let twice = format!("{page}| hyper | for | once more |\n| `serde` | c | d |\n");
        assert_eq!(check_explained(workspace, &twice), ["hyper"]);
    }
}
