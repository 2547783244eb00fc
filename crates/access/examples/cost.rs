//! What it costs to verify a token: `cargo run --release -p tidings-access --example cost`.
#![allow(clippy::unwrap_used, reason = "a program for one purpose may stop by panicking")]
#![allow(clippy::print_stdout, reason = "what it is for")]

use std::time::Instant;

use tidings_access::signing::generate;
use tidings_access::{Algorithm, Issuer, Key, KeySet, SigningKey, Verifier};

/// Verifications of each kind.
const ROUNDS: u32 = 2_000;

const CLAIMS: &[u8] =
    br#"{"sub":"ada","exp":4102444800,"jti":"a","tidings":{"subscribe":["chat/*"]}}"#;

fn pair(algorithm: Algorithm) -> (SigningKey, Key) {
    if matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256) {
        let private = include_bytes!("../tests/keys/rsa.private.pem");
        let public = include_bytes!("../tests/keys/rsa.public.pem");
        return (SigningKey::from_pem(private, algorithm).unwrap(), Key::from_pem(public).unwrap());
    }
    let made = generate(algorithm).unwrap();
    match made.public {
        None => {
            let secret = made.private.as_bytes();
            (SigningKey::from_secret(secret).unwrap(), Key::from_secret(secret).unwrap())
        }
        Some(public) => (
            SigningKey::from_pem(made.private.as_bytes(), algorithm).unwrap(),
            Key::from_pem(public.as_bytes()).unwrap(),
        ),
    }
}

fn main() {
    for algorithm in Algorithm::ALL {
        let (signs, verifies) = pair(algorithm);
        let header = format!(r#"{{"alg":"{algorithm}"}}"#);
        let token = signs.sign(header.as_bytes(), CLAIMS).unwrap();
        let keys = KeySet::new(vec![verifies]).unwrap();
        let verifier = Verifier::new(vec![Issuer::new(keys, vec![algorithm]).into()]);
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            verifier.verify(&token, 1_700_000_000).unwrap();
        }
        println!("{algorithm}: {:?} each", begun.elapsed() / ROUNDS);
    }
}
