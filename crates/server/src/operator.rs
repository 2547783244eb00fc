//! The operator's listener: plain HTTP/1.1, on an address that the public does not reach.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::app::{App, Handed};
use crate::limits::Entry;
use crate::peer::{Door, Peer};

/// Connections beyond those that the public may have: an operator comes in also when it is full.
const RESERVED_CONNECTIONS: usize = 64;

/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes connections until the server stops.
pub(crate) async fn serve(app: Arc<App>, listener: TcpListener) {
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                app.metrics.refused();
                tracing::warn!(%error, "an operator's connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(stream) = stream.into_std() else { continue };
        if !app.enter_operator(RESERVED_CONNECTIONS) {
            app.metrics.refused();
            continue;
        }
        let peer = Peer { door: Door::Operator, ..Peer::plain(address) };
        let (fd, entry, initial) = (stream.into(), Entry::Free, Vec::new());
        let handed = Handed { fd, peer, entry, initial, last_answer: None };
        if app.hand_to_hyper(handed).is_err() {
            app.metrics.refused();
        }
    }
}
