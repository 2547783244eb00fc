//! Who is at the other end of a connection, and how it came in.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its address: the client's own where a proxy that is trusted has told it, else the sender's.
    pub(crate) address: SocketAddr,
    pub(crate) protocol: Protocol,
    /// Whether the client speaks TLS, with this server or with a proxy that is trusted.
    pub(crate) tls: bool,
    pub(crate) door: Door,
    /// The address that its connection counts for. A proxy's own does not count: behind it,
    /// everybody has that one.
    pub(crate) counted: Option<IpAddr>,
    /// Whether a proxy has passed the connection on without naming whom it comes from: then the
    /// address is the proxy's, and what is sent is not its word.
    pub(crate) unnamed: bool,
}

/// The version of HTTP that a connection began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    Http2,
}

/// The listener that a connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Public,
    Operator,
}

impl Peer {
    /// Whoever has connected to the plain public listener.
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            protocol: Protocol::Http1,
            tls: false,
            door: Door::Public,
            counted: None,
            unnamed: false,
        }
    }
}

impl Protocol {
    /// As the list of connections names it (the names of ALPN).
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(out)
    }
}
