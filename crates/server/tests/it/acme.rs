//! Certificates that the server gets by itself, from a real authority on loopback.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use serde_json::Value;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tidings_server::config::{AcmeConfig, CertificateSource, Challenge, Pace, TlsConfig};

use crate::pebble::{Pebble, Settings, free_port};
use crate::support::{Conn, PATIENCE, Server, until};
use crate::tls;

/// Waits that a test can wait for.
pub(crate) const PACE: Pace = Pace {
    unreachable: Duration::from_millis(200),
    refused: Duration::from_millis(500),
    most: Duration::from_secs(2),
    look: Duration::from_millis(200),
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

#[test]
fn a_certificate_is_ordered_and_kept() {
    let port = free_port();
    let mut settings = Settings::new(port);
    settings.refused_nonces = 20;
    let Some(pebble) = Pebble::start(&settings) else { return };
    let server = server(port, config(&pebble, &["a.example", "b.example"]));
    until("a certificate", || {
        let lines = audited(&server);
        if lines.len() > 2 { panic!("{lines:?} {}", pebble.log()); }
        shown(&server).is_some()
    });
    let root = pebble.root();
    for name in ["a.example", "b.example"] {
        let stream = handshake(&server, root.clone(), name).unwrap();
        let mut conn = Conn::over_tls(stream);
        conn.ask("GET", "/healthz", "", b"");
        assert_eq!(conn.reply().status, 200);
    }
    assert!(handshake(&server, root.clone(), "c.example").is_err());
    let first = shown(&server);
    let server = server.restart();
    assert_eq!(shown(&server), first, "it is there from the first moment");
    assert_eq!(pebble.issued(), 1, "{}", pebble.log());
}
