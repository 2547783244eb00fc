//! The listener that speaks TLS (rustls), and what becomes of its connections.
//!
//! They live in the asynchronous world: hyper takes their requests, or h2 if ALPN says so, and a
//! subscription is a task that writes what all others are written too. A slow handshake holds up
//! nobody; it has as long as the head of a request.

mod acme;
mod certificate;
mod files;
mod meters;
mod stream;
mod x509;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub(crate) use certificate::{CertificateError, Certificates, Standing};
pub(crate) use meters::Meters;

use crate::app::App;
use crate::dashboard::standing::OneMore;
use crate::http::general::{Becomes, LetGo, Rewound, converse};
use crate::http2;
use crate::lanes::Lanes;
use crate::limits::{Entry, Refused};
use crate::peer::{Peer, Protocol};
use crate::proxy;
use crate::websocket;
use crate::websocket::handshake::Taken;
use crate::websocket::wire::Wire;

/// Bytes of what is encrypted that wait for a socket: with the span that is being written, what a
/// peer that stops reading pins.
const WAITING_BYTES_MAX: usize = 16 << 10;

/// What ALPN calls HTTP/2 (RFC 7301, section 6, and RFC 9113, section 3.2).
const H2: &[u8] = b"h2";

/// And HTTP/1.1.
const HTTP_1_1: &[u8] = b"http/1.1";

/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes connections until the drain is over.
pub(crate) async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    acceptor: TlsAcceptor,
    lanes: Lanes,
) {
    let mut connections = JoinSet::new();
    let mut over = std::pin::pin!(async {
        app.drained().await;
        tokio::time::sleep(app.config.drain.jitter).await;
    });
    let mut listener = Some(listener);
    loop {
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = accepted => match accepted {
                Ok((stream, address)) => {
                    if let Some(taken) = take(&app, stream, address, &acceptor) {
                        connections.spawn_on(taken, lanes.next());
                    }
                }
                Err(error) => {
                    app.metrics.refused();
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            // Their memory is given back as they end.
            Some(_) = connections.join_next() => {}
            // The port is free for the next process.
            () = &mut over, if listener.is_some() => listener = None,
        }
    }
}

/// What becomes of a connection, if there is room for it.
fn take(
    app: &Arc<App>,
    stream: TcpStream,
    address: SocketAddr,
    acceptor: &TlsAcceptor,
) -> Option<impl Future<Output = ()> + Send + use<>> {
    let mut peer = Peer { tls: true, ..Peer::plain(address) };
    let Ok(entry) = app.enter(&mut peer) else {
        // A refusal in words would cost a handshake.
        app.metrics.refused();
        return None;
    };
    // Another runtime waits for it from now on.
    let stream = stream.into_std();
    let (app, acceptor) = (app.clone(), acceptor.clone());
    Some(async move {
        let _one = OneMore::new(&app.dashboard.counts, |counts| &counts.tls);
        match stream.and_then(TcpStream::from_std) {
            Ok(stream) => connection(&app, stream, &mut peer, entry, acceptor).await,
            Err(error) => tracing::warn!(%error, "a connection could not be taken over"),
        }
        app.disconnected(peer);
    })
}

async fn connection(
    app: &Arc<App>,
    stream: TcpStream,
    peer: &mut Peer,
    entry: Entry,
    acceptor: TlsAcceptor,
) {
    let handshake = Box::pin(handshake(app, stream, peer, acceptor));
    let handshake = tokio::time::timeout(app.config.limits.head_timeout, handshake);
    let shaken = handshake.await;
    let peer = *peer;
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "no TLS came"),
        Err(_) => return tracing::debug!(%peer, "no TLS came in time"),
    };
    if stream.get_ref().1.alpn_protocol() == Some(acme::PROTOCOL) {
        return tracing::debug!(%peer, "a name was proven by a handshake");
    }
    if stream.get_ref().1.alpn_protocol() == Some(H2) {
        let peer = Peer { protocol: Protocol::Http2, ..peer };
        return Box::pin(http2::serve(app, stream, peer, entry)).await;
    }
    let io = Rewound::new(Bytes::new(), stream);
    // Boxed, so that a stream does not hold what its request needed.
    match Box::pin(converse(app, io, peer, entry)).await {
        Ok(Some(LetGo { stream, unread, peer, becomes })) => match becomes {
            Becomes::Stream(asked) => Box::pin(stream::serve(app, stream, peer, asked)).await,
            Becomes::WebSocket(upgrade) => {
                let stream = Wire::Tls(Box::new(stream));
                let taken = Taken { stream, unread, peer, upgrade };
                Box::pin(websocket::serve(app, taken)).await;
            }
        },
        Ok(None) => {}
        Err(error) => tracing::debug!(%peer, %error, "a connection ended with an error"),
    }
}

/// What comes before HTTP: whom a proxy speaks for, and TLS.
async fn handshake(
    app: &App,
    mut stream: TcpStream,
    peer: &mut Peer,
    acceptor: TlsAcceptor,
) -> std::io::Result<TlsStream<TcpStream>> {
    if proxy::sends_header(&app.config.proxy, *peer) {
        let header = proxy::header::read(&mut stream).await?;
        let refused = |refused: Refused| std::io::Error::other(refused.detail());
        app.announced(peer, &header).map_err(refused)?;
    }
    let mut stream = acceptor.accept(stream).await?;
    stream.get_mut().1.set_buffer_limit(Some(WAITING_BYTES_MAX));
    Ok(stream)
}
