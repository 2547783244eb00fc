//! `[tls.acme]`: what is read, and what is refused with which words.

use super::{AcmeConfig, CertificateSource, Challenge, File, Flag, Loaded, Mode, Source, load};

/// Loads this, with `KEY`, `BAD` and `LONG` as the paths of files that hold a key, none, and more
/// than a key may be.
fn loaded(text: &str) -> Result<Loaded, String> {
    let folder = tempfile::tempdir().unwrap();
    let mut text = format!("anonymous = []\n{text}");
    let long = "QUJD".repeat(1_025);
    for (name, held) in
        [("KEY", "c2VjcmV0IGtleQ\n"), ("BAD", "not a key of ours!"), ("LONG", &long)]
    {
        let path = folder.path().join(name.to_lowercase());
        std::fs::write(&path, held).unwrap();
        text = text.replace(name, path.to_str().unwrap());
    }
    let file = File { name: "t".into(), text };
    let loaded = load(Mode::Serve, Some(&file), std::iter::empty(), &[]);
    loaded.map_err(|error| {
        let problems = error.problems.iter();
        let told = problems.map(|problem| format!("{}: {}", problem.path, problem.message));
        told.collect::<Vec<_>>().join("\n")
    })
}

fn acme(loaded: &Loaded) -> &AcmeConfig {
    match &loaded.config.tls.as_ref().unwrap().certificate {
        CertificateSource::Acme(acme) => acme,
        CertificateSource::Files(_) => panic!("files"),
    }
}

const WHOLE: &str = "[tls.acme]\ndomains = [\"a.example\"]\nagree_terms = true\n";

#[test]
fn the_shortest_section_asks_lets_encrypt_by_handshake() {
    let loaded = loaded(WHOLE).unwrap();
    let acme = acme(&loaded);
    assert_eq!(acme.directory.to_string(), super::acme::LETS_ENCRYPT);
    assert_eq!(acme.domains, ["a.example"]);
    assert_eq!(acme.challenges, [Challenge::TlsAlpn]);
    assert_eq!((acme.contact.len(), &acme.directory_ca, &acme.external_account), (0, &None, &None));
}

#[test]
fn everything_can_be_said() {
    let text = "[tls]\nlisten = \"127.0.0.1:443\"\n[tls.acme]\nagree_terms = true\n\
        domains = [\"A.example.\", \"a.example\", \"xn--bcher-kva.example\", \"host\"]\n\
        contact = [\"ops@example.com\", \"mailto:b@example.com\"]\n\
        directory = \"https://ca.internal:14000/dir\"\ndirectory_ca = \"/etc/ca.pem\"\n\
        challenge = [\"http-01\", \"tls-alpn-01\"]\neab_key_id = \"me\"\neab_key_file = \"KEY\"\n";
    let loaded = loaded(text).unwrap();
    let acme = acme(&loaded);
    assert_eq!(acme.domains, ["a.example", "xn--bcher-kva.example", "host"], "each once");
    assert_eq!(acme.contact, ["mailto:ops@example.com", "mailto:b@example.com"]);
    assert_eq!(acme.challenges, [Challenge::Http, Challenge::TlsAlpn]);
    assert_eq!(acme.directory_ca.as_deref().unwrap().to_str(), Some("/etc/ca.pem"));
    let account = acme.external_account.as_ref().unwrap();
    assert_eq!((account.id.as_str(), account.key.as_slice()), ("me", &b"secret key"[..]));
    let shown = format!("{account:?}");
    assert!(!shown.contains("115") && !shown.contains("secret"), "{shown}");
    for (at, name) in super::acme::CHALLENGES.iter().enumerate() {
        let read: Challenge = serde_json::from_str(&format!("{name:?}")).unwrap();
        assert_eq!((read as usize, read.name()), (at, *name));
    }
}

#[test]
fn the_environment_and_flags_set_it_and_are_its_source() {
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let environment = [
        set("TIDINGS_ANONYMOUS", "subscribe"),
        set("TIDINGS_TLS__ACME__DOMAINS", "a.example,b.example"),
        set("TIDINGS_TLS__ACME__CONTACT", "ops@example.com"),
    ];
    let agree =
        Flag { path: "tls.acme.agree_terms", name: "--acme-agree-terms", value: "true".to_owned() };
    let loaded = load(Mode::Serve, None, environment.into_iter(), &[agree]).unwrap();
    assert_eq!(acme(&loaded).domains, ["a.example", "b.example"]);
    let source = |path: &str| {
        let found = loaded.values.iter().find(|value| value.path == path);
        found.unwrap().source.clone()
    };
    assert_eq!(
        source("tls.acme.domains"),
        Source::Environment("TIDINGS_TLS__ACME__DOMAINS".to_owned())
    );
    assert_eq!(source("tls.acme.agree_terms"), Source::Flag("--acme-agree-terms".to_owned()));
}

#[test]
fn without_it_there_is_none() {
    assert!(loaded("").unwrap().config.tls.is_none());
}

#[test]
fn what_is_wrong_is_told_where_it_is() {
    let domains = |list: &str| WHOLE.replace("[\"a.example\"]", list);
    let more = |line: &str| format!("{WHOLE}{line}\n");
    let many: Vec<_> = (0..101).map(|number| format!("\"n{number}.example\"")).collect();
    let long = format!("[\"{}.example\"]", "x".repeat(64));
    for (text, at, words) in [
        (WHOLE.replace("agree_terms = true\n", ""), "agree_terms", "add `agree_terms = true`"),
        (WHOLE.replace("true", "false"), "agree_terms", "terms of service"),
        ("[tls.acme]\nagree_terms = true\n".to_owned(), "domains", "must be given"),
        (domains("[]"), "domains", "must be given"),
        (domains(&format!("[{}]", many.join(","))), "domains", "more than one certificate"),
        (domains("[\"*.a.example\"]"), "domains[0]", "dns-01"),
        (domains("[\"a.example\", \"192.0.2.1\"]"), "domains[1]", "only names"),
        (domains("[\"[2001:db8::1]\"]"), "domains[0]", "only names"),
        (domains("[\"https://a.example\"]"), "domains[0]", "no name of a host"),
        (domains("[\"a..example\"]"), "domains[0]", "no name of a host"),
        (domains("[\"bücher.example\"]"), "domains[0]", "xn--"),
        (domains(&long), "domains[0]", "no name of a host"),
        (more("contact = [\"nobody\"]"), "contact[0]", "no e-mail address"),
        (more("contact = [\"a@b?subject=x\"]"), "contact[0]", "no e-mail address"),
        (more("directory = \"http://127.0.0.1:1/dir\""), "directory", "https alone"),
        (more("directory = \"ca.example\""), "directory", "a URL such as"),
        (more("directory = \"https://me:word@ca.example/\""), "directory", "without a user"),
        (more("challenge = [\"http-01\"]"), "challenge", "tls.listen"),
        (more("challenge = []"), "challenge", "it is empty"),
        (more("challenge = [\"dns-01\"]"), "challenge", "tls-alpn-01"),
        (more("eab_key_id = \"me\""), "eab_key_file", "one of them"),
        (more("eab_key_file = \"KEY\""), "eab_key_id", "missing"),
        (more("eab_key_id = \"me\"\neab_key_file = \"BAD\""), "eab_key_file", "base64url"),
        (more("eab_key_id = \"me\"\neab_key_file = \"LONG\""), "eab_key_file", "4096 bytes"),
        (more("eab_key_id = \"me\"\neab_key_file = \"/dev/zero\""), "eab_key_file", "4096"),
        (more("eab_key_id = \"me\"\neab_key_file = \"/no\""), "eab_key_file", "cannot read /no"),
        (more("eab_key_id = \"me\"\neab_key_env = \"NOT_SET_X\""), "eab_key_env", "not set"),
        ("[tls.acme]\n".to_owned(), "domains", "must be given"),
        ("[tls]\nacme = {}\n".to_owned(), "agree_terms", "terms of service"),
        ("[tls]\ncertificate = \"c\"\nkey = \"k\"\n[tls.acme]\n".to_owned(), "", "not both"),
        (format!("[tls]\ncertificate = \"c\"\nkey = \"k\"\n{WHOLE}"), "", "not both"),
        (format!("[tls]\nkey = \"k\"\n{WHOLE}"), "", "not both"),
    ] {
        let told = loaded(&text).expect_err(&text);
        let at = format!("tls.acme{}{at}: ", if at.is_empty() { "" } else { "." });
        let problem = told.lines().find(|line| line.starts_with(&at));
        let problem = problem.unwrap_or_else(|| panic!("nothing at {at}: {told}"));
        assert!(problem.contains(words), "{problem}");
        assert!(!told.contains("not a key of ours") && !told.contains("word@"), "{told}");
    }
}

/// A listener for TLS without a certificate is no server in clear text.
#[test]
fn a_listener_alone_is_refused() {
    for text in
        ["[tls]\nlisten = \"127.0.0.1:443\"\n", "[tls]\n# certificate = \"c\"\n", "tls = {}\n"]
    {
        let told = loaded(text).unwrap_err();
        assert!(told.contains("tls.certificate: it is missing"), "{told}");
    }
}
