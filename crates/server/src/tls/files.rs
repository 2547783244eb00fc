//! The certificate from its files, and again when they change.
//!
//! New files are read whole and checked against each other first, and if they do not fit, the
//! server says so and goes on with the old ones. A certificate that is renewed file by file is
//! taken when both are there.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde_json::json;

use super::certificate::{CertificateError, Certificates};
use crate::app::App;
use crate::config::CertificateFiles;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How often files that could not be used are read again, changed or not: what was wrong may have
/// been a folder, or a disk.
const AGAIN: Duration = Duration::from_secs(60);

/// By what a change is seen: the times of the last change of what is in the file and of who may
/// read it, the file that the name leads to, its length.
type Stamp = ([(i64, i64); 2], u64, u64);

/// The two files, and how they were when they were read.
pub(super) struct Files {
    files: CertificateFiles,
    seen: Mutex<[Option<Stamp>; 2]>,
}

impl Files {
    pub(super) fn new(files: CertificateFiles) -> Self {
        Self { files, seen: Mutex::default() }
    }

    /// Reads them.
    pub(super) fn read(
        &self,
        provider: &CryptoProvider,
    ) -> Result<Arc<CertifiedKey>, CertificateError> {
        // Before they are read: what changes meanwhile is read once more.
        *self.seen.lock() = self.stamps();
        let files = &self.files;
        let file = |path: &PathBuf| path.display().to_string();
        let wrong = |path| move |source| CertificateError::File { file: file(path), source };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&files.certificate)
            .map_err(wrong(&files.certificate))?
            .collect();
        let chain = chain.map_err(wrong(&files.certificate))?;
        if chain.is_empty() {
            return Err(CertificateError::Empty { file: file(&files.certificate) });
        }
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| match error {
            pem::Error::NoItemsFound => CertificateError::NoKey { file: file(&files.key) },
            error => wrong(&files.key)(error),
        })?;
        Ok(Arc::new(CertifiedKey::from_der(chain, key, provider)?))
    }

    /// Reads them if they have changed, or could not be used a while ago. None if there is nothing
    /// to tell: a failure is told when the files have changed, and when it is another one.
    fn look(
        &self,
        provider: &CryptoProvider,
        failure: &mut Option<Failure>,
        now: Instant,
    ) -> Option<Result<Arc<CertifiedKey>, CertificateError>> {
        let changed = self.have_changed();
        if !changed && failure.as_ref().is_none_or(|failure| now < failure.at + AGAIN) {
            return None;
        }
        let read = self.read(provider);
        let before = failure.take();
        if let Err(error) = &read {
            let reason = error.to_string();
            let known = before.is_some_and(|before| before.reason == reason);
            *failure = Some(Failure { reason, at: now });
            if known && !changed {
                return None;
            }
        }
        Some(read)
    }

    /// Whether they are others than when they were read, even if they could not be used.
    fn have_changed(&self) -> bool {
        self.stamps() != *self.seen.lock()
    }

    fn stamps(&self) -> [Option<Stamp>; 2] {
        [&self.files.certificate, &self.files.key].map(|file| stamp(file))
    }
}

/// A read that failed.
struct Failure {
    reason: String,
    at: Instant,
}

/// Looks after the files for ever.
pub(super) async fn keep(app: &App, certificates: &Certificates, files: &Files) {
    let mut failure = None;
    loop {
        tokio::time::sleep(LOOK).await;
        let looked = files.look(certificates.provider(), &mut failure, Instant::now());
        let Some(looked) = looked else { continue };
        match looked {
            Ok(certificate) => {
                certificates.meters.renewed();
                certificates.show(certificate);
                tracing::info!("the certificate was read again");
                let file = files.files.certificate.display().to_string();
                app.audit.happened(app, "certificate", json!({"file": file}));
            }
            Err(error) => {
                certificates.meters.failed();
                tracing::error!(%error, "the new certificate cannot be used; the old one stays");
            }
        }
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let known = std::fs::metadata(file).ok()?;
    let times = [(known.mtime(), known.mtime_nsec()), (known.ctime(), known.ctime_nsec())];
    Some((times, known.ino(), known.len()))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use rustls::crypto::ring;

    use super::*;

    fn files(folder: &Path) -> Files {
        let path = |name: &str| folder.join(name);
        Files::new(CertificateFiles { certificate: path("certificate"), key: path("key") })
    }

    #[test]
    fn a_change_after_they_were_read_is_seen_whenever_it_is_looked_for_first() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        std::fs::write(&files.files.certificate, "one").unwrap();
        assert!(files.read(&ring::default_provider()).is_err());
        assert!(!files.have_changed());
        std::fs::write(&files.files.key, "a key").unwrap();
        assert!(files.have_changed() && files.have_changed(), "until they are read");
        assert!(files.read(&ring::default_provider()).is_err());
        assert!(!files.have_changed(), "what cannot be used is told of once");
    }

    #[test]
    fn other_rights_are_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        std::fs::write(&files.files.certificate, "one").unwrap();
        assert!(files.read(&ring::default_provider()).is_err());
        // The system's clock for files has steps.
        let change = |at: u32| {
            let mode = Permissions::from_mode(if at % 2 == 0 { 0o600 } else { 0o640 });
            std::fs::set_permissions(&files.files.certificate, mode).unwrap();
            files.have_changed()
        };
        assert!((0..1_000_000).any(change));
    }

    #[test]
    fn what_could_not_be_used_is_read_again_after_a_while_and_told_when_that_is_news() {
        let (folder, provider) = (tempfile::tempdir().unwrap(), ring::default_provider());
        let files = files(folder.path());
        // As if nothing of this could be seen from outside.
        let write = |certificate: &str, key: &str| {
            std::fs::write(&files.files.certificate, certificate).unwrap();
            std::fs::write(&files.files.key, key).unwrap();
            *files.seen.lock() = files.stamps();
        };
        let (mut failure, mut now) = (None, Instant::now());
        std::fs::write(&files.files.certificate, "broken").unwrap();
        assert!(matches!(files.look(&provider, &mut failure, now), Some(Err(_))));
        for later in [Duration::ZERO, AGAIN / 2, AGAIN] {
            let looked = files.look(&provider, &mut failure, now + later);
            assert!(looked.is_none(), "nothing new {later:?} later");
        }
        let made = rcgen::generate_simple_self_signed(["first.example".to_owned()]).unwrap();
        write(&made.cert.pem(), "broken");
        now += AGAIN;
        assert!(files.look(&provider, &mut failure, now + AGAIN / 2).is_none());
        now += AGAIN;
        assert!(matches!(files.look(&provider, &mut failure, now), Some(Err(_))), "another reason");
        write(&made.cert.pem(), &made.signing_key.serialize_pem());
        now += AGAIN;
        assert!(matches!(files.look(&provider, &mut failure, now), Some(Ok(_))));
        assert!(files.look(&provider, &mut failure, now + AGAIN).is_none(), "nothing is wrong");
    }
}
