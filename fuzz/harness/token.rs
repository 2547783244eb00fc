//! What must hold for every text that is shown as a token. The fuzz target and a test on stable run
//! the same function, so what the fuzzer once found stays found.
//!
//! The oracle: of all texts only those count whose signed part is, byte for byte, one that was
//! signed here; and then they say what was signed.

use std::sync::{Arc, LazyLock};

use tidings_access::signing::generate;
use tidings_access::{Algorithm, Issuer, Key, KeySet, SigningKey, Verifier};

const NOW: u64 = 1_800_000_000;
const SECRET: &[u8] = b"a secret of this harness, which guards nothing at all";
const RSA_PRIVATE: &[u8] = include_bytes!("../../crates/access/tests/keys/rsa.private.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("../../crates/access/tests/keys/rsa.public.pem");

/// Good tokens, and the verifier for which they are good.
struct World {
    verifier: Verifier,
    tokens: Vec<(String, String)>,
    secret: SigningKey,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let mut tokens = Vec::new();
    let mut keys = Vec::new();
    for algorithm in Algorithm::ALL {
        let (signs, verifies) = pair(algorithm);
        // The one key of RSA serves both of its algorithms.
        if algorithm != Algorithm::Ps256 {
            keys.push(verifies);
        }
        for subject in ["ada", "ops"] {
            let subject = format!("{subject} by {algorithm}");
            let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
            let claims =
                format!(r#"{{"sub":"{subject}","exp":{},"tidings":{{"admin":["**"]}}}}"#, NOW + 60);
            let token = signs.sign(header.as_bytes(), claims.as_bytes()).expect("it signs");
            tokens.push((token, subject));
        }
    }
    // Everything is allowed, so that only the signature stands in the way.
    let keys = KeySet::new(keys).expect("few keys");
    let issuer = Issuer::new(keys, Algorithm::ALL.to_vec());
    let verifier = Verifier::new(vec![Arc::new(issuer)]);
    World { verifier, tokens, secret: pair(Algorithm::Hs256).0 }
});

fn pair(algorithm: Algorithm) -> (SigningKey, Key) {
    let fixed = "the key is one";
    match algorithm {
        Algorithm::Hs256 => {
            (SigningKey::from_secret(SECRET).expect(fixed), Key::from_secret(SECRET).expect(fixed))
        }
        Algorithm::Rs256 | Algorithm::Ps256 => (
            SigningKey::from_pem(RSA_PRIVATE, algorithm).expect(fixed),
            Key::from_pem(RSA_PUBLIC).expect(fixed),
        ),
        Algorithm::Es256 | Algorithm::EdDsa => {
            let made = generate(algorithm).expect("the system has randomness");
            let public = made.public.expect("a pair");
            (
                SigningKey::from_pem(made.private.as_bytes(), algorithm).expect(fixed),
                Key::from_pem(public.as_bytes()).expect(fixed),
            )
        }
    }
}

/// The good token of this number.
fn good(number: u8) -> &'static str {
    &WORLD.tokens[usize::from(number) % WORLD.tokens.len()].0
}

/// Judges a text; whether it counts.
pub(crate) fn judge(text: &str) -> bool {
    let Ok(caller) = WORLD.verifier.verify(text, NOW) else { return false };
    let signed = |token: &str| token.rsplit_once('.').map(|(signed, _)| signed.to_owned());
    let same = WORLD.tokens.iter().find(|(token, _)| signed(token) == signed(text));
    let (_, subject) = same.unwrap_or_else(|| panic!("taken, but never signed: {text}"));
    assert_eq!(caller.subject.as_ref(), Some(subject));
    true
}

/// Changes a good token as the bytes say, three for each change.
pub(crate) fn mutated(which: u8, changes: &[u8]) -> String {
    let mut text = good(which).as_bytes().to_vec();
    for change in changes.chunks_exact(3) {
        let (kind, place, byte) = (change[0], usize::from(change[1]), change[2]);
        // Places beyond the first 256 bytes, too.
        let place = (place * 4 + usize::from(kind >> 6)) % (text.len() + 1);
        match kind % 8 {
            0 if place < text.len() => text[place] = byte,
            1 if place < text.len() => text[place] ^= 1 << (byte % 8),
            2 => text.insert(place, byte),
            3 if place < text.len() => drop(text.remove(place)),
            4 => text.truncate(place),
            5 => text.extend_from_slice(&good(byte).as_bytes()[..place.min(good(byte).len())]),
            6 | 7 => text = with_part_of(&text, usize::from(kind % 3), good(byte)),
            _ => {}
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// With the header, the payload or the signature of another.
fn with_part_of(text: &[u8], part: usize, other: &str) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = text.split(|byte| *byte == b'.').collect();
    if let (Some(mine), Some(theirs)) = (parts.get_mut(part), other.split('.').nth(part)) {
        *mine = theirs.as_bytes();
    }
    parts.join(&b'.')
}

/// Checks one input: as a token, as changes to a good one, and as header and claims that are signed
/// with a key that counts, which must be read or refused, not fallen over.
pub(crate) fn check(input: &[u8]) {
    judge(&String::from_utf8_lossy(input));
    let Some((&which, rest)) = input.split_first() else { return };
    judge(&mutated(which, rest));
    let (header, claims) = rest.split_at(usize::from(which).min(rest.len()));
    for header in [header, br#"{"alg":"HS256"}"#] {
        if let Ok(token) = WORLD.secret.sign(header, claims) {
            // It may count: it was signed.
            let _ = WORLD.verifier.verify(&token, NOW);
        }
    }
}
