//! The opening handshake (RFC 6455, section 4.2).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use ring::digest;
use tidings_frame::ErrorCode;

use crate::access::expiring::Expiring;
use crate::access::{self, Who};
use crate::app::App;
use crate::dates::EVERY_ANSWER;
use crate::error::ApiError;
use crate::head::Head;
use crate::http::cors;
use crate::limits::{Admission, Party};
use crate::peer::Peer;
use crate::reply::Reply;
use crate::websocket::wire::Wire;

/// The subprotocol: the messages of PROTOCOL.md, section 17.
const SUBPROTOCOL: &str = "tidings.v1.json";

/// The only version there is (RFC 6455, section 4.4).
const VERSION: &str = "13";

/// What every server appends to a client's key (RFC 6455, section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Bytes of a client's key (RFC 6455, section 4.1).
const KEY_BYTES: usize = 16;

/// A connection that is to speak WebSocket.
#[derive(Clone, Debug)]
pub(crate) struct Upgrade {
    accept: String,
    /// Whether the client has named the subprotocol.
    named: bool,
    /// Who asks, as limits see it, and what the connection has taken of them.
    pub(super) party: Party,
    pub(super) admission: Admission,
    /// Who comes in.
    pub(super) who: Who,
    /// Whether it is told before its token ends.
    pub(super) expiring: Expiring,
}

/// A connection of which HTTP has let go.
pub(crate) struct Taken {
    pub(crate) stream: Wire,
    /// What was read from it after its request.
    pub(crate) unread: Bytes,
    pub(crate) peer: Peer,
    pub(crate) upgrade: Upgrade,
}

/// Judges a `GET /ws`.
///
/// Scripts of other origins can open WebSockets wherever they like, and browsers send cookies
/// along, so an origin that CORS does not allow is refused here, where CORS itself does not reach.
pub(crate) fn upgrade(app: &Arc<App>, head: &Head<'_>) -> Result<Upgrade, Reply> {
    let refuse = |code, detail: &str| Err(Reply::from(ApiError::new(code, detail)));
    if head.method != "GET" || !lists(head, "upgrade", "websocket") {
        let detail = "this is a WebSocket: ask with Upgrade: websocket";
        let reply = Reply::from(ApiError::new(ErrorCode::UpgradeRequired, detail));
        return Err(reply.with("upgrade", "websocket").with("sec-websocket-version", VERSION));
    }
    if !lists(head, "connection", "upgrade") {
        return refuse(ErrorCode::InvalidRequest, "an upgrade needs Connection: upgrade");
    }
    if head.bytes("sec-websocket-version") != Some(VERSION.as_bytes()) {
        let detail = "there is version 13 of the WebSocket protocol";
        let reply = Reply::from(ApiError::new(ErrorCode::UpgradeRequired, detail));
        return Err(reply.with("upgrade", "websocket").with("sec-websocket-version", VERSION));
    }
    let key = head.bytes("sec-websocket-key").unwrap_or_default();
    if STANDARD.decode(key).map(|key| key.len()) != Ok(KEY_BYTES) {
        let detail = "Sec-WebSocket-Key is 16 bytes in base64 (RFC 6455, section 4.1)";
        return refuse(ErrorCode::InvalidRequest, detail);
    }
    let named = lists(head, "sec-websocket-protocol", SUBPROTOCOL);
    if !named && head.bytes("sec-websocket-protocol").is_some() {
        let detail = "the subprotocol here is tidings.v1.json";
        return refuse(ErrorCode::InvalidRequest, detail);
    }
    let page = head.bytes("origin").is_some() && !access::is_own_page(head);
    if page && cors::allowed(app, head).is_none() {
        let detail = "pages of this origin may not use the server; see the setting cors_origins";
        return refuse(ErrorCode::Forbidden, detail);
    }
    let expiring = Expiring::of(head)?;
    let who = app.who(head)?;
    who.may_take_part()?;
    if app.is_draining() {
        return Err(ApiError::draining().into());
    }
    let party = app.limits.of(head.party, who.caller());
    let admission =
        app.limits.websocket(party).map_err(|refused| Reply::from(ApiError::from(refused)))?;
    let party = head.party;
    Ok(Upgrade { accept: accept(key), named, who, expiring, party, admission })
}

/// Whether a header that is a list of words holds this one. Protocols are compared exactly, the
/// words of HTTP in any case.
fn lists(head: &Head<'_>, name: &str, word: &str) -> bool {
    let exact = name.starts_with("sec-");
    let values = head.fields().filter(|(field, _)| field.eq_ignore_ascii_case(name));
    values.filter_map(|(_, value)| std::str::from_utf8(value).ok()).any(|value| {
        value
            .split(',')
            .map(str::trim)
            .any(|listed| listed == word || (!exact && listed.eq_ignore_ascii_case(word)))
    })
}

/// What shows that the request was understood (RFC 6455, section 4.2.2).
fn accept(key: &[u8]) -> String {
    let mut sha1 = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    sha1.update(key);
    sha1.update(GUID);
    STANDARD.encode(sha1.finish())
}

impl Upgrade {
    /// The head after which the connection is a WebSocket.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = String::from(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n",
        );
        let own = [("sec-websocket-accept", self.accept.as_str())];
        let protocol = self.named.then_some(("sec-websocket-protocol", SUBPROTOCOL));
        for (name, value) in own.into_iter().chain(protocol).chain(EVERY_ANSWER) {
            head += name;
            head += ": ";
            head += value;
            head += "\r\n";
        }
        head += "\r\n";
        head.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_as_the_standard_shows() {
        // RFC 6455, section 1.3.
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
