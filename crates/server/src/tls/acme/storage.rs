//! What outlives the process, in a folder of its own below the data folder: the account, the
//! certificate with its key, and the last attempt if it did not succeed.
//!
//! Each is one file that only the server's user can read, and that is there whole or not at all:
//! written beside, made to last, and renamed. A file that cannot be read is told of and as good as
//! none.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use instant_acme::AccountCredentials;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::plan::Attempt;

/// The folder's name.
const FOLDER: &str = "acme";

const ACCOUNT: &str = "account.json";
const CERTIFICATE: &str = "certificate.json";
const ATTEMPT: &str = "attempt.json";
const PROBE: &str = "probe";

/// Bytes that have to find room before anything is ordered: more than a certificate with its chain
/// and its key.
const PROBE_BYTES: usize = 32 << 10;

/// Most bytes of a file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// An account as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptAccount {
    /// The directory of the authority that knows it.
    pub(super) directory: String,
    /// The account of the authority's own that it was bound to when it was made.
    #[serde(default)]
    pub(super) external: Option<String>,
    /// What the authority was told last.
    pub(super) contact: Vec<String>,
    /// Its name and its key.
    pub(super) credentials: AccountCredentials,
}

/// A certificate as it is kept.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptCertificate {
    /// The directory of the authority that has issued it.
    pub(super) directory: String,
    /// The names that it was ordered for.
    pub(super) domains: Vec<String>,
    /// The certificate and what stands behind it, in PEM.
    pub(super) chain: String,
    /// Its key, in PEM.
    pub(super) key: String,
}

/// The folder.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    folder: PathBuf,
}

impl Storage {
    /// Makes the folder if there is none, and sees whether it can be written to.
    ///
    /// # Errors
    /// When it cannot.
    pub(crate) fn open(data_dir: &Path) -> io::Result<Self> {
        let folder = data_dir.join(FOLDER);
        let told = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", folder.display()))
        };
        DirBuilder::new().recursive(true).mode(0o700).create(data_dir).map_err(told)?;
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                fs::set_permissions(&folder, Permissions::from_mode(0o700)).map_err(told)?;
            }
            made => made.map_err(told)?,
        }
        let storage = Self { folder: folder.clone() };
        // A full disk is no reason not to show what is kept.
        storage.try_to_keep(0).map_err(told)?;
        Ok(storage)
    }

    /// Sees whether what is about to be ordered can be kept.
    ///
    /// # Errors
    /// When it cannot.
    pub(super) fn has_room(&self) -> io::Result<()> {
        self.try_to_keep(PROBE_BYTES)
    }

    fn try_to_keep(&self, bytes: usize) -> io::Result<()> {
        self.write(PROBE, &vec![b' '; bytes])?;
        fs::remove_file(self.folder.join(PROBE))
    }

    pub(super) fn account(&self) -> Option<KeptAccount> {
        self.read(ACCOUNT)
    }

    /// # Errors
    /// When it cannot be written.
    pub(super) fn keep_account(&self, account: &KeptAccount) -> io::Result<()> {
        self.write(ACCOUNT, &serde_json::to_vec_pretty(account)?)
    }

    pub(super) fn certificate(&self) -> Option<KeptCertificate> {
        self.read(CERTIFICATE)
    }

    /// # Errors
    /// When it cannot be written.
    pub(super) fn keep_certificate(&self, certificate: &KeptCertificate) -> io::Result<()> {
        self.write(CERTIFICATE, &serde_json::to_vec_pretty(certificate)?)
    }

    pub(super) fn attempt(&self) -> Option<Attempt> {
        self.read(ATTEMPT)
    }

    /// # Errors
    /// When it cannot be written.
    pub(super) fn keep_attempt(&self, attempt: &Attempt) -> io::Result<()> {
        self.write(ATTEMPT, &serde_json::to_vec_pretty(attempt)?)
    }

    /// # Errors
    /// When it cannot be removed.
    pub(super) fn forget_attempt(&self) -> io::Result<()> {
        match fs::remove_file(self.attempt_file()) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// For messages about what is in it.
    pub(super) fn attempt_file(&self) -> PathBuf {
        self.folder.join(ATTEMPT)
    }

    /// For messages about what is in it.
    pub(super) fn account_file(&self) -> PathBuf {
        self.folder.join(ACCOUNT)
    }

    /// For messages about what is in it.
    pub(super) fn certificate_file(&self) -> PathBuf {
        self.folder.join(CERTIFICATE)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let path = self.folder.join(name);
        let read = || -> io::Result<T> {
            let mut text = Vec::new();
            File::open(&path)?.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
            // The parser's own words could show what is in the file, which is a secret.
            let broken = |_| io::Error::other("it is not what the server has written");
            serde_json::from_slice(&text).map_err(broken)
        };
        match read() {
            Ok(value) => Some(value),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                let file = path.display();
                tracing::error!(%file, %error, "a kept file cannot be used and will be replaced");
                None
            }
        }
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let (path, beside) = (self.folder.join(name), self.folder.join(format!("{name}.new")));
        // One that was left behind may be open to others.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => removed?,
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(domain: &str) -> KeptCertificate {
        let text = |text: &str| text.to_owned();
        KeptCertificate {
            directory: text("https://ca.example/"),
            domains: vec![text(domain)],
            chain: text("CHAIN"),
            key: text("KEY"),
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_kept_is_for_the_server_s_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/acme");
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        // What a crash may have left behind.
        fs::write(path.join("certificate.json.new"), "half").unwrap();
        let storage = Storage::open(&folder.path().join("data")).unwrap();
        storage.keep_certificate(&certificate("a.example")).unwrap();
        assert_eq!((mode(&path), mode(&storage.certificate_file())), (0o700, 0o600));
        let names: Vec<_> =
            fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["certificate.json"]);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_a_garbled_one_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(folder.path()).unwrap();
        assert!(storage.certificate().is_none() && storage.account().is_none());
        storage.keep_certificate(&certificate("long.example.com")).unwrap();
        // Who has it open reads the old one to its end.
        let mut old = File::open(storage.certificate_file()).unwrap();
        storage.keep_certificate(&certificate("b")).unwrap();
        assert_eq!(storage.certificate().unwrap().domains, ["b"]);
        let mut text = String::new();
        old.read_to_string(&mut text).unwrap();
        assert!(text.contains("long.example.com"));
        for garbled in ["", "{", "{}", "null", "\u{0}\u{1}"] {
            fs::write(storage.certificate_file(), garbled).unwrap();
            assert!(storage.certificate().is_none(), "{garbled}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("acme"), "a file").unwrap();
        let error = Storage::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("acme: "), "{error}");
    }
}
