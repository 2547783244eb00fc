//! Which pages may ask what (Fetch standard, CORS protocol), and with whose cookies.

use serde_json::json;

use crate::access::{ORIGIN, claims, closed, token};

const WILD: &str = "*";
const EVIL: &str = "https://evil.example";

struct Case {
    listed: &'static str,
    method: &'static str,
    target: &'static str,
    fields: &'static str,
    /// Status, allowed origin, credentials, allowed methods, allowed headers.
    expected: (u16, Option<&'static str>, bool, Option<&'static str>, Option<&'static str>),
}

const TOPIC: Option<&str> = Some("POST, GET, HEAD, PUT, DELETE, OPTIONS");
const ASKS: &str = "Access-Control-Request-Method: POST\r\n";
const ASKS_HEADERS: &str = "Access-Control-Request-Method: POST\r\n\
    Access-Control-Request-Headers: authorization,last-event-id\r\n";
const ODD_HEADERS: &str = "Access-Control-Request-Method: POST\r\n\
    Access-Control-Request-Headers: a\u{e9}b\r\n";
const USUAL: Option<&str> = Some("last-event-id, content-type, idempotency-key");

const fn case(
    listed: &'static str,
    method: &'static str,
    target: &'static str,
    fields: &'static str,
    expected: (u16, Option<&'static str>, bool, Option<&'static str>, Option<&'static str>),
) -> Case {
    Case { listed, method, target, fields, expected }
}

#[test]
fn preflights_and_answers_are_for_listed_pages() {
    let mine = Some(ORIGIN);
    let headers = Some("authorization,last-event-id");
    for (origin, cases) in [
        (
            ORIGIN,
            vec![
                case(ORIGIN, "OPTIONS", "/topics/t", ASKS, (204, mine, true, TOPIC, USUAL)),
                case(
                    ORIGIN,
                    "OPTIONS",
                    "/topics/t",
                    ASKS_HEADERS,
                    (204, mine, true, TOPIC, headers),
                ),
                case(ORIGIN, "OPTIONS", "/topics/t", ODD_HEADERS, (204, mine, true, TOPIC, USUAL)),
                case(ORIGIN, "OPTIONS", "/topics/t", "", (204, mine, true, None, None)),
                case(ORIGIN, "OPTIONS", "/nothing", ASKS, (404, mine, true, None, None)),
                case(ORIGIN, "GET", "/topics/t", "", (401, mine, true, None, None)),
                case(ORIGIN, "POST", "/topics/t", "", (401, mine, true, None, None)),
                case(ORIGIN, "GET", "/healthz", "", (200, mine, true, None, None)),
                case(WILD, "OPTIONS", "/topics/t", ASKS, (204, Some("*"), false, TOPIC, USUAL)),
                case(WILD, "GET", "/healthz", "", (200, Some("*"), false, None, None)),
                case("https://b.example", "GET", "/healthz", "", (200, None, false, None, None)),
            ],
        ),
        (
            EVIL,
            vec![
                case(ORIGIN, "OPTIONS", "/topics/t", ASKS, (204, None, false, None, None)),
                case(ORIGIN, "OPTIONS", "/topics/t", ASKS_HEADERS, (204, None, false, None, None)),
                case(ORIGIN, "GET", "/healthz", "", (200, None, false, None, None)),
                case(WILD, "GET", "/topics/t", "", (401, Some("*"), false, None, None)),
            ],
        ),
        ("null", vec![case(ORIGIN, "GET", "/healthz", "", (200, None, false, None, None))]),
        (
            "HTTPS://APP.EXAMPLE",
            vec![case(ORIGIN, "GET", "/healthz", "", (200, None, false, None, None))],
        ),
        (
            "https://app.example.evil",
            vec![case(ORIGIN, "GET", "/healthz", "", (200, None, false, None, None))],
        ),
    ] {
        for Case { listed, method, target, fields, expected } in cases {
            let server = closed(|config| config.cors_origins = vec![listed.to_owned()]);
            let fields = format!("Origin: {origin}\r\n{fields}");
            let mut conn = server.connect();
            conn.ask(method, target, &fields, b"");
            let reply = if method == "OPTIONS" { conn.reply_without_body() } else { conn.reply() };
            let header = |name| reply.header(name);
            let credentials = header("access-control-allow-credentials") == Some("true");
            let said = (
                reply.status,
                header("access-control-allow-origin"),
                credentials,
                header("access-control-allow-methods"),
                header("access-control-allow-headers"),
            );
            assert_eq!(said, expected, "{listed} {method} {target} {fields}");
            // A cache that holds it for one page must not give it to another.
            let varies = reply.head.lines().any(|line| line.to_lowercase() == "vary: origin");
            assert_eq!(varies, said.1.is_some(), "{method} {target} {fields}: vary");
        }
    }
}

/// A wildcard lists nobody as far as cookies go: with it any page could act as its reader.
#[test]
fn a_cookie_is_for_pages_that_are_listed_by_name() {
    let token = token(&claims("ada", json!({"publish": ["t"], "subscribe": ["t"]})));
    for (listed, origin, write, read) in [
        (ORIGIN, Some(ORIGIN), 200, 200),
        (ORIGIN, Some(EVIL), 403, 403),
        (ORIGIN, Some("null"), 403, 403),
        (ORIGIN, Some("https://test"), 200, 200),
        (ORIGIN, None, 403, 200),
        (WILD, Some(ORIGIN), 403, 403),
        (WILD, Some(EVIL), 403, 403),
    ] {
        let server = closed(|config| config.cors_origins = vec![listed.to_owned()]);
        let origin = origin.map_or(String::new(), |origin| format!("Origin: {origin}\r\n"));
        let fields = format!("Cookie: tidings={token}\r\n{origin}");
        let said = format!("{listed} {origin}");
        assert_eq!(server.request("POST", "/topics/t", &fields, b"x").status, write, "{said}");
        let read_fields = format!("Accept: application/json\r\n{fields}");
        let reply = server.request("GET", "/topics/t?poll=0", &read_fields, b"");
        assert_eq!(reply.status, read, "{said}");
    }
}
