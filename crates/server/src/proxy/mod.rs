//! Who a client is, when a proxy stands between: believed only from proxies that are trusted.
//!
//! There are two ways of telling. A PROXY header goes before everything else on a connection and
//! holds for all of it ([`header`]); header fields go with each request ([`client`]). Both are
//! anybody's to write, so both count only when they come from an address that the configuration
//! names, and what others write is passed over.

mod forwarded;
pub(crate) mod header;

use crate::config::{ForwardedBy, ProxyConfig};
use crate::head::Head;
use crate::peer::Peer;

/// Whether a connection from here begins with a PROXY header.
pub(crate) fn sends_header(config: &ProxyConfig, peer: Peer) -> bool {
    config.protocol && is_trusted(config, peer)
}

/// Whether this is a proxy that is believed. Somebody whom one has passed on without a name is
/// not: that could be anybody.
pub(crate) fn is_trusted(config: &ProxyConfig, peer: Peer) -> bool {
    !peer.unnamed && config.trusted.iter().any(|network| network.contains(peer.address.ip()))
}

/// Whom a request comes from: whoever has sent it, or whom a trusted proxy names.
///
/// Each proxy appends the address that it was asked from, so the list is read from its end, and the
/// first address that is not itself a trusted proxy's is the client's. What stands before it, the
/// client may have written.
pub(crate) fn client(config: &ProxyConfig, peer: Peer, head: &Head<'_>) -> Peer {
    if !is_trusted(config, peer) {
        return peer;
    }
    let hops = match config.header {
        ForwardedBy::XForwardedFor => forwarded::x_forwarded(head),
        ForwardedBy::Forwarded => forwarded::forwarded(head),
    };
    let mut client = peer;
    for hop in hops.iter().rev() {
        // A name that hides the address says no more than that there was somebody.
        let Some(address) = hop.address else { break };
        client.address = address;
        client.tls = hop.tls.unwrap_or(client.tls);
        if !is_trusted(config, client) {
            break;
        }
    }
    client
}
