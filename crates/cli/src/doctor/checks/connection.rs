//! Name, TCP, TLS, and which HTTP a browser will speak.

use crate::doctor::advice::Change;
use crate::doctor::finding::{Check, Finding, shown};
use crate::doctor::wire::{Address, Facts, WireError, try_connect};

/// Connects twice over TLS, once without: as this program speaks, and as a browser does.
pub(in crate::doctor) async fn check(address: &Address) -> Result<[Finding; 2], WireError> {
    let facts = try_connect(address, &[b"http/1.1"]).await?;
    let browser = match address.tls {
        true => Some(try_connect(address, &[b"h2", b"http/1.1"]).await?),
        false => None,
    };
    Ok([connection(&facts), http(browser.as_ref())])
}

/// What is to be told when there is no connection.
pub(in crate::doctor) fn refused(error: &WireError) -> Finding {
    Finding::broken(Check::Connection, error.to_string())
}

fn connection(facts: &Facts) -> Finding {
    let mut says =
        format!("{}, name in {}, TCP in {}", facts.peer, shown(facts.name), shown(facts.tcp));
    if let Some(tls) = &facts.tls {
        let version = tls.version.replace("TLSv1_", "TLS 1.");
        says.push_str(&format!(", {version} in {}", shown(tls.took)));
    }
    let finding = Finding::ok(Check::Connection, says)
        .measured("peer", facts.peer.to_string())
        .measured_ms("name_ms", facts.name)
        .measured_ms("tcp_ms", facts.tcp);
    match &facts.tls {
        Some(tls) => finding.measured_ms("tls_ms", tls.took).measured("tls", tls.version.clone()),
        None => finding,
    }
}

/// `facts` of a handshake that offered HTTP/2, if there is TLS: without it browsers never speak
/// HTTP/2.
fn http(facts: Option<&Facts>) -> Finding {
    const SIX: &str = "a browser opens at most 6 HTTP/1.1 connections to a host, over all tabs, \
                       and each stream takes one: follow several topics on one, or share it in a \
                       SharedWorker";
    let alpn = facts.and_then(|facts| facts.tls.as_ref()).and_then(|tls| tls.alpn.as_deref());
    let finding = match (facts, alpn) {
        (None, _) => Finding::ok(Check::Http, "HTTP/1.1, as ever without TLS").why(SIX),
        (Some(_), Some("h2")) => Finding::ok(Check::Http, "HTTP/2 is agreed on with a browser"),
        (Some(_), _) => Finding::warning(Check::Http, "HTTP/1.1: the server agrees to no HTTP/2")
            .why(SIX)
            .change(Change::Http2),
    };
    let version = if alpn == Some("h2") { "h2" } else { "http/1.1" };
    finding.measured("browser", version)
}
