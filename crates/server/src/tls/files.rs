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

/// How often files that could not be used are read again, though nothing about them has changed: a
/// disk's moment of weakness leaves no trace on them.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// By what a change is seen: the time of the change (also of who may read it), the file that the
/// name leads to, its length.
type Stamp = (i64, i64, u64, u64);

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

    /// Whether they are others than when they were read, even if they could not be used.
    fn have_changed(&self) -> bool {
        self.stamps() != *self.seen.lock()
    }

    fn stamps(&self) -> [Option<Stamp>; 2] {
        [&self.files.certificate, &self.files.key].map(|file| stamp(file))
    }
}

/// Looks after the files for ever.
pub(super) async fn keep(app: &App, certificates: &Certificates, files: &Files) {
    let mut failed: Option<(Instant, String)> = None;
    loop {
        tokio::time::sleep(LOOK).await;
        let is_due = failed.as_ref().is_some_and(|(when, _)| when.elapsed() >= TRY_AGAIN);
        if !is_due && !files.have_changed() {
            continue;
        }
        match files.read(certificates.provider()) {
            Ok(certificate) => {
                failed = None;
                certificates.meters.renewed();
                certificates.show(certificate);
                tracing::info!("the certificate was read again");
                let file = files.files.certificate.display().to_string();
                app.audit.happened(app, "certificate", json!({"file": file}));
            }
            Err(error) => {
                certificates.meters.failed();
                let why = error.to_string();
                // Told once, not every minute.
                if failed.is_none_or(|(_, before)| before != why) {
                    tracing::error!(%error, "the new certificate is unfit; the old one stays");
                }
                failed = Some((Instant::now(), why));
            }
        }
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let known = std::fs::metadata(file).ok()?;
    Some((known.ctime(), known.ctime_nsec(), known.ino(), known.len()))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use rustls::crypto::ring;

    use super::*;

    #[test]
    fn a_change_after_they_were_read_is_seen_whenever_it_is_looked_for_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let files = CertificateFiles { certificate: path("certificate"), key: path("key") };
        std::fs::write(&files.certificate, "one").unwrap();
        let files = Files::new(files);
        assert!(files.read(&ring::default_provider()).is_err());
        assert!(!files.have_changed());
        std::fs::write(path("key"), "a key").unwrap();
        assert!(files.have_changed() && files.have_changed(), "until they are read");
        assert!(files.read(&ring::default_provider()).is_err());
        assert!(!files.have_changed(), "what cannot be used is told of once");
        std::fs::set_permissions(path("key"), Permissions::from_mode(0o640)).unwrap();
        assert!(files.have_changed(), "who may read it may be what was wrong");
    }
}
