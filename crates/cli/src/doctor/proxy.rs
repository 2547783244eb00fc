//! Who stands between: recognised by what it leaves in the heads of answers.
//!
//! A proxy that leaves nothing (HAProxy, an ALB in front of most servers) is not recognised; the
//! report then names all of them.

use clap::ValueEnum;
use hyper::HeaderMap;

/// A proxy whose configuration the doctor knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Proxy {
    Nginx,
    Caddy,
    Haproxy,
    Alb,
    Cloudflare,
}

impl Proxy {
    /// As its makers write it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "Caddy",
            Self::Haproxy => "HAProxy",
            Self::Alb => "AWS ALB",
            Self::Cloudflare => "Cloudflare",
        }
    }
}

/// Somebody who left a sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sign {
    /// The proxy, if it is one whose configuration is known here.
    pub(super) proxy: Option<Proxy>,
    pub(super) name: &'static str,
    /// The header that gave it away, as it came.
    pub(super) evidence: String,
}

/// Header, what its value holds in lower case (empty: anything), who that is. The one nearest to
/// the client comes first.
const SIGNS: [(&str, &str, Option<Proxy>, &str); 20] = [
    ("cf-ray", "", Some(Proxy::Cloudflare), "Cloudflare"),
    ("server", "cloudflare", Some(Proxy::Cloudflare), "Cloudflare"),
    ("x-amz-cf-id", "", None, "CloudFront"),
    ("via", "cloudfront", None, "CloudFront"),
    ("x-served-by", "cache-", None, "Fastly"),
    ("x-vercel-id", "", None, "Vercel"),
    ("via", "google", None, "Google Cloud load balancer"),
    ("server", "awselb", Some(Proxy::Alb), "AWS ALB"),
    ("set-cookie", "awsalb", Some(Proxy::Alb), "AWS ALB"),
    ("x-amzn-trace-id", "", Some(Proxy::Alb), "AWS ALB"),
    ("server", "nginx", Some(Proxy::Nginx), "nginx"),
    ("server", "openresty", Some(Proxy::Nginx), "nginx (OpenResty)"),
    ("server", "caddy", Some(Proxy::Caddy), "Caddy"),
    ("via", "caddy", Some(Proxy::Caddy), "Caddy"),
    ("via", "haproxy", Some(Proxy::Haproxy), "HAProxy"),
    ("server", "envoy", None, "Envoy"),
    ("x-envoy-upstream-service-time", "", None, "Envoy"),
    ("x-varnish", "", None, "Varnish"),
    ("server", "apache", None, "Apache httpd"),
    ("via", "squid", None, "Squid"),
];

/// Most characters of a header that are shown.
const EVIDENCE_CHARS_MAX: usize = 60;

/// Everybody who left a sign in the heads, each once. A `Via` of somebody unknown counts too.
pub(super) fn recognise<'a>(heads: impl Iterator<Item = &'a HeaderMap> + Clone) -> Vec<Sign> {
    let mut signs: Vec<Sign> = Vec::new();
    for (header, part, proxy, name) in SIGNS {
        let known = |sign: &Sign| match proxy {
            Some(_) => sign.proxy == proxy,
            None => sign.name == name,
        };
        if signs.iter().any(known) {
            continue;
        }
        let mut values = heads.clone().flat_map(|head| head.get_all(header));
        let value = values.find_map(|value| {
            let value = String::from_utf8_lossy(value.as_bytes());
            value.to_ascii_lowercase().contains(part).then(|| value.into_owned())
        });
        if let Some(value) = value {
            signs.push(Sign { proxy, name, evidence: evidence(header, &value) });
        }
    }
    let mut vias = heads.flat_map(|head| head.get_all("via"));
    if let (true, Some(via)) = (signs.is_empty(), vias.next()) {
        let via = String::from_utf8_lossy(via.as_bytes());
        signs.push(Sign { proxy: None, name: "a proxy", evidence: evidence("via", &via) });
    }
    signs
}

fn evidence(header: &str, value: &str) -> String {
    // A cookie's value is nobody's business.
    let value = if header == "set-cookie" { value.split('=').next().unwrap_or("") } else { value };
    let short: String = value.chars().take(EVIDENCE_CHARS_MAX).collect();
    crate::terminal::harmless(&format!("{header}: {short}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn proxies_are_recognised_the_nearest_first() {
        for (fields, names) in [
            (&[("server", "nginx/1.22.1")][..], &["nginx"][..]),
            (&[("server", "nginx"), ("cf-ray", "8a1-FRA")], &["Cloudflare", "nginx"]),
            (&[("via", "1.1 Caddy"), ("server", "Caddy")], &["Caddy"]),
            (&[("set-cookie", "AWSALB=secret; Path=/")], &["AWS ALB"]),
            (&[("via", "1.1 haproxy-7")], &["HAProxy"]),
            (&[("via", "1.1 something")], &["a proxy"]),
            (&[("server", "uvicorn")], &[]),
            (&[], &[]),
        ] {
            let head = head(fields);
            let signs = recognise([&head].into_iter());
            let found: Vec<_> = signs.iter().map(|sign| sign.name).collect();
            assert_eq!(found, names, "{fields:?}");
            assert!(signs.iter().all(|sign| !sign.evidence.contains("secret")));
        }
    }
}
