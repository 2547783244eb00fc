//! The configuration: built-in defaults, under a TOML file, under the environment, under flags.
//!
//! Three promises. Whatever is wrong is told all at once, each with the place it was written at and
//! what to write instead. Nothing is started before everything was checked: the types of [`Config`]
//! cannot hold a value that is out of bounds. And every value knows where it came from
//! ([`Loaded::values`]).
//!
//! The environment variable of a value is `TIDINGS_`, its section, two underscores and its key, in
//! capitals: `TIDINGS_SERVER__LISTEN` sets `server.listen`. A list is written with commas. A
//! variable with the prefix that sets nothing is an error like an unknown key in the file.

mod access;
mod acme;
mod checked;
mod layers;
mod network;
mod push;
mod quotas;
mod raw;
mod reference;
mod relay;
mod schema;
mod settings;
mod source;
mod units;
mod webhook;

#[cfg(test)]
mod acme_tests;
#[cfg(test)]
mod relay_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod webhook_tests;

use std::ffi::OsString;
use std::path::Path;

use serde_json::Value;

pub use access::{IssuerConfig, KeySource};
pub use acme::{AcmeConfig, Challenge, ExternalAccount, Pace};
pub use checked::{Config, Drain, Limits, LogConfig, Mode};
pub use layers::ENVIRONMENT_PREFIX;
pub use network::{
    CertificateFiles, CertificateSource, ForwardedBy, Network, ProxyConfig, TlsConfig,
};
pub use push::PushConfig;
pub use quotas::{QuotaConfig, Quotas};
pub(crate) use relay::on_disconnect;
pub use relay::{LLM_FLAG, SHARED_FLAG};
pub use settings::Setting;
pub use source::{ConfigError, Problem, Source};
pub use tidings_hub::policy::{
    Durability, EndBy, PolicyRule, Retain, TopicPolicy, TopicTtl, TtlMode,
};
pub use units::{
    Rate, UnitError, format_duration, format_rate, format_size, parse_byte_rate, parse_duration,
    parse_rate, parse_size,
};
pub use webhook::{Asks, Happening, HookConfig, OnError, WebhookConfig};

use layers::Layers;
use raw::Raw;
use schema::{Field, Kind};

/// The largest configuration file that is read, in bytes; a longer one is not a configuration.
pub const FILE_BYTES_MAX: u64 = 4 << 20;

/// A value that a command-line flag sets.
#[derive(Debug, Clone)]
pub struct Flag {
    /// The full name of the value, such as `server.listen`.
    pub path: &'static str,
    /// The flag as the user writes it, such as `--listen`.
    pub name: &'static str,
    /// The value as the user wrote it.
    pub value: String,
}

/// The text of a configuration file.
#[derive(Debug, Clone)]
pub struct File {
    /// The name that messages use.
    pub name: String,
    /// Its content.
    pub text: String,
}

impl File {
    /// Reads a configuration file; the error says which file and why.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let fail = |message: String| {
            let problem = Problem { source: None, path: String::new(), message };
            ConfigError { problems: vec![problem] }
        };
        let length = std::fs::metadata(path)
            .map_err(|error| fail(format!("cannot read the configuration file {name}: {error}")))?
            .len();
        if length > FILE_BYTES_MAX {
            let limit = format_size(FILE_BYTES_MAX);
            return Err(fail(format!(
                "{name} is larger than {limit}; is it a configuration file?"
            )));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|error| fail(format!("cannot read the configuration file {name}: {error}")))?;
        Ok(Self { name, text })
    }
}

/// A checked configuration with the source of every value.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What the server uses.
    pub config: Config,
    /// Every value that is set, in the order of the reference page.
    pub values: Vec<Effective>,
}

/// A value with its source.
#[derive(Debug, Clone, PartialEq)]
pub struct Effective {
    /// The full name.
    pub path: String,
    /// The value as it would be written in JSON: durations and sizes with units. It may be a
    /// secret, or have one in it.
    pub value: Value,
    /// Where it was set.
    pub source: Source,
}

impl Effective {
    /// The value as it may be shown to anybody: of a secret only that it is set, of a URL neither a
    /// user nor a query.
    #[must_use]
    pub fn shown(&self) -> Value {
        settings::shown(self.path.rsplit('.').next().unwrap_or_default(), &self.value)
    }
}

/// Reads the layers and checks them together. `environment` is usually [`environment`].
pub fn load(
    mode: Mode,
    file: Option<&File>,
    environment: impl Iterator<Item = (String, String)>,
    flags: &[Flag],
) -> Result<Loaded, ConfigError> {
    let mut layers = Layers::defaults(Raw::FIELDS);
    if mode == Mode::Dev {
        let everything = serde_json::json!(["subscribe", "publish", "admin"]);
        layers.set("anonymous".to_owned(), everything, Source::Dev);
        layers.set("push.enabled".to_owned(), serde_json::json!(true), Source::Dev);
        layers.set("server.cors_origins".to_owned(), serde_json::json!(["*"]), Source::Dev);
    }
    if let Some(file) = file {
        layers.add_file(Raw::FIELDS, &file.name, &file.text);
    }
    layers.add_environment(Raw::FIELDS, environment);
    for flag in flags {
        if !relay::add_flag(&mut layers, flag) {
            layers.add_flag(Raw::FIELDS, flag);
        }
    }
    let config = match serde_json::from_value::<Raw>(layers.document(Raw::FIELDS)) {
        Ok(raw) => Some(checked::check(raw, mode, &mut layers)),
        Err(error) => {
            // The kinds let nothing through that the structs refuse (tested); if they did, it is
            // told.
            layers.problem(None, String::new(), error.to_string());
            None
        }
    };
    match config {
        Some(mut config) if layers.problems.is_empty() => {
            config.settings = settings::list(&layers, Raw::FIELDS).into();
            let mut values = Vec::new();
            list(&layers, Raw::FIELDS, "", &mut values);
            Ok(Loaded { config, values })
        }
        _ => Err(ConfigError { problems: layers.problems }),
    }
}

impl Config {
    /// The configuration of `tidings dev` without a file, an environment or flags.
    pub fn dev() -> Self {
        load(Mode::Dev, None, std::iter::empty(), &[])
            .expect("the built-in values pass their own checks; a test says so")
            .config
    }
}

/// The process's environment.
///
/// # Errors
/// A variable that would set something is not UTF-8.
pub fn environment() -> Result<impl Iterator<Item = (String, String)>, ConfigError> {
    Ok(readable(std::env::vars_os())?.into_iter())
}

fn readable(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    for (name, value) in variables {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => all.push((name, value)),
            (name, _) => {
                let name = name.unwrap_or_else(|name| name.to_string_lossy().into_owned());
                if layers::sets_something(&name) {
                    let message =
                        "it is not UTF-8, so what it would set cannot be known".to_owned();
                    let source = Some(Source::Environment(name));
                    problems.push(Problem { source, path: String::new(), message });
                }
            }
        }
    }
    if problems.is_empty() { Ok(all) } else { Err(ConfigError { problems }) }
}

/// The JSON Schema (draft 2020-12) of the configuration file, for editors.
pub fn json_schema() -> Value {
    schema::schema(Raw::FIELDS, "Configuration of a Tidings server")
}

/// The reference page of the configuration, in Markdown.
pub fn reference() -> String {
    reference::page(Raw::FIELDS)
}

/// Lists the values in the order of the fields.
fn list(layers: &Layers, fields: &'static [Field], prefix: &str, values: &mut Vec<Effective>) {
    for field in fields {
        let path = if prefix.is_empty() {
            field.name.to_owned()
        } else {
            format!("{prefix}.{}", field.name)
        };
        match &field.kind {
            Kind::Section(inner) => list(layers, inner, &path, values),
            Kind::Sections(inner) => {
                for index in 0..layers.items(&path) {
                    list(layers, inner, &format!("{path}[{index}]"), values);
                }
            }
            _ => {
                if let Some(leaf) = layers.leaves.get(&path) {
                    let (value, source) = (leaf.value.clone(), leaf.source.clone());
                    values.push(Effective { path, value, source });
                }
            }
        }
    }
}
