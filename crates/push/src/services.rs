//! Which push services this server asks. An endpoint comes from whoever subscribes, so without a
//! list anybody could have the server call any address.

use http::Uri;
use http::uri::{Authority, Scheme};

/// The push services of the makers of browsers: Chrome and those built like it, Firefox, Safari,
/// Edge on Windows.
pub const KNOWN: [&str; 4] = [
    "fcm.googleapis.com",
    "updates.push.services.mozilla.com",
    "*.push.apple.com",
    "*.notify.windows.com",
];

/// The longest endpoint, in bytes; those of today's services have less than 600.
pub const ENDPOINT_BYTES_MAX: usize = 2_048;

/// Why a text is not a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is neither a host such as push.example, nor *.push.example, nor an origin such as \
     http://127.0.0.1:9000"
)]
pub struct ServiceError(String);

/// Why an endpoint is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is not a URL of `https`, without a user and at the port of `https`.
    #[error("it is not an https URL of at most {ENDPOINT_BYTES_MAX} bytes")]
    NotAUrl,
    /// Its host is not on the list.
    #[error("{0} is none of the push services that this server asks")]
    NotAService(String),
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Service {
    /// `https` at this host.
    Host(String),
    /// `https` at any host below this one.
    Below(String),
    /// Exactly this origin, also on this machine: the operator has written it out.
    Origin(String),
}

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Services(Vec<Service>);

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The URL.
    pub url: Uri,
    /// Its origin (RFC 6454), which is the audience of a signed word.
    pub origin: String,
    /// Which service of the list it belongs to.
    pub service: usize,
    /// Whether the operator wrote out the address, so that it may be a private one.
    pub allow_private: bool,
}

impl Services {
    /// Reads the list: `host` and `*.host` are `https` at its usual port; an origin such as
    /// `http://127.0.0.1:9000` is taken as it stands.
    ///
    /// # Errors
    /// At the first text that is none of these, with its place.
    pub fn new<T: AsRef<str>>(texts: &[T]) -> Result<Self, (usize, ServiceError)> {
        let read = |(at, text): (usize, &T)| {
            service(text.as_ref()).ok_or_else(|| (at, ServiceError(text.as_ref().to_owned())))
        };
        texts.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks an endpoint as a browser wrote it.
    ///
    /// # Errors
    /// See [`EndpointError`].
    pub fn endpoint(&self, text: &str) -> Result<Endpoint, EndpointError> {
        let url: Uri = text.parse().map_err(|_| EndpointError::NotAUrl)?;
        let (Some(scheme), Some(authority)) = (url.scheme(), url.authority()) else {
            return Err(EndpointError::NotAUrl);
        };
        let plain = !authority.as_str().contains('@') && text.len() <= ENDPOINT_BYTES_MAX;
        let host = authority.host().to_ascii_lowercase();
        let origin = origin(scheme, authority);
        let usual = *scheme == Scheme::HTTPS && matches!(authority.port_u16(), None | Some(443));
        let usual = usual && !authority.as_str().ends_with(':');
        let is_it = |service: &Service| match service {
            Service::Host(name) => usual && host == *name,
            Service::Below(name) => {
                let below =
                    host.strip_suffix(name.as_str()).and_then(|rest| rest.strip_suffix('.'));
                usual && below.is_some_and(|rest| !rest.is_empty())
            }
            Service::Origin(known) => origin == *known,
        };
        match self.0.iter().position(is_it) {
            Some(service) if plain => {
                let allow_private = matches!(self.0[service], Service::Origin(_));
                Ok(Endpoint { origin, service, allow_private, url })
            }
            None if plain && *scheme == Scheme::HTTPS => Err(EndpointError::NotAService(host)),
            _ => Err(EndpointError::NotAUrl),
        }
    }
}

/// Scheme, host and port, the port only if it is not the usual one (RFC 6454, section 6.1).
fn origin(scheme: &Scheme, authority: &Authority) -> String {
    let host = authority.host().to_ascii_lowercase();
    let usual = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    match authority.port_u16().filter(|port| *port != usual) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}

fn service(text: &str) -> Option<Service> {
    if text.contains("://") {
        let url: Uri = text.parse().ok()?;
        let (scheme, authority) = (url.scheme()?, url.authority()?);
        let http = *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
        let bare =
            !authority.as_str().contains('@') && !text[text.find("://")? + 3..].contains('/');
        return (http && bare).then(|| Service::Origin(origin(scheme, authority)));
    }
    let name = text.strip_prefix("*.").unwrap_or(text);
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    // A whole top-level domain is nobody's push service.
    if !name.contains('.') || !name.split('.').all(label) {
        return None;
    }
    let name = name.to_ascii_lowercase();
    Some(if text.starts_with("*.") { Service::Below(name) } else { Service::Host(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_services_are_asked() {
        let services = Services::new(&KNOWN).unwrap();
        for (text, origin) in [
            ("https://fcm.googleapis.com/fcm/send/a:b", "https://fcm.googleapis.com"),
            ("https://FCM.googleapis.com:443/wp/a", "https://fcm.googleapis.com"),
            ("https://web.push.apple.com/a", "https://web.push.apple.com"),
            ("https://wns2-a.notify.windows.com/w/?t=a", "https://wns2-a.notify.windows.com"),
        ] {
            let endpoint = services.endpoint(text).unwrap();
            assert_eq!(endpoint.origin, origin, "{text}");
            assert!(!endpoint.allow_private);
        }
        for text in [
            "http://fcm.googleapis.com/a",
            "https://fcm.googleapis.com:8443/a",
            "https://fcm.googleapis.com.evil.example/a",
            "https://fcm.googleapis.com@evil.example/a",
            "https://evil.example@fcm.googleapis.com/a",
            "https://evilpush.apple.com/a",
            "https://push.apple.com/a",
            "https://127.0.0.1/a",
            "https://[::1]/a",
            "https://localhost/a",
            "ftp://fcm.googleapis.com/a",
            "//fcm.googleapis.com/a",
            "/a",
            "",
        ] {
            assert!(services.endpoint(text).is_err(), "{text}");
        }
        let long = format!("https://fcm.googleapis.com/{}", "a".repeat(ENDPOINT_BYTES_MAX));
        assert_eq!(services.endpoint(&long), Err(EndpointError::NotAUrl));
    }

    #[test]
    fn an_origin_that_is_written_out_is_taken_as_it_stands() {
        let services = Services::new(&["http://127.0.0.1:9000"]).unwrap();
        let endpoint = services.endpoint("http://127.0.0.1:9000/a").unwrap();
        assert_eq!((&*endpoint.origin, endpoint.allow_private), ("http://127.0.0.1:9000", true));
        for text in ["http://127.0.0.1:9001/a", "https://127.0.0.1:9000/a", "http://127.0.0.1/a"] {
            assert!(services.endpoint(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_service_is_refused() {
        for text in ["", "*", "*.com", "com", "a..b", "a.b/c", "*.*.b", "http://", "ftp://a.b"] {
            assert_eq!(Services::new(&["a.b", text]).unwrap_err().0, 1, "{text}");
        }
        assert!(Services::new(&["http://a.b/", "x"]).is_err());
    }
}
