//! What the configuration says of the ways in: TLS, proxies, and the operator's own listener.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::acme::{self, AcmeConfig};
use super::checked::{Mode, complain};
use super::layers::Layers;
use super::raw;

/// TLS towards clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// Where the certificate comes from.
    pub certificate: CertificateSource,
    /// Where TLS is spoken; if not given, where plain HTTP would have been.
    pub listen: Option<SocketAddr>,
}

/// Where the certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// Files that somebody else looks after.
    Files(CertificateFiles),
    /// The server orders it.
    Acme(Box<AcmeConfig>),
}

/// A certificate and its key in files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// File with the certificate and the chain behind it, in PEM.
    pub certificate: PathBuf,
    /// File with the certificate's private key, in PEM.
    pub key: PathBuf,
}

/// Which proxies are believed when they say who their client is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProxyConfig {
    /// Where they are.
    pub trusted: Vec<Network>,
    /// Whether each of their connections begins with a PROXY header.
    pub protocol: bool,
    /// In which header fields they say it.
    pub header: ForwardedBy,
}

/// The header fields that proxies name their clients in. One of the two: a proxy that writes the
/// one passes the other on as the client wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedBy {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// A range of addresses (RFC 4632, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether an address is in it. An IPv4 address in the form of IPv6 is the IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                u32::from(own) & mask == u32::from(other) & mask
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                u128::from(own) & mask == u128::from(other) & mask
            }
            _ => false,
        }
    }
}

/// Bits before an IPv4 address in the form of IPv6 (RFC 4291, section 2.5.5.2).
const MAPPED_BITS: u8 = 96;

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no range of addresses; write for example \"10.0.0.0/8\", \
                \"127.0.0.1\" or \"fd00::/8\""
            )
        };
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(wrong)?,
        };
        // IPv4 in the form of IPv6: addresses are compared as what they are.
        match address.to_canonical() {
            IpAddr::V4(v4) if address.is_ipv6() => {
                let bits = u8::checked_sub(bits, MAPPED_BITS).ok_or_else(wrong)?;
                Ok(Self { address: v4.into(), bits })
            }
            _ => Ok(Self { address, bits }),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.address, self.bits)
    }
}

/// TLS, if there is any: both files, or neither and an authority.
pub(super) fn tls(raw: raw::Tls, mode: Mode, layers: &mut Layers) -> Option<TlsConfig> {
    if let Some(listen) = raw.listen {
        loopback(listen, "tls.listen", mode, layers);
    }
    let listen = raw.listen;
    let acme = acme::check(raw.acme, listen.is_some(), layers);
    let certificate = match (raw.certificate, raw.key) {
        (None, None) if acme.is_none() => {
            // Without a word it would serve in clear text what was to be secret.
            let given = listen.is_some() || layers.leaves.contains_key("tls");
            if given && !acme::is_given(layers) {
                let message = "it is missing: TLS needs a certificate and its key, or [tls.acme]";
                complain(layers, "tls.certificate", message.to_owned());
            }
            return None;
        }
        (None, None) => CertificateSource::Acme(Box::new(acme?)),
        (Some(_), _) | (_, Some(_)) if acme::is_given(layers) => {
            let message = "a certificate comes from files or is ordered from an authority: give \
                tls.certificate and tls.key, or [tls.acme], not both";
            complain(layers, "tls.acme", message.to_owned());
            return None;
        }
        (Some(certificate), Some(key)) => {
            CertificateSource::Files(CertificateFiles { certificate, key })
        }
        (certificate, _) => {
            let missing = if certificate.is_some() { "tls.key" } else { "tls.certificate" };
            let message = "it is missing: TLS needs a certificate and its key".to_owned();
            complain(layers, missing, message);
            return None;
        }
    };
    Some(TlsConfig { certificate, listen })
}

/// Whom to believe.
pub(super) fn proxy(raw: &raw::Proxy, layers: &mut Layers) -> ProxyConfig {
    let mut trusted = Vec::new();
    for (index, text) in raw.trusted.iter().enumerate() {
        match text.parse() {
            Ok(network) => trusted.push(network),
            Err(message) => complain(layers, &format!("proxy.trusted[{index}]"), message),
        }
    }
    let protocol = raw.protocol.unwrap_or_default();
    if protocol && raw.trusted.is_empty() {
        let message = "nobody is trusted to send PROXY headers; say who in proxy.trusted";
        complain(layers, "proxy.protocol", message.to_owned());
    }
    ProxyConfig { trusted, protocol, header: raw.header }
}

/// The operator's listener.
pub(super) fn operator(raw: &raw::Operator, mode: Mode, layers: &mut Layers) -> Option<SocketAddr> {
    if let Some(listen) = raw.listen {
        loopback(listen, "operator.listen", mode, layers);
    }
    raw.listen
}

/// Two listeners cannot have one address: the second one would not come up.
pub(super) fn listeners(raw: &raw::Raw, layers: &mut Layers) {
    let (server, tls, operator) = (raw.server.listen, raw.tls.listen, raw.operator.listen);
    let pairs = [
        ("tls.listen", tls, "server.listen", Some(server), LIKE_SERVER),
        ("operator.listen", operator, "server.listen", Some(server), LIKE_PUBLIC),
        ("operator.listen", operator, "tls.listen", tls, LIKE_PUBLIC),
    ];
    for (name, address, other, taken, hint) in pairs {
        if let (Some(address), Some(taken)) = (address, taken) {
            if overlap(address, taken) {
                complain(layers, name, format!("{address} is taken by {other} ({taken}); {hint}"));
            }
        }
    }
}

const LIKE_SERVER: &str =
    "give another port, or leave tls.listen out: then server.listen speaks TLS";

const LIKE_PUBLIC: &str = "give the operator another port, which the public does not reach";

/// Whether the system refuses the second of these for certain. Whether `[::]` takes the addresses
/// of IPv4 too is the system's setting. Port 0 is a free one each time.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let all = |address: SocketAddr| address.ip().is_unspecified();
    one.port() != 0
        && one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip() == other.ip() || all(one) || all(other))
}

fn loopback(listen: SocketAddr, name: &str, mode: Mode, layers: &mut Layers) {
    if mode == Mode::Dev && !listen.ip().is_loopback() {
        let message = format!("`tidings dev` listens only on this machine, not on {listen}");
        complain(layers, name, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_holds_the_addresses_that_share_its_bits() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.0"),
            ("10.1.2.3/8", "10.0.0.0", "9.255.255.255"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("192.168.0.128/25", "192.168.0.200", "192.168.0.127"),
            ("fd00::/8", "fdff::1", "fe00::"),
            ("::1", "::1", "::2"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.255.1.2", "11.0.0.0"),
            ("::ffff:10.0.0.0/104", "::ffff:10.255.1.2", "::a00:1"),
            ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("::ffff:0:0/96", "203.0.113.9", "::1"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
        ] {
            assert!(network(range).contains(inside.parse().unwrap()), "{range} {inside}");
            assert!(!network(range).contains(outside.parse().unwrap()), "{range} {outside}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "/8",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/",
            "::/129",
            "a",
            "10.0.0",
            "::ffff:10.0.0.0/95",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
