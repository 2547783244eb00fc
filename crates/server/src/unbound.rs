//! What to do about an address that cannot be listened on, in words for whoever started the server.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;

/// The first port that needs no right of its own (Linux: `net.ipv4.ip_unprivileged_port_start`).
const FIRST_OPEN_PORT: u16 = 1_024;

/// What helps, by why it failed.
pub(crate) fn advice(address: SocketAddr, error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied if address.port() < FIRST_OPEN_PORT => {
            "ports below 1024 need the capability CAP_NET_BIND_SERVICE (systemd: \
             AmbientCapabilities=CAP_NET_BIND_SERVICE; or `setcap cap_net_bind_service=+ep` on the \
             program), or take a higher port (--listen), with a proxy in front of it if the \
             public is to find it at this one"
        }
        ErrorKind::AddrInUse => {
            "another program listens there, or another tidings; choose another address (--listen, \
             tls.listen or operator.listen, whichever names this one)"
        }
        ErrorKind::AddrNotAvailable => {
            "this machine does not have the address; 0.0.0.0 or [::] is all that it has (--listen)"
        }
        _ => "choose another address (--listen)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_helps_depends_on_why_it_failed() {
        for (kind, port, told) in [
            (ErrorKind::PermissionDenied, 443, "CAP_NET_BIND_SERVICE"),
            (ErrorKind::PermissionDenied, 8080, "choose another address"),
            (ErrorKind::AddrInUse, 8080, "operator.listen"),
            (ErrorKind::AddrNotAvailable, 443, "0.0.0.0"),
            (ErrorKind::Other, 80, "choose another address"),
        ] {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let said = advice(address, &Error::from(kind));
            assert!(said.contains(told), "{kind} on {port}: {said}");
        }
    }
}
