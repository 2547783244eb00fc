//! The certificate that is shown, wherever it comes from.
//!
//! What is broken never replaces what works: a new one is read whole, and its parts checked against
//! each other, before it is taken. Connections that are there go on with the one that they began
//! with. Without any, handshakes are refused.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use thiserror::Error;
use tidings_relay::TlsError;
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;

use super::acme::{self, Acme, Usable};
use super::files::{self, Files};
use super::meters::Meters;
use super::x509::{self, Known};
use super::{H2, HTTP_1_1};
use crate::app::App;
use crate::config::{CertificateSource, TlsConfig};

/// After what nobody foresaw, before it is tried again.
const AFTER_PANIC: Duration = Duration::from_secs(3_600);

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
    /// The file of the key holds none.
    #[error("{file}: it holds no private key")]
    NoKey {
        /// Which.
        file: String,
    },
    /// A text is not PEM, or holds no certificate or key.
    #[error("{0}")]
    Text(rustls::pki_types::pem::Error),
    /// The two do not fit together, or hold a key of a kind that is not known.
    #[error("the certificate and its key do not fit together, or cannot be used: {0}")]
    Unfit(#[from] rustls::Error),
    /// It does not say until when it counts.
    #[error("the certificate has no dates that can be read")]
    NoDates,
    /// What is ordered cannot be kept.
    #[error("ordered certificates cannot be kept in {0}")]
    Storage(std::io::Error),
    /// The authority cannot be asked.
    #[error(transparent)]
    Client(TlsError),
}

/// The certificate that is shown at present.
pub(crate) struct Certificates {
    source: Source,
    provider: Arc<CryptoProvider>,
    present: Mutex<Present>,
    pub(crate) meters: Meters,
}

enum Source {
    Files(Files),
    Acme(Box<Acme>),
}

/// What is shown, if there is anything.
#[derive(Default)]
struct Present {
    key: Option<Arc<CertifiedKey>>,
    known: Option<Known>,
}

/// How it stands with the certificate that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is none.
    None,
    /// It has ended: who looks at that turns away.
    Ended,
    /// It counts, as far as its end is concerned.
    Counts,
}

impl Standing {
    /// At this unix time.
    pub(super) fn of(known: &Known, now: i64) -> Self {
        // The last second is part of its life (RFC 5280, section 4.1.2.5).
        if known.not_after < now { Self::Ended } else { Self::Counts }
    }
}

impl Certificates {
    /// Reads the files, or what was ordered before.
    pub(crate) fn load(config: TlsConfig, data_dir: &Path) -> Result<Arc<Self>, CertificateError> {
        let provider = Arc::new(ring::default_provider());
        let (present, meters) = (Mutex::default(), Meters::default());
        let source = match config.certificate {
            CertificateSource::Files(files) => Source::Files(Files::new(files)),
            CertificateSource::Acme(config) => {
                Source::Acme(Box::new(Acme::open(*config, data_dir)?))
            }
        };
        let own = Self { source, provider, present, meters };
        match &own.source {
            Source::Files(files) => own.show(files.read(&own.provider)?),
            Source::Acme(acme) => {
                if let Some(kept) = acme.kept(&own) {
                    own.show(kept.key);
                }
            }
        }
        Ok(Arc::new(own))
    }

    /// Reads what the configuration names, and keeps and writes nothing.
    pub(crate) fn check(config: &TlsConfig) -> Result<(), CertificateError> {
        match &config.certificate {
            CertificateSource::Files(files) => {
                Files::new(files.clone()).read(&ring::default_provider()).map(drop)
            }
            CertificateSource::Acme(config) => acme::check(config),
        }
    }

    /// What makes TLS of a connection: 1.2 or 1.3, and by ALPN HTTP/2 or HTTP/1.1.
    pub(crate) fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, CertificateError> {
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
        if let Source::Acme(_) = self.source {
            config.alpn_protocols.push(acme::PROTOCOL.to_vec());
        }
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Looks after the certificate for ever. What asks others is done in the other runtime.
    pub(crate) async fn keep(self: Arc<Self>, app: Arc<App>, asks: Handle) {
        match &self.source {
            Source::Files(files) => files::keep(&app, &self, files).await,
            Source::Acme(_) => {
                let order = || {
                    let (own, app) = (self.clone(), app.clone());
                    async move {
                        if let Source::Acme(acme) = &own.source {
                            acme::keep(&app, &own, acme).await;
                        }
                    }
                };
                // The library does not survive every answer; another certificate has to come.
                let panicked = || {
                    self.meters.failed();
                    tracing::error!(again_in = ?AFTER_PANIC, "an order of a certificate panicked");
                };
                again_after_panics(&asks, order, panicked, AFTER_PANIC).await;
            }
        }
    }

    /// Whether there is a certificate, and whether it counts.
    pub(crate) fn standing(&self) -> Standing {
        let present = self.present.lock();
        match (&present.key, &present.known) {
            (None, _) => Standing::None,
            (Some(_), None) => Standing::Counts,
            (Some(_), Some(known)) => Standing::of(known, now()),
        }
    }

    /// What answers a question of plain HTTP that is to prove a name.
    pub(crate) fn proof(&self, path: &str) -> Option<String> {
        let Source::Acme(acme) = &self.source else { return None };
        acme.challenges.text(path.strip_prefix(acme::PATH)?)
    }

    pub(super) fn provider(&self) -> &CryptoProvider {
        &self.provider
    }

    /// Shows this one from now on, which was ordered.
    pub(super) fn take(&self, usable: Usable) {
        self.meters.renewed();
        self.show(usable.key);
    }

    /// Shows this one from now on.
    pub(super) fn show(&self, key: Arc<CertifiedKey>) {
        let known = key.end_entity_cert().ok().and_then(|first| x509::read(first));
        self.meters.shows(known.as_ref().map_or(0, |known| known.not_after));
        *self.present.lock() = Present { key: Some(key), known };
        if self.standing() == Standing::Ended {
            tracing::error!("the certificate has ended; it is shown for want of another");
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Source::Acme(acme) = &self.source {
            // Whoever asks for this alone is the authority (RFC 8737, section 3).
            let mut asked = hello.alpn().into_iter().flatten().peekable();
            if asked.peek().is_some() && asked.all(|protocol| protocol == acme::PROTOCOL) {
                return acme.challenges.handshake(hello.server_name());
            }
        }
        self.present.lock().key.clone()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the key.
        out.debug_struct("Certificates").finish_non_exhaustive()
    }
}

/// Does this until it is done, and begins again a while after each time that it panicked.
async fn again_after_panics<T>(
    runtime: &Handle,
    task: impl Fn() -> T,
    panicked: impl Fn(),
    pause: Duration,
) where
    T: Future<Output = ()> + Send + 'static,
{
    while runtime.spawn(task()).await.is_err_and(|error| error.is_panic()) {
        panicked();
        tokio::time::sleep(pause).await;
    }
}

/// Unix time.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A certificate, what stands behind it, and its key, from PEM.
pub(super) fn from_pem(
    chain: &[u8],
    key: &[u8],
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, CertificateError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let key = PrivateKeyDer::from_pem_slice(key).map_err(CertificateError::Text)?;
    let chain = chain.map_err(CertificateError::Text)?;
    if chain.is_empty() {
        return Err(CertificateError::Text(rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(Arc::new(CertifiedKey::from_der(chain, key, provider)?))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn what_panics_is_begun_again_and_what_ends_is_not() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (begun, panics) = (Arc::new(AtomicU32::new(0)), AtomicU32::new(0));
        let task = || {
            let begun = begun.clone();
            async move {
                assert_eq!(begun.fetch_add(1, Ordering::Relaxed), 2, "a panic of the test");
            }
        };
        let panicked = || _ = panics.fetch_add(1, Ordering::Relaxed);
        let pause = Duration::from_millis(1);
        runtime.block_on(again_after_panics(runtime.handle(), task, panicked, pause));
        assert_eq!((begun.load(Ordering::Relaxed), panics.load(Ordering::Relaxed)), (3, 2));
    }

    #[test]
    fn a_certificate_counts_to_its_last_second() {
        let known = Known { not_before: 100, not_after: 200, serial: Vec::new(), authority: None };
        let at = |now| Standing::of(&known, now);
        assert_eq!((at(200), at(201)), (Standing::Counts, Standing::Ended));
    }
}
