//! Certificates that the server gets by itself (ACME, RFC 8555).
//!
//! One task looks after them: it orders the first one, renews it when two thirds of its life are
//! over, and goes on with the old one for as long as that does not work. What it has is kept below
//! the data folder, so that a restart orders nothing. No connection waits for it. What comes next,
//! and when, is decided in one place, by a [plan](plan::Plan).

mod challenges;
mod directory;
mod order;
mod plan;
mod schedule;
mod storage;

use std::collections::BTreeSet;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use tidings_relay::fetch::Client;

use super::certificate::{CertificateError, Certificates, Standing, now};
use crate::app::{App, scatter};
use crate::config::AcmeConfig;
use directory::Directory;
use order::{OrderError, Orders};
use plan::{Next, Plan};
use storage::Storage;

pub(super) use order::Usable;

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
    plan: Mutex<Plan>,
    pub(super) challenges: Challenges,
}

impl Acme {
    /// Sees whether all is there that an order needs.
    pub(super) fn open(
        config: AcmeConfig,
        data_dir: &std::path::Path,
    ) -> Result<Self, CertificateError> {
        let storage = Storage::open(data_dir).map_err(CertificateError::Storage)?;
        let client = client(&config)?;
        let plan = Mutex::new(Plan::new(&config, storage.attempt()));
        Ok(Self { config, storage, client, plan, challenges: Challenges::default() })
    }

    /// The certificate that was kept, to be shown until there is another.
    pub(super) fn kept(&self, certificates: &Certificates) -> Option<Usable> {
        let kept = self.storage.certificate()?;
        match order::usable(&kept, certificates.provider()) {
            Ok(usable) => {
                let directory = self.config.directory.to_string();
                let wanted =
                    kept.directory == directory && same_names(&kept.domains, &self.config.domains);
                self.plan.lock().shows(usable.known.clone(), wanted);
                Some(usable)
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

/// Sees whether the authority could be asked.
pub(super) fn check(config: &AcmeConfig) -> Result<(), CertificateError> {
    client(config).map(drop)
}

/// What asks the authority.
fn client(config: &AcmeConfig) -> Result<Client, CertificateError> {
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
    client.map_err(CertificateError::Client)
}

/// Whether a certificate for the one is one for the other.
fn same_names(one: &[String], other: &[String]) -> bool {
    let set = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
    set(one) == set(other)
}

/// Looks after the certificate for ever.
pub(super) async fn keep(app: &App, certificates: &Certificates, acme: &Acme) {
    let Acme { config, storage, client, plan, challenges } = acme;
    let directory = Directory::new(client.clone(), config.directory.clone());
    let provider = certificates.provider();
    let orders = Orders { config, storage, challenges, provider, directory: &directory };
    tell_of_patience(acme);
    loop {
        let next = plan.lock().next(now());
        match next {
            Next::Wait(time) => tokio::time::sleep(time).await,
            Next::Ask => {
                let known = plan.lock().wanted().cloned();
                let Some(known) = known else { continue };
                let advice = orders.advice(&known).await;
                // Who refuses advice asks for patience with questions, not with orders.
                directory.wait();
                plan.lock().advised(now(), advice);
            }
            Next::Order => match order(app, certificates, acme, &orders).await {
                Ok(()) => {
                    plan.lock().succeeded();
                    if let Err(error) = storage.forget_attempt() {
                        let file = storage.attempt_file();
                        tracing::warn!(file = %file.display(), %error, "it cannot be removed");
                    }
                }
                Err(error) => failed(app, certificates, acme, &error, directory.wait()),
            },
        }
    }
}

/// One attempt, which is noted before anybody is asked: it counts also if the process ends in it.
async fn order(
    app: &App,
    certificates: &Certificates,
    acme: &Acme,
    orders: &Orders<'_>,
) -> Result<(), OrderError> {
    let Acme { config, storage, plan, .. } = acme;
    let (turn, attempt) = {
        let mut plan = plan.lock();
        (plan.turn(), plan.begins(now(), scatter(app.hub.now_ms())).clone())
    };
    storage.keep_attempt(&attempt).and_then(|()| storage.has_room()).map_err(OrderError::Keep)?;
    let placed = tokio::time::timeout(ORDER_TIME, orders.place(&turn)).await;
    let usable = placed.unwrap_or(Err(OrderError::Late(ORDER_TIME)))?;
    let (known, ends) = (usable.known.clone(), usable.known.not_after);
    told(app, config, &usable);
    certificates.take(usable);
    let mut plan = plan.lock();
    plan.shows(known, true);
    // It is shown all the same: it may be this machine's clock.
    if plan.due() <= now() {
        return Err(OrderError::Spent { ends });
    }
    Ok(())
}

/// Notes and tells when it is tried again. `asked` is how long the authority asks to wait.
fn failed(
    app: &App,
    certificates: &Certificates,
    acme: &Acme,
    error: &OrderError,
    asked: Option<Duration>,
) {
    let (now, dice) = (now(), scatter(app.hub.now_ms()));
    let asked = error.asked().or(asked);
    let attempt = acme.plan.lock().failed(now, error.failed(), asked, dice).cloned();
    let Some(attempt) = attempt else { return };
    complain(app, &acme.config, certificates, error, attempt.left(now));
    if let Err(error) = acme.storage.keep_attempt(&attempt) {
        let file = acme.storage.attempt_file();
        tracing::warn!(file = %file.display(), %error, "a restart will not know of this attempt");
    }
}

/// Says why nothing happens for now, when the process before has failed.
fn tell_of_patience(acme: &Acme) {
    let again_in = {
        let (mut plan, now) = (acme.plan.lock(), now());
        if plan.due() > now { Duration::ZERO } else { plan.patience(now) }
    };
    if again_in > Duration::ZERO {
        let file = acme.storage.attempt_file();
        tracing::warn!(
            ?again_in,
            file = %file.display(),
            "the last order of a certificate failed; without the file a restart tries at once"
        );
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
    let left = match certificates.standing() {
        Standing::None => "there is none",
        Standing::Ended => "the one that is shown has ended",
        Standing::Counts => "the one that is shown stays",
    };
    tracing::error!(%domains, %error, again_in = ?wait, "an order of a certificate failed; {left}");
    let more = json!({
        "domains": config.domains, "error": error.to_string(), "again_in_s": wait.as_secs(),
    });
    app.audit.happened(app, "certificate-failed", more);
}

#[cfg(test)]
mod tests {
    use super::same_names;

    #[test]
    fn the_order_of_names_is_no_change() {
        let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let both = names(&["a.example", "b.example"]);
        assert!(same_names(&both, &names(&["b.example", "a.example"])));
        for other in [&["a.example"][..], &["a.example", "c.example"], &[]] {
            assert!(!same_names(&both, &names(other)) && !same_names(&names(other), &both));
        }
    }
}
