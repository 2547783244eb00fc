//! `tidings token verify`: whether a token counts, judged as the server does it, and what it says.

use std::io::Read as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde_json::json;
use tidings_access::grants::GrantTemplate;
use tidings_access::verifier::{Caller, TENANT_CLAIM};
use tidings_access::{Action, Algorithm, Grants, TokenError};
use tidings_frame::Time;
use tidings_server::config::{self, File, IssuerConfig, KeySource, Mode};

use crate::exit::{Exit, Reason};
use crate::target::block_on;
use crate::terminal::{self, harmless};

const EXAMPLES: &str = "\
The token is read from standard input, so that it is in no list of processes and no history.
Keys of a `jwks_url` in the configuration are fetched, once.
A revoked token looks like any other here: only the server knows what is revoked.

Examples:
  tidings token verify --config tidings.toml < token.txt
  tidings token verify --public-key main.pem --json < token.txt";

/// Show what a token says and whether it counts
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The server's configuration, whose issuers are asked
    #[arg(long, value_name = "FILE", required_unless_present_any = ["public_key", "secret_file"])]
    config: Option<PathBuf>,
    /// A public key (PEM); may be repeated
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    public_key: Vec<PathBuf>,
    /// A file with a secret
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "public_key"])]
    secret_file: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Bytes that are read at most: a token, and white space.
const INPUT_BYTES_MAX: u64 = 64 << 10;

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let issuers = arguments.issuers()?;
    let verifier = tidings_server::verifier(&issuers)
        .map_err(|error| Exit::new(Reason::Usage, error.to_string()))?;
    let mut text = String::new();
    std::io::stdin().take(INPUT_BYTES_MAX).read_to_string(&mut text).context("standard input")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?.as_secs();
    let failures = match issuers.iter().any(|it| matches!(it.keys, KeySource::JwksUrl(_))) {
        true => block_on(async { Ok(tidings_server::fetch_keys(&verifier, &issuers).await) })?,
        false => Vec::new(),
    };
    let caller = verifier.verify(text.trim(), now).map_err(|error| {
        // With keys that are not at hand nobody can say whether it counts.
        if matches!(error, TokenError::UnknownKey) && !failures.is_empty() {
            let failures = harmless(&failures.join("; "));
            return Exit::new(Reason::Unreachable, format!("it cannot be judged: {failures}"));
        }
        Exit::new(Reason::Failed, format!("it does not count: {error}"))
    })?;
    if arguments.json {
        return Ok(terminal::line(&object(&caller).to_string())?);
    }
    print(&caller)
}

impl Arguments {
    fn issuers(&self) -> anyhow::Result<Vec<IssuerConfig>> {
        let keys = match (&self.config, &self.secret_file) {
            (Some(path), _) => {
                let usage =
                    |error: config::ConfigError| Exit::new(Reason::Usage, error.to_string());
                let file = File::read(path).map_err(usage)?;
                let loaded = config::environment().and_then(|environment| {
                    config::load(Mode::Serve, Some(&file), environment, &[])
                });
                return Ok(loaded.map_err(usage)?.config.issuers);
            }
            (None, Some(path)) => KeySource::SecretFile(path.clone()),
            (None, None) => KeySource::PublicKeys(self.public_key.clone()),
        };
        Ok(vec![IssuerConfig {
            name: None,
            audience: Vec::new(),
            algorithms: Algorithm::ALL.to_vec(),
            without_expiry: true,
            grants: GrantTemplate::default(),
            ceiling: None,
            tenant_claim: TENANT_CLAIM.to_owned(),
            keys,
        }])
    }
}

fn object(caller: &Caller) -> serde_json::Value {
    json!({
        "subject": caller.subject,
        "token_id": caller.token_id,
        "tenant": caller.tenant,
        "issued": caller.issued,
        "expires": caller.expires,
        "grants": caller.grants,
        "at_most": caller.grants.ceiling.as_deref(),
    })
}

fn print(caller: &Caller) -> anyhow::Result<()> {
    let time = |seconds: u64| Time(seconds.saturating_mul(1_000)).to_string();
    let rows = [
        ("subject", caller.subject.clone()),
        ("token id", caller.token_id.clone()),
        ("tenant", caller.tenant.clone()),
        ("issued", caller.issued.map(time)),
        ("expires", Some(caller.expires.map_or("never".to_owned(), time))),
    ];
    for (name, value) in rows {
        if let Some(value) = value {
            terminal::line(&format!("{name:<10} {}", harmless(&value)))?;
        }
    }
    grants("", &caller.grants)?;
    if let Some(most) = &caller.grants.ceiling {
        terminal::line("and nothing that its issuer's section does not grant too:")?;
        grants("  ", most)?;
    }
    Ok(())
}

fn grants(indent: &str, grants: &Grants) -> anyhow::Result<()> {
    for action in Action::ALL {
        let patterns: Vec<&str> =
            grants.patterns(action).iter().map(|pattern| pattern.as_str()).collect();
        if !patterns.is_empty() {
            let patterns = harmless(&patterns.join("  "));
            terminal::line(&format!("{indent}{:<10} {patterns}", action.name()))?;
        }
    }
    Ok(())
}
