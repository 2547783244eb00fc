//! `tidings token mint`: a token, signed with a key from a file.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde_json::json;
use tidings_access::claims::{Audience, NumericDate};
use tidings_access::signing::new_token_id;
use tidings_access::{Algorithm, Claims, Grants, SigningKey};
use tidings_frame::Pattern;

use crate::exit::{Exit, Reason};
use crate::terminal;

const EXAMPLES: &str = "\
Without --publish, --subscribe, --presence and --admin the token says only who somebody is; what
that allows is said in the server's [[issuer]] section.

Examples:
  tidings token mint --key main.private.pem --subject ada --subscribe 'chat/*' --publish chat/7
  tidings token mint --key main.private.pem --subject ops --publish '**' --subscribe '**' \\
      --admin '**' --expires 8h
  tidings token mint --key rsa.pem --algorithm PS256 --subject ada --issuer https://id.example";

/// Make a token
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The file with the private key (PEM) or the secret
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// What an RSA key signs with: RS256 or PS256
    #[arg(long, value_name = "NAME", default_value = "RS256", value_parser = super::algorithm)]
    algorithm: Algorithm,
    /// The key's name in the token; the file's name, up to its first full stop, unless given
    #[arg(long, value_name = "NAME")]
    key_id: Option<String>,
    /// Whom the token is about (`sub`)
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    /// Who issues it (`iss`)
    #[arg(long, value_name = "TEXT")]
    issuer: Option<String>,
    /// For whom it is (`aud`); may be repeated
    #[arg(long, value_name = "TEXT")]
    audience: Vec<String>,
    /// The customer whose limits apply (`tenant`)
    #[arg(long, value_name = "TEXT")]
    tenant: Option<String>,
    /// The token's own name (`jti`), by which it can be revoked; a random one unless given
    #[arg(long, value_name = "TEXT")]
    id: Option<String>,
    /// How long it counts, such as 15m or 30d
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = seconds)]
    expires: u64,
    /// It counts for ever, where the server's section says without_expiry = true
    #[arg(long, conflicts_with = "expires")]
    without_expiry: bool,
    /// A pattern of topics that it may publish to; may be repeated
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    publish: Vec<Pattern>,
    /// A pattern of topics that it may follow and read; may be repeated
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    subscribe: Vec<Pattern>,
    /// A pattern of topics whose presence it may see and join; may be repeated
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    presence: Vec<Pattern>,
    /// A pattern of topics that it may administrate, `**` for an operator; may be repeated
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    admin: Vec<Pattern>,
    /// Print the token and its claims as a JSON object
    #[arg(long)]
    json: bool,
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text).map_err(|error| error.to_string())
}

fn seconds(text: &str) -> Result<u64, String> {
    tidings_server::config::parse_duration(text)
        .map(|duration| duration.as_secs())
        .map_err(|error| error.to_string())
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let key = read_key(arguments)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?.as_secs();
    let grants = Grants {
        publish: arguments.publish.clone(),
        subscribe: arguments.subscribe.clone(),
        presence: arguments.presence.clone(),
        admin: arguments.admin.clone(),
        ceiling: None,
    };
    if grants.is_too_long() {
        let message = "a token has at most 256 patterns of a kind";
        return Err(Exit::new(Reason::Usage, message).into());
    }
    let until = (!arguments.without_expiry).then(|| NumericDate(now + arguments.expires));
    let claims = Claims {
        iss: arguments.issuer.clone(),
        sub: arguments.subject.clone(),
        aud: Audience(arguments.audience.clone()),
        exp: until,
        nbf: None,
        iat: Some(NumericDate(now)),
        jti: Some(arguments.id.clone().map_or_else(new_token_id, Ok)?),
        tenant: arguments.tenant.clone(),
        tidings: Some(grants).filter(|grants| *grants != Grants::default()),
    };
    let token = key.mint(&claims)?;
    if arguments.json {
        return Ok(terminal::line(&json!({"token": token, "claims": claims}).to_string())?);
    }
    Ok(terminal::line(&token)?)
}

fn read_key(arguments: &Arguments) -> anyhow::Result<SigningKey> {
    let path = &arguments.key;
    let place = || format!("--key {}", path.display());
    let bytes = std::fs::read(path).with_context(place)?;
    let pem = bytes.starts_with(b"-----BEGIN");
    let key = if pem {
        SigningKey::from_pem(&bytes, arguments.algorithm)
    } else {
        SigningKey::from_secret(bytes.trim_ascii())
    };
    let key = key.with_context(place)?;
    let named = arguments.key_id.clone().or_else(|| name_of(path).filter(|_| pem));
    Ok(key.named(named))
}

/// `main` of `main.private.pem`: what the public half beside it, `main.pem`, is called.
fn name_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    name.split('.').next().filter(|name| !name.is_empty()).map(str::to_owned)
}
