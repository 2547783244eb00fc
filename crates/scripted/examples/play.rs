//! An upstream for clients in any language: `cargo run -p tidings-scripted --example play [PORT]`.
//!
//! The name of the model directs the answer, as `Script::directed` describes it
//! (`"model": "play:tokens=5,reset=t3"`). `GET /seen` tells what has been asked and what became of
//! it; `GET /stream` says hello and `GET /prices` goes on after `Last-Event-ID`, for ever.
#![allow(clippy::print_stdout, reason = "it tells where it listens")]

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use serde_json::json;
use tidings_scripted::{Answer, Received, Script, Seen, Upstream, directed_script};

/// Events of one answer to `GET /prices`.
const PRICES: u64 = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;
    let upstream = Upstream::start_on(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    println!("{}", upstream.url());
    let upstream = Arc::new(upstream);
    let itself: OnceLock<Weak<Upstream>> = OnceLock::from(Arc::downgrade(&upstream));
    upstream.play(move |request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/seen") => seen(&itself),
        ("GET", "/stream") => Script::hello(),
        ("GET", "/prices") => prices(request),
        _ => directed_script(request),
    });
    loop {
        std::thread::park();
    }
}

fn prices(request: &Received) -> Script {
    let after = request.header("last-event-id").and_then(|id| id.parse().ok()).unwrap_or(0);
    Script::prices(after, PRICES).pace(Duration::from_millis(100))
}

fn seen(upstream: &OnceLock<Weak<Upstream>>) -> Script {
    let upstream = upstream.get().and_then(Weak::upgrade);
    let seen = upstream.map_or_else(|| json!(null), |upstream| upstream.look(describe));
    Script::body(200, "application/json", seen.to_string())
}

fn describe(seen: &Seen) -> serde_json::Value {
    let answer = |answer: &Answer| {
        json!({
            "number": answer.request.number,
            "method": answer.request.method,
            "path": answer.request.path,
            "headers": answer.request.headers,
            "body": String::from_utf8_lossy(&answer.request.body),
            "bytes": answer.bytes,
            "tokens": answer.tokens,
            "finished_s": answer.finished.map(|after| after.as_secs_f64()),
            "closed_by_client_s": answer.closed_by_client.map(|after| after.as_secs_f64()),
        })
    };
    json!({
        "open_connections": seen.open_connections,
        "connections": seen.connections,
        "answers_begun": seen.answers_begun,
        "answers": seen.answers.iter().map(answer).collect::<Vec<_>>(),
    })
}
