//! Which tokens count, as a table: every kind of key, every claim, and what an attacker would try.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::sync::Arc;

use serde_json::{Value, json};
use tidings_access::grants::GrantTemplate;
use tidings_access::signing::{SigningError, generate};
use tidings_access::{
    Action, Algorithm, Caller, Grants, Issuer, Key, KeySet, SigningKey, TokenError, Verifier,
};

const NOW: u64 = 1_800_000_000;
const RSA_PRIVATE: &[u8] = include_bytes!("keys/rsa.private.pem");
const RSA_PUBLIC: &[u8] = include_bytes!("keys/rsa.public.pem");

/// A pair: what signs, and the text that verifies.
struct Pair {
    signs: SigningKey,
    public: Vec<u8>,
}

impl Pair {
    fn new(algorithm: Algorithm) -> Self {
        if matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256) {
            let signs = SigningKey::from_pem(RSA_PRIVATE, algorithm).unwrap();
            return Self { signs, public: RSA_PUBLIC.to_vec() };
        }
        let made = generate(algorithm).unwrap();
        match made.public {
            None => Self {
                signs: SigningKey::from_secret(made.private.as_bytes()).unwrap(),
                public: made.private.into_bytes(),
            },
            Some(public) => Self {
                signs: SigningKey::from_pem(made.private.as_bytes(), algorithm).unwrap(),
                public: public.into_bytes(),
            },
        }
    }

    fn verifies(&self) -> Key {
        match self.signs.algorithm() {
            Algorithm::Hs256 => Key::from_secret(&self.public).unwrap(),
            _ => Key::from_pem(&self.public).unwrap(),
        }
    }

    fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": self.signs.algorithm().name(), "typ": "JWT"});
        self.signs.sign(header.to_string().as_bytes(), claims.to_string().as_bytes()).unwrap()
    }
}

fn verifier(issuers: Vec<Issuer>) -> Verifier {
    Verifier::new(issuers.into_iter().map(Arc::new).collect())
}

fn issuer(keys: Vec<Key>, algorithms: &[Algorithm]) -> Issuer {
    Issuer::new(KeySet::new(keys).unwrap(), algorithms.to_vec())
}

fn good() -> Value {
    json!({"sub": "ada", "exp": NOW + 60, "tidings": {"subscribe": ["chat/*"]}})
}

#[test]
fn each_kind_of_key_verifies_what_it_signed_and_nothing_else() {
    for algorithm in Algorithm::ALL {
        let pair = Pair::new(algorithm);
        let judge = verifier(vec![issuer(vec![pair.verifies()], &[algorithm])]);
        let token = pair.token(&good());
        let caller = judge.verify(&token, NOW).unwrap();
        assert_eq!(caller.subject.as_deref(), Some("ada"), "{algorithm}");
        assert_eq!(caller.grants.subscribe[0].as_str(), "chat/*");
        // Any one letter of the token changed is another token.
        for place in (0..token.len()).step_by(7) {
            let mut other = token.clone().into_bytes();
            other[place] = if other[place] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert!(judge.verify(&other, NOW).is_err(), "{algorithm}, letter {place}");
        }
        // The last bytes of a signature left out, or more of them.
        let (signed, signature) = token.rsplit_once('.').unwrap();
        for wrong in ["", &signature[..signature.len() - 4], &format!("{signature}AAAA")] {
            assert!(judge.verify(&format!("{signed}.{wrong}"), NOW).is_err(), "{algorithm}");
        }
        if !matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256) {
            let stranger = Pair::new(algorithm).token(&good());
            assert_eq!(judge.verify(&stranger, NOW), Err(TokenError::Signature), "{algorithm}");
        }
    }
}

#[test]
fn the_algorithm_is_never_the_tokens_choice() {
    let everything = Algorithm::ALL;
    for mine in Algorithm::ALL {
        let pair = Pair::new(mine);
        // Everything is on the list, so only the kind of the key stands in the way.
        let judge = verifier(vec![issuer(vec![pair.verifies()], &everything)]);
        for theirs in ["none", "None", "NONE", "", "HS256", "HS384", "RS256", "PS256", "ES256"]
            .into_iter()
            .chain(["EdDSA", "hs256", "HS256 "])
            .filter(|name| *name != mine.name())
        {
            let header = json!({"alg": theirs}).to_string();
            let payload = good().to_string();
            // Signed with the public key as if it were a secret: the classic of 2015.
            let confused = SigningKey::from_secret(&pair.public).unwrap();
            let token = confused.sign(header.as_bytes(), payload.as_bytes()).unwrap();
            assert!(judge.verify(&token, NOW).is_err(), "{mine} as {theirs}");
            let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
            assert!(judge.verify(&unsigned, NOW).is_err(), "{mine} as {theirs}, unsigned");
        }
        // And an algorithm of the right kind that is not on the list.
        let closed = verifier(vec![issuer(vec![pair.verifies()], &[])]);
        assert_eq!(closed.verify(&pair.token(&good()), NOW), Err(TokenError::Algorithm));
    }
    // One RSA key, two algorithms: only the one on the list.
    let pair = Pair::new(Algorithm::Rs256);
    let judge = verifier(vec![issuer(vec![pair.verifies()], &[Algorithm::Ps256])]);
    assert_eq!(judge.verify(&pair.token(&good()), NOW), Err(TokenError::Algorithm));
}

#[test]
fn of_issuers_with_the_same_keys_the_audience_decides() {
    let (pair, other) = (Pair::new(Algorithm::EdDsa), Pair::new(Algorithm::EdDsa));
    let meant_for = |audience: &[&str], key: &Pair, may: &str| {
        let mut from = issuer(vec![key.verifies()], &[Algorithm::EdDsa]);
        from.name = Some("same".into());
        from.audience = audience.iter().map(|name| (*name).to_owned()).collect();
        from.grants.set(Action::Subscribe, vec![may.to_owned()]).unwrap();
        from
    };
    let judge = verifier(vec![
        meant_for(&["web"], &pair, "web/*"),
        meant_for(&["backend"], &pair, "backend/*"),
        meant_for(&["web"], &other, "other/*"),
    ]);
    let ask = |audience: &str| {
        let claims = json!({"iss": "same", "aud": audience, "exp": NOW + 60});
        judge.verify(&pair.token(&claims), NOW).map(|caller| caller.grants)
    };
    for (audience, may, may_not) in
        [("web", "web/1", "backend/1"), ("backend", "backend/1", "web/1")]
    {
        let grants = ask(audience).unwrap();
        assert!(grants.allow(Action::Subscribe, may), "{audience}");
        assert!(!grants.allow(Action::Subscribe, may_not), "{audience}");
    }
    assert_eq!(ask("nobody"), Err(TokenError::Audience), "and not whose key did not fit");
}

#[test]
fn claims_are_judged_one_by_one() {
    let pair = Pair::new(Algorithm::EdDsa);
    let mut from = issuer(vec![pair.verifies()], &[Algorithm::EdDsa]);
    from.name = Some("https://issuer.example".into());
    from.audience = vec!["tidings".into(), "hub".into()];
    let judge = verifier(vec![from]);
    let base = json!({"iss": "https://issuer.example", "aud": "tidings", "exp": NOW + 60});
    type Expected = Result<(), TokenError>;
    let cases: Vec<(Value, Expected)> = vec![
        (json!({}), Ok(())),
        (json!({"aud": ["other", "hub"]}), Ok(())),
        (json!({"exp": NOW - 29}), Ok(())),
        (json!({"exp": NOW - 30}), Err(TokenError::Expired)),
        (json!({"exp": 0}), Err(TokenError::Expired)),
        (json!({"exp": null}), Err(TokenError::NoExpiry)),
        (json!({"nbf": NOW + 30}), Ok(())),
        (json!({"nbf": NOW + 31}), Err(TokenError::NotYet)),
        (json!({"aud": "other"}), Err(TokenError::Audience)),
        (json!({"aud": []}), Err(TokenError::Audience)),
        (json!({"iss": "https://issuer.example/"}), Err(TokenError::UnknownIssuer)),
        (json!({"iss": null}), Err(TokenError::UnknownIssuer)),
    ];
    for (change, wanted) in cases {
        let mut claims = base.clone();
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let verdict = judge.verify(&pair.token(&claims), NOW).map(|_: Caller| ());
        assert_eq!(verdict, wanted, "{change}");
    }
    // Of another shape: refused, never taken for absent.
    for change in [
        json!({"exp": "9999999999"}),
        json!({"exp": [NOW]}),
        json!({"nbf": "0"}),
        json!({"nbf": -1}),
        json!({"aud": {"a": 1}}),
        json!({"sub": 7}),
        json!({"jti": 7}),
        json!({"tidings": []}),
        json!({"tidings": {"subscribe": "**"}}),
        json!({"tidings": {"subscribe": ["a*"]}}),
        json!({"tidings": {"sub": ["a"]}}),
        json!({"tidings": {"subscribe": vec!["a"; 257]}}),
    ] {
        let mut claims = base.clone();
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let verdict = judge.verify(&pair.token(&claims), NOW);
        assert!(matches!(verdict, Err(TokenError::Claims(_))), "{change}: {verdict:?}");
    }
}

#[test]
fn several_issuers_keep_their_keys_to_themselves() {
    let (one, two) = (Pair::new(Algorithm::EdDsa), Pair::new(Algorithm::Es256));
    let issuers = [(&one, "one"), (&two, "two")].map(|(pair, name)| {
        let mut from = issuer(vec![pair.verifies()], &[pair.signs.algorithm()]);
        from.name = Some(name.into());
        from
    });
    let judge = verifier(issuers.into());
    let claims = |iss: &str| json!({"iss": iss, "exp": NOW + 60});
    assert!(judge.verify(&one.token(&claims("one")), NOW).is_ok());
    assert!(judge.verify(&two.token(&claims("two")), NOW).is_ok());
    // A key of one issuer signs nothing for the other.
    assert!(judge.verify(&one.token(&claims("two")), NOW).is_err());
    assert!(judge.verify(&two.token(&claims("one")), NOW).is_err());
    assert_eq!(judge.verify(&one.token(&claims("3")), NOW), Err(TokenError::UnknownIssuer));
}

#[test]
fn a_name_chooses_among_keys_and_rotation_changes_them() {
    let (old, new) = (Pair::new(Algorithm::EdDsa), Pair::new(Algorithm::EdDsa));
    let named = |pair: &Pair, id: &str| pair.verifies().named(Some(id.into()));
    let judge = verifier(vec![issuer(vec![named(&old, "old")], &[Algorithm::EdDsa])]);
    let signed_as = |pair: &Pair, id: &str| {
        let header = json!({"alg": "EdDSA", "kid": id}).to_string();
        pair.signs.sign(header.as_bytes(), good().to_string().as_bytes()).unwrap()
    };
    assert!(judge.verify(&signed_as(&old, "old"), NOW).is_ok());
    assert!(judge.verify(&old.token(&good()), NOW).is_ok(), "a token without kid tries all");
    assert_eq!(judge.verify(&signed_as(&new, "new"), NOW), Err(TokenError::UnknownKey));
    assert_eq!(judge.verify(&signed_as(&new, "old"), NOW), Err(TokenError::Signature));
    let both = KeySet::new(vec![named(&old, "old"), named(&new, "new")]).unwrap();
    judge.issuers()[0].rotate(both);
    assert!(judge.verify(&signed_as(&new, "new"), NOW).is_ok());
    assert!(judge.verify(&signed_as(&old, "old"), NOW).is_ok());
    judge.issuers()[0].rotate(KeySet::new(vec![named(&new, "new")]).unwrap());
    assert!(judge.verify(&signed_as(&old, "old"), NOW).is_err());
}

#[test]
fn key_sets_take_what_they_know_and_leave_the_rest() {
    let secret = "k".repeat(43);
    let set = |keys: Value, network| {
        KeySet::from_jwks(json!({"keys": keys}).to_string().as_bytes(), network)
    };
    let p256 = json!({"kty": "EC", "crv": "P-256", "kid": "a",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"});
    let ed = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let with = |key: &Value, name: &str, value: Value| {
        let mut key = key.clone();
        key[name] = value;
        key
    };
    assert_eq!(set(json!([p256, ed]), true).unwrap().len(), 2);
    for (unknown, why) in [
        (with(&p256, "use", json!("enc")), "for encryption"),
        (with(&p256, "crv", json!("P-384")), "another curve"),
        (with(&p256, "alg", json!("ES384")), "another algorithm"),
        (with(&p256, "x", json!("AA")), "a short coordinate"),
        (with(&p256, "y", json!("!")), "no base64url"),
        (with(&p256, "kty", json!("LMS")), "another type"),
        (with(&ed, "x", json!(7)), "another shape"),
        (json!({"kty": "oct", "k": "c2hvcnQ"}), "a short secret"),
        (json!(7), "no object"),
    ] {
        assert_eq!(set(json!([unknown, ed]), false).unwrap().len(), 1, "{why}");
        assert!(set(json!([unknown]), false).is_err(), "{why}, alone");
    }
    let oct = json!({"kty": "oct", "k": secret});
    assert_eq!(set(json!([oct]), false).unwrap().len(), 1);
    assert!(set(json!([oct]), true).is_err(), "a secret that came over the network");
    assert!(set(json!(vec![ed.clone(); 33]), true).is_err(), "too many");
    assert!(KeySet::from_jwks(b"[]", true).is_err());
    // A key that says what it is for is for nothing else.
    let only = with(&json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}), "alg", json!("PS256"));
    let keys = set(json!([only]), true).unwrap();
    assert_eq!(keys.candidates(Algorithm::Rs256, None).count(), 0);
    assert_eq!(keys.candidates(Algorithm::Ps256, None).count(), 1);
}

#[test]
fn only_public_keys_of_known_kinds_are_taken_from_pem() {
    assert!(Key::from_pem(include_bytes!("keys/ed25519.public.pem")).is_ok());
    assert!(Key::from_pem(RSA_PUBLIC).is_ok());
    assert!(Key::from_pem(RSA_PRIVATE).is_err(), "a private key has no business here");
    assert!(Key::from_pem(include_bytes!("keys/p384.public.pem")).is_err());
    assert!(Key::from_pem(b"").is_err());
    assert!(Key::from_secret(&[b'k'; 31]).is_err());
    assert!(SigningKey::from_secret(&[b'k'; 31]).is_err());
    assert!(SigningKey::from_pem(RSA_PUBLIC, Algorithm::Rs256).is_err());
    assert_eq!(generate(Algorithm::Rs256), Err(SigningError::NotMade(Algorithm::Rs256)));
    // A key cut short, or with something behind it, is none.
    let pem = String::from_utf8(RSA_PUBLIC.to_vec()).unwrap();
    let lines: Vec<&str> = pem.lines().collect();
    let cut = [&lines[..2], &lines[3..]].concat().join("\n");
    assert!(Key::from_pem(cut.as_bytes()).is_err());
}

/// The issuer without a name could sign any `iss`: that of another makes nobody another's subject.
#[test]
fn an_identity_is_of_the_issuer_that_has_verified_it() {
    let (named, other, third) =
        (Pair::new(Algorithm::EdDsa), Pair::new(Algorithm::Es256), Pair::new(Algorithm::Hs256));
    let of = |pair: &Pair, name: Option<&str>| {
        let mut issuer = issuer(vec![pair.verifies()], &Algorithm::ALL);
        issuer.name = name.map(str::to_owned);
        issuer
    };
    let judge = verifier(vec![of(&other, None), of(&named, Some("id")), of(&third, None)]);
    let mut identities = Vec::new();
    for claims in [json!({"sub": "ada"}), json!({"jti": "7"}), json!({"sub": "ada", "iss": "x"})] {
        for (pair, iss) in [(&named, "id"), (&other, "id"), (&third, "id")] {
            let mut claims = claims.clone();
            claims["exp"] = json!(NOW + 60);
            if claims["iss"] == Value::Null {
                claims["iss"] = json!(iss);
            }
            if let Ok(caller) = judge.verify(&pair.token(&claims), NOW) {
                identities.push(caller.identity);
            }
        }
    }
    assert_eq!(identities.len(), 8, "the named issuer says no other name");
    let count = identities.len();
    identities.sort();
    identities.dedup();
    assert_eq!(identities.len(), count, "{identities:?}");
    let mut later = json!({"sub": "ada", "iss": "id", "jti": "8", "exp": NOW + 90});
    let first = judge.verify(&named.token(&later), NOW).unwrap().identity;
    later["jti"] = json!("9");
    assert_eq!(judge.verify(&named.token(&later), NOW).unwrap().identity, first);
}

#[test]
fn sets_are_the_same_only_with_the_same_keys_under_the_same_names() {
    let (one, two) = (Pair::new(Algorithm::EdDsa), Pair::new(Algorithm::Es256));
    let named = |pair: &Pair, name: &str| pair.verifies().named(Some(name.to_owned()));
    let set = |keys: Vec<Key>| KeySet::new(keys).unwrap();
    let both = || set(vec![named(&one, "a"), named(&two, "b")]);
    assert!(both().is_same(&both()));
    for other in [
        set(vec![named(&one, "a")]),
        set(vec![named(&one, "a"), named(&two, "c")]),
        set(vec![named(&one, "a"), named(&Pair::new(Algorithm::Es256), "b")]),
        set(vec![named(&two, "a"), named(&one, "b")]),
        set(Vec::new()),
    ] {
        assert!(!both().is_same(&other) && !other.is_same(&both()), "{other:?}");
    }
    let secret = || set(vec![Pair::new(Algorithm::Hs256).verifies()]);
    assert!(!secret().is_same(&secret()));
}

#[test]
fn a_claim_reaches_as_far_as_its_issuers_ceiling_and_no_further() {
    let made = Pair::new(Algorithm::Hs256);
    let template = |action, patterns: &[&str]| {
        let mut template = GrantTemplate::default();
        template.set(action, patterns.iter().map(|text| (*text).to_owned()).collect()).unwrap();
        template
    };
    let under = |ceiling: Option<GrantTemplate>, grants: Value| {
        let mut issuer = issuer(vec![made.verifies()], &[Algorithm::Hs256]);
        issuer.ceiling = ceiling;
        let mut claims = good();
        claims["tidings"] = grants;
        verifier(vec![issuer]).verify(&made.token(&claims), NOW).unwrap().grants
    };
    let chat = || Some(template(Action::Subscribe, &["chat/7", "inbox/{sub}", "news/**"]));
    let pattern = |text: &str| tidings_frame::Pattern::new(text).unwrap();
    let may = |grants: &Grants, topic: &str| grants.allow(Action::Subscribe, topic);

    let wide = under(chat(), json!({"subscribe": ["chat/*", "inbox/*", "news/a/*"]}));
    for (topic, allowed) in [
        ("chat/7", true),
        ("chat/8", false),
        ("inbox/ada", true),
        ("inbox/bob", false),
        ("news/a/1", true),
        ("news/b", false),
    ] {
        assert_eq!(may(&wide, topic), allowed, "{topic}");
    }
    for (wanted, allowed) in
        [("chat/7", true), ("chat/*", false), ("news/a/*", true), ("news/**", false), ("**", false)]
    {
        assert_eq!(wide.allow_all(Action::Subscribe, &pattern(wanted)), allowed, "{wanted}");
    }
    let begins = |grants: &Grants| {
        grants.beginnings(Action::Subscribe).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(begins(&wide), ["chat/7", "inbox/ada", "news/a/"]);

    let all = || serde_json::to_value(Grants::everything()).unwrap();
    let everything = under(chat(), all());
    assert!(may(&everything, "chat/7") && !may(&everything, "chat/8"));
    // What the ceiling does not name it does not grant.
    for action in [Action::Publish, Action::Presence, Action::Admin] {
        assert!(!everything.allow(action, "chat/7"), "{action:?}");
        assert!(!everything.allow(action, "presence/chat/7"), "{action:?}");
    }
    assert!(!everything.is_operator());
    assert!(!under(Some(template(Action::Admin, &["chat/**"])), all()).is_operator());
    let operators = under(Some(template(Action::Admin, &["**"])), all());
    assert!(operators.is_operator() && !may(&operators, "chat/7"));
    assert!(!under(Some(GrantTemplate::default()), all()).allow(Action::Subscribe, "a"));
    assert!(under(None, all()).is_operator(), "an issuer without one may grant everything");

    // Of presence too, and no more than presence: each is judged by both.
    let members = || Some(template(Action::Presence, &["chat/7"]));
    for claimed in [json!({"presence": ["**"]}), json!({"publish": ["**"]})] {
        let member = under(members(), claimed);
        assert!(member.allow(Action::Publish, "presence/chat/7"));
        assert!(!member.allow_plainly(Action::Publish, "presence/chat/7"));
        assert!(!member.allow(Action::Publish, "presence/chat/8"));
        assert!(!member.allow(Action::Publish, "chat/7"));
    }
}

#[test]
fn a_tenant_is_what_its_issuer_calls_so() {
    let made = Pair::new(Algorithm::Hs256);
    let tenant = |claim: &str, more: Value| {
        let mut issuer = issuer(vec![made.verifies()], &[Algorithm::Hs256]);
        issuer.tenant_claim = claim.to_owned();
        let mut claims = good();
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        verifier(vec![issuer]).verify(&made.token(&claims), NOW).map(|caller| caller.tenant)
    };
    let named = |name: &str| Ok(Some(name.to_owned()));
    let org = json!({"org": {"id": "o7", "no": 7, "of": {"id": "deep"}}, "tenant": {"x": 1}});
    assert_eq!(tenant("tenant", json!({"tenant": "t1"})), named("t1"));
    assert_eq!(tenant("tenant", json!({"tenant": null})), Ok(None));
    assert_eq!(tenant("tenant", json!({})), Ok(None));
    assert_eq!(tenant("org.id", org.clone()), named("o7"));
    assert_eq!(tenant("org.no", org.clone()), named("7"));
    assert_eq!(tenant("org.of.id", org.clone()), named("deep"));
    for absent in ["org.none", "org.none.x", "none.id", "id", "none.of.id"] {
        assert_eq!(tenant(absent, org.clone()), Ok(None), "{absent}");
    }
    assert_eq!(tenant("org.id", json!({"org": null})), Ok(None));
    for not_there in ["org.id.x", "org.no.x", "org.id.x.y", "list.0"] {
        let mut claims = org.clone();
        claims["list"] = json!(["o7"]);
        let refused = tenant(not_there, claims);
        assert!(matches!(refused, Err(TokenError::Claims(_))), "{not_there}: {refused:?}");
    }
    let url = "https://app.example/tenant";
    assert_eq!(
        tenant(url, json!({url: "t2", "https://app": {"example/tenant": "t3"}})),
        named("t2")
    );
    for (claim, more) in
        [("tenant", org.clone()), ("org", org), ("tenant", json!({"tenant": ["t1"]}))]
    {
        assert!(matches!(tenant(claim, more), Err(TokenError::Claims(_))), "{claim}");
    }
}
