//! The header fields in which proxies say whom they were asked by.

use std::net::{IpAddr, SocketAddr};

use crate::head::Head;

/// Proxies between a client and here that are looked at, the nearest first.
const HOPS_MAX: usize = 32;

/// Whom one proxy was asked by.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hop {
    /// From where; port 0 if it is not said. None if it is hidden, or no address.
    pub(super) address: Option<SocketAddr>,
    /// Whether over TLS, if that is said.
    pub(super) tls: Option<bool>,
}

/// `X-Forwarded-For` and `X-Forwarded-Proto`: no standard, but what most proxies send.
pub(super) fn x_forwarded(head: &Head<'_>) -> Vec<Hop> {
    let schemes = list(head, "x-forwarded-proto");
    let addresses = list(head, "x-forwarded-for");
    // Proxies that append, append to both; those that replace, replace by one.
    let scheme = |at: usize| match schemes.len() {
        count if count == addresses.len() => schemes.get(at),
        _ => schemes.last(),
    };
    let hop = |(at, text): (usize, &String)| Hop {
        address: address(text),
        tls: scheme(at).map(|scheme| scheme.eq_ignore_ascii_case("https")),
    };
    addresses.iter().enumerate().map(hop).collect()
}

/// `Forwarded` (RFC 7239).
pub(super) fn forwarded(head: &Head<'_>) -> Vec<Hop> {
    let element = |element: String| {
        let mut hop = Hop { address: None, tls: None };
        for pair in split(&element, ';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            if name.trim().eq_ignore_ascii_case("for") {
                hop.address = address(value);
            } else if name.trim().eq_ignore_ascii_case("proto") {
                hop.tls = Some(value.eq_ignore_ascii_case("https"));
            }
        }
        hop
    };
    list(head, "forwarded").into_iter().map(element).collect()
}

/// The last elements of a list, over all fields of this name in their order.
fn list(head: &Head<'_>, name: &str) -> Vec<String> {
    let fields = head.fields().filter(|(field, _)| field.eq_ignore_ascii_case(name));
    let mut all = Vec::new();
    for (_, value) in fields {
        let text = String::from_utf8_lossy(value);
        all.extend(split(&text, ',').map(|part| part.trim().to_owned()));
    }
    all.drain(..all.len().saturating_sub(HOPS_MAX));
    all
}

/// Splits where a separator is not in quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |char| {
        quoted ^= char == '"';
        char == separator && !quoted
    })
}

/// An address, with a port or without: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`,
/// `[2001:db8::1]:80`.
fn address(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let without_port = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    without_port.or_else(|_| text.parse()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Headers;

    fn hops(
        read: fn(&Head<'_>) -> Vec<Hop>,
        fields: &[(&'static str, &str)],
    ) -> Vec<(Option<String>, Option<bool>)> {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| httparse::Header { name, value: value.as_bytes() })
            .collect();
        let hops = read(&Head::new("GET", "/", Headers::Raw(&fields)));
        hops.into_iter().map(|hop| (hop.address.map(|a| a.to_string()), hop.tls)).collect()
    }

    fn hop(address: &str, tls: Option<bool>) -> (Option<String>, Option<bool>) {
        (Some(address.to_owned()).filter(|address| !address.is_empty()), tls)
    }

    #[test]
    fn the_standard_field_is_read_with_its_quotes() {
        // RFC 7239, section 4, and what its grammar allows.
        for (value, wanted) in [
            ("for=192.0.2.60;proto=http;by=203.0.113.43", vec![hop("192.0.2.60:0", Some(false))]),
            (
                "For=\"[2001:db8:cafe::17]:4711\"; Proto=HTTPS",
                vec![hop("[2001:db8:cafe::17]:4711", Some(true))],
            ),
            (
                "for=192.0.2.43, for=198.51.100.17",
                vec![hop("192.0.2.43:0", None), hop("198.51.100.17:0", None)],
            ),
            (
                "for=\"a,b;c\";proto=https, for=192.0.2.1",
                vec![hop("", Some(true)), hop("192.0.2.1:0", None)],
            ),
            ("for=unknown", vec![hop("", None)]),
            ("for=_hidden", vec![hop("", None)]),
            ("nonsense", vec![hop("", None)]),
            ("", vec![hop("", None)]),
        ] {
            assert_eq!(hops(forwarded, &[("Forwarded", value)]), wanted, "{value}");
        }
    }

    #[test]
    fn the_usual_fields_are_read_in_their_order() {
        let all = [
            ("X-Forwarded-For", "192.0.2.1, 2001:db8::1"),
            ("X-Forwarded-Proto", "https"),
            ("x-forwarded-for", "192.0.2.3:80"),
        ];
        assert_eq!(
            hops(x_forwarded, &all),
            [
                hop("192.0.2.1:0", Some(true)),
                hop("[2001:db8::1]:0", Some(true)),
                hop("192.0.2.3:80", Some(true)),
            ]
        );
        let both =
            [("X-Forwarded-For", "192.0.2.1, 192.0.2.2"), ("X-Forwarded-Proto", "https, http")];
        assert_eq!(
            hops(x_forwarded, &both),
            [hop("192.0.2.1:0", Some(true)), hop("192.0.2.2:0", Some(false))]
        );
    }

    #[test]
    fn of_a_long_list_the_nearest_count() {
        let long: Vec<String> = (0..100).map(|at| format!("10.0.0.{at}")).collect();
        let read = hops(x_forwarded, &[("X-Forwarded-For", &long.join(","))]);
        assert_eq!(read.len(), HOPS_MAX);
        assert_eq!(read[HOPS_MAX - 1], hop("10.0.0.99:0", None));
    }
}
