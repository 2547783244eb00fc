//! The certificate from its files, and again when they change.
//!
//! New files are read whole and checked against each other first, and if they do not fit, the
//! server says so and goes on with the old ones. A certificate that is renewed file by file is
//! taken when both are there.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde_json::json;

use super::certificate::{CertificateError, Certificates};
use crate::app::App;
use crate::config::CertificateFiles;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// By what a change is seen: the time of the change, the file that the name leads to, its length.
type Stamp = (i64, i64, u64, u64);

/// The two files.
pub(super) struct Files(CertificateFiles);

impl Files {
    pub(super) fn new(files: CertificateFiles) -> Self {
        Self(files)
    }

    /// Reads them.
    pub(super) fn read(
        &self,
        provider: &CryptoProvider,
    ) -> Result<Arc<CertifiedKey>, CertificateError> {
        let Self(files) = self;
        let file = |path: &PathBuf| path.display().to_string();
        let wrong = |path| move |source| CertificateError::File { file: file(path), source };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&files.certificate)
            .map_err(wrong(&files.certificate))?
            .collect();
        let chain = chain.map_err(wrong(&files.certificate))?;
        if chain.is_empty() {
            return Err(CertificateError::Empty { file: file(&files.certificate) });
        }
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(wrong(&files.key))?;
        Ok(Arc::new(CertifiedKey::from_der(chain, key, provider)?))
    }

    fn stamps(&self) -> [Option<Stamp>; 2] {
        [&self.0.certificate, &self.0.key].map(|file| stamp(file))
    }
}

/// Looks after the files for ever.
pub(super) async fn keep(app: &App, certificates: &Certificates, files: &Files) {
    let mut seen = files.stamps();
    loop {
        tokio::time::sleep(LOOK).await;
        let stamps = files.stamps();
        if stamps == seen {
            continue;
        }
        seen = stamps;
        match files.read(certificates.provider()) {
            Ok(certificate) => {
                certificates.meters.renewed();
                certificates.show(certificate, 0);
                tracing::info!("the certificate was read again");
                let file = files.0.certificate.display().to_string();
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
    Some((known.mtime(), known.mtime_nsec(), known.ino(), known.len()))
}
