//! The key under which those who ask are told apart, as numbers. Nobody else knows it, so nobody
//! can aim for the number of another. Where it is kept who has made a topic, it is in the data
//! folder: the numbers with the topics then mean the same after a restart, and say nothing to
//! whoever reads them without it.

use std::io::{Error, ErrorKind, Result, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ring::rand::{SecureRandom as _, SystemRandom};
use siphasher::sip::SipHasher13;

/// The file in the data folder, readable by its owner alone: 32 hexadecimal digits.
const FILE: &str = "limits.key";

/// The key, ready for use.
pub(super) struct Key(SipHasher13);

impl Key {
    /// One for as long as the process lives.
    pub(super) fn random() -> Result<Self> {
        let mut bytes = [0; 16];
        let none = |_| Error::other("the system has no randomness");
        SystemRandom::new().fill(&mut bytes).map_err(none)?;
        Ok(Self(SipHasher13::new_with_key(&bytes)))
    }

    /// The one in this folder; made if there is none.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let named = |error: Error| Error::new(error.kind(), format!("{}: {error}", path.display()));
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let key = u128::from_str_radix(text.trim(), 16).ok().filter(|_| text.len() > 32);
                let not_one = || Error::new(ErrorKind::InvalidData, "it holds no key");
                let key = key.ok_or_else(not_one).map_err(named)?;
                Ok(Self(SipHasher13::new_with_key(&key.to_be_bytes())))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = Self::random()?;
                write(&path, &key.0.key()).map_err(named)?;
                Ok(key)
            }
            Err(error) => Err(named(error)),
        }
    }

    /// The number of this name, never 0.
    pub(super) fn number(&self, name: &[u8]) -> u64 {
        self.0.hash(name).max(1)
    }
}

/// Writes the file whole or not at all.
fn write(path: &Path, key: &[u8; 16]) -> Result<()> {
    let unfinished = path.with_extension("unfinished");
    match std::fs::remove_file(&unfinished) {
        // From a start that was broken off.
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&unfinished)?;
    writeln!(file, "{:032x}", u128::from_be_bytes(*key))?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let number = |key: &Key| key.number(b"ada");
        let made = Key::open(folder.path()).unwrap();
        assert_eq!(number(&Key::open(folder.path()).unwrap()), number(&made));
        assert_ne!(number(&Key::random().unwrap()), number(&made));
        let file = folder.path().join(FILE);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        for wrong in ["", "1\n", "not a key, but as many letters as one\n"] {
            std::fs::write(&file, wrong).unwrap();
            let error = Key::open(folder.path()).err().unwrap();
            assert!(error.to_string().contains("limits.key"), "{error}");
        }
    }
}
