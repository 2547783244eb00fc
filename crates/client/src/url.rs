//! URLs: the base that all requests start from, queries, and where a redirect leads.

use hyper::Uri;
use hyper::http::uri::{Authority, PathAndQuery, Scheme};

use crate::error::BuildError;

/// Where the server is: scheme, host and the path under which it is mounted.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub(crate) scheme: Scheme,
    authority: Authority,
    /// Without a trailing `/`.
    path: String,
}

impl Base {
    pub(crate) fn parse(text: &str) -> Result<Self, BuildError> {
        let wrong = || BuildError::Url(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let parts = uri.into_parts();
        let scheme = parts.scheme.ok_or_else(wrong)?;
        let authority = parts.authority.ok_or_else(wrong)?;
        let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        let known = scheme == Scheme::HTTP || scheme == Scheme::HTTPS;
        if !known || authority.as_str().contains('@') || path.query().is_some() {
            return Err(wrong());
        }
        Ok(Self { scheme, authority, path: path.path().trim_end_matches('/').to_owned() })
    }

    /// The URL of `path`, which begins with `/` and is encoded already.
    pub(crate) fn join(&self, path: &str, query: &Query) -> Result<Uri, String> {
        let path_and_query = format!("{}{path}{}", self.path, query.0);
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path_and_query)
            .build()
            .map_err(|error| error.to_string())
    }
}

/// A query, put together pair by pair.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(String);

impl Query {
    /// Adds a pair; the value is percent-encoded.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(name);
        self.0.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~/:@*,".contains(&byte) {
                self.0.push(char::from(byte));
            } else {
                self.0.push('%');
                self.0.push(char::from(HEX[usize::from(byte >> 4)]));
                self.0.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }

    /// Adds a pair if there is a value.
    pub(crate) fn add_some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// Bytes of the encoded query.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Where `location` leads from `from` (RFC 3986, section 5, without dot segments). The scheme may
/// not change: a redirect must not take the encryption away, and roots for TLS are only loaded for
/// a client whose base asks for it.
pub(crate) fn redirect(from: &Uri, location: &str) -> Result<Uri, String> {
    let wrong = || format!("`{location}`");
    let scheme = from.scheme().ok_or_else(wrong)?;
    let authority = from.authority().ok_or_else(wrong)?.as_str();
    let location = location.split('#').next().unwrap_or_default();
    let absolute = if location.is_empty() {
        return Err("it has no Location".to_owned());
    } else if location.contains("://") && !location.starts_with(['/', '?']) {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.starts_with('?') {
        format!("{scheme}://{authority}{}{location}", from.path())
    } else {
        let folder = from.path().rfind('/').map_or("/", |slash| &from.path()[..=slash]);
        format!("{scheme}://{authority}{folder}{location}")
    };
    let to: Uri = absolute.parse().map_err(|_| wrong())?;
    if to.scheme() != Some(scheme) || to.host().is_none() {
        return Err(format!("{} (the scheme may not change)", wrong()));
    }
    Ok(to)
}

/// Whether both are the same server, so that credentials may go along.
pub(crate) fn same_origin(a: &Uri, b: &Uri) -> bool {
    a.scheme() == b.scheme() && a.authority() == b.authority()
}

/// A duration as the server reads it: whole milliseconds, rounded up.
pub(crate) fn duration(duration: std::time::Duration) -> String {
    format!("{}ms", duration.as_nanos().div_ceil(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_to_the_base_and_values_encoded() {
        for (base, expect) in [
            ("http://h", "http://h/topics/a?x=a%20%26%3D%2B%23%C3%BC&y=c/*"),
            ("http://h/", "http://h/topics/a?x=a%20%26%3D%2B%23%C3%BC&y=c/*"),
            ("https://h:1/p/", "https://h:1/p/topics/a?x=a%20%26%3D%2B%23%C3%BC&y=c/*"),
        ] {
            let mut query = Query::default();
            query.add("x", "a &=+#ü");
            query.add_some("none", None);
            query.add("y", "c/*");
            let uri = Base::parse(base).unwrap().join("/topics/a", &query).unwrap();
            assert_eq!(uri.to_string(), expect);
        }
        for base in
            ["", "h", "/h", "ftp://h", "http://", "http://h?x", "http://u:p@h", "http://h h"]
        {
            assert!(Base::parse(base).is_err(), "{base}");
        }
    }

    #[test]
    fn redirects_lead_where_they_say_but_never_to_another_scheme() {
        let from: Uri = "http://h:1/a/b?x=1".parse().unwrap();
        for (location, expect) in [
            ("http://i/c", Some("http://i/c")),
            ("//i/c", Some("http://i/c")),
            ("/c?y=http://z", Some("http://h:1/c?y=http://z")),
            ("c", Some("http://h:1/a/c")),
            ("?y=2", Some("http://h:1/a/b?y=2")),
            ("/c#fragment", Some("http://h:1/c")),
            ("", None),
            ("#", None),
            ("https://i/c", None),
            ("file:///etc/passwd", None),
            ("http://", None),
            ("/c d", None),
        ] {
            let to = redirect(&from, location).ok().map(|uri| uri.to_string());
            assert_eq!(to.as_deref(), expect, "{location}");
        }
    }

    #[test]
    fn durations_are_whole_milliseconds_and_never_shorter() {
        let micros = std::time::Duration::from_micros;
        assert_eq!(duration(micros(0)), "0ms");
        assert_eq!(duration(micros(1)), "1ms");
        assert_eq!(duration(micros(90_000_000)), "90000ms");
    }
}
