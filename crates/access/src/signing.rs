//! Keys that sign, for `tidings token`: an operator's own issuer, and tests.
//!
//! Three kinds: a secret, P-256 and Ed25519 can be made here; RSA keys are only read, because
//! nothing here can make them.

use std::fmt;

use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use ring::{error::Unspecified, hmac};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::alg_id;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;

use crate::claims::Claims;
use crate::jws::encode;
use crate::key::{Algorithm, SECRET_BYTES_MIN};

/// Why there is no key, or no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// Not a private key in PEM.
    #[error("not a private key in PEM (-----BEGIN PRIVATE KEY-----)")]
    NotPem,
    /// A private key of another kind.
    #[error("neither an RSA, a P-256 nor an Ed25519 key")]
    Unsupported,
    /// A secret that is too short.
    #[error("a secret has at least {SECRET_BYTES_MIN} bytes")]
    SecretTooShort,
    /// A kind that is only read.
    #[error("{0} keys are not made here; openssl can: openssl genrsa 3072")]
    NotMade(Algorithm),
    /// The system has no randomness, or the key does not sign.
    #[error("the key could not be used")]
    Unusable,
}

impl From<Unspecified> for SigningError {
    fn from(_: Unspecified) -> Self {
        Self::Unusable
    }
}

enum Material {
    Secret(hmac::Key),
    Rsa(RsaKeyPair, Algorithm),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A key that signs.
pub struct SigningKey {
    id: Option<String>,
    material: Material,
    random: SystemRandom,
}

impl fmt::Debug for SigningKey {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A pair as text: what signs stays with the issuer, what verifies goes to the server.
#[derive(Debug, PartialEq, Eq)]
pub struct Generated {
    /// A private key in PEM, or a secret of 64 characters.
    pub private: String,
    /// The public key in PEM; none for a secret, which is its own.
    pub public: Option<String>,
}

/// Makes a new key.
///
/// # Errors
/// For RSA, which is only read, and without randomness.
pub fn generate(algorithm: Algorithm) -> Result<Generated, SigningError> {
    let random = SystemRandom::new();
    let private = |pkcs8: &[u8]| pem("PRIVATE KEY", pkcs8);
    match algorithm {
        Algorithm::Hs256 => {
            let mut bytes = [0; 48];
            random.fill(&mut bytes)?;
            Ok(Generated { private: encode(&bytes), public: None })
        }
        Algorithm::Es256 => {
            let kind = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random)?;
            let key = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random)
                .map_err(|_| SigningError::Unusable)?;
            let public = spki(alg_id::ECDSA_P256.as_ref(), key.public_key().as_ref());
            Ok(Generated {
                private: private(pkcs8.as_ref()),
                public: Some(pem("PUBLIC KEY", &public)),
            })
        }
        Algorithm::EdDsa => {
            let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random)?;
            let key =
                Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).map_err(|_| SigningError::Unusable)?;
            let public = spki(alg_id::ED25519.as_ref(), key.public_key().as_ref());
            Ok(Generated {
                private: private(pkcs8.as_ref()),
                public: Some(pem("PUBLIC KEY", &public)),
            })
        }
        Algorithm::Rs256 | Algorithm::Ps256 => Err(SigningError::NotMade(algorithm)),
    }
}

/// A name for a token (`jti`) that no other has: 128 bits of randomness.
///
/// # Errors
/// When the system has none.
pub fn new_token_id() -> Result<String, SigningError> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes)?;
    Ok(encode(&bytes))
}

/// A `SubjectPublicKeyInfo` around a key of less than 100 bytes (RFC 5280, section 4.1).
fn spki(identifier: &[u8], key: &[u8]) -> Vec<u8> {
    let element = |tag: u8, parts: &[&[u8]]| {
        let content = parts.concat();
        let len = u8::try_from(content.len()).ok().filter(|len| *len < 0x80);
        let len = len.expect("the keys of both curves are short");
        [&[tag, len], content.as_slice()].concat()
    };
    let identifier = element(0x30, &[identifier]);
    let bits = element(0x03, &[&[0], key]);
    element(0x30, &[&identifier, &bits])
}

/// The text form (RFC 7468): base64 in lines of 64 characters.
fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

impl SigningKey {
    /// A shared secret.
    ///
    /// # Errors
    /// When it is too short.
    pub fn from_secret(secret: &[u8]) -> Result<Self, SigningError> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(SigningError::SecretTooShort);
        }
        Ok(Self::new(Material::Secret(hmac::Key::new(hmac::HMAC_SHA256, secret))))
    }

    /// A private key in PEM (PKCS #8). `rsa` is what an RSA key signs with: RS256 or PS256.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_pem(pem: &[u8], rsa: Algorithm) -> Result<Self, SigningError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| SigningError::NotPem)?;
        let der = der.secret_pkcs8_der();
        let kind = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let random = SystemRandom::new();
        let material = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
            .map(Material::Ed25519)
            .or_else(|_| EcdsaKeyPair::from_pkcs8(kind, der, &random).map(Material::P256))
            .or_else(|_| RsaKeyPair::from_pkcs8(der).map(|key| Material::Rsa(key, rsa)))
            .map_err(|_| SigningError::Unsupported)?;
        Ok(Self::new(material))
    }

    fn new(material: Material) -> Self {
        Self { id: None, material, random: SystemRandom::new() }
    }

    /// Gives the key a name, which goes into each token as `kid`.
    #[must_use]
    pub fn named(mut self, id: Option<String>) -> Self {
        self.id = id;
        self
    }

    /// What the key signs with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match &self.material {
            Material::Secret(_) => Algorithm::Hs256,
            Material::Rsa(_, algorithm) => *algorithm,
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// The public half as a JSON Web Key (RFC 7517; RFC 8037 for Ed25519), with the key's name;
    /// none for a secret.
    #[must_use]
    pub fn public_jwk(&self) -> Option<serde_json::Value> {
        let mut jwk = match &self.material {
            Material::Secret(_) => return None,
            Material::Rsa(key, _) => {
                let public = signature::RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "n": encode(&public.n), "e": encode(&public.e)})
            }
            Material::P256(key) => {
                // An uncompressed point: a byte that says so, and the two coordinates.
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)})
            }
            Material::Ed25519(key) => {
                let x = encode(key.public_key().as_ref());
                json!({"kty": "OKP", "crv": "Ed25519", "x": x})
            }
        };
        jwk["use"] = "sig".into();
        jwk["alg"] = self.algorithm().name().into();
        if let Some(id) = &self.id {
            jwk["kid"] = id.as_str().into();
        }
        Some(jwk)
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn mint(&self, claims: &Claims) -> Result<String, SigningError> {
        let mut header = serde_json::json!({"alg": self.algorithm().name(), "typ": "JWT"});
        if let Some(id) = &self.id {
            header["kid"] = id.as_str().into();
        }
        let claims = serde_json::to_vec(claims).map_err(|_| SigningError::Unusable)?;
        self.sign(header.to_string().as_bytes(), &claims)
    }

    /// A token of exactly these parts, also of parts that nobody should believe.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn sign(&self, header: &[u8], payload: &[u8]) -> Result<String, SigningError> {
        let signed = format!("{}.{}", encode(header), encode(payload));
        let bytes = signed.as_bytes();
        let signature = match &self.material {
            Material::Secret(key) => hmac::sign(key, bytes).as_ref().to_vec(),
            Material::P256(key) => key.sign(&self.random, bytes)?.as_ref().to_vec(),
            Material::Ed25519(key) => key.sign(bytes).as_ref().to_vec(),
            Material::Rsa(key, algorithm) => {
                let padding: &dyn signature::RsaEncoding = match algorithm {
                    Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut out = vec![0; key.public().modulus_len()];
                key.sign(padding, &self.random, bytes, &mut out)?;
                out
            }
        };
        Ok(format!("{signed}.{}", encode(&signature)))
    }
}
