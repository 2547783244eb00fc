//! The header fields in which proxies say whom they were asked by.

use std::borrow::Cow;
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
    let schemes = list(head, "x-forwarded-proto", last_bare);
    let addresses = list(head, "x-forwarded-for", last_bare);
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
    let element = |element: &String| {
        let mut hop = Hop { address: None, tls: None };
        for pair in pairs(element) {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let value = unquoted(value.trim());
            if name.trim().eq_ignore_ascii_case("for") {
                hop.address = address(&value);
            } else if name.trim().eq_ignore_ascii_case("proto") {
                hop.tls = Some(value.eq_ignore_ascii_case("https"));
            }
        }
        hop
    };
    list(head, "forwarded", last_quoted).iter().map(element).collect()
}

/// The last elements of a list, over all fields of this name in their order.
///
/// They are taken off its end, one by one: that is where proxies append, and so nothing that a
/// client has written before, such as a quote that it never closes, has a say in where a proxy's
/// own element begins.
fn list(head: &Head<'_>, name: &str, last: fn(&str) -> (Option<&str>, &str)) -> Vec<String> {
    let fields = head.fields().filter(|(field, _)| field.eq_ignore_ascii_case(name));
    let fields: Vec<&[u8]> = fields.map(|(_, value)| value).collect();
    let mut all = Vec::new();
    for value in fields.into_iter().rev() {
        let text = String::from_utf8_lossy(value);
        let mut rest = Some(&*text);
        while let Some(text) = rest.filter(|_| all.len() < HOPS_MAX) {
            let (before, element) = last(text);
            all.push(element.trim().to_owned());
            rest = before;
        }
    }
    all.reverse();
    all
}

/// What stands before the last comma, and what after it.
fn last_bare(text: &str) -> (Option<&str>, &str) {
    text.rsplit_once(',').map_or((None, text), |(before, last)| (Some(before), last))
}

/// The same, where commas in quotes do not count (RFC 9110, section 5.6.4), read from the end.
fn last_quoted(text: &str) -> (Option<&str>, &str) {
    let bytes = text.as_bytes();
    let escaped =
        |at: usize| bytes[..at].iter().rev().take_while(|b| **b == b'\\').count() % 2 == 1;
    let mut quoted = false;
    for (at, byte) in bytes.iter().enumerate().rev() {
        match byte {
            // In quotes, one that is escaped does not open them.
            b'"' => quoted = !quoted || escaped(at),
            b',' if !quoted => return (Some(&text[..at]), &text[at + 1..]),
            _ => {}
        }
    }
    (None, text)
}

/// The pairs of an element, between semicolons that are not in quotes.
fn pairs(element: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    element.split(move |char| {
        let plain = !std::mem::take(&mut escaped);
        escaped = plain && quoted && char == '\\';
        quoted ^= plain && char == '"';
        char == ';' && !quoted
    })
}

/// A value without its quotes and what escapes in them.
fn unquoted(value: &str) -> Cow<'_, str> {
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let Some(inner) = inner else { return value.into() };
    if !inner.contains('\\') {
        return inner.into();
    }
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        plain.extend(if char == '\\' { chars.next() } else { Some(char) });
    }
    plain.into()
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
            // Escapes, in quotes alone.
            (
                r#"for=192.0.2.1;x="\"";proto=https, for="\[2001:db8::1]""#,
                vec![hop("192.0.2.1:0", Some(true)), hop("[2001:db8::1]:0", None)],
            ),
            (
                r#"for=192.0.2.1;x="a\\", for=192.0.2.2;x="\",\\\"""#,
                vec![hop("192.0.2.1:0", None), hop("192.0.2.2:0", None)],
            ),
            (r#"for="192.0.2.1"#, vec![hop("", None)]),
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

    /// Whatever a client writes of these, in any order, is no part of what is appended.
    const WRITTEN: [&str; 12] = [
        "\"",
        "\\",
        ",",
        ";",
        "=",
        " ",
        "for=",
        "for=198.51.100.7",
        "proto=https",
        "x=\"",
        "[",
        "é",
    ];

    #[test]
    fn what_a_client_writes_ends_before_what_a_proxy_appends() {
        let own = |hops: &[(Option<String>, Option<bool>)]| hops.last().cloned();
        let mut written = vec![String::new()];
        for _ in 0..4 {
            let longer = |text: &String| WRITTEN.map(|part| format!("{text}{part}"));
            written = written.iter().flat_map(longer).collect();
            for text in &written {
                let appended = format!("{text}, 203.0.113.9");
                let read = hops(x_forwarded, &[("X-Forwarded-For", &appended)]);
                assert_eq!(own(&read), Some(hop("203.0.113.9:0", None)), "{appended}");
                for (element, wanted) in [
                    ("for=203.0.113.9", hop("203.0.113.9:0", None)),
                    ("for=203.0.113.9;proto=http", hop("203.0.113.9:0", Some(false))),
                    (r#"for="[2001:db8::9]:1";by="\"a,b;\\""#, hop("[2001:db8::9]:1", None)),
                ] {
                    let appended = format!("{text},{element}");
                    let read = hops(forwarded, &[("Forwarded", &appended)]);
                    assert_eq!(own(&read), Some(wanted.clone()), "{appended}");
                    // Nor by one proxy behind the other.
                    let appended = format!("{appended}, for=10.0.0.1");
                    let read = hops(forwarded, &[("Forwarded", &appended)]);
                    assert_eq!(own(&read[..read.len() - 1]), Some(wanted), "{appended}");
                }
            }
        }
        // Quotes are nothing special there.
        let read =
            hops(x_forwarded, &[("X-Forwarded-For", "\"198.51.100.7, 203.0.113.9, 10.0.0.1\"")]);
        assert_eq!(read[1..], [hop("203.0.113.9:0", None), hop("", None)]);
        // A scheme is the proxy's own word too.
        let both = [("X-Forwarded-For", "\", 203.0.113.9"), ("X-Forwarded-Proto", "\", http")];
        assert_eq!(own(&hops(x_forwarded, &both)), Some(hop("203.0.113.9:0", Some(false))));
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
    }

    #[test]
    fn of_a_long_list_the_nearest_count() {
        let long: Vec<String> = (0..100).map(|at| format!("10.0.0.{at}")).collect();
        let read = hops(x_forwarded, &[("X-Forwarded-For", &long.join(","))]);
        assert_eq!(read.len(), HOPS_MAX);
        assert_eq!(read[HOPS_MAX - 1], hop("10.0.0.99:0", None));
    }
}
