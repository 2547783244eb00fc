//! TLS towards clients: the same wire and the same promises as plain HTTP/1.1.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use tidings_server::config::TlsConfig;

use crate::support::{PATIENCE, Server};

pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Writes a certificate of its own authority, and its key, into the folder.
pub(crate) fn files(folder: &Path) -> TlsConfig {
    let files = TlsConfig {
        certificate: folder.join("certificate.pem"),
        key: folder.join("key.pem"),
        listen: Some("127.0.0.1:0".parse().unwrap()),
    };
    write(&files, "first.example");
    files
}

/// Replaces the certificate by one of this name.
fn write(files: &TlsConfig, name: &str) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(&files.certificate, pem("CERTIFICATE", certificate.der())).unwrap();
    std::fs::write(&files.key, pem("PRIVATE KEY", &key.serialize_der())).unwrap();
}

/// The text form of what is binary (RFC 7468).
fn pem(label: &str, der: &[u8]) -> String {
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
    let socket = TcpStream::connect(address).unwrap();
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
