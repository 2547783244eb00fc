//! Keys that are fetched: which tokens they make count, how they change, and whom a token that
//! takes one kind of key for another deceives: nobody.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tidings_access::grants::GrantTemplate;
use tidings_access::signing::generate;
use tidings_access::verifier::TENANT_CLAIM;
use tidings_access::{Algorithm, Grants, SigningKey};
use tidings_scripted::{Script, Upstream};
use tidings_server::config::{IssuerConfig, KeySource, Mode};

use crate::support::{Server, until};

/// A key that signs, and what the world knows of it.
struct Pair {
    key: SigningKey,
    public_pem: String,
    jwk: Value,
}

fn pair(algorithm: Algorithm, id: &str) -> Pair {
    let made = generate(algorithm).unwrap();
    let key = SigningKey::from_pem(made.private.as_bytes(), Algorithm::Rs256).unwrap();
    let key = key.named(Some(id.to_owned()));
    let mut jwk = key.public_jwk().expect("a pair");
    jwk["kid"] = json!(id);
    Pair { key, public_pem: made.public.unwrap(), jwk }
}

fn claims(subject: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({"sub": subject, "exp": now + 600, "tidings": {"publish": ["t"]}}).to_string()
}

fn signed(pair: &Pair, id: &str) -> String {
    let header = json!({"alg": pair.key.algorithm().name(), "kid": id}).to_string();
    pair.key.sign(header.as_bytes(), claims("ada").as_bytes()).unwrap()
}

fn server(issuers: Vec<IssuerConfig>) -> Server {
    Server::with(|config| {
        config.mode = Mode::Serve;
        config.anonymous = Grants::default();
        config.issuers = issuers;
    })
}

fn issuer(algorithms: &[Algorithm], keys: KeySource) -> IssuerConfig {
    IssuerConfig {
        name: None,
        audience: Vec::new(),
        algorithms: algorithms.to_vec(),
        without_expiry: false,
        grants: GrantTemplate::default(),
        ceiling: None,
        tenant_claim: TENANT_CLAIM.to_owned(),
        keys,
    }
}

fn status(server: &Server, token: &str) -> u16 {
    let fields = format!("Authorization: Bearer {token}\r\n");
    server.request("POST", "/topics/t", &fields, b"x").status
}

fn publish_set(upstream: &Upstream, keys: &[&Pair]) {
    let keys: Vec<&Value> = keys.iter().map(|pair| &pair.jwk).collect();
    let set = json!({"keys": keys}).to_string();
    upstream.play(move |_| Script::body(200, "application/json", set.clone()));
}

#[test]
fn fetched_keys_change_and_outlive_a_failure() {
    let upstream = Upstream::start().unwrap();
    let (first, second) = (pair(Algorithm::EdDsa, "first"), pair(Algorithm::Es256, "second"));
    let stranger = pair(Algorithm::EdDsa, "stranger");
    publish_set(&upstream, &[&first]);
    let url = format!("http://{}/keys", upstream.address()).parse().unwrap();
    let server =
        server(vec![issuer(&[Algorithm::EdDsa, Algorithm::Es256], KeySource::JwksUrl(url))]);
    until("the set is fetched", || status(&server, &signed(&first, "first")) == 200);
    assert_eq!(upstream.received().len(), 1);
    // Made-up names of keys are no way to make the server fetch.
    publish_set(&upstream, &[&first, &second]);
    for number in 0..200 {
        assert_eq!(status(&server, &signed(&stranger, &number.to_string())), 401);
    }
    assert!(upstream.received().len() <= 2, "so many tokens, one fetch");
    until("the new key is known", || status(&server, &signed(&second, "second")) == 200);
    assert_eq!(upstream.received().len(), 2);
    upstream.play(|_| Script::body(500, "text/plain", "broken"));
    until("it was asked again", || {
        assert_eq!(status(&server, &signed(&stranger, "stranger")), 401);
        upstream.received().len() > 2
    });
    assert_eq!(status(&server, &signed(&second, "second")), 200, "the old keys stay");
    // One that is gone from the set is gone here, also for tokens that were believed before.
    publish_set(&upstream, &[&second]);
    until("the old key is refused", || {
        status(&server, &signed(&stranger, "stranger"));
        status(&server, &signed(&first, "first")) == 401
    });
}

fn unsigned(header: &Value, payload: &str) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.", encode(&header.to_string()), encode(payload))
}

/// Each token would count if the server let the token say how it is to be read.
#[test]
fn no_token_chooses_how_it_is_judged() {
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (pair(Algorithm::EdDsa, "own"), pair(Algorithm::Es256, "other"));
    let public = folder.path().join("own.pem");
    std::fs::write(&public, &own.public_pem).unwrap();
    let set = folder.path().join("set.json");
    std::fs::write(&set, json!({"keys": [other.jwk]}).to_string()).unwrap();
    // Both would be too lax alone: the kind of the key says the rest.
    let all = Algorithm::ALL;
    let server = server(vec![
        issuer(&all, KeySource::PublicKeys(vec![public])),
        issuer(&all, KeySource::JwksFile(set)),
    ]);
    assert_eq!(status(&server, &signed(&own, "own")), 200);
    assert_eq!(status(&server, &signed(&other, "other")), 200);
    let claims = claims("ada");
    let secret = |secret: &[u8], header: Value| {
        let key = SigningKey::from_secret(secret).unwrap();
        key.sign(header.to_string().as_bytes(), claims.as_bytes()).unwrap()
    };
    let resigned = |pair: &Pair, header: Value| {
        pair.key.sign(header.to_string().as_bytes(), claims.as_bytes()).unwrap()
    };
    let x = URL_SAFE_NO_PAD.decode(own.jwk["x"].as_str().unwrap()).unwrap();
    let good = signed(&own, "own");
    let parts: Vec<&str> = good.split('.').collect();
    let stranger = pair(Algorithm::EdDsa, "own");
    let wrong = [
        // RFC 8725, section 2.1: the public key as a secret, in every form it is written in.
        ("pem as a secret", secret(own.public_pem.as_bytes(), json!({"alg": "HS256"}))),
        ("pem without its line end", {
            secret(own.public_pem.trim().as_bytes(), json!({"alg": "HS256", "kid": "own"}))
        }),
        ("the bare key as a secret", secret(&x, json!({"alg": "HS256", "kid": "own"}))),
        ("jwk as a secret", secret(other.jwk.to_string().as_bytes(), json!({"alg": "HS256"}))),
        ("none", unsigned(&json!({"alg": "none"}), &claims)),
        ("None", unsigned(&json!({"alg": "None"}), &claims)),
        ("nOnE with a name", unsigned(&json!({"alg": "nOnE", "kid": "own"}), &claims)),
        ("no algorithm", unsigned(&json!({"kid": "own"}), &claims)),
        ("an empty signature", format!("{}.{}.", parts[0], parts[1])),
        ("another's name for the key", signed(&own, "other")),
        ("the other way round", signed(&other, "own")),
        ("another algorithm's name", resigned(&own, json!({"alg": "ES256", "kid": "own"}))),
        ("one that is not on the list", resigned(&own, json!({"alg": "ES384", "kid": "own"}))),
        ("in small letters", resigned(&own, json!({"alg": "eddsa", "kid": "own"}))),
        ("a stranger's key of that name", signed(&stranger, "own")),
        // RFC 8725, section 3.10: what the token brings itself is nobody's key.
        ("its own key", resigned(&stranger, json!({"alg": "EdDSA", "jwk": stranger.jwk}))),
        ("the address of its keys", {
            resigned(&stranger, json!({"alg": "EdDSA", "jku": "http://127.0.0.1:9/keys"}))
        }),
        ("an extension", resigned(&own, json!({"alg": "EdDSA", "kid": "own", "crit": ["exp"]}))),
        ("not for a bearer", resigned(&own, json!({"alg": "EdDSA", "typ": "dpop+jwt"}))),
        ("two algorithms", {
            own.key.sign(br#"{"alg":"EdDSA","alg":"HS256"}"#, claims.as_bytes()).unwrap()
        }),
        ("a header that is a list", own.key.sign(br#"["EdDSA"]"#, claims.as_bytes()).unwrap()),
        ("claims of another token", format!("{}.{}.{}", parts[0], "e30", parts[2])),
        ("a path for a name", resigned(&stranger, json!({"alg": "EdDSA", "kid": "../own.pem"}))),
        ("four parts", format!("{good}.x")),
        ("padding", format!("{good}=")),
        ("white space", format!("{} {}", &good[..10], &good[10..])),
    ];
    for (what, token) in wrong {
        assert_eq!(status(&server, &token), 401, "{what}");
    }
    assert_eq!(status(&server, &good), 200);
}
