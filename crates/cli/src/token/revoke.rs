//! `tidings token revoke`: a token or a subject does not count from now on.

use serde_json::json;

use crate::target::{Target, block_on};
use crate::terminal::{self, harmless};

const EXAMPLES: &str = "\
Takes an operator's token (admin on `**`), in TIDINGS_TOKEN, and as --url the operator's listener,
if there is one. Of a subject those tokens are refused that were issued up to now, and half a minute
on, because clocks differ; later ones count again.

Examples:
  TIDINGS_TOKEN=… tidings token revoke --subject ada
  TIDINGS_TOKEN=… tidings token revoke --id 5d41402abc4b2a76";

/// Refuse a token, or all tokens of a subject, from now on; live connections end
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
#[group(id = "whose", required = true, multiple = false, args = ["subject", "id"])]
pub(super) struct Arguments {
    /// Whose tokens (`sub`)
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    /// Which token (`jti`)
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    id: Option<String>,
    /// The name of its issuer, where several are configured; without it, whoever has that name
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
    /// The token's `exp`, after which it need not be remembered
    #[arg(long, value_name = "SECONDS", requires = "id")]
    expires: Option<u64>,
    /// Print what the server has noted as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut body = match (&arguments.subject, &arguments.id) {
        (Some(subject), _) => json!({"subject": subject}),
        (None, id) => match arguments.expires {
            Some(expires) => json!({"token_id": id, "expires": expires}),
            None => json!({"token_id": id}),
        },
    };
    if let Some(issuer) = &arguments.issuer {
        body["issuer"] = json!(issuer);
    }
    block_on(async {
        let client = arguments.target.client()?;
        let revoked = client.revoke(&body).await;
        let noted = revoked.map_err(|error| arguments.target.request(&error))?;
        if arguments.json {
            terminal::line(&noted.to_string())?;
        } else {
            let whose = arguments.subject.as_ref().or(arguments.id.as_ref());
            let whose = harmless(whose.map_or("", |whose| whose));
            terminal::note(&format!("{whose} does not count any more"));
        }
        Ok(())
    })
}
