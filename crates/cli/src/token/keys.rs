//! `tidings token keys`: a key that signs, into a file; what the server needs, onto the screen.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;
use tidings_access::signing::{Generated, SigningError, generate};
use tidings_access::{Algorithm, SigningKey};

use crate::exit::{Exit, Reason};
use crate::terminal;

const EXAMPLES: &str = "\
Writes NAME.private.pem, which signs and stays with whoever makes tokens, and NAME.pem, which the
server reads; or NAME.secret, which is both. Prints the lines to add to the configuration.

Examples:
  tidings token keys --id main
  tidings token keys --id main --algorithm ES256 --folder /etc/tidings
  tidings token keys --id main --json | jq .jwks";

/// Make a key to sign tokens with, and show what the server's configuration needs
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The key's name: of its files, and in the tokens (`kid`)
    #[arg(long, value_name = "NAME", default_value = "tidings")]
    id: String,
    /// EdDSA, ES256 or HS256
    #[arg(long, value_name = "NAME", default_value = "EdDSA", value_parser = super::algorithm)]
    algorithm: Algorithm,
    /// Where the files go
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Print the private key instead of writing any file
    #[arg(long)]
    show_private: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { id, algorithm, .. } = arguments;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if id.is_empty() || !id.chars().all(is_name) {
        let message = "--id: a name has letters, digits, `-` and `_`";
        return Err(Exit::new(Reason::Usage, message).into());
    }
    let Generated { private, public } = generate(*algorithm).map_err(|error| match error {
        SigningError::NotMade(_) => Exit::new(Reason::Usage, error.to_string()),
        error => Exit::new(Reason::Failed, error.to_string()),
    })?;
    // Whole, so that it does not matter where the server is started.
    let folder = arguments.folder.canonicalize();
    let folder = folder.with_context(|| format!("--folder {}", arguments.folder.display()))?;
    let file = |ending: &str| folder.join(format!("{id}.{ending}"));
    let (private_file, server_file) = match &public {
        Some(_) => (file("private.pem"), file("pem")),
        None => (file("secret"), file("secret")),
    };
    if !arguments.show_private {
        write(&private_file, &private, 0o600)?;
        if let Some(public) = &public {
            write(&server_file, public, 0o644)?;
        }
    }
    let jwks = match &public {
        Some(_) => {
            let key = SigningKey::from_pem(private.as_bytes(), *algorithm)?;
            json!({"keys": [key.named(Some(id.clone())).public_jwk()]})
        }
        None => json!({"keys": []}),
    };
    let section = section(*algorithm, &server_file, public.is_some());
    if arguments.json {
        let mut all = json!({"id": id, "algorithm": algorithm.name(), "jwks": jwks,
            "configuration": section});
        if arguments.show_private {
            (all["private"], all["public"]) = (private.into(), json!(public));
        } else {
            all["private_file"] = json!(private_file);
            all["server_file"] = json!(server_file);
        }
        return Ok(terminal::line(&all.to_string())?);
    }
    if arguments.show_private {
        terminal::line(private.trim_end())?;
        if let Some(public) = &public {
            terminal::line(public.trim_end())?;
        }
    } else {
        terminal::note(&format!("{} signs: keep it to yourself", private_file.display()));
    }
    if public.is_some() {
        terminal::line(&format!("# as a JSON Web Key Set: {jwks}"))?;
    }
    Ok(terminal::line(section.trim_end())?)
}

/// The section of the configuration for this key.
fn section(algorithm: Algorithm, file: &Path, public: bool) -> String {
    let path = serde_json::Value::from(file.display().to_string());
    let source =
        if public { format!("public_keys = [{path}]") } else { format!("secret_file = {path}") };
    format!("[[issuer]]\nalgorithms = [\"{algorithm}\"]\n{source}\n")
}

/// Writes a new file; one that is there already is not touched.
fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let place = || format!("{}", path.display());
    if path.exists() {
        anyhow::bail!("{} is there already and stays; give another --id or --folder", place());
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file =
        options.write(true).create_new(true).mode(mode).open(path).with_context(place)?;
    file.write_all(text.as_bytes()).with_context(place)
}
