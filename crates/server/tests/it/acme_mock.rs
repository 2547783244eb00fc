//! What a real authority does not do when a test wants it to: it sends the server elsewhere, asks
//! for patience, issues what cannot be used, gives advice on renewal.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tidings_server::config::{AcmeConfig, CertificateSource, Challenge};

use crate::acme::{PACE, audited, server, shown};
use crate::pebble::{free_port, mode, write_authority};
use crate::support::{Server, until};
use crate::tls;

/// An answer: status, header lines, body.
type Answer = (u16, String, String);

/// An authority that answers as a test says, and remembers what it was asked.
pub(crate) struct Mock {
    folder: tempfile::TempDir,
    url: String,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    /// What answers before all else, by what was said.
    first_word: Arc<Mutex<Option<FirstWord>>>,
}

type FirstWord = Box<dyn Fn(&str) -> Option<Answer> + Send>;

impl Mock {
    /// `answer` gets the mock's own URL and the path; what it leaves open is answered as in an
    /// order that goes well.
    pub(crate) fn start(answer: impl Fn(&str, &str) -> Option<Answer> + Send + 'static) -> Self {
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
        let first_word: Arc<Mutex<Option<FirstWord>>> = Arc::default();
        let first = first_word.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let connection = ServerConnection::new(config.clone()).unwrap();
                let mut stream = StreamOwned::new(connection, socket.unwrap());
                let Some((method, path, said)) = request(&mut stream) else { continue };
                noted.lock().push(format!("{method} {path} {said}"));
                let done = noted.lock().iter().any(|line| line.contains("/finalize"));
                let usual = || usual(&own, &path, &said, done);
                let before = first.lock().as_ref().and_then(|first| first(&said));
                let (status, headers, body) =
                    before.or_else(|| answer(&own, &path)).unwrap_or_else(usual);
                let length = body.len();
                let body = if method == "HEAD" { String::new() } else { body };
                let head = format!("HTTP/1.1 {status} It\r\nConnection: close\r\n{headers}");
                let whole = format!("{head}Content-Length: {length}\r\n\r\n{body}");
                let _ = stream.write_all(whole.as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        Self { folder, url, asked, first_word }
    }

    pub(crate) fn config(&self) -> AcmeConfig {
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

    /// What was said in each order.
    fn orders(&self) -> Vec<Value> {
        let asked = self.asked.lock();
        let orders = asked.iter().filter_map(|line| line.strip_prefix("POST /order {"));
        orders.map(|said| serde_json::from_str(&format!("{{{said}")).unwrap()).collect()
    }
}

/// Method, path and what is said in a request, without its signature.
fn request(stream: &mut impl std::io::Read) -> Option<(String, String, String)> {
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
    let mut rest = vec![0; missing];
    stream.read_exact(&mut rest).ok()?;
    all.extend(rest);
    let signed: Value = serde_json::from_slice(&all[head..]).unwrap_or_default();
    let said = URL_SAFE_NO_PAD.decode(signed["payload"].as_str().unwrap_or_default()).unwrap();
    let mut words = text.split(' ').map(str::to_owned);
    Some((words.next()?, words.next()?, String::from_utf8(said).unwrap()))
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

pub(crate) fn problem(status: u16, headers: &str, kind: &str) -> Answer {
    let body = json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "so"});
    (status, format!("Content-Type: application/problem+json\r\n{headers}"), body.to_string())
}

pub(crate) const NONCE: &str = "Replay-Nonce: bm9uY2U\r\n";

/// An order of this status with one name, which can be proven both ways.
fn to_be_proven(url: &str, path: &str, status: &str) -> Option<Answer> {
    let order = json!({
        "status": status, "authorizations": [format!("{url}/name")],
        "finalize": format!("{url}/finalize"),
    });
    let challenge = |kind: &str| {
        json!({"type": kind, "url": format!("{url}/prove/{kind}"), "token": "t",
            "status": "pending"})
    };
    let location = format!("{NONCE}Location: {url}/order/1\r\n");
    match path {
        "/order" => Some(json_answer(201, &location, &order)),
        "/order/1" => Some(json_answer(200, NONCE, &order)),
        "/name" => Some(json_answer(
            200,
            NONCE,
            &json!({
                "identifier": {"type": "dns", "value": "a.example"}, "status": "pending",
                "challenges": [challenge("http-01"), challenge("tls-alpn-01")],
            }),
        )),
        path => {
            let kind = path.strip_prefix("/prove/")?;
            Some(json_answer(200, NONCE, &challenge(kind)))
        }
    }
}

/// What an authority answers that has nothing to prove and issues something.
fn usual(url: &str, path: &str, said: &str, done: bool) -> Answer {
    let nonce = NONCE;
    let said: Value = serde_json::from_str(said).unwrap_or_default();
    let order = |status: &str| {
        json!({
            "status": status, "identifiers": [], "authorizations": [],
            "finalize": format!("{url}/finalize"), "certificate": format!("{url}/certificate"),
            "replaces": said["replaces"],
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
pub(crate) fn first_failure(server: &Server) -> (String, u64) {
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
        (problem(429, "Retry-After: 18446744073709551615\r\n", "rateLimited"), 86_400),
        (problem(429, "Retry-After: +18446744073709551615\r\n", "rateLimited"), 1),
    ] {
        let mock = Mock::start(move |_, path| (path == "/order").then(|| answer.clone()));
        let server = server(free_port(), mock.config());
        assert_eq!(first_failure(&server).1, seconds);
    }
}

#[test]
fn a_refusal_while_it_waits_says_nothing_of_the_names() {
    let mock = Mock::start(|url, path| match path {
        "/order/1" => Some(problem(429, "Retry-After: 5000\r\n", "rateLimited")),
        path => to_be_proven(url, path, "pending"),
    });
    let server = server(free_port(), mock.config());
    let (error, seconds) = first_failure(&server);
    assert!(error.contains("rateLimited") && !error.contains("make sure"), "{error}");
    assert_eq!(seconds, 5_000);
}

#[test]
fn patience_without_end_is_a_day() {
    for asked in ["86399", "18446744073709551615", "+18446744073709551615"] {
        let headers = format!("{NONCE}Retry-After: {asked}\r\n");
        let mock = Mock::start(move |url, path| {
            let answer = to_be_proven(url, path, "pending")?;
            let waits = path == "/order/1";
            // What cannot be read is as good as nothing; the authority says no in the end.
            match (waits, asked.starts_with('+')) {
                (false, _) => Some(answer),
                (true, false) => Some((200, headers.clone(), answer.2)),
                (true, true) => {
                    let body = answer.2.replace("\"pending\"", "\"invalid\"");
                    Some((200, headers.clone(), body))
                }
            }
        });
        let server = server(free_port(), mock.config());
        let (error, seconds) = first_failure(&server);
        if asked.starts_with('+') {
            assert!(error.contains("make sure of the names"), "{error}");
        } else {
            assert!(error.contains("timed out waiting"), "{error}");
            assert!((86_390..=86_400).contains(&seconds), "{seconds}");
        }
    }
}

#[test]
fn what_stands_in_between_is_told_as_what_it_is() {
    for (status, kind, told, seconds) in [
        (403, "Content-Type: text/html; charset=utf-8\r\n", "status 403 and is text/html,", 9),
        (502, "Content-Type: text/plain\r\n", "status 502 and is text/plain,", 1),
        (404, "", "status 404 and is of no media type,", 9),
    ] {
        let mock = Mock::start(move |_, path| {
            (path == "/directory").then(|| (status, kind.to_owned(), "no".to_owned()))
        });
        let mut config = mock.config();
        (config.pace.refused, config.pace.most) = (Duration::from_secs(9), Duration::from_secs(9));
        let server = server(free_port(), config);
        let (error, again_in) = first_failure(&server);
        assert!(error.contains(told), "{error}");
        // Up to a tenth more.
        assert!((seconds..=seconds + 1).contains(&again_in), "{status}: {again_in}");
    }
}

#[test]
fn the_other_challenge_is_tried_next() {
    let mock = Mock::start(|url, path| match path {
        "/order/1" => to_be_proven(url, path, "invalid"),
        path => to_be_proven(url, path, "pending"),
    });
    let mut config = mock.config();
    config.challenges = vec![Challenge::Http, Challenge::TlsAlpn];
    let server = server(free_port(), config);
    until("three attempts", || mock.asked("POST /prove/") >= 3);
    let asked = mock.asked.lock().clone();
    let ways: Vec<_> = asked
        .iter()
        .filter_map(|line| line.strip_prefix("POST /prove/")?.split(' ').next())
        .take(3)
        .collect();
    assert_eq!(ways, ["http-01", "tls-alpn-01", "http-01"]);
    assert!(first_failure(&server).0.contains("make sure of the names"));
}

#[test]
fn a_restart_orders_no_sooner_than_the_process_before_would_have() {
    let mock = Mock::start(|_, path| (path == "/order").then(|| problem(403, "", "unauthorized")));
    let mut config = mock.config();
    (config.pace.refused, config.pace.most) =
        (Duration::from_secs(3_600), Duration::from_secs(3_600));
    let mut server = server(free_port(), config);
    first_failure(&server);
    let file = server.folder().join("acme/attempt.json");
    assert_eq!(mode(&file), 0o600);
    for _ in 0..3 {
        server = server.restart();
        assert_eq!(server.get("/readyz").json()["code"], "no-certificate");
    }
    assert_eq!((mock.orders().len(), audited(&server).len()), (1, 1));
    // Who has mended what was wrong need not wait.
    std::fs::remove_file(&file).unwrap();
    let server = server.restart();
    until("a second order", || audited(&server).len() == 2);
    assert_eq!(mock.orders().len(), 2);
    assert!(file.exists());
}

#[test]
fn nothing_is_ordered_that_could_not_be_kept() {
    let mock =
        Mock::start(|_, path| (path == "/directory").then(|| problem(503, "", "serverInternal")));
    let server = server(free_port(), mock.config());
    first_failure(&server);
    // A folder in the place of the file.
    let (probe, last) =
        (server.folder().join("acme/probe.new"), || audited(&server).pop().unwrap());
    std::fs::create_dir(&probe).unwrap();
    until("a failure to keep", || last()["error"].as_str().unwrap().contains("could not be kept"));
    let asked = mock.asked("");
    let failures = audited(&server).len();
    until("another", || audited(&server).len() > failures);
    assert_eq!(mock.asked(""), asked, "nobody is asked meanwhile");
    std::fs::remove_dir(&probe).unwrap();
    until("the next question", || mock.asked("") > asked);
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

/// Puts a certificate into the folder as if it had been ordered ten days ago, for ninety, with
/// these names in this order.
fn keep(data_dir: &Path, mock: &Mock, names: &[&str]) {
    let (own, key, account) =
        (KeyPair::generate().unwrap(), KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = Issuer::new(authority, own);
    let domains: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(domains).unwrap();
    params.use_authority_key_identifier_extension = true;
    let now = std::time::SystemTime::now();
    let day = std::time::Duration::from_secs(86_400);
    (params.not_before, params.not_after) = ((now - 10 * day).into(), (now + 80 * day).into());
    let chain = tls::pem("CERTIFICATE", params.signed_by(&key, &issuer).unwrap().der());
    let directory = format!("{}/directory", mock.url);
    let write = |name: &str, value: &Value| {
        std::fs::write(data_dir.join("acme").join(name), value.to_string()).unwrap();
    };
    write(
        "certificate.json",
        &json!({
            "directory": directory, "domains": names, "chain": chain,
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

/// An authority that advises this window, and takes no orders.
fn advising(start: &'static str, end: &'static str) -> Mock {
    Mock::start(move |url, path| {
        let mut all = directory(url);
        all["renewalInfo"] = json!(format!("{url}/advice"));
        let window = json!({"suggestedWindow": {"start": start, "end": end}});
        match path {
            "/directory" => Some(json_answer(200, "", &all)),
            path if path.starts_with("/advice/") => {
                Some(json_answer(200, "Retry-After: 1\r\n", &window))
            }
            // Nothing is ordered before the test has put its files there.
            "/account" => Some(problem(503, "", "serverInternal")),
            _ => None,
        }
    })
}

/// A server that has a certificate for these names, and is asked for those of its configuration.
fn having(mock: &Mock, names: &[&str], config: AcmeConfig) -> Server {
    let server = server(free_port(), config.clone());
    first_failure(&server);
    server.restart_with(|all| {
        keep(&all.data_dir, mock, names);
        std::fs::remove_file(all.data_dir.join("acme/attempt.json")).unwrap();
        mock.asked.lock().clear();
        let certificate = CertificateSource::Acme(Box::new(config));
        all.tls.as_mut().unwrap().certificate = certificate;
    })
}

#[test]
fn an_authority_may_want_a_certificate_renewed_sooner() {
    let mock = advising("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z");
    let server = having(&mock, &["a.example"], mock.config());
    // And again, without asking once more when.
    until("a second order", || mock.orders().len() >= 2);
    assert_eq!(mock.asked("GET /advice/"), 1, "at the start");
    assert!(shown(&server).is_some(), "the old one stays");
    // What the new one replaces is said once, by the name that the advice was asked for.
    let orders = mock.orders();
    let id =
        mock.asked.lock().iter().find_map(|line| {
            Some(line.strip_prefix("GET /advice/")?.split(' ').next()?.to_owned())
        });
    assert_eq!(orders[0]["replaces"].as_str(), id.as_deref());
    assert_eq!(orders[1].get("replaces"), None);
    let asked = mock.asked.lock().clone();
    let posts = asked.iter().filter_map(|line| line.strip_prefix("POST /")?.split(' ').next());
    let posts: Vec<_> = posts.filter(|what| ["order", "finalize"].contains(what)).take(3).collect();
    assert_eq!(posts, ["order", "finalize", "order"], "it was believed");
}

#[test]
fn an_authority_that_does_not_believe_what_is_replaced_is_asked_without() {
    let mock = advising("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z");
    let distrust =
        |said: &str| said.contains("replaces").then(|| problem(409, NONCE, "alreadyReplaced"));
    *mock.first_word.lock() = Some(Box::new(distrust));
    let server = having(&mock, &["a.example"], mock.config());
    until("an order that is taken", || mock.asked("POST /finalize") >= 1);
    let replaces: Vec<_> =
        mock.orders().iter().map(|order| order.get("replaces").is_some()).take(2).collect();
    assert_eq!(replaces, [true, false]);
    assert!(shown(&server).is_some());
}

#[test]
fn the_order_of_names_is_no_reason_to_order_nor_is_advice_to_wait() {
    let mock = advising("2999-01-01T00:00:00Z", "2999-01-02T00:00:00Z");
    let mut config = mock.config();
    config.domains = vec!["b.example".to_owned(), "a.example".to_owned()];
    config.pace.ask = Duration::from_millis(50);
    let server = having(&mock, &["a.example", "b.example"], config);
    until("it to ask often", || mock.asked("GET /advice/") > 3);
    assert_eq!(mock.asked("POST"), 0);
    assert!(shown(&server).is_some());
}
