//! What a real authority does not do when a test wants it to: it sends the server elsewhere, asks
//! for patience, issues what cannot be used, gives advice on renewal.

use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tidings_server::config::{AcmeConfig, Challenge};

use crate::acme::{PACE, audited, server, shown};
use crate::pebble::{free_port, write_authority};
use crate::support::{Server, until};
use crate::tls;

/// An answer: status, header lines, body.
type Answer = (u16, String, String);

/// An authority that answers as a test says, and remembers what it was asked.
struct Mock {
    folder: tempfile::TempDir,
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Mock {
    /// `answer` gets the mock's own URL and the path; what it leaves open is answered as in an
    /// order that goes well.
    fn start(answer: impl Fn(&str, &str) -> Option<Answer> + Send + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_authority(folder.path());
        let certificate = CertificateDer::from_pem_file(folder.path().join("certificate.pem"));
        let key = PrivateKeyDer::from_pem_file(folder.path().join("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.unwrap()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let (asked, config): (Arc<Mutex<Vec<String>>>, _) = (Arc::default(), Arc::new(config));
        let (noted, own) = (asked.clone(), url.clone());
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let connection = ServerConnection::new(config.clone()).unwrap();
                let mut stream = StreamOwned::new(connection, socket.unwrap());
                let Some((method, path)) = request(&mut stream) else { continue };
                noted.lock().push(format!("{method} {path}"));
                let done = noted.lock().iter().any(|line| line.contains("/finalize"));
                let usual = || usual(&own, &path, done);
                let (status, headers, body) = answer(&own, &path).unwrap_or_else(usual);
                let length = body.len();
                let body = if method == "HEAD" { String::new() } else { body };
                let head = format!("HTTP/1.1 {status} It\r\nConnection: close\r\n{headers}");
                let whole = format!("{head}Content-Length: {length}\r\n\r\n{body}");
                let _ = stream.write_all(whole.as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        Self { folder, url, asked }
    }

    fn config(&self) -> AcmeConfig {
        AcmeConfig {
            directory: format!("{}/directory", self.url).parse().unwrap(),
            domains: vec!["a.example".to_owned()],
            contact: Vec::new(),
            challenges: vec![Challenge::TlsAlpn],
            directory_ca: Some(self.folder.path().join("ca.pem")),
            external_account: None,
            pace: PACE,
        }
    }

    fn asked(&self, what: &str) -> usize {
        self.asked.lock().iter().filter(|line| line.contains(what)).count()
    }
}

/// Method and path of a request, once its body has come.
fn request(stream: &mut impl std::io::Read) -> Option<(String, String)> {
    let mut all = Vec::new();
    let head = loop {
        let mut some = [0; 4_096];
        let count = stream.read(&mut some).ok().filter(|count| *count > 0)?;
        all.extend(&some[..count]);
        if let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let text = String::from_utf8(all[..head].to_vec()).unwrap();
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    let missing = (head + length.unwrap_or(0)).saturating_sub(all.len());
    stream.read_exact(&mut vec![0; missing]).ok()?;
    let mut words = text.split(' ').map(str::to_owned);
    Some((words.next()?, words.next()?))
}

fn directory(url: &str) -> Value {
    json!({
        "newNonce": format!("{url}/nonce"), "newAccount": format!("{url}/account"),
        "newOrder": format!("{url}/order"),
    })
}

fn json_answer(status: u16, headers: &str, body: &Value) -> Answer {
    (status, format!("Content-Type: application/json\r\n{headers}"), body.to_string())
}

fn problem(status: u16, headers: &str, kind: &str) -> Answer {
    let body = json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "so"});
    (status, format!("Content-Type: application/problem+json\r\n{headers}"), body.to_string())
}

/// What an authority answers that has nothing to prove and issues something.
fn usual(url: &str, path: &str, done: bool) -> Answer {
    let nonce = "Replay-Nonce: bm9uY2U\r\n";
    let order = |status: &str| {
        json!({
            "status": status, "identifiers": [], "authorizations": [],
            "finalize": format!("{url}/finalize"), "certificate": format!("{url}/certificate"),
        })
    };
    match path {
        "/directory" => json_answer(200, "", &directory(url)),
        "/nonce" => (200, nonce.to_owned(), String::new()),
        "/account" => {
            let headers = format!("{nonce}Location: {url}/account/1\r\n");
            json_answer(201, &headers, &json!({"status": "valid"}))
        }
        "/order" => {
            let headers = format!("{nonce}Location: {url}/order/1\r\n");
            json_answer(201, &headers, &order("ready"))
        }
        "/order/1" => json_answer(200, nonce, &order(if done { "valid" } else { "ready" })),
        "/finalize" => json_answer(200, nonce, &order("valid")),
        _ => problem(404, nonce, "malformed"),
    }
}

/// Waits for the first failure that is told; what it is.
#[track_caller]
fn first_failure(server: &Server) -> (String, u64) {
    until("a failure", || !audited(server).is_empty());
    let line = audited(server)[0].clone();
    assert_eq!(line["what"], "certificate-failed");
    (line["error"].as_str().unwrap().to_owned(), line["again_in_s"].as_u64().unwrap())
}

#[test]
fn no_other_host_is_asked_whatever_the_authority_names() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let port = elsewhere.local_addr().unwrap().port();
    for name in ["newNonce", "newAccount", "newOrder"] {
        let mock = Mock::start(move |url, path| {
            let mut all = directory(url);
            all[name] = json!(format!("https://127.0.0.1:{port}/"));
            (path == "/directory").then(|| json_answer(200, "", &all))
        });
        let server = server(free_port(), mock.config());
        let (error, _) = first_failure(&server);
        assert!(error.contains("not of the directory's own host"), "{name}: {error}");
        assert!(elsewhere.accept().is_err(), "{name}: nobody came");
    }
    // Nor does it go where it is sent by a redirect.
    let mock = Mock::start(move |_, path| {
        let to = format!("Location: https://127.0.0.1:{port}/\r\n");
        (path == "/directory").then(|| (307, to, String::new()))
    });
    let server = server(free_port(), mock.config());
    first_failure(&server);
    assert!(elsewhere.accept().is_err());
}

#[test]
fn an_authority_that_asks_for_patience_gets_it() {
    for (answer, seconds) in [
        (problem(429, "Retry-After: 5000\r\n", "rateLimited"), 5_000),
        ((503, "Retry-After: 7000\r\n".to_owned(), "<html>".to_owned()), 7_000),
        // Not for ever.
        (problem(429, "Retry-After: 999999999\r\n", "rateLimited"), 86_400),
    ] {
        let mock = Mock::start(move |_, path| (path == "/order").then(|| answer.clone()));
        let server = server(free_port(), mock.config());
        assert_eq!(first_failure(&server).1, seconds);
    }
}

#[test]
fn what_cannot_be_used_is_not_taken() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    let other = tls::pem("CERTIFICATE", params.self_signed(&key).unwrap().der());
    let long = "x".repeat(300 << 10);
    for (issued, told) in [
        ("no certificate".to_owned(), "no items found"),
        (String::new(), "no items found"),
        // Of another key.
        (other, "the certificate and its key"),
        (long, "longer than"),
    ] {
        let nonce = "Replay-Nonce: bm9uY2U\r\n".to_owned();
        let mock = Mock::start(move |_, path| {
            (path == "/certificate").then(|| (200, nonce.clone(), issued.clone()))
        });
        let server = server(free_port(), mock.config());
        let (error, _) = first_failure(&server);
        assert!(error.contains(told), "{told}: {error}");
        assert_eq!(shown(&server), None);
        assert!(!server.folder().join("acme/certificate.json").exists());
    }
}

#[test]
fn an_answer_of_no_sense_is_told_in_a_line() {
    for body in ["<html>", "{}", "{\"newNonce\": 1}", "\u{7}"] {
        let mock = Mock::start(move |_, path| {
            (path == "/directory").then(|| (200, String::new(), body.to_owned()))
        });
        let server = server(free_port(), mock.config());
        assert_eq!(first_failure(&server).0, "the authority's answer is not one of ACME", "{body}");
    }
    let mock = Mock::start(|_, path| {
        let body = json!({
            "type": "urn:ietf:params:acme:error:serverInternal",
            "detail": format!("two\nlines {}", "x".repeat(100_000)),
        });
        let kind = "Content-Type: application/problem+json\r\n".to_owned();
        (path == "/order").then(|| (500, kind, body.to_string()))
    });
    let server = server(free_port(), mock.config());
    let (error, _) = first_failure(&server);
    assert!(error.len() <= 600 && error.contains("two lines"), "{error}");
}

/// Puts a certificate into the folder as if it had been ordered ten days ago, for ninety.
fn keep(server: &Server, mock: &Mock) {
    let (own, key, account) =
        (KeyPair::generate().unwrap(), KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = Issuer::new(authority, own);
    let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    params.use_authority_key_identifier_extension = true;
    let now = std::time::SystemTime::now();
    let day = std::time::Duration::from_secs(86_400);
    (params.not_before, params.not_after) = ((now - 10 * day).into(), (now + 80 * day).into());
    let chain = tls::pem("CERTIFICATE", params.signed_by(&key, &issuer).unwrap().der());
    let directory = format!("{}/directory", mock.url);
    let write = |name: &str, value: &Value| {
        std::fs::write(server.folder().join("acme").join(name), value.to_string()).unwrap();
    };
    write(
        "certificate.json",
        &json!({
            "directory": directory, "domains": ["a.example"], "chain": chain,
            "key": tls::pem("PRIVATE KEY", &key.serialize_der()),
        }),
    );
    let key = URL_SAFE_NO_PAD.encode(account.serialize_der());
    let id = format!("{}/account/1", mock.url);
    let credentials = json!({"id": id, "key_pkcs8": key, "directory": directory});
    write(
        "account.json",
        &json!({"directory": directory, "contact": [], "credentials": credentials}),
    );
}

#[test]
fn an_authority_may_want_a_certificate_renewed_sooner() {
    for (start, end, sooner) in [
        ("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z", true),
        ("2999-01-01T00:00:00Z", "2999-01-02T00:00:00Z", false),
    ] {
        let mock = Mock::start(move |url, path| {
            let mut all = directory(url);
            all["renewalInfo"] = json!(format!("{url}/advice"));
            let window = json!({"suggestedWindow": {"start": start, "end": end}});
            match path {
                "/directory" => Some(json_answer(200, "", &all)),
                path if path.starts_with("/advice/") => {
                    Some(json_answer(200, "Retry-After: 21600\r\n", &window))
                }
                // Nothing is ordered before the test has put its files there.
                "/account" => Some(problem(503, "", "serverInternal")),
                _ => None,
            }
        });
        let server = server(free_port(), mock.config());
        first_failure(&server);
        keep(&server, &mock);
        mock.asked.lock().clear();
        let server = server.restart_with(|config| {
            let mut acme = mock.config();
            acme.pace.look = std::time::Duration::from_millis(50);
            let certificate = tidings_server::config::CertificateSource::Acme(Box::new(acme));
            config.tls.as_mut().unwrap().certificate = certificate;
        });
        if sooner {
            until("an order", || mock.asked("POST /order") > 0);
        } else {
            until("it to ask often", || mock.asked("GET /advice/") > 3);
            assert_eq!(mock.asked("POST"), 0);
        }
        assert!(shown(&server).is_some(), "the old one stays");
    }
}
