//! `[tls.acme]`: certificates that the server gets by itself.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::Uri;
use serde::{Deserialize, Serialize};

use super::checked::complain;
use super::layers::Layers;
use super::raw::Acme;
use super::settings::refused_url;
use super::source::Source;

/// The directory that is asked unless another is given.
pub(super) const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Most names in one certificate: what authorities allow.
const DOMAINS_MAX: usize = 100;

/// Most bytes of a name (RFC 1035, section 2.3.4), and of what lies between two of its dots.
const DOMAIN_BYTES_MAX: (usize, usize) = (253, 63);

/// Most bytes of a file with the key of an account.
const EAB_KEY_BYTES_MAX: u64 = 4 << 10;

/// Base64 for URLs; the authorities' keys come with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A way to prove a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Challenge {
    /// A certificate of its own in a handshake on port 443 (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn,
    /// A resource of plain HTTP on port 80 (RFC 8555, section 8.3).
    #[serde(rename = "http-01")]
    Http,
}

/// What they are called, in the order of their declaration.
pub(super) const CHALLENGES: &[&str] = &["tls-alpn-01", "http-01"];

impl Challenge {
    /// What it is called on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        CHALLENGES[self as usize]
    }
}

/// Certificates by ACME (RFC 8555).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeConfig {
    /// The authority's directory.
    pub directory: Uri,
    /// The names, at least one, in lower case.
    pub domains: Vec<String>,
    /// `mailto:` URLs.
    pub contact: Vec<String>,
    /// How the names may be proven, at least one way.
    pub challenges: Vec<Challenge>,
    /// The file with the authority that the directory is trusted by; none for the system's.
    pub directory_ca: Option<PathBuf>,
    /// An account that the authority knows already.
    pub external_account: Option<ExternalAccount>,
    /// How long to wait when it does not work; not to be configured.
    pub pace: Pace,
}

/// An account that the authority knows already (RFC 8555, section 7.3.4). Its key is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalAccount {
    /// Its name.
    pub id: String,
    /// Its key.
    pub key: Vec<u8>,
}

impl fmt::Debug for ExternalAccount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ExternalAccount").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Waits between attempts, each twice as long as the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The first one when the authority could not be reached.
    pub unreachable: Duration,
    /// The first one when it refused. Authorities count failures: five in an hour are allowed.
    pub refused: Duration,
    /// The longest; an authority may ask for more.
    pub most: Duration,
    /// The longest without a look at the clock, which may be set.
    pub look: Duration,
    /// The shortest between two questions for the authority's advice on renewal.
    pub ask: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            unreachable: Duration::from_secs(10),
            refused: Duration::from_secs(120),
            most: Duration::from_secs(3_600),
            look: Duration::from_secs(60),
            ask: Duration::from_secs(6 * 3_600),
        }
    }
}

const AGREE_HINT: &str = "certificates are ordered only from an authority whose terms of service \
    you agree to: read them, then add `agree_terms = true` to [tls.acme], set \
    TIDINGS_TLS__ACME__AGREE_TERMS=true, or pass --acme-agree-terms";

const DOMAINS_HINT: &str = "it must be given: the names of this server, such as \
    [\"events.example.com\"]";

/// The section, if anything of it is given. `plain` is whether there is a plain listener too.
pub(super) fn check(raw: Acme, plain: bool, layers: &mut Layers) -> Option<AcmeConfig> {
    if !is_given(layers) {
        return None;
    }
    let mut add = |name: &str, message: String| {
        complain(layers, &format!("tls.acme.{name}"), message);
    };
    if raw.agree_terms != Some(true) {
        add("agree_terms", AGREE_HINT.to_owned());
    }
    let directory = directory(&raw.directory).map_err(|message| add("directory", message)).ok();
    let domains = raw.domains.unwrap_or_default();
    match domains.len() {
        0 => add("domains", DOMAINS_HINT.to_owned()),
        1..=DOMAINS_MAX => {}
        many => add(
            "domains",
            format!(
                "{many} names are more than one certificate takes, \
            {DOMAINS_MAX}"
            ),
        ),
    }
    let mut names = Vec::new();
    for (index, text) in domains.iter().enumerate() {
        match domain(text) {
            Ok(name) if names.contains(&name) => {}
            Ok(name) => names.push(name),
            Err(message) => add(&format!("domains[{index}]"), message),
        }
    }
    let mut contact = Vec::new();
    for (index, text) in raw.contact.unwrap_or_default().iter().enumerate() {
        match mail(text) {
            Ok(url) => contact.push(url),
            Err(message) => add(&format!("contact[{index}]"), message),
        }
    }
    let challenges = raw.challenge.unwrap_or_else(|| vec![Challenge::TlsAlpn]);
    if challenges.is_empty() {
        add("challenge", "it is empty; one of tls-alpn-01 and http-01, or both".to_owned());
    }
    if challenges.contains(&Challenge::Http) && !plain {
        add(
            "challenge",
            "http-01 is asked on the plain listener, and there is none: \
            give tls.listen, so that server.listen stays plain, or use tls-alpn-01"
                .to_owned(),
        );
    }
    let account = (raw.eab_key_id, raw.eab_key_file.as_deref(), raw.eab_key_env.as_deref());
    let external_account = external(account).unwrap_or_else(|(name, message)| {
        add(name, message);
        None
    });
    Some(AcmeConfig {
        directory: directory?,
        domains: names,
        contact,
        challenges,
        directory_ca: raw.directory_ca,
        external_account,
        pace: Pace::default(),
    })
}

/// Whether somebody has set any of it, or has written the section with nothing in it.
pub(super) fn is_given(layers: &Layers) -> bool {
    let of_it = |(path, leaf): (&String, &super::layers::Leaf)| {
        (path.starts_with("tls.acme.") || path == "tls.acme") && leaf.source != Source::Default
    };
    layers.leaves.iter().any(of_it)
}

fn directory(text: &str) -> Result<Uri, String> {
    let told = refused_url(text);
    let uri: Uri = text.parse().map_err(|error| format!("`{told}`: {error}"))?;
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    match uri.scheme_str() {
        Some("https") if plain => Ok(uri),
        Some("http") => Err(format!(
            "`{told}`: a directory is asked over https alone; for one with a certificate of its \
             own authority, give directory_ca"
        )),
        _ => Err(format!("`{told}`: a URL such as {LETS_ENCRYPT}, without a user in it")),
    }
}

/// A name that can be proven, in lower case.
fn domain(text: &str) -> Result<String, String> {
    if text.starts_with("*.") {
        return Err(format!(
            "`{text}`: a wildcard is proven by an entry in the DNS (dns-01), which the server \
             cannot make; list the names, or get the certificate with certbot or lego and give \
             tls.certificate and tls.key"
        ));
    }
    if text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return Err(format!("`{text}`: an address; only names get certificates here"));
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let (whole, part) = DOMAIN_BYTES_MAX;
    let fits = name.len() <= whole
        && name.split('.').all(|label| {
            let plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            plain && (1..=part).contains(&label.len())
        });
    if fits {
        return Ok(name);
    }
    let hint = if text.is_ascii() { "" } else { " (write it as the DNS does, with xn--)" };
    Err(format!("`{text}` is no name of a host{hint}; write for example \"events.example.com\""))
}

fn mail(text: &str) -> Result<String, String> {
    let address = text.strip_prefix("mailto:").unwrap_or(text);
    let plain = |b: u8| b.is_ascii_graphic() && !b"?,&".contains(&b);
    let parts = address.split_once('@').filter(|(user, _)| !user.is_empty());
    if parts.is_some_and(|(_, host)| domain(host).is_ok()) && address.bytes().all(plain) {
        return Ok(format!("mailto:{address}"));
    }
    Err(format!("`{text}` is no e-mail address; write for example \"ops@example.com\""))
}

/// The text of a file, of which no more is read than a key can be.
fn short_text(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(file)?.take(EAB_KEY_BYTES_MAX + 1).read_to_string(&mut text)?;
    if read as u64 > EAB_KEY_BYTES_MAX {
        let told = format!("it is longer than a key may be, {EAB_KEY_BYTES_MAX} bytes");
        return Err(io::Error::other(told));
    }
    Ok(text)
}

type Given<'a> = (Option<String>, Option<&'a Path>, Option<&'a str>);

fn external(given: Given<'_>) -> Result<Option<ExternalAccount>, (&'static str, String)> {
    let (id, name, text) = match given {
        (None, None, None) => return Ok(None),
        (Some(id), Some(file), None) => {
            let why = |error| format!("cannot read {}: {error}", file.display());
            (id, "eab_key_file", short_text(file).map_err(why))
        }
        (Some(id), None, Some(variable)) => {
            let missing = |_| format!("the environment variable {variable} is not set");
            (id, "eab_key_env", std::env::var(variable).map_err(missing))
        }
        (None, ..) => {
            let message = "it is missing: a key without the id of its account";
            return Err(("eab_key_id", message.to_owned()));
        }
        (Some(_), ..) => {
            let message = "give eab_key_file or eab_key_env, one of them, beside eab_key_id";
            return Err(("eab_key_file", message.to_owned()));
        }
    };
    let text = text.map_err(|message| (name, message))?;
    // The text itself is a secret and not shown.
    match BASE64.decode(text.trim()) {
        Ok(key) if !key.is_empty() => Ok(Some(ExternalAccount { id, key })),
        _ => Err((name, "the key is not in base64url, as authorities give it".to_owned())),
    }
}
