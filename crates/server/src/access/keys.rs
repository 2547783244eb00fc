//! The issuers' keys in files and variables, read when the server starts. It does not start if they
//! cannot be read; those from the network come later ([`super::fetched`]).

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;
use tidings_access::{Algorithm, Issuer, Key, KeyError, KeySet, Verifier};

use crate::config::{IssuerConfig, KeySource};

/// Bytes of the largest file with a key or a set.
const FILE_BYTES_MAX: u64 = 256 << 10;

/// Why an issuer's keys cannot be had.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The variable is not set.
    #[error("the environment variable {0} is not set")]
    Unset(String),
    /// The file cannot be read.
    #[error("cannot read {path}: {source}; {}", what_to_do(source))]
    Read {
        /// Which.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// What is there is no key.
    #[error("{place}: {source}")]
    Key {
        /// Where.
        place: String,
        /// Why not.
        source: KeyError,
    },
    /// None of the keys can have signed with the issuer's algorithms: no token would ever count.
    #[error(
        "none of its keys fits algorithms = [{algorithms}], so no token would count: {keys}; \
        write the algorithm that the tokens are signed with, or give its key"
    )]
    Unfit {
        /// The algorithms, as they are written.
        algorithms: String,
        /// Each key with what fits it.
        keys: String,
    },
}

/// What helps when a file that the configuration names cannot be read.
pub(crate) fn what_to_do(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => {
            "a relative path starts at the working directory; `tidings token keys` makes keys"
        }
        ErrorKind::PermissionDenied => "the user that runs the server must be able to read it",
        _ => "name a file that can be read",
    }
}

/// Each key with the algorithms that fit it, if none of them fits one that the issuer signs with.
/// A set without keys is not known yet.
pub(crate) fn misfits(keys: &KeySet, algorithms: &[Algorithm]) -> Option<String> {
    let fits = |key: &Key| algorithms.iter().any(|algorithm| key.is_for(*algorithm));
    if keys.is_empty() || keys.iter().any(fits) {
        return None;
    }
    let told = |key: &Key| {
        let fit: Vec<&str> = key.algorithms().map(Algorithm::name).collect();
        let name = key.id().map_or_else(|| "the key".to_owned(), |id| format!("the key {id:?}"));
        format!("{name} is for {}", fit.join(" or "))
    };
    Some(keys.iter().map(told).collect::<Vec<_>>().join(", "))
}

/// The issuers of a configuration with their keys.
///
/// # Errors
/// When the keys of one cannot be had.
pub fn load(issuers: &[IssuerConfig]) -> Result<Verifier, KeysError> {
    let with_keys = |config: &IssuerConfig| {
        let keys = read(&config.keys)?;
        if let Some(keys) = misfits(&keys, &config.algorithms) {
            let names: Vec<String> =
                config.algorithms.iter().map(|algorithm| format!("\"{algorithm}\"")).collect();
            return Err(KeysError::Unfit { algorithms: names.join(", "), keys });
        }
        let mut issuer = Issuer::new(keys, config.algorithms.clone());
        issuer.name.clone_from(&config.name);
        issuer.audience.clone_from(&config.audience);
        issuer.without_expiry = config.without_expiry;
        issuer.grants = config.grants.clone();
        issuer.ceiling = config.ceiling.clone();
        issuer.tenant_claim.clone_from(&config.tenant_claim);
        Ok(Arc::new(issuer))
    };
    Ok(Verifier::new(issuers.iter().map(with_keys).collect::<Result<_, _>>()?))
}

fn read(source: &KeySource) -> Result<KeySet, KeysError> {
    match source {
        KeySource::SecretEnv(name) => {
            let secret = std::env::var(name).map_err(|_| KeysError::Unset(name.clone()))?;
            one(Key::from_secret(secret.as_bytes()), name)
        }
        KeySource::SecretFile(path) => {
            let secret = contents(path)?;
            one(Key::from_secret(secret.trim_ascii()), &path.display().to_string())
        }
        KeySource::PublicKeys(paths) => {
            let key = |path: &std::path::PathBuf| {
                let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
                let key = Key::from_pem(&contents(path)?);
                let place = || path.display().to_string();
                key.map(|key| key.named(name))
                    .map_err(|source| KeysError::Key { place: place(), source })
            };
            let keys = paths.iter().map(key).collect::<Result<_, _>>()?;
            KeySet::new(keys)
                .map_err(|source| KeysError::Key { place: "public_keys".to_owned(), source })
        }
        KeySource::JwksFile(path) => KeySet::from_jwks(&contents(path)?, false)
            .map_err(|source| KeysError::Key { place: path.display().to_string(), source }),
        // Fetched when the server runs; until then no token of this issuer counts.
        KeySource::JwksUrl(_) => Ok(KeySet::default()),
    }
}

/// Whether a set in this file has a secret among its keys.
pub(crate) fn holds_secret(path: &Path) -> bool {
    let keys = contents(path).ok().and_then(|text| KeySet::from_jwks(&text, false).ok());
    keys.is_some_and(|keys| keys.iter().any(Key::is_secret))
}

fn one(key: Result<Key, KeyError>, place: &str) -> Result<KeySet, KeysError> {
    key.and_then(|key| KeySet::new(vec![key]))
        .map_err(|source| KeysError::Key { place: place.to_owned(), source })
}

fn contents(path: &Path) -> Result<Vec<u8>, KeysError> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(|source| KeysError::Read { path: path.display().to_string(), source })?;
    Ok(bytes)
}
