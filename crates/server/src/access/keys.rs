//! The issuers' keys in files and variables, read when the server starts. It does not start if they
//! cannot be read; those from the network come later ([`super::fetched`]).

use std::path::Path;
use std::sync::Arc;

use thiserror::Error;
use tidings_access::{Issuer, Key, KeyError, KeySet, Verifier};

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
    #[error("{path}: {source}")]
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
}

/// The issuers of a configuration with their keys.
///
/// # Errors
/// When the keys of one cannot be had.
pub fn load(issuers: &[IssuerConfig]) -> Result<Verifier, KeysError> {
    let with_keys = |config: &IssuerConfig| {
        let mut issuer = Issuer::new(read(&config.keys)?, config.algorithms.clone());
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
