//! One order, from the account to the certificate (RFC 8555, section 7.1).

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, ExternalAccountKey,
    Identifier, NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{Der, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use super::challenges::{self, Challenges, ProofError};
use super::directory::{AskError, Directory};
use super::plan::{Advice, Turn};
use super::schedule::Failed;
use super::storage::{KeptAccount, KeptCertificate, Storage};
use crate::config::{AcmeConfig, Challenge};
use crate::tls::certificate::{self, CertificateError};
use crate::tls::x509::{self, Known};

/// How often the authority is asked whether it is done, and how long it may take over each step.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(180));

/// Most characters of what an authority says that are told.
const TOLD_CHARS_MAX: usize = 600;

/// What an authority says of an account that it does not know (any more).
const NO_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// What it says of one that may not order (any more).
const UNAUTHORIZED: &str = "urn:ietf:params:acme:error:unauthorized";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    /// The authority was not reached, or has refused.
    #[error("{}", told(.0))]
    Acme(#[from] Error),
    /// It does not let the kept account order.
    #[error("{}; should it be for the account, which is kept in {file}: without that file the \
        next order makes a new one", told(.source))]
    Account {
        /// What it says.
        source: Error,
        /// Where the account is kept.
        file: String,
    },
    /// It has taken the order, and what it has issued did not come. To order anew at once would
    /// use up what it issues.
    #[error(
        "the authority has taken the order, and the certificate could not be fetched: {}",
        told(.0)
    )]
    Lost(Error),
    /// It did not accept a name's proof.
    #[error("the authority could not make sure of the names: {0}")]
    NotProven(String),
    /// It wants a proof that the server cannot give, or was not told to give.
    #[error(
        "the authority offers no way to prove {name} that `challenge` names (it offers {offers})"
    )]
    NoChallenge {
        /// What is to be proven.
        name: String,
        /// How it could be.
        offers: String,
    },
    /// It asks about something else.
    #[error("the authority asks to prove a name that was not ordered")]
    Foreign,
    /// A proof cannot be made.
    #[error("a proof cannot be made: {0}")]
    Proof(#[from] ProofError),
    /// What it has issued cannot be used.
    #[error("what the authority has issued cannot be used: {0}")]
    Unfit(#[from] CertificateError),
    /// It has issued something else.
    #[error("the authority has issued a certificate that is not for {0}")]
    Other(String),
    /// What would be issued could not be kept.
    #[error("nothing was ordered, because it could not be kept: {0}")]
    Keep(io::Error),
    /// What it has issued is due for renewal already.
    #[error(
        "the new certificate ends at {ends} (unix time), so it is due for renewal already; see \
         whether the clock of this machine is right"
    )]
    Spent {
        /// When it ends.
        ends: i64,
    },
    /// It took too long.
    #[error("the order was not done within {0:?}")]
    Late(Duration),
}

impl OrderError {
    /// How long the authority asks to wait, if it was no refusal that asks so.
    pub(super) fn asked(&self) -> Option<Duration> {
        match self {
            Self::Acme(Error::Timeout(Some(until))) | Self::Lost(Error::Timeout(Some(until))) => {
                Some(until.saturating_duration_since(Instant::now()))
            }
            _ => None,
        }
    }

    pub(super) fn failed(&self) -> Failed {
        match self {
            Self::Acme(Error::Other(error)) => match error.downcast_ref() {
                Some(AskError::Fetch(_) | AskError::Status { status: 500.., .. }) => {
                    Failed::Unreachable
                }
                _ => Failed::Refused,
            },
            Self::NotProven(_) => Failed::NotProven,
            Self::Keep(_) => Failed::Unreachable,
            _ => Failed::Refused,
        }
    }
}

/// What the authority says, without what would break a line or fill the log.
fn told(error: &Error) -> String {
    let what = match error {
        Error::Json(_) => "the authority's answer is not one of ACME".to_owned(),
        error => error.to_string(),
    };
    tame(&what)
}

fn tame(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TOLD_CHARS_MAX).collect()
}

/// A certificate that can be shown.
pub(in crate::tls) struct Usable {
    pub(in crate::tls) key: Arc<CertifiedKey>,
    pub(in crate::tls) known: Known,
}

/// Reads what is kept, or was just issued, as far as it can be used.
pub(super) fn usable(
    kept: &KeptCertificate,
    provider: &CryptoProvider,
) -> Result<Usable, OrderError> {
    let key = certificate::from_pem(kept.chain.as_bytes(), kept.key.as_bytes(), provider)?;
    let first = key.end_entity_cert().map_err(CertificateError::from)?;
    let known = x509::read(first).ok_or(CertificateError::NoDates)?;
    let parsed = ParsedCertificate::try_from(first).map_err(CertificateError::from)?;
    for domain in &kept.domains {
        let name = ServerName::try_from(domain.as_str());
        let covers = name.map(|name| rustls::client::verify_server_name(&parsed, &name));
        if !matches!(covers, Ok(Ok(()))) {
            return Err(OrderError::Other(domain.clone()));
        }
    }
    Ok(Usable { key, known })
}

/// What an order needs.
pub(super) struct Orders<'a> {
    pub(super) config: &'a AcmeConfig,
    pub(super) storage: &'a Storage,
    pub(super) challenges: &'a Challenges,
    pub(super) provider: &'a CryptoProvider,
    pub(super) directory: &'a Directory,
}

impl Orders<'_> {
    /// Orders a certificate and keeps it. Afterwards nothing is left to prove, however it ends.
    pub(super) async fn place(&self, turn: &Turn) -> Result<Usable, OrderError> {
        struct Cleared<'a>(&'a Challenges);
        impl Drop for Cleared<'_> {
            fn drop(&mut self) {
                self.0.clear();
            }
        }
        let _cleared = Cleared(self.challenges);
        let mut order = self.begin(turn).await?;
        self.prove(&mut order, turn).await?;
        let key = order.finalize().await?;
        let chain = order.poll_certificate(&PATIENCE).await.map_err(OrderError::Lost)?;
        let (directory, domains) = (self.config.directory.to_string(), self.config.domains.clone());
        let kept = KeptCertificate { directory, domains, chain, key };
        let usable = usable(&kept, self.provider)?;
        if let Err(error) = self.storage.keep_certificate(&kept) {
            // Thrown away it would be ordered anew, until the authority gives no more of them.
            tracing::error!(%error, "a new certificate is in use, and a restart orders another");
        }
        Ok(usable)
    }

    /// When the authority wants the certificate to be renewed (RFC 9773); none if it does not say,
    /// for whatever reason.
    pub(super) async fn advice(&self, known: &Known) -> Option<Advice> {
        let id = identifier(known)?;
        let account = self.kept_account().await.ok()??;
        match account.renewal_info(&id).await {
            Ok((told, again)) => {
                let window = told.suggested_window;
                let window = (window.start.unix_timestamp(), window.end.unix_timestamp());
                Some(Advice { window, again })
            }
            Err(Error::Unsupported(_)) => None,
            Err(error) => {
                tracing::debug!(error = told(&error), "no advice on renewal");
                None
            }
        }
    }

    /// A new order, of an account that the authority knows.
    async fn begin(&self, turn: &Turn) -> Result<Order, OrderError> {
        let names: Vec<_> = self.config.domains.iter().cloned().map(Identifier::Dns).collect();
        if let Some(account) = self.kept_account().await? {
            let replaces = turn.replaces.as_ref().and_then(identifier);
            match self.order(&account, &names, replaces).await {
                Err(Error::Api(problem)) if problem.r#type.as_deref() == Some(NO_ACCOUNT) => {
                    tracing::warn!("the authority does not know the account; it gets a new one");
                }
                Err(Error::Api(problem)) if problem.r#type.as_deref() == Some(UNAUTHORIZED) => {
                    let file = self.storage.account_file().display().to_string();
                    return Err(OrderError::Account { source: Error::Api(problem), file });
                }
                begun => {
                    let begun = begun?;
                    self.tell_contact(&account).await;
                    return Ok(begun);
                }
            }
        }
        Ok(self.order(&self.new_account().await?, &names, None).await?)
    }

    /// `replaces` is left out for an authority that gives no advice on renewal (RFC 9773, section
    /// 5).
    async fn order(
        &self,
        account: &Account,
        names: &[Identifier],
        replaces: Option<CertificateIdentifier<'_>>,
    ) -> Result<Order, Error> {
        let order = NewOrder::new(names);
        if let Some(replaces) = replaces {
            match account.new_order(&NewOrder::new(names).replaces(replaces)).await {
                Err(Error::Unsupported(_)) => {}
                begun => return begun,
            }
        }
        account.new_order(&order).await
    }

    async fn kept_account(&self) -> Result<Option<Account>, OrderError> {
        let home = self.config.directory.to_string();
        let external = self.config.external_account.as_ref().map(|known| &known.id);
        // Once there is an account, what it was bound to need not be told any more.
        let wanted = |kept: &KeptAccount| {
            kept.directory == home && (external.is_none() || external == kept.external.as_ref())
        };
        let Some(kept) = self.storage.account().filter(wanted) else { return Ok(None) };
        let builder = Account::builder_with_http(Box::new(self.directory.clone()));
        match builder.from_credentials(kept.credentials).await {
            Err(Error::KeyRejected | Error::Crypto) => {
                tracing::error!("the account's key cannot be used; it gets a new one");
                Ok(None)
            }
            account => Ok(Some(account?)),
        }
    }

    /// Tells the authority whom to write to, if that has changed.
    async fn tell_contact(&self, account: &Account) {
        let Some(mut kept) = self.storage.account() else { return };
        if kept.contact == self.config.contact {
            return;
        }
        let contact: Vec<_> = self.config.contact.iter().map(String::as_str).collect();
        match account.update_contacts(&contact).await {
            Ok(()) => kept.contact = self.config.contact.clone(),
            // A certificate matters more than whom the authority writes to.
            Err(error) => {
                tracing::warn!(error = told(&error), "the authority does not take the contact");
                return;
            }
        }
        self.keep_account(&kept);
    }

    fn keep_account(&self, kept: &KeptAccount) {
        if let Err(error) = self.storage.keep_account(kept) {
            // The certificate is what counts; another account is there for the asking.
            tracing::warn!(%error, "the account cannot be kept; the next order makes a new one");
        }
    }

    async fn new_account(&self) -> Result<Account, OrderError> {
        let contact: Vec<_> = self.config.contact.iter().map(String::as_str).collect();
        let new = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let known = self.config.external_account.as_ref();
        let external = known.map(|known| ExternalAccountKey::new(known.id.clone(), &known.key));
        let directory = self.config.directory.to_string();
        let builder = Account::builder_with_http(Box::new(self.directory.clone()));
        let (account, credentials) =
            builder.create(&new, directory.clone(), external.as_ref()).await?;
        let contact = self.config.contact.clone();
        let external = known.map(|known| known.id.clone());
        self.keep_account(&KeptAccount { directory, external, contact, credentials });
        tracing::info!(account = account.id(), "there is a new account at the authority");
        Ok(account)
    }

    /// Proves all names, and waits until the authority has made sure of them.
    async fn prove(&self, order: &mut Order, turn: &Turn) -> Result<(), OrderError> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let name = authorization.identifier().to_string();
            if !self.config.domains.contains(&name) {
                return Err(OrderError::Foreign);
            }
            let offered: Vec<_> = authorization.challenges.iter().map(|one| &one.r#type).collect();
            let (later, first) = self.config.challenges.split_at(turn.first);
            let mut wanted = first.iter().chain(later).copied();
            let Some(way) = wanted.find(|way| offered.contains(&&kind(*way))) else {
                let offers = tame(&format!("{offered:?}"));
                return Err(OrderError::NoChallenge { name, offers });
            };
            let Some(mut challenge) = authorization.challenge(kind(way)) else { continue };
            let answer = challenge.key_authorization();
            match way {
                Challenge::TlsAlpn => {
                    let proof = challenges::proof(&name, answer.digest().as_ref(), self.provider)?;
                    self.challenges.prove_by_handshake(&name, proof);
                }
                Challenge::Http => {
                    self.challenges.prove_by_text(&challenge.token, answer.as_str());
                }
            }
            challenge.set_ready().await?;
        }
        match order.poll_ready(&PATIENCE).await {
            Ok(OrderStatus::Invalid) => {
                let why = why_not(order).await;
                Err(OrderError::NotProven(why.unwrap_or_else(|| "it does not say why".to_owned())))
            }
            // Not so if the question itself was refused: that says nothing of the names.
            Err(Error::Api(problem)) if order.state().error.is_some() => {
                let why = why_not(order).await;
                Err(OrderError::NotProven(why.unwrap_or_else(|| tame(&problem.to_string()))))
            }
            ready => Ok(ready.map(drop)?),
        }
    }
}

/// By what the authority knows a certificate (RFC 9773, section 4.1).
fn identifier(known: &Known) -> Option<CertificateIdentifier<'static>> {
    let (authority, serial) = (Der::from_slice(known.authority.as_ref()?), &known.serial);
    Some(CertificateIdentifier::new(authority, Der::from_slice(serial)).into_owned())
}

fn kind(way: Challenge) -> ChallengeType {
    match way {
        Challenge::TlsAlpn => ChallengeType::TlsAlpn01,
        Challenge::Http => ChallengeType::Http01,
    }
}

/// What the authority says of the names that it could not make sure of.
async fn why_not(order: &mut Order) -> Option<String> {
    let mut all = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let Ok(state) = authorization.refresh().await else { continue };
        let errors = state.challenges.iter().filter_map(|one| one.error.as_ref());
        all.extend(errors.map(|error| format!("{name}: {}", tame(&error.to_string()))));
    }
    (!all.is_empty()).then(|| tame(&all.join("; ")))
}
