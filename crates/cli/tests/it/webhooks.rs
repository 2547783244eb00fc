//! Webhooks of the program itself: what a crash does to what is told, and telling over TLS.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::Value;

use crate::raw::{Follower, PATIENCE, address};
use crate::server::Server;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// What came, as (id, body), in the order in which it came.
type Came = Arc<Mutex<Vec<(String, Value)>>>;

/// Reads one request of a connection and notes it; `false` at the end of the connection.
fn take(stream: &mut impl Read, came: &Came) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return false,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let field = |name: &str| {
        let line = head.split("\r\n").find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} in {head}")).trim().to_owned()
    };
    let mut body = vec![0; field("content-length:").parse().unwrap()];
    if stream.read_exact(&mut body).is_err() {
        return false;
    }
    came.lock().unwrap().push((field("webhook-id:"), serde_json::from_slice(&body).unwrap()));
    true
}

fn listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A configuration file, and the folder that it is in.
fn configured(url: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), SECRET).unwrap();
    let text = format!(
        "[server]\nvacancy_grace = \"200ms\"\n[[webhook]]\nname = \"app\"\nurl = {url:?}\n\
         secret_file = {:?}\nevents = [\"topic.occupied\", \"topic.vacated\"]\n\
         topics = [\"t/*\"]\n",
        folder.path().join("secret")
    );
    let path = folder.path().join("tidings.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited too long for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What was told of each topic, in order, once for each id. A repeat says the same.
fn told(came: &Came) -> BTreeMap<String, Vec<String>> {
    let (mut told, mut seen) = (BTreeMap::<String, Vec<String>>::new(), HashMap::new());
    for (id, body) in came.lock().unwrap().iter() {
        match seen.insert(id.clone(), body.clone()) {
            Some(before) => assert_eq!(before, *body, "{id}"),
            None => {
                let topic = body["data"]["topic"].as_str().unwrap().to_owned();
                told.entry(topic).or_default().push(body["type"].as_str().unwrap().to_owned());
            }
        }
    }
    told
}

/// Subscribers come and go, the receiver refuses every third request, and the server is killed in
/// the midst of it, again and again. Of every topic it is told, in turn, that it is occupied and
/// that it is vacated: one that was lost, or overtaken, would leave two alike side by side.
#[test]
fn what_a_kill_interrupts_is_told_in_order_and_nothing_is_missing() {
    let (listener, port) = listener();
    let came: Came = Arc::default();
    let taking = came.clone();
    std::thread::spawn(move || {
        for (mut number, stream) in (1_u64..).zip(listener.incoming()) {
            let (mut stream, taking) = (stream.unwrap(), taking.clone());
            std::thread::spawn(move || {
                loop {
                    let refused: Came = Arc::default();
                    number += 1;
                    let accepts = number % 3 != 0;
                    if !take(&mut stream, if accepts { &taking } else { &refused }) {
                        return;
                    }
                    let status = if accepts { "204 Taken" } else { "503 Not now" };
                    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    let (_folder, config) = configured(&format!("http://127.0.0.1:{port}/"));
    let mut server = Server::start_with(&["--config", &config]);
    let address = address(&server);
    let topics: Vec<String> = (0..6).map(|topic| format!("t/{topic}")).collect();
    for round in 0..4_usize {
        let before = came.lock().unwrap().len();
        std::thread::scope(|scope| {
            for topic in &topics {
                let address = &address;
                scope.spawn(move || {
                    for _ in 0..2 {
                        let target = format!("/topics/{topic}");
                        let Some(mut follower) = Follower::connect(address, &target, "") else {
                            return;
                        };
                        // Until its first comment.
                        while !follower.in_body && follower.read(|_, _, _| {}) {}
                        drop(follower);
                    }
                });
            }
            until("some are told", || came.lock().unwrap().len() > before + round);
        });
        server = server.crash_and_restart();
    }
    until("all is told", || {
        let told = told(&came);
        told.len() == topics.len()
            && told.values().all(|told| told.last().is_some_and(|last| last == "topic.vacated"))
    });
    for (topic, told) in told(&came) {
        for (at, what) in told.iter().enumerate() {
            let wanted = ["topic.occupied", "topic.vacated"][at % 2];
            assert_eq!(what, wanted, "{topic}: {told:?}");
        }
    }
}

#[test]
fn over_tls_only_to_a_server_that_is_known() {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let (listener, port) = listener();
    let (came, tls): (Came, _) = (Arc::default(), Arc::new(tls));
    let (taking, refused) = (came.clone(), Arc::new(Mutex::new(0)));
    let refusing = refused.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, taking, tls): (TcpStream, _, _) =
                (stream.unwrap(), taking.clone(), tls.clone());
            let refusing = refusing.clone();
            std::thread::spawn(move || {
                let connection = rustls::ServerConnection::new(tls).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, stream);
                if !take(&mut stream, &taking) {
                    *refusing.lock().unwrap() += 1;
                    return;
                }
                let _ = stream.write_all(b"HTTP/1.1 204 Taken\r\n\r\n");
            });
        }
    });
    let (folder, config) = configured(&format!("https://localhost:{port}/hooks"));
    let server = Server::start_with(&["--config", &config]);
    let mut follower = Follower::connect(&address(&server), "/topics/t/0", "").unwrap();
    assert!(follower.read(|_, _, _| {}));
    until("it is refused", || *refused.lock().unwrap() > 0);
    assert!(came.lock().unwrap().is_empty());
    drop(server);
    let trusted = folder.path().join("trusted.pem");
    let text = base64::engine::general_purpose::STANDARD.encode(own.cert.der());
    let text = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
    std::fs::write(&trusted, text).unwrap();
    let server = Server::start_in_environment(&[
        ("SSL_CERT_FILE", trusted.to_str().unwrap()),
        ("TIDINGS_CONFIG", &config),
    ]);
    let mut follower = Follower::connect(&address(&server), "/topics/t/0", "").unwrap();
    assert!(follower.read(|_, _, _| {}));
    until("it has come", || came.lock().unwrap().len() == 1);
    assert_eq!(came.lock().unwrap()[0].1["type"], "topic.occupied");
}
