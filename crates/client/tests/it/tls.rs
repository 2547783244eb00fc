//! `https://`: a server whose authority is trusted is spoken to, any other is not.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use tidings_client::{BuildError, Client, RequestError, SubscribeError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::server::PATIENCE;

/// A server on a port of its own, and the root that vouches for it (DER).
async fn server() -> (String, Vec<u8>) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            // A client that does not trust this server ends the handshake.
            let Ok(mut stream) = acceptor.accept(socket).await else {
                continue;
            };
            let _ = stream.read(&mut [0; 4096]).await;
            let answer =
                "HTTP/1.1 200 X\r\nConnection: close\r\nContent-Length: 13\r\n\r\n{\"events\":[]}";
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (format!("https://localhost:{port}"), root.der().to_vec())
}

#[tokio::test]
async fn a_server_with_a_root_of_its_own_is_spoken_to_by_who_trusts_it() {
    let (url, root) = server().await;
    let trusting = Client::builder(&url).root_certificate(root).build().unwrap();
    assert!(trusting.history("t").page().await.unwrap().events.is_empty());

    // Nobody else tries again: what the server shows stays the same.
    let strict = Client::builder(&url).retry(Duration::from_secs(3600)).build().unwrap();
    let error = strict.publish("t", "x").idempotency_key("k").send().await.unwrap_err();
    assert!(matches!(error, RequestError::Certificate(_)), "{error:?}");
    assert!(!error.is_retryable());
    let mut subscription = strict.subscribe().topic("t").open().unwrap();
    let item = tokio::time::timeout(PATIENCE, subscription.next()).await.unwrap();
    assert!(matches!(item, Some(Err(SubscribeError::Certificate(_)))), "{item:?}");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (url, root) = server().await;
    let url = url.replace("localhost", "127.0.0.1");
    let client = Client::builder(&url).root_certificate(root).build().unwrap();
    let error = client.history("t").page().await.unwrap_err();
    assert!(matches!(error, RequestError::Certificate(_)), "{error:?}");
}

#[test]
fn a_root_that_is_none_is_refused() {
    let client = Client::builder("https://localhost").root_certificate("no certificate").build();
    assert!(matches!(client, Err(BuildError::Certificate(_))));
}
