//! The certificate: from its files, and again when they change.
//!
//! What is broken never replaces what works: new files are read whole and checked against each
//! other first, and if they do not fit, the server says so and goes on with the old ones. A
//! certificate that is renewed file by file is taken when both are there.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use super::{H2, HTTP_1_1};
use crate::config::TlsConfig;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Why a certificate cannot be used.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// A file cannot be read, or is not PEM.
    #[error("{file}: {source}")]
    File {
        /// Which.
        file: String,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
    /// The file of the certificate holds none.
    #[error("{file}: it holds no certificate")]
    Empty {
        /// Which.
        file: String,
    },
    /// The two files do not fit together, or hold a key of a kind that is not known.
    #[error("the certificate and its key: {0}")]
    Unfit(#[from] rustls::Error),
}

/// The certificate that is shown at present.
pub(crate) struct Certificates {
    files: TlsConfig,
    provider: Arc<CryptoProvider>,
    present: Mutex<Arc<CertifiedKey>>,
}

/// By what a change is seen: the time of the change, the file that the name leads to, its length.
type Stamp = (i64, i64, u64, u64);

impl Certificates {
    /// Reads the files.
    pub(crate) fn load(files: TlsConfig) -> Result<Arc<Self>, CertificateError> {
        let provider = Arc::new(ring::default_provider());
        let present = Mutex::new(read(&files, &provider)?);
        Ok(Arc::new(Self { files, provider, present }))
    }

    /// What makes TLS of a connection: 1.2 or 1.3, and by ALPN HTTP/2 or HTTP/1.1.
    pub(crate) fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, CertificateError> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Looks after the files for ever.
    pub(crate) async fn keep(&self) {
        let mut seen = self.stamps();
        loop {
            tokio::time::sleep(LOOK).await;
            let stamps = self.stamps();
            if stamps != seen {
                seen = stamps;
                self.reload();
            }
        }
    }

    fn reload(&self) {
        match read(&self.files, &self.provider) {
            Ok(certificate) => {
                *self.present.lock() = certificate;
                tracing::info!("the certificate was read again");
            }
            Err(error) => {
                tracing::error!(%error, "the new certificate cannot be used; the old one stays");
            }
        }
    }

    fn stamps(&self) -> [Option<Stamp>; 2] {
        [&self.files.certificate, &self.files.key].map(|file| stamp(file))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.present.lock().clone())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the key.
        out.debug_struct("Certificates").field("files", &self.files).finish_non_exhaustive()
    }
}

fn stamp(file: &Path) -> Option<Stamp> {
    let known = std::fs::metadata(file).ok()?;
    Some((known.mtime(), known.mtime_nsec(), known.ino(), known.len()))
}

fn read(
    files: &TlsConfig,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, CertificateError> {
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
