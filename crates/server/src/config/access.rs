//! `[[issuer]]` sections and `[public]`: whose tokens count, and what needs none.

use std::path::PathBuf;

use http::Uri;
use tidings_access::grants::GrantTemplate;
use tidings_access::verifier::TENANT_CLAIM;
use tidings_access::{Action, Algorithm, Grants};

use super::checked::{Anonymous, complain};
use super::layers::Layers;
use super::raw::{Issuer, Public};

/// Somebody whose tokens count.
#[derive(Debug, Clone)]
pub struct IssuerConfig {
    /// What the claim `iss` must be; none: it is not looked at.
    pub name: Option<String>,
    /// One of these must be in the claim `aud`; empty: it is not looked at.
    pub audience: Vec<String>,
    /// What tokens are signed with.
    pub algorithms: Vec<Algorithm>,
    /// Whether a token may lack `exp`.
    pub without_expiry: bool,
    /// What a token without the claim `tidings` grants.
    pub grants: GrantTemplate,
    /// The most that a token grants, whatever it claims; none: whatever it claims.
    pub ceiling: Option<GrantTemplate>,
    /// The claim that says whose limits apply.
    pub tenant_claim: String,
    /// Where the keys are.
    pub keys: KeySource,
}

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A secret in this environment variable.
    SecretEnv(String),
    /// A secret in this file; white space around it does not belong to it.
    SecretFile(PathBuf),
    /// Public keys in PEM, one in each file. A file's name without its ending is the key's `kid`.
    PublicKeys(Vec<PathBuf>),
    /// A JSON Web Key Set in a file.
    JwksFile(PathBuf),
    /// A JSON Web Key Set that is fetched.
    JwksUrl(Uri),
}

/// What to write where nothing says where the keys are.
const KEYS_HINT: &str = "an issuer has its keys in exactly one place: secret_env, secret_file, \
    public_keys, jwks_file or jwks_url; `tidings token keys` makes some";

/// The audience that says that none is looked at.
const ANY_AUDIENCE: &str = "*";

/// What to write where an issuer that serves others too does not say what its tokens are for.
const AUDIENCE_HINT: &str = "with jwks_url it must be given: whoever publishes keys signs tokens \
    for other services too, and those would count here. Give what `aud` says in tokens for this \
    server, such as [\"tidings\"], or [\"*\"] for any";

/// What to write where one of several issuers has no name.
const NAME_HINT: &str = "of several issuers each has a name, which is what the claim `iss` of its \
    tokens says: without it one could speak for the subjects of another";

/// What to write where a ceiling says nothing.
const EMPTY_CEILING_HINT: &str = "it has nothing in it: list what tokens grant at most, such as \
    subscribe = [\"news/**\"]; if that is to be nothing, write publish = []";

/// Checks the sections.
pub(super) fn check(raw: Vec<Issuer>, layers: &mut Layers) -> Vec<IssuerConfig> {
    let (mut checked, several) = (Vec::new(), raw.len() > 1);
    for (index, issuer) in raw.into_iter().enumerate() {
        // Taken for no ceiling it would open everything, and whoever wrote it meant to limit.
        let empty_ceiling = layers.leaves.contains_key(&format!("issuer[{index}].at_most"));
        let mut problem = |name: &str, message: String| {
            complain(layers, &format!("issuer[{index}].{name}"), message);
        };
        let algorithms: Vec<Algorithm> = issuer
            .algorithms
            .unwrap_or_default()
            .iter()
            .filter_map(|name| name.parse().ok())
            .collect();
        if algorithms.is_empty() {
            let message = "it must be given: what the issuer signs with, such as [\"EdDSA\"]";
            problem("algorithms", message.to_owned());
        }
        if several && issuer.name.is_none() {
            problem("name", NAME_HINT.to_owned());
        }
        let lists = [issuer.publish, issuer.subscribe, issuer.presence, issuer.admin];
        let grants = template("", lists, &mut problem);
        if empty_ceiling {
            problem("at_most", EMPTY_CEILING_HINT.to_owned());
        }
        let most = issuer.at_most;
        let lists = [most.publish, most.subscribe, most.presence, most.admin];
        // What the section grants is the most that a token can claim, unless it says otherwise.
        let ceiling = template("at_most.", lists, &mut problem).or_else(|| grants.clone());
        let grants = grants.unwrap_or_default();
        let tenant_claim = issuer.tenant_claim.unwrap_or_else(|| TENANT_CLAIM.to_owned());
        if tenant_claim.split('.').any(str::is_empty) {
            problem("tenant_claim", "it is a name, or names with dots between".to_owned());
        }
        let fetched = issuer.jwks_url.is_some();
        let audience = audience(issuer.audience, fetched, &mut problem);
        let url = issuer.jwks_url.map(|text| fetched_from(&text, &mut problem));
        let mut sources = [
            issuer.secret_env.map(KeySource::SecretEnv),
            issuer.secret_file.map(KeySource::SecretFile),
            issuer
                .public_keys
                .map(|files| KeySource::PublicKeys(files.into_iter().map(PathBuf::from).collect())),
            issuer.jwks_file.map(KeySource::JwksFile),
            url.map(KeySource::JwksUrl),
        ]
        .into_iter()
        .flatten();
        let (Some(keys), None) = (sources.next(), sources.next()) else {
            problem("public_keys", KEYS_HINT.to_owned());
            continue;
        };
        checked.push(IssuerConfig {
            name: issuer.name,
            audience,
            algorithms,
            without_expiry: issuer.without_expiry.unwrap_or_default(),
            grants,
            ceiling,
            tenant_claim,
            keys,
        });
    }
    checked
}

/// The patterns for publish, subscribe, presence and admin, if any are given at all.
fn template(
    prefix: &str,
    lists: [Option<Vec<String>>; 4],
    problem: &mut impl FnMut(&str, String),
) -> Option<GrantTemplate> {
    let mut template = lists.iter().any(Option::is_some).then(GrantTemplate::default)?;
    for (action, patterns) in Action::ALL.into_iter().zip(lists) {
        if let Err(message) = template.set(action, patterns.unwrap_or_default()) {
            problem(&format!("{prefix}{}", action.name()), message);
        }
    }
    Some(template)
}

/// Where keys are fetched.
fn fetched_from(text: &str, problem: &mut impl FnMut(&str, String)) -> Uri {
    let uri = text.parse::<Uri>().ok().filter(|uri| {
        let safe = uri.scheme_str() == Some("https") || super::relay::is_loopback(uri);
        uri.host().is_some() && safe
    });
    if uri.is_none() {
        let told = super::settings::refused_url(text);
        let message =
            format!("`{told}`: keys are fetched from https://…, or http:// on this machine");
        problem("jwks_url", message);
    }
    uri.unwrap_or_default()
}

/// Whether this can be the name of a cookie (RFC 6265, section 4.1.1): a token of RFC 9110, section
/// 5.6.2. Prefixes such as `__Host-` are part of the name.
pub(super) fn check_cookie(name: &str) -> Result<(), String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !name.is_empty() && name.bytes().all(fits) {
        return Ok(());
    }
    Err(format!(
        "{name:?} cannot be the name of a cookie, so none would ever count: it has letters, \
         digits, `-` and `_`, and no blank, `=`, `;` or `,`, such as \"__Host-token\""
    ))
}

/// The audiences of which one must be in a token; none if it is not looked at.
fn audience(
    given: Option<Vec<String>>,
    fetched: bool,
    problem: &mut impl FnMut(&str, String),
) -> Vec<String> {
    let mut audience = given.unwrap_or_default();
    if audience.is_empty() && fetched {
        problem("audience", AUDIENCE_HINT.to_owned());
    }
    if audience.iter().any(|name| name == ANY_AUDIENCE) {
        if audience.len() > 1 {
            problem("audience", "`*` is any audience, so it stands alone".to_owned());
        }
        audience.clear();
    }
    audience
}

impl Public {
    /// Whether anything is public.
    pub(super) fn any(&self) -> bool {
        [&self.publish, &self.subscribe, &self.presence].iter().any(|list| list.is_some())
    }
}

/// What anybody may do, as grants: the doors that are open for every topic, and `[public]`.
pub(super) fn open_to_all(anonymous: Anonymous, public: Public, layers: &mut Layers) -> Grants {
    let mut grants = Grants::default();
    for (action, open, patterns) in [
        (Action::Publish, anonymous.publish, public.publish),
        (Action::Subscribe, anonymous.subscribe, public.subscribe),
        (Action::Presence, anonymous.subscribe && anonymous.publish, public.presence),
        (Action::Admin, anonymous.admin, None),
    ] {
        let all = open.then(|| "**".to_owned());
        for text in all.into_iter().chain(patterns.unwrap_or_default()) {
            match tidings_frame::Pattern::new(&text) {
                Ok(pattern) => grants.patterns_mut(action).push(pattern),
                Err(error) => {
                    let path = format!("public.{}", action.name());
                    complain(layers, &path, format!("`{text}`: {error}"));
                }
            }
        }
    }
    grants
}
