//! What lets somebody read or stop an answer: a signed text that was given to whoever asked for it.
//!
//! An answer's topic has a name that cannot be guessed; a capability adds what a name cannot say,
//! which right it gives and until when. It is checked without looking anything up, so it also holds
//! after a restart. The key is made once and kept in the data folder, for its owner alone.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

/// Bytes of the key: as many as the hash has (RFC 2104, section 3).
const KEY_BYTES: usize = 32;

/// Bytes of an answer's name before it is text: 128 bits of the system's randomness.
const NAME_BYTES: usize = 16;

/// What a capability is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Reading the answer, from any position, as often as one likes.
    Read,
    /// Stopping it.
    Stop,
}

impl Right {
    fn letter(self) -> &'static str {
        match self {
            Self::Read => "r",
            Self::Stop => "s",
        }
    }
}

/// Why the key cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("the key of capabilities, {path}: {source}")]
pub struct KeyError {
    path: String,
    source: std::io::Error,
}

/// Makes and checks capabilities, and the names and fingerprints that must not be guessable.
pub struct Capabilities {
    key: hmac::Key,
    random: SystemRandom,
}

impl std::fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Capabilities").finish_non_exhaustive()
    }
}

impl Capabilities {
    /// Reads the key from this file, or makes it.
    ///
    /// # Errors
    /// When it can neither be read nor made, or is not a key.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let wrong = |source| KeyError { path: path.display().to_string(), source };
        let random = SystemRandom::new();
        let mut key = [0_u8; KEY_BYTES];
        let new = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        match new {
            Ok(mut file) => {
                let unavailable = |_| std::io::Error::other("no randomness");
                random.fill(&mut key).map_err(unavailable).map_err(wrong)?;
                file.write_all(&key).and_then(|()| file.sync_all()).map_err(wrong)?;
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let mut file = std::fs::File::open(path).map_err(wrong)?;
                file.read_exact(&mut key).map_err(wrong)?;
            }
            Err(error) => return Err(wrong(error)),
        }
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key), random })
    }

    /// A new name: 22 characters of `[A-Za-z0-9_-]`.
    #[must_use]
    pub fn new_name(&self) -> String {
        let mut name = [0_u8; NAME_BYTES];
        self.random.fill(&mut name).expect("the system has randomness, as it had for the key");
        URL_SAFE_NO_PAD.encode(name)
    }

    /// A capability for the answer of this name, until a time in seconds since 1970.
    #[must_use]
    pub fn sign(&self, answer: &str, right: Right, until: u64) -> String {
        let mac = hmac::sign(&self.key, message(answer, right, until).as_bytes());
        format!("{}.{until:x}.{}", right.letter(), URL_SAFE_NO_PAD.encode(mac))
    }

    /// Whether `capability` gives this right to the answer now, in seconds since 1970.
    #[must_use]
    pub fn allows(&self, capability: &str, answer: &str, right: Right, now: u64) -> bool {
        let mut parts = capability.split('.');
        let (Some(letter), Some(until), Some(mac), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        let (Ok(until), Ok(mac)) = (u64::from_str_radix(until, 16), URL_SAFE_NO_PAD.decode(mac))
        else {
            return false;
        };
        letter == right.letter()
            && now <= until
            && hmac::verify(&self.key, message(answer, right, until).as_bytes(), &mac).is_ok()
    }

    /// A name for what must be told apart and not be stored: who asks, and what. 22 characters.
    #[must_use]
    pub fn fingerprint(&self, parts: &[&[u8]]) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        URL_SAFE_NO_PAD.encode(&context.sign().as_ref()[..NAME_BYTES])
    }
}

/// What is signed. The first word keeps it apart from everything else that the key is used for.
fn message(answer: &str, right: Right, until: u64) -> String {
    format!("capability\n{answer}\n{}\n{until:x}", right.letter())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_one_right_to_one_answer_for_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = Capabilities::open(&path).unwrap();
        let token = made.sign("a", Right::Read, 1_000);
        let again = Capabilities::open(&path).unwrap();
        for (answer, right, now, allowed) in [
            ("a", Right::Read, 1_000, true),
            ("a", Right::Read, 1_001, false),
            ("a", Right::Stop, 1_000, false),
            ("b", Right::Read, 1_000, false),
        ] {
            assert_eq!(again.allows(&token, answer, right, now), allowed, "{answer} {right:?}");
        }
        for forged in [
            token.replacen('r', "s", 1),
            token.replacen("3e8", "3e9", 1),
            token[..token.len() - 1].to_owned(),
            format!("{token}."),
            String::new(),
            "r.x.y".to_owned(),
        ] {
            assert!(!again.allows(&forged, "a", Right::Read, 1_000), "{forged}");
            assert!(!again.allows(&forged, "a", Right::Stop, 1_000), "{forged}");
        }
        let other = Capabilities::open(&folder.path().join("other")).unwrap();
        assert!(!other.allows(&token, "a", Right::Read, 1_000));
    }

    #[test]
    fn keeps_its_key_to_its_owner() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        Capabilities::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, b"short").unwrap();
        assert!(Capabilities::open(&path).is_err());
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let made = Capabilities::open(&folder.path().join("key")).unwrap();
        assert_ne!(made.fingerprint(&[b"ab", b"c"]), made.fingerprint(&[b"a", b"bc"]));
        assert_ne!(made.new_name(), made.new_name());
    }
}
