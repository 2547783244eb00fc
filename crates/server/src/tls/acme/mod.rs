//! Certificates that the server gets by itself (ACME, RFC 8555).
//!
//! One task looks after them: it orders the first one, renews it when two thirds of its life are
//! over, and goes on with the old one for as long as that does not work. What it has is kept below
//! the data folder, so that a restart orders nothing. No connection waits for it.

mod challenges;
mod directory;
mod order;
mod schedule;
mod storage;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use tidings_relay::fetch::Client;

use super::certificate::{CertificateError, Certificates};
use crate::app::{App, scatter};
use crate::config::AcmeConfig;
use directory::Directory;
use order::{OrderError, Orders};
use storage::Storage;

pub(super) use order::Usable;
pub(super) use schedule::renewal;

pub(crate) use challenges::{Challenges, PATH};

/// What ALPN calls a handshake that proves a name (RFC 8737, section 6.2).
pub(super) const PROTOCOL: &[u8] = b"acme-tls/1";

/// How long an order may take in all.
const ORDER_TIME: Duration = Duration::from_secs(900);

/// What the task works with.
pub(crate) struct Acme {
    config: AcmeConfig,
    storage: Storage,
    client: Client,
    pub(super) challenges: Challenges,
}

impl Acme {
    /// Sees whether all is there that an order needs.
    pub(super) fn open(
        config: AcmeConfig,
        data_dir: &std::path::Path,
    ) -> Result<Self, CertificateError> {
        let storage = Storage::open(data_dir).map_err(CertificateError::Storage)?;
        let client = match &config.directory_ca {
            None => Client::new(true),
            Some(path) => {
                let file = path.display().to_string();
                let wrong = |source| CertificateError::File { file: file.clone(), source };
                let roots = CertificateDer::pem_file_iter(path).map_err(wrong)?;
                let roots = roots.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
                if roots.is_empty() {
                    return Err(CertificateError::Empty { file });
                }
                Client::trusting(roots)
            }
        };
        let client = client.map_err(CertificateError::Client)?;
        Ok(Self { config, storage, client, challenges: Challenges::default() })
    }

    /// The certificate that was kept, and whether it is still the one that is wanted.
    pub(super) fn kept(&self, certificates: &Certificates) -> Option<(Usable, bool)> {
        let kept = self.storage.certificate()?;
        match order::usable(&kept, certificates.provider()) {
            Ok(usable) => {
                let directory = self.config.directory.to_string();
                let wanted = kept.directory == directory && kept.domains == self.config.domains;
                Some((usable, wanted))
            }
            Err(error) => {
                let file = self.storage.certificate_file();
                let file = file.display();
                tracing::error!(%file, %error, "the kept certificate cannot be used");
                None
            }
        }
    }
}

/// Looks after the certificate for ever.
pub(super) async fn keep(app: &App, certificates: &Certificates, acme: &Acme) {
    let Acme { config, storage, client, challenges } = acme;
    let directory = Directory::new(client.clone(), config.directory.clone());
    let provider = certificates.provider();
    let orders = Orders { config, storage, challenges, provider, directory: &directory };
    let mut failures = 0;
    loop {
        until_due(certificates, &orders, config.pace.look).await;
        let placed = tokio::time::timeout(ORDER_TIME, orders.place());
        match placed.await.unwrap_or(Err(OrderError::Late(ORDER_TIME))) {
            Ok(usable) => {
                failures = 0;
                told(app, config, &usable);
                certificates.take(usable);
                if certificates.present().1 <= now() {
                    // It is short: the next one is not ordered without a pause.
                    tokio::time::sleep(config.pace.refused).await;
                }
            }
            Err(error) => {
                failures += 1;
                let dice = scatter(app.hub.now_ms());
                let (failed, asked) = (error.failed(), directory.wait());
                let wait = schedule::wait(failures, failed, asked, &config.pace, dice);
                complain(app, config, certificates, &error, wait);
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// Returns when there is to be another certificate, also if the clock is set meanwhile, or if the
/// authority wants it sooner.
async fn until_due(certificates: &Certificates, orders: &Orders<'_>, look: Duration) {
    let (known, mut due) = certificates.present();
    loop {
        let Ok(left @ 1..) = u64::try_from(due.saturating_sub(now())) else { return };
        tokio::time::sleep(Duration::from_secs(left).min(look)).await;
        let Some(known) = &known else { continue };
        if let Some(window) = orders.advice(known).await {
            due = due.min(schedule::within(window, known));
        }
    }
}

fn told(app: &App, config: &AcmeConfig, usable: &Usable) {
    let (domains, expires) = (config.domains.join(", "), usable.known.not_after);
    tracing::info!(%domains, expires, "there is a new certificate");
    app.audit.happened(app, "certificate", json!({"domains": config.domains, "expires": expires}));
}

fn complain(
    app: &App,
    config: &AcmeConfig,
    certificates: &Certificates,
    error: &OrderError,
    wait: Duration,
) {
    certificates.meters.failed();
    let domains = config.domains.join(", ");
    let left = if certificates.is_there() { "the old one stays" } else { "there is none" };
    tracing::error!(%domains, %error, again_in = ?wait, "no new certificate; {left}");
    let more = json!({
        "domains": config.domains, "error": error.to_string(), "again_in_s": wait.as_secs(),
    });
    app.audit.happened(app, "certificate-failed", more);
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
