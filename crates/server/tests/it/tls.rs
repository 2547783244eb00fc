//! TLS towards clients: the same wire and the same promises as plain HTTP/1.1.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use serde_json::json;
use tidings_server::config::{CertificateFiles, CertificateSource, TlsConfig};

use crate::support::{Conn, PATIENCE, Server, is_alone, resident, until};
use crate::websocket::Ws;

pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Writes a certificate of its own authority, and its key, into the folder.
pub(crate) fn files(folder: &Path) -> TlsConfig {
    let files = paths(folder);
    write(&files, "first.example");
    let listen = Some("127.0.0.1:0".parse().unwrap());
    TlsConfig { certificate: CertificateSource::Files(files), listen }
}

fn paths(folder: &Path) -> CertificateFiles {
    CertificateFiles { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") }
}

/// Replaces the certificate by one of this name.
fn write(files: &CertificateFiles, name: &str) {
    write_as(files, &CertificateParams::new([name.to_owned()]).unwrap());
}

fn write_as(files: &CertificateFiles, params: &CertificateParams) {
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(&files.certificate, pem("CERTIFICATE", certificate.der())).unwrap();
    std::fs::write(&files.key, pem("PRIVATE KEY", &key.serialize_der())).unwrap();
}

/// The text form of what is binary (RFC 7468).
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Trusts whoever answers: who that is, is looked at afterwards.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// What a client says of itself.
pub(crate) fn client(protocols: &[&str]) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let anybody = Anybody(provider.signature_verification_algorithms);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(anybody))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// Connects, and has the handshake behind it.
pub(crate) fn connect(address: SocketAddr, protocols: &[&str]) -> Stream {
    try_connect(address, client(protocols)).unwrap()
}

fn try_connect(address: SocketAddr, config: ClientConfig) -> std::io::Result<Stream> {
    over(TcpStream::connect(address).unwrap(), config)
}

/// Has the handshake on a connection.
pub(crate) fn over(socket: TcpStream, config: ClientConfig) -> std::io::Result<Stream> {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    let name = "first.example".try_into().unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// A server that speaks TLS beside plain HTTP.
pub(crate) fn server() -> Server {
    server_with(|_| {})
}

pub(crate) fn server_with(change: impl FnOnce(&mut tidings_server::config::Config)) -> Server {
    Server::with(|config| {
        config.tls = Some(files(&config.data_dir));
        change(config);
    })
}

#[test]
fn a_stream_over_tls_has_the_bytes_of_a_plain_one() {
    let server = server();
    let id = server.publish("/topics/t", "one");
    let subscribe = |mut conn: Conn| {
        let headers = format!("Accept: text/event-stream\r\nLast-Event-ID: {id}\r\n");
        conn.ask("GET", "/topics/t", &headers, b"");
        conn
    };
    let mut plain = crate::stream::Stream::open(subscribe(server.connect()));
    let mut sealed = crate::stream::Stream::open(subscribe(server.connect_tls()));
    let names = |head: &str| -> Vec<String> {
        head.lines().map(|line| line.split(':').next().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&plain.head.head), names(&sealed.head.head));
    server.publish("/topics/t", "two\nlines");
    server.request("POST", "/topics/t?end=done", "", b"");
    assert_eq!(plain.take(2), sealed.take(2));
    assert!(plain.try_next().is_none() && sealed.try_next().is_none());
    assert_eq!(plain.raw, sealed.raw);
}

#[test]
fn the_end_is_said_and_not_just_a_closed_socket() {
    let server = server();
    let mut stream = connect(server.tls(), &["http/1.1"]);
    let head = b"GET /topics/t HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n\r\n";
    stream.write_all(head).unwrap();
    until("the subscription", || server.get("/connections").json()["total"] == 1);
    server.request("POST", "/topics/t?end=done", "", b"");
    // A client library tells a stream that was cut from one that has ended.
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    assert!(String::from_utf8(all).unwrap().contains("event: end\n"));
}

#[test]
fn a_reader_that_does_not_read_is_put_back_and_harms_nobody() {
    const EVENT: usize = 256 << 10;
    const PUBLISHED: usize = 256;
    if !is_alone("tls::a_reader_that_does_not_read_is_put_back_and_harms_nobody") {
        return;
    }
    let server = server();
    let subscribe = || {
        let mut conn = server.connect_tls();
        conn.ask("GET", "/topics/t", "Accept: text/event-stream\r\n", b"");
        crate::stream::Stream::open(conn)
    };
    let mut stuck: Vec<_> = (0..8).map(|_| subscribe()).collect();
    let mut reader = subscribe();
    let before = resident();
    let mut most = 0;
    for number in 0..PUBLISHED {
        server.publish("/topics/t", &format!("{number:06}{}", "x".repeat(EVENT - 6)));
        assert_eq!(reader.next().data[..6], format!("{number:06}"));
        reader.forget_raw();
        most = most.max(resident());
    }
    let grown = most.saturating_sub(before);
    assert!(grown < PUBLISHED * EVENT / 2, "{} MiB", grown >> 20);
    until("the stuck ones to be known as such", || {
        let page = server.get("/connections").json();
        let all = page["connections"].as_array().unwrap();
        all.iter().filter(|one| one["lag"].as_u64().unwrap() > 0).count() == stuck.len()
    });
    for stream in &mut stuck {
        for number in 0..PUBLISHED {
            assert_eq!(stream.next().data[..6], format!("{number:06}"));
            stream.forget_raw();
        }
    }
    server.publish("/topics/t", "now");
    assert!(stuck.iter_mut().all(|stream| stream.next().data == "now"));
}

#[test]
fn streams_over_tls_are_listed_changed_and_ended() {
    let server = server();
    let mut conn = server.connect_tls();
    conn.ask("GET", "/topics/a", "Accept: text/event-stream\r\n", b"");
    let mut stream = crate::stream::Stream::open(conn);
    let all = server.get("/connections").json();
    let found = &all["connections"][0];
    assert_eq!(found["id"], stream.name());
    for (member, value) in [("transport", "sse"), ("protocol", "http/1.1"), ("state", "live")] {
        assert_eq!(found[member], value, "{found}");
    }
    assert_eq!(found["tls"], true);
    let change = br#"{"add":{"topics":["b"]},"remove":{"topics":["a"]}}"#;
    let target = format!("/connections/{}", stream.own_name());
    let mut conn = server.connect_tls();
    conn.ask("PATCH", &target, "", change);
    assert_eq!(conn.reply().json()["topics"], serde_json::json!(["b"]));
    server.publish("/topics/a", "not this");
    server.publish("/topics/b", "this");
    assert_eq!(stream.next().data, "this");
    let target = format!("/connections/{}", stream.name());
    assert_eq!(server.request("DELETE", &target, "", b"").status, 204);
    assert!(stream.try_next().is_none());
    assert_eq!(server.get("/connections").json()["total"], 0);
}

#[test]
fn protocols_and_versions_are_agreed_on() {
    let server = server();
    let agreed = |protocols: &[&str]| {
        let stream = connect(server.tls(), protocols);
        stream.conn.alpn_protocol().map(|name| String::from_utf8(name.to_vec()).unwrap())
    };
    assert_eq!(agreed(&["http/1.1", "h2"]).as_deref(), Some("h2"));
    assert_eq!(agreed(&["http/1.1"]).as_deref(), Some("http/1.1"));
    assert_eq!(agreed(&[]), None);
    assert!(try_connect(server.tls(), client(&["spdy/3"])).is_err());
    // A hello as clients of 1.1 send it, and the same from one that knows 1.2.
    let hello = |version: [u8; 2]| {
        let extensions = [0, 13, 0, 4, 0, 2, 4, 3, 0, 10, 0, 4, 0, 2, 0, 29];
        let (suites, no_compression) = ([0, 2, 0xc0, 0x2b], [1, 0]);
        let body = [&version[..], &[7; 32], &[0], &suites, &no_compression, &[0, 16], &extensions];
        let body = body.concat();
        let length = u8::try_from(body.len()).unwrap();
        let mut socket = TcpStream::connect(server.tls()).unwrap();
        let head = [22, 3, 1, 0, length + 4, 1, 0, 0, length];
        socket.write_all(&[&head[..], &body].concat()).unwrap();
        let mut answer = [0; 7];
        socket.read_exact(&mut answer).unwrap();
        (answer[0], answer[6])
    };
    // An alert, of a wrong version (RFC 8446, section 6.2); and the server's own hello.
    assert_eq!(hello([3, 2]), (21, 70));
    assert_eq!(hello([3, 3]).0, 22);
}

#[test]
fn a_certificate_is_read_again_and_a_broken_one_is_not_taken() {
    let server = server();
    let files = paths(server.folder());
    let shown = || connect(server.tls(), &[]).conn.peer_certificates().unwrap()[0].to_vec();
    let first = shown();
    let metric = |name: &str| server.metric(&format!("tidings_tls_certificate_{name}"));
    // What the library that makes it writes if it is not told otherwise: the end of 4095.
    assert_eq!(metric("expires_seconds"), 67_090_118_400.0);
    assert_eq!((metric("renewals_total"), metric("failures_total")), (0.0, 0.0));
    // Streams outlive the change.
    let mut conn = server.connect_tls();
    conn.ask("GET", "/topics/t", "Accept: text/event-stream\r\n", b"");
    let mut stream = crate::stream::Stream::open(conn);
    write(&files, "second.example");
    until("the second certificate", || shown() != first);
    let second = shown();
    assert!(second.windows(14).any(|part| part == b"second.example"));
    let key = std::fs::read(&files.key).unwrap();
    for (certificate, broken_key) in [
        ("no certificate", None),
        ("", None),
        ("", Some("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")),
    ] {
        let before = metric("failures_total");
        if !certificate.is_empty() {
            std::fs::write(&files.certificate, certificate).unwrap();
        }
        if let Some(broken) = broken_key {
            std::fs::write(&files.key, broken).unwrap();
        }
        if certificate.is_empty() && broken_key.is_none() {
            // Twice the time in which the files are looked at: nothing is to happen.
            std::thread::sleep(Duration::from_secs(2));
        } else {
            until("it was looked at", || metric("failures_total") > before);
        }
        assert_eq!(shown(), second);
    }
    // Of another certificate: they do not fit.
    std::fs::write(&files.key, key).unwrap();
    write(&files, "third.example");
    until("the third certificate", || shown().windows(13).any(|part| part == b"third.example"));
    assert!(metric("renewals_total") >= 2.0 && metric("failures_total") >= 2.0);
    server.publish("/topics/t", "still here");
    assert_eq!(stream.next().data, "still here");
}

#[test]
fn a_certificate_that_has_ended_is_shown_and_the_server_is_not_ready() {
    let mut params = CertificateParams::new(["first.example".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let server = server_with(|config| write_as(&paths(&config.data_dir), &params));
    connect(server.tls(), &[]);
    let ready = server.get("/readyz");
    assert_eq!((ready.status, ready.json()["code"].as_str()), (503, Some("certificate-expired")));
    write(&paths(server.folder()), "second.example");
    until("another", || server.get("/readyz").status == 200);
}

#[test]
fn a_server_does_not_start_without_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = tidings_server::config::Config::dev();
    config.listen = "127.0.0.1:0".parse().unwrap();
    config.data_dir = folder.path().to_owned();
    let (whole, fitting) = (files(folder.path()), paths(folder.path()));
    let other = tempfile::tempdir().unwrap();
    files(other.path());
    let key_of_another = paths(other.path()).key;
    for (files, told) in [
        (
            CertificateFiles { key: key_of_another, ..fitting.clone() },
            "the certificate and its key",
        ),
        (CertificateFiles { key: other.path().join("nothing"), ..fitting.clone() }, "nothing"),
        (CertificateFiles { certificate: fitting.key.clone(), ..fitting }, "no certificate"),
    ] {
        config.tls = Some(TlsConfig { certificate: CertificateSource::Files(files), ..whole });
        let error = tidings_server::testing::Server::start(config.clone()).unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[test]
fn a_handshake_has_its_time() {
    let server = server_with(|config| config.limits.head_timeout = Duration::from_secs(5));
    let mut silent = std::net::TcpStream::connect(server.tls()).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    // And none of its own: who is in time is answered meanwhile.
    let mut conn = server.connect_tls();
    conn.ask("GET", "/healthz", "", b"");
    assert_eq!(conn.reply().status, 200);
    assert_eq!(silent.read(&mut [0; 16]).unwrap(), 0);
}

#[test]
fn websocket_over_tls_keeps_its_promises() {
    let server = server();
    let mut ws = Ws::over(server.connect_tls());
    ws.subscribe("s", json!({"topics": ["t"]}));
    let found = server.get("/connections").json()["connections"][0].clone();
    assert_eq!((&found["transport"], &found["tls"]), (&json!("websocket"), &json!(true)));
    // More than the socket and TLS take at once, while nobody reads.
    let large = "x".repeat(256 << 10);
    for number in 0..128 {
        server.publish("/topics/t", &format!("{number:06}{large}"));
    }
    until("it to be blocked", || {
        let found = server.get("/connections").json()["connections"][0].clone();
        found["state"] != "live" && found["lag"].as_u64().unwrap() > 0
    });
    for number in 0..128 {
        assert_eq!(ws.next()["data"].as_str().unwrap()[..6], format!("{number:06}"));
    }
    server.publish("/topics/t", "now");
    assert_eq!(ws.next()["data"], "now");
}
