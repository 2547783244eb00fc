//! Who sends: a key of this server's, and its signed word to each push service (VAPID, RFC 8292).
//!
//! A browser's subscription is bound to this key; with another one, push services refuse every
//! message to it. So the key is made once and lies in the data folder, for its owner alone.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};

/// How long a signed word holds, in seconds; RFC 8292, section 2, allows a day at most, and clocks
/// differ.
pub const WORD_HOLDS_S: u64 = 12 * 3_600;

/// The key's file that is being written.
const UNFINISHED: &str = "new";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
#[error("the key of Web Push, {path}: {source}")]
pub struct KeyError {
    path: String,
    source: std::io::Error,
}

/// The key pair.
pub struct VapidKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl std::fmt::Debug for VapidKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VapidKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

impl VapidKey {
    /// Reads the key from this file (PKCS #8, base64url), or makes both.
    ///
    /// # Errors
    /// When it can neither be read nor made, or is not a key. A key that cannot be read is never
    /// replaced: the subscriptions belong to it.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let wrong = |source| KeyError { path: path.display().to_string(), source };
        let random = SystemRandom::new();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
                let key = key.map_err(|_| wrong(std::io::Error::other("no randomness")))?;
                let text = URL_SAFE_NO_PAD.encode(key);
                write(path, &text).map_err(wrong)?;
                text
            }
            Err(error) => return Err(wrong(error)),
        };
        let no_key = || wrong(std::io::Error::new(ErrorKind::InvalidData, "it is not a key"));
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| no_key())?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &bytes, &random);
        Ok(Self { pair: pair.map_err(|_| no_key())?, random })
    }

    /// The public key as a page needs it (`applicationServerKey`): the uncompressed point,
    /// base64url, 87 characters.
    #[must_use]
    pub fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.pair.public_key())
    }

    /// The value of `Authorization` for requests to the push service at `origin` (RFC 8292, section
    /// 3), which holds for [`WORD_HOLDS_S`] from `now`, in seconds since 1970. `contact` is a
    /// `mailto:` or `https:` URL of whoever operates this server.
    #[must_use]
    pub fn authorization(&self, origin: &str, contact: Option<&str>, now: u64) -> String {
        let mut claims = serde_json::json!({"aud": origin, "exp": now + WORD_HOLDS_S});
        if let Some(contact) = contact {
            claims["sub"] = contact.into();
        }
        let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"JWT","alg":"ES256"}"#);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self
            .pair
            .sign(&self.random, signed.as_bytes())
            .expect("the system has randomness, as it had for the key");
        let signature = URL_SAFE_NO_PAD.encode(signature);
        format!("vapid t={signed}.{signature}, k={}", self.public())
    }
}

/// Writes the file whole or not at all.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let unfinished = path.with_extension(UNFINISHED);
    match std::fs::remove_file(&unfinished) {
        // From a start that was broken off; nobody has seen its key.
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    match path.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("push.key");
        std::fs::write(path.with_extension(UNFINISHED), "half").unwrap();
        let made = VapidKey::open(&path).unwrap().public();
        assert_eq!(made.len(), 87);
        assert_eq!(VapidKey::open(&path).unwrap().public(), made);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_key_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("push.key");
        std::fs::write(&path, "precious").unwrap();
        assert!(VapidKey::open(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
