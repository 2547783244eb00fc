//! `tidings token`: keys for an issuer of one's own, tokens made with them, what a token says, and
//! tokens that shall not count any more.
//!
//! A private key is written into a file that only its owner reads, and shown only to whoever asks.

mod keys;
mod mint;
mod revoke;
mod verify;

use clap::Subcommand;

const EXAMPLES: &str = "\
From nothing to a closed server:
  tidings token keys --id main >> tidings.toml         a pair of keys, and the section for it
  tidings serve --config tidings.toml
  tidings token mint --key main.private.pem --subject ada --subscribe 'chat/*' --publish chat/7

What a token says, and whether it counts:
  tidings token verify --config tidings.toml < token.txt

Throw somebody out; live connections end within a second:
  TIDINGS_TOKEN=… tidings token revoke --subject ada";

/// Make keys and tokens, look at a token, revoke one
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Keys(keys::Arguments),
    Mint(mint::Arguments),
    Verify(verify::Arguments),
    Revoke(revoke::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    match &arguments.command {
        Command::Keys(arguments) => keys::run(arguments),
        Command::Mint(arguments) => mint::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Revoke(arguments) => revoke::run(arguments),
    }
}

/// An algorithm by its name.
fn algorithm(text: &str) -> Result<tidings_access::Algorithm, String> {
    let known = tidings_access::Algorithm::ALL.map(tidings_access::Algorithm::name).join(", ");
    text.parse().map_err(|()| format!("there is {known}"))
}
