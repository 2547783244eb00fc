//! Certificates that the server gets by itself, from a real authority on loopback.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use tidings_server::config::{
    AcmeConfig, CertificateSource, Challenge, ExternalAccount, Pace, TlsConfig,
};

use crate::pebble::{Pebble, Settings, free_port, mode};
use crate::support::{Conn, PATIENCE, Server, until};
use crate::tls;

/// Waits that a test can wait for.
pub(crate) const PACE: Pace = Pace {
    unreachable: Duration::from_millis(200),
    refused: Duration::from_millis(500),
    most: Duration::from_secs(2),
    look: Duration::from_secs(5),
    ask: Duration::from_secs(3_600),
};

pub(crate) fn config(pebble: &Pebble, domains: &[&str]) -> AcmeConfig {
    AcmeConfig {
        directory: pebble.directory().parse().unwrap(),
        domains: domains.iter().map(|&name| name.to_owned()).collect(),
        contact: vec!["mailto:ops@example.com".to_owned()],
        challenges: vec![Challenge::TlsAlpn],
        directory_ca: Some(pebble.directory_ca()),
        external_account: None,
        pace: PACE,
    }
}

/// A server that speaks TLS on this port, with a certificate of this authority.
pub(crate) fn server(port: u16, acme: AcmeConfig) -> Server {
    Server::with(|config| {
        let listen = Some(SocketAddr::from(([127, 0, 0, 1], port)));
        let certificate = CertificateSource::Acme(Box::new(acme));
        config.tls = Some(TlsConfig { certificate, listen });
        config.audit_log = Some(config.data_dir.join("audit"));
    })
}

/// What the audit log says of certificates.
pub(crate) fn audited(server: &Server) -> Vec<Value> {
    let text = std::fs::read_to_string(server.folder().join("audit")).unwrap_or_default();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["what"].as_str().unwrap().starts_with("certificate")).collect()
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A handshake as a client makes it that trusts this root alone.
pub(crate) fn handshake(
    server: &Server,
    root: CertificateDer<'static>,
    name: &str,
) -> std::io::Result<Stream> {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpStream::connect(server.tls()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let name = name.to_owned().try_into().unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// The certificate that is shown, whoever has issued it.
pub(crate) fn shown(server: &Server) -> Option<Vec<u8>> {
    let socket = TcpStream::connect(server.tls()).unwrap();
    let stream = tls::over(socket, tls::client(&[])).ok()?;
    Some(stream.conn.peer_certificates().unwrap()[0].to_vec())
}

/// Waits until it shows a certificate.
#[track_caller]
pub(crate) fn until_shown(server: &Server) -> Vec<u8> {
    let mut found = None;
    until("a certificate", || {
        found = shown(server);
        found.is_some()
    });
    found.unwrap()
}

/// The kept file of this name.
fn kept(server: &Server, name: &str) -> PathBuf {
    server.folder().join("acme").join(name)
}

#[test]
fn a_certificate_is_ordered_and_outlives_a_restart() {
    let port = free_port();
    let mut settings = Settings::new(port);
    settings.refused_nonces = 20;
    let Some(mut pebble) = Pebble::start(&settings) else { return };
    let server = server(port, config(&pebble, &["a.example", "b.example"]));
    let first = until_shown(&server);
    let root = pebble.root();
    for name in ["a.example", "b.example"] {
        let mut conn = Conn::over_tls(handshake(&server, root.clone(), name).unwrap());
        conn.ask("GET", "/healthz", "", b"");
        assert_eq!(conn.reply().status, 200);
    }
    assert!(handshake(&server, root, "c.example").is_err());
    // Of three nonces in a row that are refused, which happens, the order dies and is made again.
    let mut lines = audited(&server);
    lines.retain(|line| line["what"] == "certificate");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["domains"], json!(["a.example", "b.example"]));
    assert_eq!(server.metric("tidings_tls_certificate_expires_seconds"), lines[0]["expires"]);
    assert_eq!(server.metric("tidings_tls_certificate_renewals_total"), 1.0);
    assert_eq!(mode(&server.folder().join("acme")), 0o700);
    for name in ["account.json", "certificate.json"] {
        assert_eq!(mode(&kept(&server, name)), 0o600, "{name}");
    }
    until("nothing left of attempts", || !kept(&server, "attempt.json").exists());
    // With nobody left to order from.
    pebble.end();
    let server = server.restart();
    assert_eq!(shown(&server).as_deref(), Some(&*first), "from the first moment");
    assert_eq!(server.get("/readyz").status, 200);
    assert_eq!(server.metric("tidings_tls_certificate_expires_seconds"), lines[0]["expires"]);
    assert_eq!(server.metric("tidings_tls_certificate_renewals_total"), 0.0);
}

#[test]
fn without_an_authority_it_starts_refuses_handshakes_and_tries_again() {
    let port = free_port();
    let settings = Settings::new(port);
    let Some(mut pebble) = Pebble::prepare(&settings) else { return };
    let server = server(port, config(&pebble, &["a.example"]));
    let socket = TcpStream::connect(server.tls()).unwrap();
    let refused = tls::over(socket, tls::client(&[])).unwrap_err().to_string();
    assert!(refused.contains("alert"), "said, and not just closed: {refused}");
    let ready = server.get("/readyz");
    assert_eq!((ready.status, ready.json()["code"].as_str()), (503, Some("no-certificate")));
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.metric("tidings_tls_certificate_expires_seconds"), 0.0);
    until("two attempts", || server.metric("tidings_tls_certificate_failures_total") >= 2.0);
    // Everything else works meanwhile.
    server.publish("/topics/t", "plain");
    pebble.run(&settings);
    until_shown(&server);
    assert_eq!(server.get("/readyz").status, 200);
    assert!(handshake(&server, pebble.root(), "a.example").is_ok());
}

#[test]
fn a_renewed_certificate_is_taken_without_a_cut() {
    let port = free_port();
    let mut settings = Settings::new(port);
    settings.life = 12;
    let Some(mut pebble) = Pebble::start(&settings) else { return };
    let server = server(port, config(&pebble, &["a.example"]));
    let first = until_shown(&server);
    let mut conn = Conn::over_tls(handshake(&server, pebble.root(), "a.example").unwrap());
    conn.ask("GET", "/topics/t", "Accept: text/event-stream\r\n", b"");
    let mut stream = crate::stream::Stream::open(conn);
    until("a renewal", || shown(&server).unwrap() != first);
    server.publish("/topics/t", "after the first renewal");
    assert_eq!(stream.next().data, "after the first renewal");
    let failures = || server.metric("tidings_tls_certificate_failures_total");
    // This authority knows nothing of advice and of what is replaced.
    assert_eq!(failures(), 0.0);
    // While the authority is away, the last one stays; the account is lost meanwhile.
    pebble.end();
    until("a renewal that fails", || failures() >= 1.0);
    let stays = shown(&server).unwrap();
    assert_eq!(server.get("/readyz").status, 200);
    settings.life = 90 * 86_400;
    pebble.set(&settings);
    pebble.run(&settings);
    until("a renewal by an account that is new", || shown(&server).unwrap() != stays);
    assert!(handshake(&server, pebble.root(), "a.example").is_ok());
    server.publish("/topics/t", "and still there");
    assert_eq!(stream.next().data, "and still there");
    let renewals = server.metric("tidings_tls_certificate_renewals_total");
    assert!(renewals >= 3.0, "{renewals}");
}

#[test]
fn a_certificate_that_has_ended_is_told_and_shown_for_want_of_another() {
    let port = free_port();
    let mut settings = Settings::new(port);
    settings.life = 4;
    let Some(mut pebble) = Pebble::start(&settings) else { return };
    let server = server(port, config(&pebble, &["a.example"]));
    until_shown(&server);
    pebble.end();
    let code = |server: &Server| {
        let ready = server.get("/readyz");
        (ready.status, ready.json()["code"].as_str().map(str::to_owned))
    };
    let ended = || (503, Some("certificate-expired".to_owned()));
    until("its end", || code(&server) == ended());
    let server = server.restart();
    assert_eq!(code(&server), ended());
    assert!(shown(&server).is_some(), "who does not look at that is served");
    settings.life = 90 * 86_400;
    pebble.set(&settings);
    pebble.run(&settings);
    until("another", || code(&server).0 == 200);
}

#[test]
fn a_certificate_that_is_due_when_it_comes_is_shown_and_counts_as_a_failure() {
    let port = free_port();
    let mut settings = Settings::new(port);
    settings.life = 1;
    let Some(pebble) = Pebble::start(&settings) else { return };
    let server = server(port, config(&pebble, &["a.example"]));
    let first = until_shown(&server);
    until("two failures", || {
        let failed = |line: &&Value| line["what"] == "certificate-failed";
        audited(&server).iter().filter(failed).count() >= 2
    });
    let lines = audited(&server);
    let failed: Vec<_> = lines.iter().filter(|line| line["what"] == "certificate-failed").collect();
    for line in failed {
        let error = line["error"].as_str().unwrap();
        assert!(error.contains("due for renewal already"), "{error}");
        assert!(line["again_in_s"].as_u64().unwrap() >= 1, "{line}");
    }
    let text = std::fs::read_to_string(kept(&server, "attempt.json")).unwrap();
    let attempt: Value = serde_json::from_str(&text).unwrap();
    assert!(attempt["failures"].as_u64().unwrap() >= 2, "{text}");
    assert_ne!(shown(&server).unwrap(), first);
}

#[test]
fn a_certificate_that_cannot_be_kept_is_shown_all_the_same() {
    let port = free_port();
    let settings = Settings::new(port);
    let Some(pebble) = Pebble::start(&settings) else { return };
    let acme = config(&pebble, &["a.example"]);
    let server = Server::with(|config| {
        // Folders in the places of files.
        for name in ["account.json.new", "certificate.json.new"] {
            std::fs::create_dir_all(config.data_dir.join("acme").join(name)).unwrap();
        }
        let listen = Some(SocketAddr::from(([127, 0, 0, 1], port)));
        let certificate = CertificateSource::Acme(Box::new(acme));
        config.tls = Some(TlsConfig { certificate, listen });
    });
    until_shown(&server);
    assert!(handshake(&server, pebble.root(), "a.example").is_ok());
    assert!(!kept(&server, "certificate.json").exists() && !kept(&server, "account.json").exists());
    assert_eq!((pebble.issued(), server.get("/readyz").status), (1, 200));
}

#[test]
fn a_name_that_is_not_proven_is_told_and_tried_again() {
    let port = free_port();
    let mut settings = Settings::new(port);
    // The authority finds nobody there.
    settings.tls_port = free_port();
    let Some(mut pebble) = Pebble::start(&settings) else { return };
    let server = server(port, config(&pebble, &["a.example"]));
    until("a refusal", || !audited(&server).is_empty());
    let line = &audited(&server)[0];
    assert_eq!(line["what"], "certificate-failed");
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("a.example: ") && error.contains("Failed to connect"), "{error}");
    assert_eq!(shown(&server), None);
    settings.tls_port = port;
    pebble.set(&settings);
    pebble.run(&settings);
    until_shown(&server);
}

#[test]
fn a_name_that_the_authority_does_not_want_is_told() {
    let port = free_port();
    let mut settings = Settings::new(port);
    settings.blocked = vec!["blocked.example".to_owned()];
    let Some(pebble) = Pebble::start(&settings) else { return };
    let server = server(port, config(&pebble, &["a.example", "blocked.example"]));
    until("a refusal", || !audited(&server).is_empty());
    let error = audited(&server)[0]["error"].to_string();
    assert!(error.contains("rejectedIdentifier") && error.contains("blocked.example"), "{error}");
}

#[test]
fn what_is_kept_and_garbled_is_replaced() {
    let port = free_port();
    let settings = Settings::new(port);
    let Some(pebble) = Pebble::start(&settings) else { return };
    let mut server = server(port, config(&pebble, &["a.example"]));
    let mut last = until_shown(&server);
    let file = kept(&server, "certificate.json");
    let whole = std::fs::read_to_string(&file).unwrap();
    // A key that is not the certificate's.
    let mut other: Value = serde_json::from_str(&whole).unwrap();
    other["key"] =
        json!(tls::pem("PRIVATE KEY", &rcgen::KeyPair::generate().unwrap().serialize_der()));
    // A certificate that is not for the name.
    let mut foreign: Value = serde_json::from_str(&whole).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["x.example".to_owned()]).unwrap();
    foreign["key"] = json!(tls::pem("PRIVATE KEY", &key.serialize_der()));
    foreign["chain"] = json!(tls::pem("CERTIFICATE", params.self_signed(&key).unwrap().der()));
    for (certificate, account) in [
        (whole[..whole.len() / 2].to_owned(), None),
        (String::new(), Some("{")),
        ("\u{0}".repeat(100), Some("")),
        (other.to_string(), Some("{\"directory\": 1}")),
        (foreign.to_string(), None),
    ] {
        std::fs::write(&file, &certificate).unwrap();
        if let Some(account) = account {
            std::fs::write(kept(&server, "account.json"), account).unwrap();
        }
        server = server.restart();
        let next = until_shown(&server);
        assert_ne!(next, last, "{certificate}");
        assert_eq!(mode(&file), 0o600);
        last = next;
    }
    assert_eq!(pebble.issued(), 6, "{}", pebble.log());
    let accounts = pebble.log().matches("There are now 4 accounts").count();
    assert_eq!(accounts, 1, "one for each garbled one, and the first: {}", pebble.log());
}

#[test]
fn other_names_are_a_new_order_and_the_old_certificate_stays_meanwhile() {
    let port = free_port();
    let settings = Settings::new(port);
    let Some(mut pebble) = Pebble::start(&settings) else { return };
    let server = server(port, config(&pebble, &["a.example"]));
    let first = until_shown(&server);
    pebble.end();
    let mut more = config(&pebble, &["a.example", "b.example"]);
    more.contact = vec!["mailto:other@example.com".to_owned()];
    let server = server.restart_with(|config| {
        config.tls.as_mut().unwrap().certificate = CertificateSource::Acme(Box::new(more));
    });
    assert_eq!(shown(&server), Some(first));
    pebble.run(&settings);
    let root = pebble.root();
    until("both names", || handshake(&server, root.clone(), "b.example").is_ok());
    assert!(handshake(&server, root, "a.example").is_ok());
    // An authority that knows the account is told whom to write to from now on.
    let mut last = config(&pebble, &["b.example"]);
    last.contact = vec!["mailto:third@example.com".to_owned()];
    let server = server.restart_with(|config| {
        config.tls.as_mut().unwrap().certificate = CertificateSource::Acme(Box::new(last));
    });
    let text = || std::fs::read_to_string(kept(&server, "account.json")).unwrap();
    until("the third contact", || text().contains("third@example.com"));
    assert!(!text().contains("other@"), "{}", text());
    assert!(pebble.log().matches("POST /my-account/").count() > 0, "{}", pebble.log());
}

#[test]
fn a_name_is_proven_over_plain_http() {
    let port = free_port();
    let mut settings = Settings::new(port);
    settings.tls_port = free_port();
    let plain = settings.http_port;
    let Some(pebble) = Pebble::start(&settings) else { return };
    let mut acme = config(&pebble, &["a.example"]);
    acme.challenges = vec![Challenge::Http];
    let server = Server::with(|config| {
        config.listen = SocketAddr::from(([127, 0, 0, 1], plain));
        let listen = Some(SocketAddr::from(([127, 0, 0, 1], port)));
        let certificate = CertificateSource::Acme(Box::new(acme));
        config.tls = Some(TlsConfig { certificate, listen });
    });
    until_shown(&server);
    assert!(handshake(&server, pebble.root(), "a.example").is_ok());
    assert_eq!(server.get("/.well-known/acme-challenge/x").status, 404);
}

#[test]
fn an_authority_that_asks_for_an_account_gets_it() {
    let port = free_port();
    let mut settings = Settings::new(port);
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    settings.accounts = vec![("kid-1".to_owned(), key.to_owned())];
    let Some(pebble) = Pebble::start(&settings) else { return };
    let without = server(port, config(&pebble, &["a.example"]));
    until("a refusal", || !audited(&without).is_empty());
    let error = audited(&without)[0]["error"].to_string();
    assert!(error.contains("externalAccountRequired"), "{error}");
    let mut acme = config(&pebble, &["a.example"]);
    let raw = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, key);
    acme.external_account = Some(ExternalAccount { id: "kid-1".to_owned(), key: raw.unwrap() });
    let with = without.restart_with(|config| {
        config.tls.as_mut().unwrap().certificate = CertificateSource::Acme(Box::new(acme));
    });
    until_shown(&with);
    // Keys are nowhere but where they are kept.
    let mut told = std::fs::read_to_string(with.folder().join("audit")).unwrap();
    for target in ["/metrics", "/configuration", "/readyz"] {
        told += &with.get(target).text();
    }
    let kept: Value =
        serde_json::from_slice(&std::fs::read(kept(&with, "account.json")).unwrap()).unwrap();
    let own = kept["credentials"]["key_pkcs8"].as_str().unwrap();
    assert!(!told.contains(key) && !told.contains(own), "{told}");
}

#[test]
fn who_asks_for_a_proof_gets_nothing_else() {
    let port = free_port();
    let settings = Settings::new(port);
    let Some(pebble) = Pebble::start(&settings) else { return };
    let server = server(port, config(&pebble, &["a.example"]));
    until_shown(&server);
    let over = |protocols: &[&str]| {
        tls::over(TcpStream::connect(server.tls()).unwrap(), tls::client(protocols))
    };
    // There is nothing to be proven any more.
    assert!(over(&["acme-tls/1"]).is_err());
    // Who offers it beside others speaks HTTP.
    for (offered, chosen) in
        [(&["acme-tls/1", "h2"][..], "h2"), (&["acme-tls/1", "http/1.1"], "http/1.1")]
    {
        let stream = over(offered).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), Some(chosen.as_bytes()));
    }
    // With files there is no such protocol.
    let files = tls::server();
    let socket = TcpStream::connect(files.tls()).unwrap();
    assert!(tls::over(socket, tls::client(&["acme-tls/1"])).is_err());
}
