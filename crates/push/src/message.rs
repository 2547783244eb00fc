//! A message that only one browser can read (RFC 8291), as the body of a request (`aes128gcm`, RFC
//! 8188).
//!
//! Each message has a key pair and a salt of its own, so equal payloads look different, and nothing
//! is kept from which an old message could be opened.

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{GeneralPurposeConfig, URL_SAFE_NO_PAD};
use ring::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{aead, hkdf};

/// Bytes of the one record of a message. Push services must take bodies of this size and need not
/// take larger ones (RFC 8030, section 7.2).
const RECORD_BYTES: usize = 4_096;

/// Bytes of the header: salt, record size, length of the key, and the key (RFC 8188, section 2.1).
const HEADER_BYTES: usize = SALT_BYTES + 4 + 1 + POINT_BYTES;

/// Most bytes of payload: what a record holds besides the header, the delimiter and the tag.
pub const PAYLOAD_BYTES_MAX: usize = RECORD_BYTES - HEADER_BYTES - 1 - TAG_BYTES;

/// Bytes of a point of P-256 in its uncompressed form (SEC 1, section 2.3.3).
const POINT_BYTES: usize = 65;

const AUTH_BYTES: usize = 16;
const SALT_BYTES: usize = 16;
const TAG_BYTES: usize = 16;

/// Closes the last record (RFC 8188, section 2).
const LAST_RECORD: u8 = 2;

/// Browsers write their keys without padding; what was copied by hand may have it.
const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// Why these are not a receiver's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiverError {
    /// The public key.
    #[error("p256dh: not a public key of P-256, uncompressed and in base64url")]
    PublicKey,
    /// The shared secret.
    #[error("auth: not 16 bytes in base64url")]
    Auth,
}

/// Why a message could not be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptError {
    /// It is longer than [`PAYLOAD_BYTES_MAX`].
    #[error("a payload of {0} bytes is longer than {PAYLOAD_BYTES_MAX}")]
    TooLong(usize),
    /// The system gives no randomness.
    #[error("there is no randomness")]
    NoRandomness,
}

/// The keys of one browser's subscription (`PushSubscription.getKey()`, Push API).
#[derive(Clone, PartialEq, Eq)]
pub struct Receiver {
    public: [u8; POINT_BYTES],
    auth: [u8; AUTH_BYTES],
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

impl Receiver {
    /// The keys as a browser writes them: `keys.p256dh` and `keys.auth`, base64url.
    ///
    /// # Errors
    /// When they have another length, or the public key is no point of the curve.
    pub fn new(p256dh: &str, auth: &str) -> Result<Self, ReceiverError> {
        let bytes = |text: &str| TOLERANT.decode(text).ok();
        let public = bytes(p256dh).and_then(|key| key.try_into().ok());
        let public: [u8; POINT_BYTES] = public.ok_or(ReceiverError::PublicKey)?;
        let auth = bytes(auth).and_then(|auth| auth.try_into().ok()).ok_or(ReceiverError::Auth)?;
        // Only an agreement looks at a point; without it a bad key would be found at each message.
        let trial = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new());
        let trial = trial.map_err(|_| ReceiverError::PublicKey)?;
        agree_ephemeral(trial, &UnparsedPublicKey::new(&ECDH_P256, public), |_| ())
            .map_err(|_| ReceiverError::PublicKey)?;
        Ok(Self { public, auth })
    }

    /// The public key, base64url.
    #[must_use]
    pub fn p256dh(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.public)
    }

    /// The secret, base64url.
    #[must_use]
    pub fn auth(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.auth)
    }
}

/// The body of a request that brings `payload` to `receiver`; its `Content-Encoding` is
/// `aes128gcm`.
///
/// # Errors
/// When the payload is longer than [`PAYLOAD_BYTES_MAX`].
pub fn encrypt(receiver: &Receiver, payload: &[u8]) -> Result<Vec<u8>, EncryptError> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(EncryptError::TooLong(payload.len()));
    }
    let random = SystemRandom::new();
    let mut salt = [0; SALT_BYTES];
    random.fill(&mut salt).map_err(|_| EncryptError::NoRandomness)?;
    let private = EphemeralPrivateKey::generate(&ECDH_P256, &random)
        .map_err(|_| EncryptError::NoRandomness)?;
    let public = private.compute_public_key().expect("a generated key has a public one");
    let sender: [u8; POINT_BYTES] =
        public.as_ref().try_into().expect("a point of P-256 has 65 bytes");
    let theirs = UnparsedPublicKey::new(&ECDH_P256, receiver.public);
    let body =
        agree_ephemeral(private, &theirs, |secret| seal(secret, receiver, &sender, salt, payload));
    Ok(body.expect("the receiver's key has been agreed with before"))
}

/// The body, from the shared secret on (RFC 8291, section 3.4).
fn seal(
    secret: &[u8],
    receiver: &Receiver,
    sender: &[u8; POINT_BYTES],
    salt: [u8; SALT_BYTES],
    payload: &[u8],
) -> Vec<u8> {
    let info: [&[u8]; 3] = [b"WebPush: info\0", &receiver.public, sender];
    let input: [u8; 32] = derive(&receiver.auth, secret, &info);
    let key: [u8; 16] = derive(&salt, &input, &[b"Content-Encoding: aes128gcm\0"]);
    let nonce: [u8; 12] = derive(&salt, &input, &[b"Content-Encoding: nonce\0"]);

    let mut record = Vec::with_capacity(payload.len() + 1 + TAG_BYTES);
    record.extend_from_slice(payload);
    record.push(LAST_RECORD);
    let key = aead::UnboundKey::new(&aead::AES_128_GCM, &key).expect("16 bytes are a key");
    aead::LessSafeKey::new(key)
        .seal_in_place_append_tag(
            aead::Nonce::assume_unique_for_key(nonce),
            aead::Aad::empty(),
            &mut record,
        )
        .expect("a record is far below what AES-GCM takes");

    let mut body = Vec::with_capacity(HEADER_BYTES + record.len());
    body.extend_from_slice(&salt);
    body.extend_from_slice(&(RECORD_BYTES as u32).to_be_bytes());
    body.push(POINT_BYTES as u8);
    body.extend_from_slice(sender);
    body.extend_from_slice(&record);
    body
}

/// HKDF with SHA-256 (RFC 5869), both of its steps.
fn derive<const N: usize>(salt: &[u8], input: &[u8], info: &[&[u8]]) -> [u8; N] {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut out = [0; N];
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(input)
        .expand(info, Length(N))
        .and_then(|key| key.fill(&mut out))
        .expect("at most 32 bytes are asked for, and of the length that is written");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap()
    }

    const P256DH: &str = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8p\
        ZGH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

    /// RFC 8291, appendix A, from the shared secret on: byte for byte.
    #[test]
    fn the_example_of_the_rfc() {
        let receiver = Receiver::new(P256DH, AUTH).unwrap();
        let sender = bytes(
            "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7\
             A8",
        );
        let secret: [u8; 32] = bytes("kyrL1jIIOHEzg3sM2ZWRHDRB62YACZhhSlknJ672kSs");
        let salt = bytes("DGv6ra1nlYgDCS1FRnbzlw");
        let payload = b"When I grow up, I want to be a watermelon";
        let body = seal(&secret, &receiver, &sender, salt, payload);
        assert_eq!(
            URL_SAFE_NO_PAD.encode(body),
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocI\
             nmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWG\
             NWQexSgSxsj_Qulcy4a-fN"
        );
    }

    #[test]
    fn a_full_record_fits_and_a_byte_more_does_not() {
        assert_eq!(PAYLOAD_BYTES_MAX, 3_993);
        let receiver = Receiver::new(P256DH, AUTH).unwrap();
        let body = encrypt(&receiver, &[b'x'; PAYLOAD_BYTES_MAX]).unwrap();
        assert_eq!(body.len(), RECORD_BYTES);
        let longer = [b'x'; PAYLOAD_BYTES_MAX + 1];
        assert_eq!(encrypt(&receiver, &longer), Err(EncryptError::TooLong(3_994)));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(Receiver::new(&format!("{P256DH}="), &format!("{AUTH}==")).is_ok());
        for (p256dh, auth, why) in [
            ("", AUTH, ReceiverError::PublicKey),
            ("BCVx", AUTH, ReceiverError::PublicKey),
            (P256DH, "BTBZ", ReceiverError::Auth),
            (P256DH, "not base64!", ReceiverError::Auth),
        ] {
            assert_eq!(Receiver::new(p256dh, auth), Err(why), "{p256dh} {auth}");
        }
        // The right length, but no point of the curve.
        let mut point: [u8; POINT_BYTES] = bytes(P256DH);
        point[64] ^= 1;
        let point = URL_SAFE_NO_PAD.encode(point);
        assert_eq!(Receiver::new(&point, AUTH), Err(ReceiverError::PublicKey));
    }
}
