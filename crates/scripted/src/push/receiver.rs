//! A browser's side of Web Push: its keys, and opening what was sent to it (RFC 8291).
//!
//! Written from the RFCs by itself. Hash, HMAC and cipher are `ring`'s; how they are put together
//! is not taken from whoever sends.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::{aead, digest, hmac};

use super::curve;

/// A browser with one subscription.
#[derive(Clone)]
pub struct Browser {
    private: [u8; 32],
    public: [u8; 65],
    auth: [u8; 16],
}

impl std::fmt::Debug for Browser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Browser").field("p256dh", &self.p256dh()).finish_non_exhaustive()
    }
}

impl Browser {
    /// One with keys that follow from a text; the same text gives the same browser.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let hash = |what: &str| -> [u8; 32] {
            let hash = digest::digest(&digest::SHA256, format!("{what} of {name}").as_bytes());
            std::array::from_fn(|at| hash.as_ref()[at])
        };
        let secret = hash("secret");
        Self::with_keys(hash("key"), std::array::from_fn(|at| secret[at]))
    }

    /// One with these keys: a private key of P-256 and the shared secret.
    #[must_use]
    pub fn with_keys(private: [u8; 32], auth: [u8; 16]) -> Self {
        Self { private, public: curve::public(&private), auth }
    }

    /// `keys.p256dh` of its subscription.
    #[must_use]
    pub fn p256dh(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.public)
    }

    /// `keys.auth` of its subscription.
    #[must_use]
    pub fn auth(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.auth)
    }

    /// Opens a message; none if it is not for this browser, or not in the form of RFC 8291.
    #[must_use]
    pub fn open(&self, body: &[u8]) -> Option<Vec<u8>> {
        // Salt, record size, length of the key, key (RFC 8188, section 2.1).
        let (salt, rest) = body.split_at_checked(16)?;
        let (size, rest) = rest.split_at_checked(4)?;
        let (&length, rest) = rest.split_first()?;
        let (sender, record) = rest.split_at_checked(usize::from(length))?;
        let size = u32::from_be_bytes(size.try_into().ok()?) as usize;
        // A push message is one record (RFC 8291, section 4).
        if record.len() > size || body.len() > 4_096 {
            return None;
        }
        let secret = curve::agree(&self.private, sender.try_into().ok()?)?;
        let mut info = b"WebPush: info\0".to_vec();
        info.extend_from_slice(&self.public);
        info.extend_from_slice(sender);
        let input = expand(&extract(&self.auth, &secret), &info);
        let key = extract(salt, &input);
        let content_key = expand(&key, b"Content-Encoding: aes128gcm\0");
        let nonce = expand(&key, b"Content-Encoding: nonce\0");
        let nonce = aead::Nonce::try_assume_unique_for_key(&nonce[..12]).ok()?;
        let content_key = aead::UnboundKey::new(&aead::AES_128_GCM, &content_key[..16]).ok()?;
        let mut record = record.to_vec();
        let opened = aead::LessSafeKey::new(content_key)
            .open_in_place(nonce, aead::Aad::empty(), &mut record)
            .ok()?;
        // Padding is zeros after the delimiter, which is 2 in the last record.
        let end = opened.iter().rposition(|byte| *byte != 0)?;
        (opened[end] == 2).then(|| opened[..end].to_vec())
    }
}

/// The first step of HKDF (RFC 5869, section 2.2).
fn extract(salt: &[u8], input: &[u8]) -> [u8; 32] {
    mac(salt, &[input])
}

/// The second, for at most 32 bytes (section 2.3).
fn expand(key: &[u8; 32], info: &[u8]) -> [u8; 32] {
    mac(key, &[info, &[1]])
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    parts.iter().for_each(|part| context.update(part));
    let tag = context.sign();
    std::array::from_fn(|at| tag.as_ref()[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8291, section 5: the browser's keys, and the message as it is sent.
    #[test]
    fn the_example_of_the_rfc_is_opened() {
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        let private = bytes("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94").try_into().unwrap();
        let auth = bytes("BTBZMqHH6r4Tts7J_aSIgg").try_into().unwrap();
        let browser = Browser::with_keys(private, auth);
        assert!(browser.p256dh().starts_with("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcx"));
        let mut body = bytes(
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocI\
             nmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWG\
             NWQexSgSxsj_Qulcy4a-fN",
        );
        let opened = browser.open(&body).unwrap();
        assert_eq!(opened, b"When I grow up, I want to be a watermelon");
        assert_eq!(Browser::new("another").open(&body), None);
        *body.last_mut().unwrap() ^= 1;
        assert_eq!(browser.open(&body), None);
    }
}
