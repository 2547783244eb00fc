//! Whether a page of another origin may read the stream (Fetch standard, CORS protocol).

use hyper::{HeaderMap, Method};

use crate::doctor::advice::Change;
use crate::doctor::finding::{Check, Finding, Verdict};
use crate::doctor::record::Record;
use crate::doctor::wire::{Ask, fetch};
use crate::terminal::harmless;

/// What a page reads of the answer: the position that the stream begins after.
const EXPOSED: &str = "last-event-id";

/// The preflight, and then the stream itself, which was asked for with this origin.
pub(in crate::doctor) async fn check(ask: Ask, origin: &str, stream: &Record) -> Finding {
    let asked = ask
        .with("origin", origin)
        .with("access-control-request-method", "GET")
        .with("access-control-request-headers", "last-event-id");
    let preflight = match fetch(Ask { method: Method::OPTIONS, ..asked }).await {
        Ok((head, _)) => head,
        Err(error) => {
            let says = format!("the preflight failed: {}", harmless(&error.to_string()));
            return Finding::broken(Check::Cors, says).change(Change::Cors);
        }
    };
    let Some((_, _, head)) = &stream.head else {
        return Finding::not_tested(Check::Cors, "there was no answer to a request with an origin");
    };
    let status = preflight.status;
    let allowed = values(&head.headers, "access-control-allow-origin");
    let finding = if let Err(why) = allows(&head.headers, origin) {
        Finding::broken(Check::Cors, format!("{origin} may not read the stream: {why}"))
    } else if let Err(why) = allows(&preflight.headers, origin) {
        Finding::broken(Check::Cors, format!("{origin} is refused by the preflight: {why}"))
    } else if !status.is_success() {
        Finding::broken(Check::Cors, format!("the preflight is answered with status {status}"))
    } else if !lists(&preflight.headers, "access-control-allow-headers", "last-event-id") {
        let says = format!("{origin} may read, but not send Last-Event-ID: it cannot resume");
        Finding::broken(Check::Cors, says)
            .why("a browser asks first when the id is long or has characters such as { or <")
    } else {
        readable(&head.headers, origin)
    };
    let finding = match finding.verdict {
        Verdict::Ok => finding,
        _ => finding.change(Change::Cors),
    };
    finding.measured("allow_origin", allowed).measured("preflight_status", status.as_u16())
}

/// The stream can be read; what of the rest?
fn readable(headers: &HeaderMap, origin: &str) -> Finding {
    let wildcard = values(headers, "access-control-allow-origin").iter().any(|v| v == "*");
    let credentials = values(headers, "access-control-allow-credentials");
    if wildcard && credentials.iter().any(|value| value == "true") {
        let says = "credentials are allowed together with `*`, which browsers refuse";
        return Finding::broken(Check::Cors, says)
            .why("name the origin instead of `*`, or do not allow credentials");
    }
    let with = match (wildcard, credentials.first().map(String::as_str)) {
        (false, Some("true")) => "with credentials",
        _ => "without credentials",
    };
    if !lists(headers, "access-control-expose-headers", EXPOSED) {
        let says =
            format!("{origin} may read the stream, {with}, but not its header Last-Event-ID");
        return Finding::warning(Check::Cors, says)
            .why("a client made with fetch cannot resume before its first event");
    }
    Finding::ok(Check::Cors, format!("{origin} may read the stream, {with}, and resume"))
}

/// Whether the answer may be read by this origin. Two values are as bad as none, and come about
/// when both the server and a proxy add one.
fn allows(headers: &HeaderMap, origin: &str) -> Result<(), String> {
    let values = values(headers, "access-control-allow-origin");
    match &values[..] {
        [] => Err("there is no Access-Control-Allow-Origin".to_owned()),
        [one] if one == "*" || one == origin => Ok(()),
        [one] => Err(format!("Access-Control-Allow-Origin is {}", harmless(one))),
        _ => Err(format!("Access-Control-Allow-Origin is there {} times", values.len())),
    }
}

fn lists(headers: &HeaderMap, header: &str, word: &str) -> bool {
    let values = values(headers, header);
    let mut words = values.iter().flat_map(|value| value.split(','));
    words.any(|listed| listed.trim() == "*" || listed.trim().eq_ignore_ascii_case(word))
}

/// Each value of a header. An origin has no comma, so a list is as good as several fields.
fn values(headers: &HeaderMap, header: &str) -> Vec<String> {
    let values = headers.get_all(header).into_iter();
    values
        .flat_map(|value| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            value.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn two_values_are_none() {
        const NAME: &str = "access-control-allow-origin";
        for (fields, allowed) in [
            (&[(NAME, "*")][..], true),
            (&[(NAME, "https://a")], true),
            (&[(NAME, "https://b")], false),
            (&[(NAME, "https://a"), (NAME, "*")], false),
            (&[(NAME, "https://a, *")], false),
            (&[], false),
        ] {
            assert_eq!(allows(&head(fields), "https://a").is_ok(), allowed, "{fields:?}");
        }
    }

    #[test]
    fn credentials_do_not_go_with_a_wildcard() {
        let expose = ("access-control-expose-headers", "link, Last-Event-ID");
        let any = ("access-control-allow-origin", "*");
        let one = ("access-control-allow-origin", "https://a");
        let credentials = ("access-control-allow-credentials", "true");
        for (fields, verdict) in [
            (&[any, expose][..], Verdict::Ok),
            (&[any, expose, credentials], Verdict::Broken),
            (&[one, expose, credentials], Verdict::Ok),
            (&[one], Verdict::Warning),
        ] {
            assert_eq!(readable(&head(fields), "https://a").verdict, verdict, "{fields:?}");
        }
    }
}
