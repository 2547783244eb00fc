//! Where a request shows its token: a header, or the cookie that the configuration names.
//!
//! Never the query: addresses end in logs and histories. A browser adds a cookie by itself, also to
//! what another site makes it ask for; so a cookie counts only where the page's origin does.

use tidings_frame::ErrorCode;

use crate::error::ApiError;
use crate::head::Head;

/// The header that holds a token where `Authorization` is somebody else's: the key of an LLM's API.
pub(crate) const OWN_HEADER: &str = "tidings-token";

/// A token as it was shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Presented<'a> {
    Header(&'a str),
    Cookie(&'a str),
}

/// Whose business the header `Authorization` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authorization {
    /// It holds a token.
    Ours,
    /// It holds the key of the API that a relay passes the request on to.
    Theirs,
}

/// The token of a request. Of several ways the most deliberate counts: the header of our own, then
/// `Authorization` (RFC 6750, section 2.1), then the cookie.
pub(super) fn presented<'a>(
    head: &Head<'a>,
    authorization: Authorization,
    cookie: Option<&str>,
) -> Result<Option<Presented<'a>>, ApiError> {
    if let Some(token) = only(head, OWN_HEADER)? {
        return Ok(Some(Presented::Header(token.trim_ascii())));
    }
    let ours = authorization == Authorization::Ours;
    if let Some(credentials) = ours.then(|| only(head, "authorization")).transpose()?.flatten() {
        let (scheme, token) = credentials.trim_ascii().split_once(' ').unwrap_or((credentials, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            let detail = "the server takes tokens: Authorization: Bearer …";
            return Err(ApiError::new(ErrorCode::Unauthorized, detail));
        }
        return Ok(Some(Presented::Header(token.trim_ascii())));
    }
    let Some(name) = cookie else { return Ok(None) };
    let mut found = None;
    for (field, value) in head.fields() {
        if !field.eq_ignore_ascii_case("cookie") {
            continue;
        }
        let value = std::str::from_utf8(value).unwrap_or_default();
        let pairs = value.split(';').filter_map(|pair| pair.trim_ascii().split_once('='));
        for (_, token) in pairs.filter(|(known, _)| *known == name) {
            // Whoever can set a cookie for a neighbouring host could add a second one.
            if found.replace(token.trim_matches('"')).is_some() {
                let detail = format!("more than one cookie is called {name}");
                return Err(ApiError::new(ErrorCode::Unauthorized, detail));
            }
        }
    }
    Ok(found.map(Presented::Cookie))
}

/// The one field of this name.
fn only<'a>(head: &Head<'a>, name: &str) -> Result<Option<&'a str>, ApiError> {
    let mut fields = head.fields().filter(|(field, _)| field.eq_ignore_ascii_case(name));
    let Some((_, value)) = fields.next() else { return Ok(None) };
    let value = std::str::from_utf8(value).ok().filter(|_| fields.next().is_none());
    let detail = || format!("the header {name} must be there once, in ASCII");
    value.map(Some).ok_or_else(|| ApiError::new(ErrorCode::Unauthorized, detail()))
}

/// Refuses what a page of another origin made a browser ask for with its cookie. A request that
/// changes something must say where it comes from; one that reads may leave it out, because a page
/// that may not read the answer learns nothing (Fetch standard, CORS protocol).
pub(super) fn check_origin(head: &Head<'_>, origins: &[String]) -> Result<(), ApiError> {
    let refused = || {
        let detail = "a cookie counts only on requests of this server's own pages and of the \
            origins in server.cors_origins";
        ApiError::new(ErrorCode::Forbidden, detail)
    };
    let origin = head.bytes("origin").map(|origin| String::from_utf8_lossy(origin).into_owned());
    let reads = matches!(head.method, "GET" | "HEAD") && head.bytes("upgrade").is_none();
    match origin {
        None if reads => Ok(()),
        None => Err(refused()),
        Some(origin) => {
            let own = is_own_page(head);
            // A wildcard lists nobody: with it any page could act as its reader.
            if own || origins.contains(&origin) { Ok(()) } else { Err(refused()) }
        }
    }
}

/// Whether the page that a browser asks for is this server's own: what `Origin` says after the
/// scheme is what `Host` says. The scheme is compared where TLS is known to be spoken: anybody on
/// the way can write a page of `http://`. Where it is not, a proxy may have ended it.
pub(crate) fn is_own_page(head: &Head<'_>) -> bool {
    let host = head.bytes("host").unwrap_or_default();
    let origin = head.bytes("origin").and_then(|origin| std::str::from_utf8(origin).ok());
    let after = origin.and_then(|origin| origin.split_once("://"));
    let tls = head.peer.is_some_and(|peer| peer.tls);
    after.is_some_and(|(scheme, after)| {
        after.as_bytes().eq_ignore_ascii_case(host) && (!tls || scheme == "https")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::head::Headers;

    fn shown(fields: &[(&str, &str)], cookie: Option<&str>) -> String {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| httparse::Header { name, value: value.as_bytes() })
            .collect();
        match presented(&Head::new("GET", "/", Headers::Raw(&fields)), Authorization::Ours, cookie)
        {
            Ok(None) => "nothing".into(),
            Ok(Some(Presented::Header(token))) => format!("header {token}"),
            Ok(Some(Presented::Cookie(token))) => format!("cookie {token}"),
            Err(error) => error.problem.code.to_string(),
        }
    }

    #[test]
    fn the_most_deliberate_way_counts() {
        let cookie = ("Cookie", "a=1; tidings=c; b=2");
        for (fields, wanted) in [
            (&[][..], "nothing"),
            (&[("authorization", "Bearer t")], "header t"),
            (&[("Authorization", "bEARER  t ")], "header t"),
            (&[("Authorization", "Basic dTpw")], "unauthorized"),
            (&[("Authorization", "Bearer a"), ("Authorization", "Bearer b")], "unauthorized"),
            (&[("Authorization", "Bearer")], "header "),
            (&[("Tidings-Token", "t"), ("Authorization", "Bearer sk-x")], "header t"),
            (&[cookie], "cookie c"),
            (&[cookie, ("Authorization", "Bearer t")], "header t"),
            (&[cookie, ("Cookie", "tidings=d")], "unauthorized"),
            (&[("Cookie", "tidings=\"q\"")], "cookie q"),
            (&[("Cookie", "xtidings=c; tidingsx=d")], "nothing"),
        ] {
            assert_eq!(shown(fields, Some("tidings")), wanted, "{fields:?}");
        }
        assert_eq!(shown(&[cookie], None), "nothing");
    }

    /// What fields are made of, so that chance makes something like one.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let words = [
            "Bearer ",
            "bearer",
            "Basic ",
            "tidings",
            "tidings=",
            "=",
            ";",
            "; ",
            " ",
            "\"",
            ",",
            "a",
            "t.t.t",
            "xtidings=b",
            "tidingsx=c",
        ];
        prop_oneof![
            9 => prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
            1 => prop::collection::vec(any::<u8>(), 1..4),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// Whatever comes: a token that is found was written there, by itself, in one field.
        #[test]
        fn no_fields_are_misread(
            fields in prop::collection::vec(
                (
                    prop::sample::select(vec!["authorization", "Cookie", "TIDINGS-TOKEN", "host"]),
                    prop::collection::vec(piece(), 0..6).prop_map(|pieces| pieces.concat()),
                ),
                0..5,
            ),
            ours in any::<bool>(),
        ) {
            let raw: Vec<_> =
                fields.iter().map(|(name, value)| httparse::Header { name, value }).collect();
            let head = Head::new("GET", "/", Headers::Raw(&raw));
            let whose = if ours { Authorization::Ours } else { Authorization::Theirs };
            let Ok(found) = presented(&head, whose, Some("tidings")) else { return Ok(()) };
            let of = |name: &str| {
                let same = fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
                same.map(|(_, value)| value.as_slice()).collect::<Vec<_>>()
            };
            let (own, authorization) = (of(OWN_HEADER), of("authorization"));
            let headers = if own.is_empty() && ours { authorization } else { own };
            match found {
                Some(Presented::Header(token)) => {
                    // More than one would be a choice, and not the server's.
                    prop_assert_eq!(headers.len(), 1);
                    prop_assert!(headers[0].trim_ascii_end().ends_with(token.as_bytes()));
                }
                cookie_or_nothing => {
                    prop_assert!(headers.is_empty());
                    // RFC 6265, section 4.2.1, followed without a thought for speed.
                    let named: Vec<String> = of("cookie")
                        .into_iter()
                        .filter_map(|value| String::from_utf8(value.to_vec()).ok())
                        .flat_map(|value| value.split(';').map(str::to_owned).collect::<Vec<_>>())
                        .filter_map(|pair| {
                            pair.trim_ascii().strip_prefix("tidings=").map(str::to_owned)
                        })
                        .collect();
                    match cookie_or_nothing {
                        None => prop_assert!(named.is_empty()),
                        Some(Presented::Cookie(token)) => {
                            prop_assert_eq!(named.len(), 1);
                            prop_assert_eq!(named[0].trim_matches('"'), token);
                        }
                        Some(Presented::Header(_)) => unreachable!("matched above"),
                    }
                }
            }
        }
    }

    #[test]
    fn a_cookie_is_for_pages_that_are_known() {
        let listed = ["https://app.example".to_owned(), "*".to_owned()];
        for (method, fields, wanted) in [
            ("GET", &[][..], true),
            ("POST", &[], false),
            ("GET", &[("Upgrade", "websocket")], false),
            ("POST", &[("Origin", "https://hub.example"), ("Host", "hub.example")], true),
            ("POST", &[("Origin", "https://app.example"), ("Host", "hub.example")], true),
            ("POST", &[("Origin", "http://app.example"), ("Host", "hub.example")], false),
            ("GET", &[("Origin", "https://evil.example"), ("Host", "hub.example")], false),
            ("POST", &[("Origin", "null"), ("Host", "hub.example")], false),
            ("POST", &[("Origin", "https://hub.example.evil"), ("Host", "hub.example")], false),
        ] {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| httparse::Header { name, value: value.as_bytes() })
                .collect();
            let head = Head::new(method, "/", Headers::Raw(&fields));
            assert_eq!(check_origin(&head, &listed).is_ok(), wanted, "{method} {fields:?}");
        }
    }
}
