//! File, environment and flags, each read into the same flat form, and laid over one another.
//!
//! A layer maps the full name of a value (`server.listen`, `topics[0].retain.age`) to the value and
//! its source. What is unknown or malformed becomes a [`Problem`] and is left out, so that the rest
//! is still checked and everything that is wrong is told at once.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::schema::{Field, Kind};
use super::settings::is_secret;
use super::source::{Problem, Source, nearest};

/// The prefix of every environment variable that sets a value.
pub const ENVIRONMENT_PREFIX: &str = "TIDINGS_";

/// Variables with the prefix that are not configuration: what the command line reads, and what it
/// gives to the commands it runs.
const OTHER_VARIABLES: [&str; 3] = ["TIDINGS_URL", "TIDINGS_CONFIG", "TIDINGS_TOKEN"];
/// Kubernetes sets these in every pod beside a service named `tidings`; they must not stop the
/// server.
const KUBERNETES_VARIABLES: [&str; 3] = ["TIDINGS_PORT", "TIDINGS_PORT_", "TIDINGS_SERVICE_"];
/// What `tidings subscribe --exec` sets for its command, which may start a server.
const EVENT_VARIABLES: &str = "TIDINGS_EVENT_";

/// The most problems that are collected before the rest of a file is left unread.
const PROBLEMS_MAX: usize = 100;

/// A value and where it was set.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) value: Value,
    pub(super) source: Source,
}

/// Values by their full names, with what went wrong while they were read.
#[derive(Debug, Default)]
pub(super) struct Layers {
    pub(super) leaves: BTreeMap<String, Leaf>,
    pub(super) problems: Vec<Problem>,
}

impl Layers {
    /// The built-in values.
    pub(super) fn defaults(fields: &'static [Field]) -> Self {
        let mut layers = Self::default();
        layers.add_defaults("", fields);
        layers
    }

    fn add_defaults(&mut self, prefix: &str, fields: &'static [Field]) {
        for field in fields {
            let path = join(prefix, field.name);
            match (&field.kind, field.default.value()) {
                (Kind::Section(inner), _) => self.add_defaults(&path, inner),
                (_, Some(value)) => self.set(path, value, Source::Default),
                (_, None) => {}
            }
        }
    }

    pub(super) fn set(&mut self, path: String, value: Value, source: Source) {
        self.leaves.insert(path, Leaf { value, source });
    }

    /// Checks a value against its kind, then sets it or reports it.
    fn check_and_set(&mut self, path: String, kind: &Kind, value: Value, source: Source) {
        match kind.check(&value) {
            Ok(()) => self.set(path, value, source),
            // The message repeats what was written.
            Err(_) if is_secret(path.rsplit('.').next().unwrap_or_default()) => {
                let message = format!("expected a {}, found something else", kind.describe());
                self.problem(Some(source), path, message);
            }
            Err(message) => self.problem(Some(source), path, message),
        }
    }

    pub(super) fn problem(&mut self, source: Option<Source>, path: String, message: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { source, path, message });
        }
    }

    /// Lays a TOML file over what is there.
    pub(super) fn add_file(&mut self, fields: &'static [Field], name: &str, text: &str) {
        let (table, errors) = DeTable::parse_recoverable(text);
        let lines = Lines { name, text };
        for error in errors {
            let source = error.span().map(|span| lines.at(span.start));
            let twice = error.message().contains("duplicate key").then_some(error.span()).flatten();
            let message = match twice {
                Some(span) => twice_told(fields, lines.line(span.start)),
                None => error.message().trim_end().replace('\n', "; "),
            };
            self.problem(source, String::new(), message);
        }
        // A section whose text cannot be read may hold anything: what is in it was not reported,
        // and a complaint about half of it would mislead.
        if self.problems.is_empty() {
            self.add_table(fields, fields, "", table.get_ref(), &lines);
            // The parser's tables are sorted by key; people read from top to bottom.
            self.problems.sort_by_key(|problem| match problem.source {
                Some(Source::File { line, .. }) => line,
                _ => 0,
            });
        }
    }

    fn add_table(
        &mut self,
        root: &'static [Field],
        fields: &'static [Field],
        prefix: &str,
        table: &DeTable<'_>,
        lines: &Lines<'_>,
    ) {
        for (key, value) in table {
            let path = join(prefix, key.get_ref());
            let source = lines.at(key.span().start);
            let Some(field) = fields.iter().find(|field| field.name == key.get_ref().as_ref())
            else {
                self.problem(Some(source), path, unknown_key(root, fields, prefix, key.get_ref()));
                continue;
            };
            match (&field.kind, value.get_ref()) {
                (Kind::Section(inner), DeValue::Table(table)) => {
                    self.note_empty(&path, table, source);
                    self.add_table(root, inner, &path, table, lines);
                }
                (Kind::Sections(inner), DeValue::Array(items)) => {
                    self.add_items(root, inner, &path, items, lines);
                }
                (kind, other) => match json(other) {
                    Ok(value) => self.check_and_set(path, kind, value, source),
                    Err(message) => self.problem(Some(source), path, message),
                },
            }
        }
    }

    /// A section with nothing in it is a value of its own, so that it can be told from one that is
    /// not there.
    fn note_empty(&mut self, path: &str, table: &DeTable<'_>, source: Source) {
        if table.is_empty() {
            self.set(path.to_owned(), Value::Object(Map::new()), source);
        }
    }

    fn add_items(
        &mut self,
        root: &'static [Field],
        fields: &'static [Field],
        path: &str,
        items: &[toml::Spanned<DeValue<'_>>],
        lines: &Lines<'_>,
    ) {
        // What a relay must have depends on its kind, and is checked with it.
        let has_pattern = fields.iter().any(|field| field.name == "pattern");
        for (index, item) in items.iter().enumerate() {
            let item_path = format!("{path}[{index}]");
            match item.get_ref() {
                DeValue::Table(table) => {
                    if has_pattern && !table.keys().any(|key| key.get_ref() == "pattern") {
                        let source = Some(lines.at(item.span().start));
                        let message = "it has no `pattern`, so it would match nothing".to_owned();
                        self.problem(source, item_path.clone(), message);
                    }
                    self.note_empty(&item_path, table, lines.at(item.span().start));
                    self.add_table(root, fields, &item_path, table, lines);
                }
                other => {
                    let message = format!("expected a section, found {}", other.type_str());
                    self.problem(Some(lines.at(item.span().start)), item_path, message);
                }
            }
        }
    }

    /// Lays the environment over what is there: `TIDINGS_SERVER__LISTEN` sets `server.listen`.
    pub(super) fn add_environment(
        &mut self,
        fields: &'static [Field],
        variables: impl Iterator<Item = (String, String)>,
    ) {
        for (name, text) in variables {
            let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else {
                continue;
            };
            if is_other(&name) {
                continue;
            }
            let path = rest.to_ascii_lowercase().replace("__", ".");
            let source = Source::Environment(name.clone());
            match find(fields, &path) {
                Some(kind) => self.check_and_set(path, kind, kind.of_text(&text), source),
                None => {
                    let message = unknown_variable(fields, &name, &path);
                    self.problem(Some(source), String::new(), message);
                }
            }
        }
    }

    /// Lays flags over what is there. The path is the program's own, so it is always known.
    pub(super) fn add_flag(&mut self, fields: &'static [Field], flag: &super::Flag) {
        let source = Source::Flag(flag.name.to_owned());
        match find(fields, flag.path) {
            Some(kind) => {
                let value = kind.of_text(&flag.value);
                self.check_and_set(flag.path.to_owned(), kind, value, source);
            }
            None => {
                let message = format!("it sets `{}`, which does not exist", flag.path);
                self.problem(Some(source), String::new(), message);
            }
        }
    }

    /// The values as one JSON document, in which every section that can be there is there.
    pub(super) fn document(&self, fields: &'static [Field]) -> Value {
        self.section("", fields)
    }

    fn section(&self, prefix: &str, fields: &'static [Field]) -> Value {
        let mut map = Map::new();
        for field in fields {
            let path = join(prefix, field.name);
            match &field.kind {
                Kind::Section(inner) => {
                    map.insert(field.name.to_owned(), self.section(&path, inner));
                }
                Kind::Sections(inner) => {
                    let items = (0..self.items(&path))
                        .map(|index| self.section(&format!("{path}[{index}]"), inner))
                        .collect();
                    map.insert(field.name.to_owned(), Value::Array(items));
                }
                _ => {
                    if let Some(leaf) = self.leaves.get(&path) {
                        map.insert(field.name.to_owned(), leaf.value.clone());
                    }
                }
            }
        }
        Value::Object(map)
    }

    /// How many sections a list has.
    pub(super) fn items(&self, path: &str) -> usize {
        let prefix = format!("{path}[");
        self.leaves
            .keys()
            .filter_map(|key| key.strip_prefix(&prefix)?.split(']').next()?.parse::<usize>().ok())
            .map(|index| index + 1)
            .max()
            .unwrap_or(0)
    }
}

/// A file's text, for turning positions into lines.
struct Lines<'a> {
    name: &'a str,
    text: &'a str,
}

impl Lines<'_> {
    fn at(&self, position: usize) -> Source {
        let before = &self.text.as_bytes()[..position.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Source::File { name: self.name.to_owned(), line }
    }

    /// The text of the line at this position.
    fn line(&self, position: usize) -> &str {
        let bytes = self.text.as_bytes();
        let before = &bytes[..position.min(bytes.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count();
        self.text.split('\n').nth(line).unwrap_or_default()
    }
}

/// What to say of a line that repeats what may stand once.
fn twice_told(fields: &'static [Field], line: &str) -> String {
    let line = line.split('#').next().unwrap_or_default().trim();
    let Some(name) = line.strip_prefix('[') else {
        let key = line.split('=').next().unwrap_or_default().trim();
        return format!("the key `{key}` stands here once more; a key may stand once");
    };
    let name = name.trim_matches(['[', ']', ' ']);
    let may_repeat = |field: &&Field| matches!(field.kind, Kind::Sections(_));
    if fields.iter().filter(may_repeat).any(|field| field.name == name) {
        return format!("[{name}] stands here once more; each of several is written [[{name}]]");
    }
    format!(
        "the section [{name}] stands here once more, and it may stand once: put what it says into \
         one (several can be written only of sections with two brackets, such as [[issuer]])"
    )
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// The kind of the value with this full name, if there is one that a single text can set.
fn find(fields: &'static [Field], path: &str) -> Option<&'static Kind> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let field = fields.iter().find(|field| field.name == name)?;
    match (&field.kind, rest) {
        (Kind::Section(inner), Some(rest)) => find(inner, rest),
        (Kind::Section(_) | Kind::Sections(_), None) | (_, Some(_)) => None,
        (kind, None) => Some(kind),
    }
}

/// Every full name that a single text can set.
fn names(fields: &'static [Field], prefix: &str) -> Vec<String> {
    let mut all = Vec::new();
    for field in fields {
        let path = join(prefix, field.name);
        match &field.kind {
            Kind::Section(inner) => all.extend(names(inner, &path)),
            Kind::Sections(_) => {}
            _ => all.push(path),
        }
    }
    all
}

/// Whether a variable of this name is configuration, or means to be.
pub(super) fn sets_something(name: &str) -> bool {
    name.starts_with(ENVIRONMENT_PREFIX) && !is_other(name)
}

fn is_other(name: &str) -> bool {
    OTHER_VARIABLES.contains(&name)
        || name.starts_with(EVENT_VARIABLES)
        || KUBERNETES_VARIABLES.iter().any(|known| {
            if known.ends_with('_') { name.starts_with(known) } else { name == *known }
        })
}

fn unknown_key(
    root: &'static [Field],
    fields: &'static [Field],
    prefix: &str,
    key: &str,
) -> String {
    if let Some(known) = nearest(key, fields.iter().map(|field| field.name)) {
        return format!("there is no such key; did you mean `{known}`?");
    }
    // In TOML a key after a `[section]` line belongs to that section, which is easily overlooked.
    if !prefix.is_empty() && root.iter().any(|field| field.name == key) {
        return format!(
            "there is no such key here; `{key}` belongs at the top of the file, before the first \
             [section]"
        );
    }
    let elsewhere = names(root, "");
    if let Some(full) = elsewhere.iter().find(|full| full.ends_with(&format!(".{key}"))) {
        return format!("there is no such key here; did you mean `{full}`?");
    }
    let known = fields.iter().map(|field| field.name).collect::<Vec<_>>().join(", ");
    format!("there is no such key; known are: {known}")
}

fn unknown_variable(fields: &'static [Field], name: &str, path: &str) -> String {
    let all = names(fields, "");
    let known = nearest(path, all.iter().map(String::as_str)).or_else(|| {
        // TIDINGS_LISTEN and TIDINGS_SERVER_LISTEN are what people try first.
        let flat = path.replace('.', "_");
        all.iter()
            .map(String::as_str)
            .find(|full| full.replace('.', "_") == flat || full.ends_with(&format!(".{flat}")))
    });
    match known {
        Some(known) => format!(
            "it sets nothing; did you mean {ENVIRONMENT_PREFIX}{}?",
            known.to_ascii_uppercase().replace('.', "__")
        ),
        None if path.starts_with("topics") => {
            "topics are configured only in the file, as [[topics]]".to_owned()
        }
        None => format!(
            "it sets nothing: no value is called `{path}`; `tidings config show` lists them all \
             ({name} = section, two underscores, key)"
        ),
    }
}

/// A TOML value as JSON. A date is none of the kinds there are.
fn json(value: &DeValue<'_>) -> Result<Value, String> {
    Ok(match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            Value::from(parsed.map_err(|_| format!("{} is too large", number.as_str()))?)
        }
        DeValue::Float(number) => {
            let parsed = number.as_str().parse::<f64>();
            Value::from(parsed.map_err(|_| format!("{} is not a number", number.as_str()))?)
        }
        DeValue::Boolean(flag) => Value::from(*flag),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| json(item.get_ref())).collect::<Result<_, _>>()?)
        }
        DeValue::Table(_) => Value::Object(Map::new()),
        DeValue::Datetime(date) => return Err(format!("a date is not expected here: {date}")),
    })
}
