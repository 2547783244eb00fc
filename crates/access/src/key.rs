//! Keys that verify: a shared secret, or a public key from PEM or a JSON Web Key.
//!
//! A key has one kind, and a kind has its algorithms (RFC 7518, section 3.1). That is what makes a
//! public key useless as a secret, whatever a token's header says.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{hmac, signature};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{SubjectPublicKeyInfoDer, alg_id};
use serde::Deserialize;

/// Bytes of the shortest secret: as many as the hash has (RFC 7518, section 3.2).
pub const SECRET_BYTES_MIN: usize = 32;

/// Keys in one set. Each can cost a verification when a token names none.
pub const KEYS_MAX: usize = 32;

/// How a token is signed (RFC 7518, section 3.1; RFC 8037, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256: whoever can verify can also sign.
    Hs256,
    /// RSA PKCS #1 v1.5 with SHA-256.
    Rs256,
    /// RSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Hs256, Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa];

    /// The name in a token's header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl FromStr for Algorithm {
    type Err = ();

    /// The name exactly: names of algorithms are case-sensitive (RFC 7515, section 4.1.1).
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|known| known.name() == text).ok_or(())
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why something is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A secret shorter than [`SECRET_BYTES_MIN`].
    #[error("a secret has at least {SECRET_BYTES_MIN} bytes; `tidings token keys` makes one")]
    SecretTooShort,
    /// Not a public key in PEM.
    #[error("not a public key in PEM (-----BEGIN PUBLIC KEY-----)")]
    NotPem,
    /// A public key of another kind.
    #[error("neither an RSA, a P-256 nor an Ed25519 key")]
    Unsupported,
    /// A key set that is not one.
    #[error("not a JSON Web Key Set: {0}")]
    NotJwks(String),
    /// A key set with nothing that can be used.
    #[error("the set has no key that can be used (kty RSA, EC with P-256, OKP with Ed25519, oct)")]
    Empty,
    /// More keys than [`KEYS_MAX`].
    #[error("the set has more than {KEYS_MAX} keys")]
    TooMany,
}

enum Material {
    Secret(hmac::Key),
    /// Modulus and exponent, big-endian without leading zeros.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// As `RSAPublicKey` in DER (RFC 8017, appendix A.1.1).
    RsaDer(Vec<u8>),
    /// An uncompressed point (SEC 1, section 2.3.3).
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

/// A key that verifies.
pub struct Key {
    id: Option<String>,
    /// The one algorithm that the key says it is for, if it says so.
    only: Option<Algorithm>,
    material: Material,
}

impl fmt::Debug for Key {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Key {
    /// A shared secret.
    ///
    /// # Errors
    /// When it is too short to be one.
    pub fn from_secret(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < SECRET_BYTES_MIN {
            return Err(KeyError::SecretTooShort);
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        Ok(Self { id: None, only: None, material: Material::Secret(key) })
    }

    /// A public key in PEM, as `openssl pkey -pubout` and `tidings token keys` write it.
    ///
    /// # Errors
    /// When it is something else, above all a private key.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let spki = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| KeyError::NotPem)?;
        let material = from_spki(&spki).ok_or(KeyError::Unsupported)?;
        Ok(Self { id: None, only: None, material })
    }

    /// Gives the key a name, which a token's `kid` can ask for.
    #[must_use]
    pub fn named(mut self, id: Option<String>) -> Self {
        self.id = id;
        self
    }

    /// The key's name.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn is_same(&self, other: &Self) -> bool {
        let material = match (&self.material, &other.material) {
            (Material::Rsa { n, e }, Material::Rsa { n: other_n, e: other_e }) => {
                n == other_n && e == other_e
            }
            (Material::RsaDer(one), Material::RsaDer(other))
            | (Material::P256(one), Material::P256(other))
            | (Material::Ed25519(one), Material::Ed25519(other)) => one == other,
            _ => false,
        };
        material && self.id == other.id && self.only == other.only
    }

    /// Whether the key can have made a signature of this kind.
    #[must_use]
    pub fn is_for(&self, algorithm: Algorithm) -> bool {
        let kind = match self.material {
            Material::Secret(_) => matches!(algorithm, Algorithm::Hs256),
            Material::Rsa { .. } | Material::RsaDer(_) => {
                matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256)
            }
            Material::P256(_) => matches!(algorithm, Algorithm::Es256),
            Material::Ed25519(_) => matches!(algorithm, Algorithm::EdDsa),
        };
        kind && self.only.is_none_or(|only| only == algorithm)
    }

    /// The algorithms that fit the key.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.into_iter().filter(|algorithm| self.is_for(*algorithm))
    }

    /// Whether it is a shared secret, with which one can also sign.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        matches!(self.material, Material::Secret(_))
    }

    /// Whether the key made this signature of these bytes.
    #[must_use]
    pub fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        if !self.is_for(algorithm) {
            return false;
        }
        let with = |algorithm: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            signature::UnparsedPublicKey::new(algorithm, key).verify(signed, signature).is_ok()
        };
        let rsa = match algorithm {
            Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            _ => &signature::RSA_PKCS1_2048_8192_SHA256,
        };
        match &self.material {
            // In constant time, in ring.
            Material::Secret(key) => hmac::verify(key, signed, signature).is_ok(),
            Material::Rsa { n, e } => {
                signature::RsaPublicKeyComponents { n, e }.verify(rsa, signed, signature).is_ok()
            }
            Material::RsaDer(key) => with(rsa, key),
            Material::P256(key) => with(&signature::ECDSA_P256_SHA256_FIXED, key),
            Material::Ed25519(key) => with(&signature::ED25519, key),
        }
    }
}

/// The key inside a `SubjectPublicKeyInfo` (RFC 5280, section 4.1): a sequence of the algorithm's
/// identifier, of which three are known by their bytes, and a bit string.
fn from_spki(der: &[u8]) -> Option<Material> {
    const SEQUENCE: u8 = 0x30;
    const BIT_STRING: u8 = 0x03;
    let (inner, rest) = element(SEQUENCE, der)?;
    let (identifier, bits) = element(SEQUENCE, inner)?;
    let (bits, after) = element(BIT_STRING, bits)?;
    let (unused, key) = bits.split_first()?;
    if !rest.is_empty() || !after.is_empty() || *unused != 0 {
        return None;
    }
    let key = key.to_vec();
    if identifier == alg_id::RSA_ENCRYPTION.as_ref() {
        Some(Material::RsaDer(key))
    } else if identifier == alg_id::ECDSA_P256.as_ref() {
        Some(Material::P256(key))
    } else if identifier == alg_id::ED25519.as_ref() {
        Some(Material::Ed25519(key))
    } else {
        None
    }
}

/// The content of the DER element with this tag at the beginning of `der`, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk::<2>()?;
    if found != tag {
        return None;
    }
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => rest.split_first().map(|(len, rest)| (usize::from(*len), rest))?,
        0x82 => {
            let (len, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*len)), rest)
        }
        // No public key of these kinds is longer.
        _ => return None,
    };
    rest.split_at_checked(len)
}

/// A JSON Web Key (RFC 7517, section 4), with the members of the kinds that are known.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

impl Jwk {
    /// The key, unless it is for something else or of a kind that is not known.
    fn into_key(self) -> Option<Key> {
        if self.purpose.as_deref().is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        // RFC 7517, section 4.4: a key for another algorithm is not for this one.
        let only = self.alg.as_deref().map(Algorithm::from_str).transpose().ok()?;
        let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let material = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Material::Rsa { n: bytes(&self.n)?, e: bytes(&self.e)? },
            ("EC", Some("P-256")) => {
                let point = [vec![0x04], bytes(&self.x)?, bytes(&self.y)?].concat();
                (point.len() == 65).then_some(Material::P256(point))?
            }
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(&self.x)?),
            ("oct", _) => Key::from_secret(&bytes(&self.k)?).ok()?.material,
            _ => return None,
        };
        Some(Key { id: self.kid, only, material })
    }
}

/// The keys of one issuer.
#[derive(Debug, Default)]
pub struct KeySet(Vec<Key>);

impl KeySet {
    /// A set of these.
    ///
    /// # Errors
    /// When there are more than [`KEYS_MAX`].
    pub fn new(keys: Vec<Key>) -> Result<Self, KeyError> {
        if keys.len() > KEYS_MAX { Err(KeyError::TooMany) } else { Ok(Self(keys)) }
    }

    /// A JSON Web Key Set (RFC 7517, section 5). Keys of kinds that are not known are left out, as
    /// the standard asks; secrets too if the set came over the network, where they have no place.
    ///
    /// # Errors
    /// When it is not a set, or one with nothing that can be used.
    pub fn from_jwks(json: &[u8], from_network: bool) -> Result<Self, KeyError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<serde_json::Value>,
        }
        let set: Set =
            serde_json::from_slice(json).map_err(|error| KeyError::NotJwks(error.to_string()))?;
        let usable = |key: &Key| !(from_network && key.is_secret());
        let keys: Vec<Key> = set
            .keys
            .into_iter()
            .filter_map(|value| serde_json::from_value::<Jwk>(value).ok()?.into_key())
            .filter(usable)
            .collect();
        if keys.is_empty() { Err(KeyError::Empty) } else { Self::new(keys) }
    }

    /// The keys that can have signed a token with this header: those of the name it gives, or those
    /// without a name; if it gives none, all of the kind.
    pub fn candidates(&self, algorithm: Algorithm, id: Option<&str>) -> impl Iterator<Item = &Key> {
        let named = id.is_some_and(|id| self.0.iter().any(|key| key.id() == Some(id)));
        self.0.iter().filter(move |key| {
            let name = match id {
                None => true,
                Some(id) if named => key.id() == Some(id),
                Some(_) => key.id().is_none(),
            };
            name && key.is_for(algorithm)
        })
    }

    /// Whether both hold the same public keys under the same names, in the same order. A set with a
    /// secret is not the same as any: secrets are not compared.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let pairs = || self.0.iter().zip(&other.0);
        self.len() == other.len() && pairs().all(|(one, other)| one.is_same(other))
    }

    /// The keys, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
