//! Who may do what: everybody × everything × every way to show a token, over both doors.

use std::ops::Deref;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tempfile::TempDir;
use tidings_access::SigningKey;
use tidings_access::grants::GrantTemplate;
use tidings_access::verifier::TENANT_CLAIM;
use tidings_access::{Action, Algorithm, Grants};
use tidings_server::config::{Config, IssuerConfig, KeySource, Mode};

use crate::support::{DOORS, Door, Reply, Server};
use crate::wires::over_each_wire;

pub(crate) const SECRET: &str = "a secret of forty letters, for tests only";
pub(crate) const ORIGIN: &str = "https://app.example";

static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_secret(SECRET.as_bytes()).unwrap());

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn token(claims: &Value) -> String {
    KEY.sign(br#"{"alg":"HS256"}"#, claims.to_string().as_bytes()).unwrap()
}

/// Claims that count, with these grants.
pub(crate) fn claims(subject: &str, grants: Value) -> Value {
    json!({"sub": subject, "aud": "hub", "exp": now() + 3_600, "iat": now() - 10,
        "jti": format!("token of {subject}"), "tidings": grants})
}

/// A server that is told in a file whose tokens count.
pub(crate) struct Closed {
    pub(crate) server: Server,
    /// Gone after the server, which reads it when it starts again.
    folder: TempDir,
}

impl Deref for Closed {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Closed {
    pub(crate) fn restart(self) -> Self {
        self.restart_with(|_| {})
    }

    pub(crate) fn restart_with(self, change: impl FnOnce(&mut Config)) -> Self {
        Self { server: self.server.restart_with(change), folder: self.folder }
    }
}

pub(crate) fn closed(change: impl FnOnce(&mut Config)) -> Closed {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let server = Server::with(|config| {
        config.mode = Mode::Serve;
        config.anonymous = Grants::default();
        config.cors_origins = vec![ORIGIN.to_owned()];
        config.token_cookie = Some("tidings".to_owned());
        let mut grants = GrantTemplate::default();
        grants.set(Action::Subscribe, vec!["inbox/{sub}".to_owned()]).unwrap();
        config.audit_log = Some(folder.path().join("audit.log"));
        config.issuers = vec![IssuerConfig {
            name: None,
            audience: vec!["hub".to_owned()],
            algorithms: vec![Algorithm::Hs256],
            without_expiry: false,
            grants,
            ceiling: Some(GrantTemplate::everything()),
            tenant_claim: TENANT_CLAIM.to_owned(),
            keys: KeySource::SecretFile(file.clone()),
        }];
        change(config);
    });
    Closed { server, folder }
}

pub(crate) type Way = (&'static str, fn(&str) -> String);

/// The ways to show a token, as header lines.
pub(crate) const WAYS: [Way; 4] = [
    ("bearer", |token| format!("Authorization: Bearer {token}\r\n")),
    ("own header", |token| format!("Tidings-Token: {token}\r\nAuthorization: Bearer sk-x\r\n")),
    ("cookie", |token| format!("Cookie: a=b; tidings={token}\r\nOrigin: {ORIGIN}\r\n")),
    ("cookie of another page", |token| {
        format!("Cookie: tidings={token}\r\nOrigin: https://evil.example\r\n")
    }),
];

pub(crate) struct Asks {
    pub(crate) method: &'static str,
    pub(crate) target: &'static str,
    body: &'static str,
    /// Status for nobody, a reader of `chat/*`, a writer of `chat/7`, an operator, somebody whose
    /// token is for nothing.
    pub(crate) expected: [u16; 5],
}

pub(crate) const fn asks(
    method: &'static str,
    target: &'static str,
    body: &'static str,
    expected: [u16; 5],
) -> Asks {
    Asks { method, target, body, expected }
}

const BOTH: &str = r#"{"events":[{"topic":"chat/7","data":"x"},{"topic":"chat/8","data":"x"}]}"#;
const LIST: &str = r#"{"topics":["chat/7","chat/8"]}"#;

const TABLE: &[Asks] = &[
    asks("POST", "/topics/chat/7", "x", [401, 403, 200, 200, 403]),
    asks("POST", "/topics/chat/8", "x", [401, 403, 403, 200, 403]),
    asks("POST", "/topics/chat/%37", "x", [401, 403, 200, 200, 403]),
    asks("POST", "/topics/chat/7?alternate=chat/8", "x", [401, 403, 403, 200, 403]),
    asks("POST", "/topics/chat/7?delay=1h", "x", [401, 403, 202, 202, 403]),
    asks("POST", "/topics/$access/revoked", "x", [401, 403, 403, 403, 403]),
    asks("POST", "/publish", BOTH, [401, 403, 403, 200, 403]),
    asks("POST", "/publish", r#"{"events":[{"topic":"chat/7"}]}"#, [401, 403, 200, 200, 403]),
    asks("GET", "/topics/chat/7?last=1", "", [401, 200, 403, 200, 403]),
    asks("GET", "/topics/chat/none?last=1", "", [401, 404, 403, 404, 403]),
    asks("GET", "/topics/other?last=1", "", [401, 403, 403, 200, 403]),
    asks("GET", "/topics/chat/7/deep?last=1", "", [401, 403, 403, 404, 403]),
    asks("GET", "/topics/chat/7?poll=0", "", [401, 200, 403, 200, 403]),
    asks("GET", "/events?topic=chat/7&topic=chat/8", "", [401, 200, 403, 200, 403]),
    asks("GET", "/events?topic=chat/7&topic=other", "", [401, 403, 403, 200, 403]),
    asks("GET", "/events?pattern=chat/*", "", [401, 200, 403, 200, 403]),
    asks("GET", "/events?pattern=chat/**", "", [401, 403, 403, 200, 403]),
    asks("GET", "/events?pattern=*/7", "", [401, 403, 403, 200, 403]),
    asks("GET", "/events?pattern=$access/*", "", [403, 403, 403, 403, 403]),
    asks("HEAD", "/topics/chat/7", "", [401, 200, 403, 200, 403]),
    asks("HEAD", "/topics/other", "", [401, 403, 403, 200, 403]),
    asks("GET", "/topics", "", [401, 200, 403, 200, 403]),
    asks("PUT", "/topics/chat/9", "{}", [401, 403, 403, 200, 403]),
    asks("DELETE", "/topics/chat/none", "", [401, 403, 403, 404, 403]),
    asks("GET", "/connections", "", [401, 403, 403, 200, 403]),
    asks("PATCH", "/connections/c1", LIST, [401, 403, 403, 404, 403]),
    asks("DELETE", "/connections/c1", "", [401, 403, 403, 404, 403]),
    asks("DELETE", "/schedules/999999999", "", [401, 403, 403, 404, 403]),
    asks("POST", "/revocations", r#"{"subject":"nobody at all"}"#, [401, 403, 403, 200, 403]),
    asks("POST", "/tickets", "", [401, 200, 200, 200, 200]),
    asks("POST", "/topics/a%2Fb", "x", [401, 403, 403, 200, 403]),
    asks("POST", "/topics/chat/7?private", "x", [401, 403, 200, 200, 403]),
    asks("POST", "/topics/chat/7?expect=none", "x", [401, 403, 412, 412, 403]),
    asks("POST", "/topics/chat/7?at=2999-01-01T00:00:00Z", "x", [401, 403, 400, 400, 403]),
    asks("POST", "/publish", r#"{"events":[]}"#, [400, 400, 400, 400, 400]),
    asks("POST", "/publish", r#"{"events":[{"topic":"$x","data":""}]}"#, [401, 403, 403, 403, 403]),
    asks("GET", "/topics/chat/7?last=1&limit=1", "", [401, 200, 403, 200, 403]),
    asks("GET", "/topics/chat/7?earliest&limit=1", "", [401, 200, 403, 200, 403]),
    asks("GET", "/events?topic=chat/7&pattern=chat/*", "", [401, 200, 403, 200, 403]),
    asks("GET", "/events?pattern=chat/*&pattern=**", "", [401, 403, 403, 200, 403]),
    asks("GET", "/events?pattern=**", "", [401, 403, 403, 200, 403]),
    asks("GET", "/topics/$access/revoked?last=1", "", [403; 5]),
    asks("GET", "/topics/$answers/none?last=1", "", [404; 5]),
    asks("GET", "/topics?name=chat/7", "", [401, 200, 403, 200, 403]),
    asks("GET", "/topics?name=other", "", [401, 200, 403, 200, 403]),
    asks("HEAD", "/topics/$access/revoked", "", [403; 5]),
    asks("PUT", "/topics/$access/revoked", "{}", [403; 5]),
    asks("DELETE", "/topics/$access/revoked", "", [403; 5]),
    asks("PUT", "/topics/chat/7", "{}", [401, 403, 403, 200, 403]),
    asks("PATCH", "/connections/c1.wrong", LIST, [404; 5]),
    asks("DELETE", "/connections/c1.wrong", "", [404; 5]),
    asks("POST", "/revocations", "{}", [401, 403, 403, 400, 403]),
    asks("GET", "/revocations", "", [405; 5]),
    asks("GET", "/answers/none", "", [404; 5]),
    asks("GET", "/ws", "", [426; 5]),
    asks("GET", "/healthz", "", [200; 5]),
    asks("GET", "/metrics", "", [401, 403, 403, 200, 403]),
    asks("GET", "/readyz", "", [200; 5]),
    asks("GET", "/openapi.json", "", [200; 5]),
    asks("GET", "/nothing", "", [404; 5]),
    asks("POST", "/topics/presence/chat/7?key=writer", "x", [401, 403, 403, 200, 403]),
    asks("GET", "/topics/presence/chat/7?earliest", "", [401, 403, 403, 200, 403]),
    asks("GET", "/events?pattern=presence/chat/*", "", [401, 403, 403, 200, 403]),
];

pub(crate) fn people() -> [Option<String>; 5] {
    [
        None,
        Some(token(&claims("reader", json!({"subscribe": ["chat/*"]})))),
        Some(token(&claims("writer", json!({"publish": ["chat/7"]})))),
        Some(token(&claims("operator", serde_json::to_value(Grants::everything()).unwrap()))),
        Some(token(&claims("stranger", json!({})))),
    ]
}

fn ask(server: &Server, asks: &Asks, fields: &str, door: Door) -> Reply {
    let headers = format!("Accept: application/json\r\n{fields}{}", door.headers());
    reply(server, asks.method, asks.target, &headers, asks.body.as_bytes())
}

/// The answer to a request, also to one whose answer has no body.
fn reply(server: &Server, method: &str, target: &str, headers: &str, body: &[u8]) -> Reply {
    let mut conn = server.connect();
    conn.ask(method, target, headers, body);
    if method == "HEAD" { conn.reply_without_body() } else { conn.reply() }
}

/// What holds for every answer: how a refusal is told, and who may read it.
fn check(reply: &Reply, fields: &str, what: &str) {
    let header = |name| reply.header(name);
    assert_eq!(header("x-content-type-options"), Some("nosniff"), "{what}");
    let listed = fields.contains(&format!("Origin: {ORIGIN}"));
    let origin = listed.then_some(ORIGIN);
    assert_eq!(header("access-control-allow-origin"), origin, "{what}");
    assert_eq!(header("access-control-allow-credentials"), listed.then_some("true"), "{what}");
    let challenges = header("www-authenticate").is_some_and(|it| it.starts_with("Bearer"));
    assert_eq!(challenges, reply.status == 401, "{what}");
    if reply.status >= 400 && !what.starts_with("HEAD") {
        assert_eq!(header("content-type"), Some("application/problem+json"), "{what}");
        let problem = reply.json();
        assert_eq!(problem["status"], reply.status, "{what}");
        let code = match reply.status {
            401 => "unauthorized",
            403 => "forbidden",
            _ => return,
        };
        assert_eq!(problem["code"], code, "{what}");
    }
}

/// Makes each request of a table in every way that `cases` says, at both doors: the name of the
/// way, header lines, the status that is due. Returns how many that were.
pub(crate) fn hold<'a>(
    server: &Server,
    table: &'a [Asks],
    cases: impl Fn(&'a Asks) -> Vec<(&'static str, String, u16)>,
) -> usize {
    let (mut count, mut wrong) = (0, Vec::new());
    for row in table {
        for (way, fields, wanted) in cases(row) {
            for door in DOORS {
                let reply = ask(server, row, &fields, door);
                let what = format!("{} {} {way} {door:?}", row.method, row.target);
                if reply.status != wanted {
                    wrong.push(format!("{what}: {} for {wanted}", reply.status));
                }
                check(&reply, &fields, &what);
                count += 1;
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
    count
}

/// The operator's header lines.
pub(crate) fn operator() -> String {
    format!("Tidings-Token: {}\r\n", people()[3].as_ref().unwrap())
}

pub(crate) fn revoke(server: &Closed, body: &Value) {
    let reply = server.request("POST", "/revocations", &operator(), body.to_string().as_bytes());
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[test]
fn everybody_may_do_what_is_granted_and_nothing_else() {
    let server = closed(|_| {});
    let people = people();
    let operator = format!("Authorization: Bearer {}\r\n", people[3].as_ref().unwrap());
    for topic in ["chat/7", "chat/8", "chat/9", "other"] {
        let target = format!("/topics/{topic}");
        assert_eq!(server.request("POST", &target, &operator, b"first").status, 200);
    }
    let cases = hold(&server, TABLE, |row| {
        let everybody = people.iter().zip(row.expected);
        let ways = everybody.flat_map(|person| WAYS.map(|way| (person, way)));
        let case = |((person, expected), (way, write)): ((&Option<String>, u16), Way)| {
            let Some(token) = person else { return (way, String::new(), expected) };
            // A cookie counts for pages that are known; what needs no token never looks at one.
            let asked = row.target.ends_with(".wrong") || row.target == "/publish";
            let same = row.expected[0] == row.expected[4];
            let open = same && expected != 403 && !asked;
            let refused = way.ends_with("another page") && !open;
            (way, write(token), if refused { 403 } else { expected })
        };
        ways.map(case).collect()
    });
    assert!(cases > 2_000, "{cases}");
}

#[test]
fn a_token_that_does_not_count_opens_nothing_not_even_what_is_open() {
    let server = closed(|config| config.anonymous = Grants::everything());
    let good = claims("ada", json!({"subscribe": ["**"]}));
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        token(&claims)
    };
    let stranger = SigningKey::from_secret(&[b'x'; 40]).unwrap();
    let unsigned = token(&good);
    let unsigned = format!("{}.", unsigned.rsplit_once('.').unwrap().0);
    let none = format!("eyJhbGciOiJub25lIn0.{}.", unsigned.split('.').nth(1).unwrap());
    for (token, why) in [
        (with("exp", json!(now() - 60)), "expired"),
        (with("exp", Value::Null), "without an end"),
        (with("exp", json!("9999999999")), "an end that is a text"),
        (with("nbf", json!(now() + 600)), "not yet"),
        (with("aud", json!("other")), "for somebody else"),
        (with("aud", Value::Null), "for nobody"),
        (with("tidings", json!({"subscribe": "**"})), "a grant of another shape"),
        (with("tidings", json!([["**"]])), "a list for an object"),
        (
            stranger.sign(br#"{"alg":"HS256"}"#, good.to_string().as_bytes()).unwrap(),
            "a stranger's",
        ),
        (unsigned.clone(), "without its signature"),
        (none, "that says it needs none"),
        ("x".to_owned(), "that is none"),
        (format!("{}.e30.e30", "A".repeat(9_000)), "that is too long"),
    ] {
        for door in DOORS {
            let fields = format!("Authorization: Bearer {token}\r\n{}", door.headers());
            let reply = server.request("POST", "/topics/chat/7", &fields, b"x");
            // A head that is too long for one door is long for the other.
            reply.problem(401, "unauthorized");
            assert!(!reply.text().contains(&token), "{why}: a token is never said again");
        }
    }
    for wrong in [
        "Authorization: Basic dTpw\r\n",
        "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n",
        "Tidings-Token: a\r\nTidings-Token: b\r\n",
        "Cookie: tidings=a\r\nCookie: tidings=b\r\nOrigin: https://app.example\r\n",
    ] {
        server.request("POST", "/topics/chat/7", wrong, b"x").problem(401, "unauthorized");
    }
    assert_eq!(server.state(), json!([]), "nothing was changed");
}

#[test]
fn a_topic_that_may_not_be_known_cannot_be_told_from_none() {
    let server = closed(|_| {});
    let [_, reader, _, operator, _] = people();
    let bearer = |token: &Option<String>| {
        format!("Accept: application/json\r\nAuthorization: Bearer {}\r\n", token.as_ref().unwrap())
    };
    let (reader, operator) = (bearer(&reader), bearer(&operator));
    for topic in ["chat/7", "secret/a", "secret/b", "zoo"] {
        server.request("POST", &format!("/topics/{topic}"), &operator, b"x");
    }
    for (method, target) in [
        ("GET", "/topics/NAME"),
        ("GET", "/topics/NAME?earliest"),
        ("GET", "/topics/NAME?poll=0"),
        ("GET", "/events?topic=NAME"),
        ("HEAD", "/topics/NAME"),
        ("POST", "/topics/NAME"),
        ("POST", "/topics/NAME?expect=none"),
        ("PUT", "/topics/NAME"),
        ("DELETE", "/topics/NAME"),
    ] {
        let said = ["secret/a", "secret/0"].map(|name| {
            let reply = reply(&server, method, &target.replace("NAME", name), &reader, b"");
            let date = |line: &&str| !line.starts_with("date:") && !line.starts_with("Date:");
            let head: Vec<&str> = reply.head.lines().filter(date).collect();
            (reply.status, head.join("\n"), reply.text().replace(name, "NAME"))
        });
        assert_eq!(said[0], said[1], "{method} {target}");
        assert_eq!(said[0].0, 403, "{method} {target}");
    }
    let listed = |fields: &str, target: &str| -> Vec<String> {
        let page = server.request("GET", target, fields, b"").json();
        let name = |topic: &Value| topic["name"].as_str().unwrap().to_owned();
        page["topics"].as_array().unwrap().iter().map(name).collect()
    };
    assert_eq!(listed(&reader, "/topics"), ["chat/7"]);
    assert_eq!(listed(&reader, "/topics?limit=1&after=chat/7"), [""; 0]);
    assert_eq!(listed(&reader, "/topics?name=zoo"), [""; 0]);
    assert_eq!(listed(&operator, "/topics"), ["chat/7", "secret/a", "secret/b", "zoo"]);
    assert_eq!(listed(&operator, "/topics?limit=2&after=chat/7"), ["secret/a", "secret/b"]);
}

#[test]
fn what_an_issuer_says_of_subjects_holds_where_a_token_says_nothing() {
    let server = closed(|_| {});
    let mut claims = claims("ada", Value::Null);
    claims.as_object_mut().unwrap().remove("tidings");
    let fields = format!("Accept: application/json\r\nTidings-Token: {}\r\n", token(&claims));
    for (target, wanted) in [
        ("/topics/inbox/ada?poll=0", 200),
        ("/topics/inbox/bob?poll=0", 403),
        ("/events?pattern=inbox/*", 403),
    ] {
        assert_eq!(server.request("GET", target, &fields, b"").status, wanted, "{target}");
    }
}

#[test]
fn a_token_grants_no_more_than_its_issuer_may() {
    let server = closed(|config| {
        let mut most = GrantTemplate::default();
        for action in [Action::Publish, Action::Subscribe] {
            most.set(action, vec!["chat/7".to_owned(), "inbox/{sub}".to_owned()]).unwrap();
        }
        config.issuers[0].ceiling = Some(most);
    });
    let all = serde_json::to_value(Grants::everything()).unwrap();
    let wide = claims("ada", json!({"publish": ["chat/*"], "subscribe": ["chat/*"]}));
    for claims in [wide, claims("ada", all)] {
        for (method, target, expected) in [
            ("POST", "/topics/chat/7", 200),
            ("POST", "/topics/chat/8", 403),
            ("POST", "/topics/presence/chat/7?key=ada", 403),
            ("POST", "/topics/chat/7?alternate=chat/8", 403),
            ("GET", "/topics/chat/7?earliest", 200),
            ("GET", "/topics/chat/8?earliest", 403),
            ("HEAD", "/topics/chat/8", 403),
            ("GET", "/topics/inbox/bob?earliest", 403),
            ("GET", "/events?topic=chat/7", 200),
            ("GET", "/events?topic=chat/7&topic=chat/8", 403),
            ("GET", "/events?pattern=chat/*", 403),
            ("GET", "/events?pattern=**", 403),
            ("GET", "/topics?name=chat/7", 200),
            ("GET", "/connections", 403),
            ("GET", "/metrics", 403),
            ("PUT", "/topics/chat/7", 403),
            ("DELETE", "/topics/chat/7", 403),
            ("POST", "/revocations", 403),
            ("DELETE", "/schedules/1", 403),
        ] {
            let row = asks(method, target, "", [expected; 5]);
            for (way, write) in &WAYS[..3] {
                for door in DOORS {
                    let reply = ask(&server, &row, &write(&token(&claims)), door);
                    assert_eq!(reply.status, expected, "{method} {target} {way} {door:?}");
                }
            }
        }
        let fields = format!("Tidings-Token: {}\r\n", token(&claims));
        let page = server.request("GET", "/topics", &fields, b"").json();
        assert_eq!(page["topics"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn a_connection_ends_with_its_token_unless_it_is_renewed() {
    over_each_wire(|| {
        let server = closed(|_| {});
        let publish = |data: &str| {
            let fields = format!("Tidings-Token: {}\r\n", people()[3].as_ref().unwrap());
            assert_eq!(
                server.request("POST", "/topics/chat/7", &fields, data.as_bytes()).status,
                200
            );
        };
        // The clocks' leeway is part of a token's time, so that this one has six seconds left.
        let short = |grants: Value| {
            let mut claims = claims("ada", grants);
            claims["exp"] = json!(now() - 24);
            format!("Tidings-Token: {}\r\n", token(&claims))
        };
        let pairs = DOORS.map(|door| {
            let short = short(json!({"subscribe": ["chat/*"]}));
            let fields = format!("{short}{}", door.headers());
            let ends = server.subscribe_with("/topics/chat/7", &fields);
            let stays = server.subscribe_with("/topics/chat/7", &fields);
            let renewed = token(&claims("ada", json!({"subscribe": ["chat/7"]})));
            let patch = |body: Value, token: &str| {
                let target = format!("/connections/{}", stays.own_name());
                let fields = format!("Tidings-Token: {token}\r\n");
                server.request("PATCH", &target, &fields, body.to_string().as_bytes())
            };
            // What it follows already is judged by the new token too.
            let less = token(&claims("ada", json!({"subscribe": ["chat/8"]})));
            patch(json!({"add": {}}), &less).problem(403, "forbidden");
            assert_eq!(patch(json!({"add": {}}), &renewed).status, 200);
            (ends, stays)
        });
        for (ends, mut stays) in pairs {
            ends.until_end();
            publish("later");
            stays.data_before("later");
        }
    });
}

#[test]
fn what_is_revoked_ends_at_once_and_stays_revoked_after_a_restart() {
    over_each_wire(|| {
        let server = closed(|_| {});
        let operator = format!("Tidings-Token: {}\r\n", people()[3].as_ref().unwrap());
        let of = |subject: &str, id: &str, issued: u64| {
            let mut claims = claims(subject, json!({"subscribe": ["chat/*"]}));
            claims["jti"] = json!(id);
            claims["iat"] = json!(issued);
            format!("Tidings-Token: {}\r\n", token(&claims))
        };
        let (ada, bob) = (of("ada", "a1", now() - 10), of("bob", "b1", now() - 10));
        let adas = server.subscribe_with("/topics/chat/7", &ada);
        let bobs = server.subscribe_with("/events?pattern=chat/*", &bob);
        let revoke = |body: Value| {
            let reply =
                server.request("POST", "/revocations", &operator, body.to_string().as_bytes());
            assert_eq!(reply.status, 200, "{}", reply.text());
        };
        revoke(json!({"token_id": "a0", "expires": u64::MAX}));
        revoke(json!({"token_id": "a1", "expires": now() + 3_600}));
        adas.until_end();
        revoke(json!({"subject": "bob"}));
        bobs.until_end();
        for wrong in ["{}", "{\"token_id\":\"a\",\"subject\":\"b\"}", "[]", "{\"who\":\"b\"}"] {
            let reply = server.request("POST", "/revocations", &operator, wrong.as_bytes());
            assert_eq!(reply.status, 400, "{wrong}");
        }
        let server = server.restart();
        let status = |fields: &str| {
            let fields = format!("Accept: application/json\r\n{fields}");
            server.request("GET", "/topics/chat/7?poll=0", &fields, b"").status
        };
        assert_eq!((status(&ada), status(&bob)), (401, 401));
        assert_eq!(status(&of("ada", "a2", now() - 10)), 200, "another token of hers");
        // The issuer's clock may be ahead by the leeway.
        assert_eq!(status(&of("bob", "b2", now() + 15)), 401, "it may have been issued before");
        assert_eq!(status(&of("bob", "b2", now() + 45)), 200, "issued after he was let in again");
    });
}

#[test]
fn a_ticket_is_good_once_and_only_to_read() {
    let server = closed(|_| {});
    let [_, reader, _, _, _] = people();
    let fields = format!("Tidings-Token: {}\r\n", reader.unwrap());
    let ticket = || {
        let reply = server.request("POST", "/tickets", &fields, b"");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        reply.json()["ticket"].as_str().unwrap().to_owned()
    };
    for door in DOORS {
        let target = format!("/topics/chat/7?ticket={}", ticket());
        let stream = server.subscribe_with(&target, door.headers());
        let accept = format!("Accept: text/event-stream\r\n{}", door.headers());
        server.request("GET", &target, &accept, b"").problem(401, "unauthorized");
        drop(stream);
    }
    let other = format!("/topics/other?ticket={}", ticket());
    server.request("GET", &other, "", b"").problem(403, "forbidden");
    let publish = format!("/topics/chat/7?ticket={}", ticket());
    assert!(server.request("POST", &publish, "", b"x").status >= 400);
    server.request("POST", "/tickets", "", b"").problem(401, "unauthorized");
    server.request("GET", "/topics/chat/7?ticket=0", "", b"").problem(401, "unauthorized");
}

#[test]
fn private_events_are_for_those_whom_a_token_lets_in() {
    let server = closed(|config| {
        config.anonymous.subscribe.push(tidings_frame::Pattern::new("chat/*").unwrap());
    });
    let [_, reader, _, operator, _] = people();
    let operator = format!("Tidings-Token: {}\r\n", operator.unwrap());
    let reader = format!("Tidings-Token: {}\r\n", reader.unwrap());
    server.request("POST", "/topics/chat/7?private=true", &operator, b"private");
    server.request("POST", "/topics/chat/7", &operator, b"public");
    let kept = |fields: &str| {
        let fields = format!("Accept: application/json\r\n{fields}");
        let page = server.request("GET", "/topics/chat/7?earliest", &fields, b"").json();
        crate::support::texts(&page, "data")
    };
    assert_eq!(kept(""), ["public"]);
    assert_eq!(kept(&reader), ["private", "public"]);
    let mut anybody = server.subscribe("/topics/chat/7?earliest");
    assert_eq!(anybody.next().data, "public");
    let mut reads = server.subscribe_with("/topics/chat/7?earliest", &reader);
    assert_eq!((reads.next().data, reads.next().data), ("private".into(), "public".into()));
}
