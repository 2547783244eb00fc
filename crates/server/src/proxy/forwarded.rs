//! The header fields in which proxies say whom they were asked by.

use std::iter;
use std::net::{IpAddr, SocketAddr};

use crate::head::Head;

/// Proxies between a client and here that are looked at, the nearest first.
const HOPS_MAX: usize = 32;
/// Commas that an element of `Forwarded` may have, in its quotes.
const COMMAS_MAX: usize = 16;

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
    let lines = values(head, "forwarded");
    let mut hops: Vec<Hop> = Vec::new();
    for line in lines.iter().rev() {
        hops.extend(elements_from_the_end(line).take(HOPS_MAX - hops.len()));
    }
    hops.reverse();
    hops
}

/// The elements of a line, the last first, as long as there are any.
///
/// A proxy appends to the line that it was sent, and whoever has sent it may have left a quote open
/// that would take the proxy's element in. So each element is the shortest end that is one by
/// itself: what stands before it has no say in where it begins.
fn elements_from_the_end(line: &str) -> impl Iterator<Item = Hop> {
    let mut rest = Some(line);
    iter::from_fn(move || {
        let text = rest?;
        let commas = text.rmatch_indices(',').map(|(at, _)| Some(at)).chain([None]);
        for comma in commas.take(COMMAS_MAX) {
            if let Some(hop) = element(&text[comma.map_or(0, |at| at + 1)..]) {
                rest = comma.map(|at| &text[..at]);
                return Some(hop);
            }
        }
        rest = None;
        None
    })
}

/// One element (RFC 7239, section 4); `None` if its quotes do not match.
fn element(text: &str) -> Option<Hop> {
    let mut hop = Hop { address: None, tls: None };
    for pair in pairs(text)? {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = value.trim().trim_matches('"');
        if name.trim().eq_ignore_ascii_case("for") {
            hop.address = address(value);
        } else if name.trim().eq_ignore_ascii_case("proto") {
            hop.tls = Some(value.eq_ignore_ascii_case("https"));
        }
    }
    Some(hop)
}

/// The parts between semicolons that are not in quotes; `None` if a quote stays open, or a comma or
/// a backslash stands outside of them.
fn pairs(text: &str) -> Option<Vec<&str>> {
    let (mut quoted, mut escaped, mut begin) = (false, false, 0);
    let mut all = Vec::new();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' | b'\\' if !quoted => return None,
            b';' if !quoted => {
                all.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    all.push(&text[begin..]);
    (!quoted).then_some(all)
}

/// The last elements of a list, over all fields of this name in their order. A quote means nothing
/// in it.
fn list(head: &Head<'_>, name: &str) -> Vec<String> {
    let lines = values(head, name);
    let mut all: Vec<String> =
        lines.iter().flat_map(|line| line.split(',')).map(|part| part.trim().to_owned()).collect();
    all.drain(..all.len().saturating_sub(HOPS_MAX));
    all
}

fn values(head: &Head<'_>, name: &str) -> Vec<String> {
    head.fields()
        .filter(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .collect()
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
            ("for=192.0.2.1;secret=\"\\\",;\"", vec![hop("192.0.2.1:0", None)]),
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
    fn what_a_client_writes_takes_nothing_of_its_proxys_element_in() {
        let proxys = [
            ("for=203.0.113.9", hop("203.0.113.9:0", None)),
            ("for=\"[2001:db8::9]:80\";proto=http", hop("[2001:db8::9]:80", Some(false))),
            ("for=203.0.113.9;host=\"a,b\\\"c\"", hop("203.0.113.9:0", None)),
        ];
        let forged = [
            "\"",
            "\\",
            "x=\"",
            "x=\"\\",
            "x=\"\\\"\"",
            "x=\"\\\"",
            "for=198.51.100.7;x=\"\\\"\"",
            "for=198.51.100.7;x=\"",
            "for=\"198.51.100.7",
            ",",
            ";",
            "for=198.51.100.7;x=\\",
        ];
        for (own, wanted) in proxys {
            for forged in forged {
                let line = format!("{forged}, {own}");
                let read = hops(forwarded, &[("Forwarded", &line)]);
                assert_eq!(read.last(), Some(&wanted), "{line}");
            }
        }
        for forged in forged {
            let line = format!("{forged}, 203.0.113.9");
            let read = hops(x_forwarded, &[("X-Forwarded-For", &line)]);
            assert_eq!(read.last(), Some(&hop("203.0.113.9:0", None)), "{line}");
        }
        // What is none ends the list instead of being guessed at.
        assert_eq!(hops(forwarded, &[("Forwarded", "for=192.0.2.1, x=\"")]), []);
    }

    #[test]
    fn of_a_long_list_the_nearest_count() {
        let long: Vec<String> = (0..100).map(|at| format!("10.0.0.{at}")).collect();
        let read = hops(x_forwarded, &[("X-Forwarded-For", &long.join(","))]);
        assert_eq!(read.len(), HOPS_MAX);
        assert_eq!(read[HOPS_MAX - 1], hop("10.0.0.99:0", None));
        let long: Vec<String> = long.iter().map(|address| format!("for={address}")).collect();
        let fields = [("Forwarded", long[..90].join(",")), ("Forwarded", long[90..].join(","))];
        let read = hops(forwarded, &fields.each_ref().map(|(name, value)| (*name, value.as_str())));
        assert_eq!(read.len(), HOPS_MAX);
        assert_eq!(read[HOPS_MAX - 1], hop("10.0.0.99:0", None));
        assert_eq!(read[0], hop("10.0.0.68:0", None));
    }
}
