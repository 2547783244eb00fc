//! Key sets from the network: fetched when the server starts, every ten minutes, and sooner when a
//! token names a key that is not known yet.
//!
//! Whoever makes up names of keys causes no more than one fetch in [`FETCH_APART`]. A set that
//! cannot be fetched, or has nothing that can be used, leaves the old keys; without any, no token
//! of that issuer counts, and everybody else is served.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use tidings_access::KeySet;
use tidings_relay::fetch::Fetcher;
use tokio::time::{sleep, timeout};

use crate::app::App;
use crate::config::KeySource;

/// How often a set is fetched though nobody asks.
const FETCH_EVERY: Duration = Duration::from_secs(600);

/// The shortest time between two fetches of a set, whoever asks.
pub(crate) const FETCH_APART: Duration = Duration::from_secs(10);

/// Bytes of the largest set.
const SET_BYTES_MAX: usize = 256 << 10;

/// Keeps the sets of all issuers that have theirs on the network; never returns.
pub(crate) async fn keep(app: Arc<App>) {
    let issuers = app.config.issuers.iter().enumerate();
    let mut tasks = tokio::task::JoinSet::new();
    for (number, issuer) in issuers {
        if let KeySource::JwksUrl(uri) = &issuer.keys {
            tasks.spawn(keep_one(app.clone(), number, uri.clone()));
        }
    }
    while tasks.join_next().await.is_some() {}
    std::future::pending().await
}

async fn keep_one(app: Arc<App>, issuer: usize, uri: Uri) {
    let fetcher = match Fetcher::new() {
        Ok(fetcher) => fetcher,
        Err(error) => return tracing::error!(%uri, %error, "keys cannot be fetched"),
    };
    loop {
        // Who asks for an unknown key while it is fetched, or shortly after, is heard too.
        let mut wanted = std::pin::pin!(app.access.wanted.notified());
        wanted.as_mut().enable();
        let fetched = fetch(&fetcher, &uri).await;
        let worked = fetched.is_ok();
        match fetched {
            Ok(keys) => {
                tracing::debug!(%uri, keys = keys.len(), "fetched an issuer's keys");
                app.access.rotate(issuer, keys);
            }
            Err(error) => tracing::warn!(%uri, %error, "an issuer's keys stay as they are"),
        }
        sleep(FETCH_APART).await;
        if worked {
            // Whichever comes first.
            let _ = timeout(FETCH_EVERY, wanted).await;
        }
    }
}

async fn fetch(fetcher: &Fetcher, uri: &Uri) -> Result<KeySet, String> {
    let set = fetcher.get(uri, SET_BYTES_MAX).await.map_err(|error| error.to_string())?;
    KeySet::from_jwks(&set, true).map_err(|error| error.to_string())
}
