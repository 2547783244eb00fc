//! Key sets from the network: fetched when the server starts, every ten minutes, and sooner when a
//! token names a key that is not known yet.
//!
//! Whoever makes up names of keys causes no more than one fetch in [`FETCH_APART`]. A set that
//! cannot be fetched, or has nothing that can be used, leaves the old keys; without any, no token
//! of that issuer counts, and everybody else is served.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderValue, USER_AGENT};
use http::{Request, StatusCode, Uri};
use tidings_access::{KeySet, Verifier};
use tidings_relay::fetch::{Bounds, Client};
use tokio::time::{sleep, timeout};

use super::keys::misfits;
use crate::app::App;
use crate::config::{IssuerConfig, KeySource};

/// How often a set is fetched though nobody asks.
const FETCH_EVERY: Duration = Duration::from_secs(600);

/// The shortest time between two fetches of a set, whoever asks.
pub(crate) const FETCH_APART: Duration = Duration::from_secs(10);

/// Time for a fetch, and bytes of the largest set.
const BOUNDS: Bounds = Bounds { deadline: Duration::from_secs(15), body_bytes_max: 256 << 10 };

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

/// Fetches the sets of these issuers once, for a verifier that was made of them. Returns which
/// could not be fetched and why, a line each; the keys of all others are in place.
pub async fn fetch_once(verifier: &Verifier, issuers: &[IssuerConfig]) -> Vec<String> {
    let mut failures = Vec::new();
    for (issuer, config) in verifier.issuers().iter().zip(issuers) {
        let KeySource::JwksUrl(uri) = &config.keys else { continue };
        let fetched = match Client::new(true) {
            Ok(client) => fetch(&client, uri).await,
            Err(error) => Err(error.to_string()),
        };
        match fetched {
            Ok(keys) => match misfits(&keys, &config.algorithms) {
                Some(keys) => {
                    failures.push(format!("{uri}: no key fits the issuer's `algorithms`: {keys}"));
                }
                None => issuer.rotate(keys),
            },
            Err(error) => failures.push(format!("the keys of {uri} cannot be fetched: {error}")),
        }
    }
    failures
}

async fn keep_one(app: Arc<App>, issuer: usize, uri: Uri) {
    let client = match Client::new(true) {
        Ok(client) => client,
        Err(error) => return tracing::error!(%uri, %error, "keys cannot be fetched"),
    };
    loop {
        // Who asks for an unknown key while it is fetched, or shortly after, is heard too.
        let mut wanted = std::pin::pin!(app.access.wanted.notified());
        wanted.as_mut().enable();
        let fetched = fetch(&client, &uri).await;
        let worked = fetched.is_ok();
        match fetched {
            Ok(keys) => {
                tracing::debug!(%uri, keys = keys.len(), "fetched an issuer's keys");
                if let Some(keys) = misfits(&keys, &app.config.issuers[issuer].algorithms) {
                    tracing::warn!(%uri, %keys, "no fetched key fits the issuer's `algorithms`");
                }
                app.access.rotate(issuer, keys);
            }
            Err(error) => {
                tracing::warn!(%uri, %error, "an issuer's keys were not fetched; old ones stay");
            }
        }
        sleep(FETCH_APART).await;
        if worked {
            // Whichever comes first.
            let _ = timeout(FETCH_EVERY, wanted).await;
        }
    }
}

/// Whoever configured the address has meant it, also if it is one of a private network.
async fn fetch(client: &Client, uri: &Uri) -> Result<KeySet, String> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = uri.clone();
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static("tidings"));
    let answer = client.fetch(request, true, BOUNDS).await.map_err(|error| error.to_string())?;
    if answer.status() != StatusCode::OK {
        return Err(format!("the answer has status {}", answer.status().as_u16()));
    }
    KeySet::from_jwks(answer.body(), true).map_err(|error| error.to_string())
}
