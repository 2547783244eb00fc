//! `tidings config`: check a file, show what is in force, print the schema.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use tidings_server::NamedFiles;
use tidings_server::config::{self, ConfigError, Effective, File, Mode};

use crate::exit::{Exit, Reason};
use crate::serve;
use crate::terminal::{self, Paint, Style};

const EXAMPLES: &str = "\
Examples:
  tidings config check tidings.toml
  tidings config show --config tidings.toml
  TIDINGS_SERVER__HEARTBEAT=30s tidings config show --json
  tidings config schema > tidings.schema.json";

/// Check a configuration, show what is in force, print its schema
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a configuration file and the keys and certificates it names, without starting anything
    Check(Check),
    /// Show every value with where it came from
    Show(Box<Show>),
    /// Print the JSON Schema of the configuration file, for editors
    Schema,
}

/// How the server would be started; some rules depend on it.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Start {
    Serve,
    Dev,
}

impl From<Start> for Mode {
    fn from(start: Start) -> Self {
        match start {
            Start::Serve => Self::Serve,
            Start::Dev => Self::Dev,
        }
    }
}

#[derive(Debug, clap::Args)]
struct Check {
    /// The configuration file (TOML)
    file: PathBuf,
    /// The command it is for
    #[arg(long = "for", value_enum, default_value = "serve")]
    start: Start,
}

#[derive(Debug, clap::Args)]
struct Show {
    #[command(flatten)]
    server: serve::Arguments,
    /// The command it is for
    #[arg(long = "for", value_enum, default_value = "serve")]
    start: Start,
    /// Print JSON: a list of objects with path, value and source
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.command {
        Command::Check(check) => check_file(check),
        Command::Show(show) => show_values(show),
        Command::Schema => {
            Ok(terminal::line(&serde_json::to_string_pretty(&config::json_schema())?)?)
        }
    }
}

/// The file alone, with the files that it names: neither the settings of the environment nor flags,
/// so that the answer is the one that the service gets.
fn check_file(check: &Check) -> anyhow::Result<()> {
    let usage = |error: config::ConfigError| Exit::new(Reason::Usage, error.to_string());
    let file = File::read(&check.file).map_err(usage)?;
    let nothing = std::iter::empty();
    let loaded = config::load(check.start.into(), Some(&file), nothing, &[]).map_err(usage)?;
    let NamedFiles { problems, warnings } = NamedFiles::read(&loaded);
    for warning in warnings {
        terminal::note(&format!("warning: {warning}"));
    }
    if !problems.is_empty() {
        return Err(usage(ConfigError { problems }).into());
    }
    let rules = match loaded.config.policies.len() {
        0 => "no topic rules".to_owned(),
        1 => "1 topic rule".to_owned(),
        many => format!("{many} topic rules"),
    };
    terminal::line(&format!("{} is right: {rules}", check.file.display()))?;
    Ok(())
}

fn show_values(show: &Show) -> anyhow::Result<()> {
    let loaded = show.server.load(show.start.into())?;
    if show.json {
        let values: Vec<_> = loaded
            .values
            .iter()
            .map(|value| {
                let (path, source) = (&value.path, value.source.to_string());
                serde_json::json!({"path": path, "value": value.shown(), "source": source})
            })
            .collect();
        return Ok(terminal::line(&serde_json::to_string_pretty(&values)?)?);
    }
    let paint = Paint::stdout();
    let width = |of: fn(&Effective) -> usize| loaded.values.iter().map(of).max().unwrap_or(0);
    let path_width = width(|value| value.path.chars().count());
    let value_width = width(|value| value.shown().to_string().chars().count());
    for value in &loaded.values {
        let Effective { path, source, .. } = value;
        let value = format!("{:value_width$}", value.shown().to_string());
        let source = paint.text(Style::Faint, &source.to_string());
        terminal::line(&format!("{path:path_width$}  {value}  {source}"))?;
    }
    Ok(())
}
