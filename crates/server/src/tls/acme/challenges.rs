//! What proves a name while it is being proven: a certificate for one handshake (`tls-alpn-01`,
//! RFC 8737), a text behind a path of plain HTTP (`http-01`, RFC 8555, section 8.3).

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

/// Where the authority looks for a text.
pub(crate) const PATH: &str = "/.well-known/acme-challenge/";

/// The proofs of the order that is under way.
#[derive(Default)]
pub(crate) struct Challenges {
    handshakes: Mutex<HashMap<String, Arc<CertifiedKey>>>,
    texts: Mutex<HashMap<String, String>>,
}

impl Challenges {
    /// The certificate for a handshake that asks for nothing but a proof of this name.
    pub(crate) fn handshake(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let name = name?.to_ascii_lowercase();
        self.handshakes.lock().get(&name).cloned()
    }

    /// The text behind a path, if there is one.
    pub(crate) fn text(&self, token: &str) -> Option<String> {
        self.texts.lock().get(token).cloned()
    }

    pub(super) fn prove_by_handshake(&self, name: &str, proof: Arc<CertifiedKey>) {
        self.handshakes.lock().insert(name.to_ascii_lowercase(), proof);
    }

    pub(super) fn prove_by_text(&self, token: &str, text: &str) {
        self.texts.lock().insert(token.to_owned(), text.to_owned());
    }

    /// Nothing is to be proven any more.
    pub(super) fn clear(&self) {
        self.handshakes.lock().clear();
        self.texts.lock().clear();
    }
}

/// Why there is no certificate that proves a name.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProofError {
    /// It cannot be made.
    #[error(transparent)]
    Make(#[from] rcgen::Error),
    /// It cannot be used.
    #[error(transparent)]
    Use(#[from] rustls::Error),
}

/// A certificate that proves a name: it signs itself, and carries the digest of what the authority
/// has given (RFC 8737, section 3).
pub(super) fn proof(
    name: &str,
    digest: &[u8],
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, ProofError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = provider.key_provider.load_private_key(key)?;
    // Not `from_der`: it reads the certificate, and knows nothing of that extension.
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
}
