//! Every setting with its value, its source and what it means, for whoever is shown a running
//! server's configuration. Secrets are left out here, before anybody else has them in hand.

use serde_json::{Value, json};

use super::layers::Layers;
use super::schema::{Field, Kind};
use super::source::Source;

/// Most settings that are listed; configurations with thousands of policies are cut there.
const SETTINGS_MAX: usize = 5_000;

/// A setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Its full name, such as `server.listen` or `topics[0].retain.age`.
    pub name: String,
    /// As it would be written in JSON; null if it is not set. Of a secret `(set)` or `(not set)`.
    pub value: Value,
    /// Where it was set.
    pub source: Source,
    /// Whether it may hold a secret.
    pub secret: bool,
    /// What it is.
    pub help: String,
}

/// Lists the settings in the order of the fields, also those that nothing sets. Of the items of a
/// list those that are set.
pub(super) fn list(layers: &Layers, fields: &'static [Field]) -> Vec<Setting> {
    let mut all = Vec::new();
    add(layers, fields, "", false, &mut all);
    all.truncate(SETTINGS_MAX);
    all
}

fn add(
    layers: &Layers,
    fields: &'static [Field],
    prefix: &str,
    within_list: bool,
    all: &mut Vec<Setting>,
) {
    for field in fields {
        let name = if prefix.is_empty() {
            field.name.to_owned()
        } else {
            format!("{prefix}.{}", field.name)
        };
        match &field.kind {
            Kind::Section(inner) => add(layers, inner, &name, within_list, all),
            Kind::Sections(inner) => {
                for index in 0..layers.items(&name) {
                    add(layers, inner, &format!("{name}[{index}]"), true, all);
                }
            }
            _ => {
                let leaf = layers.leaves.get(&name);
                if leaf.is_none() && within_list {
                    continue;
                }
                let secret = is_secret(field.name);
                let value = match leaf {
                    Some(leaf) => shown(field.name, &leaf.value),
                    None if secret => json!("(not set)"),
                    None => Value::Null,
                };
                let source = leaf.map_or(Source::Default, |leaf| leaf.source.clone());
                all.push(Setting { name, value, source, secret, help: help(field) });
            }
        }
    }
}

fn help(field: &Field) -> String {
    field.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// The value of a key as it may be shown: of a secret only that it is set.
pub(super) fn shown(key: &str, value: &Value) -> Value {
    if is_secret(key) { json!("(set)") } else { without_credentials(value) }
}

/// Whether a key may hold a secret, by its name: a new one is hidden unless its name says that it
/// is none.
pub(super) fn is_secret(key: &str) -> bool {
    // Where a secret is, and counts of tokens, are no secrets.
    if ["_env", "_file", "_max", "_window"].iter().any(|end| key.ends_with(end)) {
        return false;
    }
    let secret = ["secret", "password", "token", "key", "credential"];
    key == "add_headers" || secret.iter().any(|word| key.contains(word))
}

/// The value without what stands for a password in a URL: user information, and the query.
pub(super) fn without_credentials(value: &Value) -> Value {
    match value {
        Value::String(text) => match text.split_once("://") {
            Some((scheme, rest)) => json!(format!("{scheme}://{}", hidden(rest))),
            // As a flag says it: `/path=http://…` has the scheme within.
            None => value.clone(),
        },
        Value::Array(items) => items.iter().map(without_credentials).collect(),
        other => other.clone(),
    }
}

fn hidden(rest: &str) -> String {
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?(set)"));
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("(set){}{query}", &rest[at..]),
        None => format!("{rest}{query}"),
    }
}

/// A text that should have been a URL, as a message may repeat it: without whatever may have been
/// meant as a user, a password or a query.
pub(super) fn refused_url(text: &str) -> String {
    let parts = text.split_once("://").filter(|(scheme, _)| !scheme.contains('@'));
    let (scheme, rest) =
        parts.map_or(("", text), |(_, rest)| text.split_at(text.len() - rest.len()));
    let host = rest.rfind('@').map_or(rest.to_owned(), |at| format!("(set){}", &rest[at..]));
    match host.split_once('?') {
        Some((host, _)) => format!("{scheme}{host}?(set)"),
        None => format!("{scheme}{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_hidden_by_its_name() {
        for (key, secret) in [
            ("add_headers", true),
            ("secret", true),
            ("jwt_secret", true),
            ("signing_key", true),
            ("api_key_env", false),
            ("key_file", false),
            ("tokens_max", false),
            ("listen", false),
        ] {
            assert_eq!(is_secret(key), secret, "{key}");
        }
    }

    #[test]
    fn what_is_no_url_is_told_without_what_may_be_secret() {
        for (given, told) in [
            ("ftp://host/v1", "ftp://host/v1"),
            ("http://me:pass@host/v1?key=1", "http://(set)@host/v1?(set)"),
            ("http://me:pa/s?s@host/v1", "http://(set)@host/v1"),
            ("http:/me:pass@host", "(set)@host"),
            ("me:pass@host", "(set)@host"),
            ("me:pass@http://host", "(set)@http://host"),
            ("host?key=1", "host?(set)"),
        ] {
            assert_eq!(refused_url(given), told);
        }
    }

    #[test]
    fn passwords_in_urls_are_hidden() {
        for (given, shown) in [
            ("http://host:1/v1", "http://host:1/v1"),
            ("http://me:pass@host/v1?key=1", "http://(set)@host/v1?(set)"),
            ("http://a@b:c@host", "http://(set)@host"),
            ("http://host/a@b", "http://host/a@b"),
            ("chat/*", "chat/*"),
        ] {
            assert_eq!(without_credentials(&json!(given)), shown);
            assert_eq!(without_credentials(&json!([given])), json!([shown]));
        }
    }
}
