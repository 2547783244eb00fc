//! The reference page of the configuration, written from the same table that the reader uses.

use std::fmt::Write;

use super::schema::{Field, Kind, prose};

const OPENING: &str = "# Configuration

This page is written by `tidings` itself (`make docs`); a test fails if it is out of date.

A value comes from the first of these that sets it: a command-line flag, an environment variable,
the configuration file, the built-in default. `tidings config show` prints every value with where it
came from, `tidings config check FILE` checks a file without starting anything, and
`tidings config schema` prints a JSON Schema for editors.

* **File**: TOML, named with `--config FILE` or `TIDINGS_CONFIG`. An unknown key is an error.
* **Environment**: `TIDINGS_`, the section, two underscores, the key, in capitals:
  `TIDINGS_SERVER__LISTEN=0.0.0.0:8080` sets `server.listen`. A value outside a section has no
  section: `TIDINGS_ANONYMOUS=subscribe,publish`. Lists are written with commas. A variable with the
  prefix that sets nothing is an error, except those that Kubernetes sets for a service named
  `tidings`.
* **Durations** are whole numbers with `ms`, `s`, `m`, `h`, `d` or `w` (`15s`, `1h30m`), **sizes**
  with `B`, `KiB`, `MiB`, `GiB`, `TiB` (powers of 1,024) or `kB`, `MB`, `GB`, `TB` (of 1,000). A
  number without its unit is an error.
";

const EXAMPLE: &str = "
## Example

```toml
anonymous = [\"subscribe\"]

[server]
listen = \"0.0.0.0:8080\"
data_dir = \"/var/lib/tidings\"

[[topics]]
pattern = \"chat/**\"
retain = { count = 1000, age = \"7d\", bytes = \"1GiB\" }

[[topics]]
pattern = \"prices/*\"
durability = \"memory\"
conflate = true
```
";

/// Writes the page.
pub(super) fn page(fields: &'static [Field]) -> String {
    let mut page = OPENING.to_owned();
    page.push_str(EXAMPLE);
    page.push_str("\n## Top of the file\n\n");
    let plain = fields.iter().filter(|f| !matches!(f.kind, Kind::Section(_) | Kind::Sections(_)));
    table(&mut page, "", plain);
    for field in fields {
        match field.kind {
            Kind::Section(inner) => section(&mut page, &format!("[{}]", field.name), field, inner),
            Kind::Sections(inner) => {
                section(&mut page, &format!("[[{}]]", field.name), field, inner);
            }
            _ => {}
        }
    }
    page
}

fn section(page: &mut String, title: &str, field: &Field, inner: &'static [Field]) {
    let _ = write!(page, "\n## `{title}`\n\n{}\n\n", prose(field.doc));
    table(page, "", inner.iter());
}

fn table(page: &mut String, prefix: &str, fields: impl Iterator<Item = &'static Field>) {
    if prefix.is_empty() {
        page.push_str("| key | value | default | |\n|---|---|---|---|\n");
    }
    for field in fields {
        let default = match field.default.value() {
            Some(serde_json::Value::String(text)) => format!("`{text}`"),
            Some(value) => format!("`{value}`"),
            None => "–".to_owned(),
        };
        let (name, kind) = (field.name, field.kind.describe());
        let text = prose(field.doc);
        let _ = writeln!(page, "| `{prefix}{name}` | {kind} | {default} | {text} |");
        if let Kind::Section(inner) = field.kind {
            table(page, &format!("{prefix}{name}."), inner.iter());
        }
    }
}
