//! The promises of the configuration, each as text in and text out.

use std::time::Duration;

use tidings_access::{Action, Grants};

use super::*;

/// A file that `serve` accepts.
const OPEN: &str = "anonymous = [\"subscribe\"]\n";

fn file(text: &str) -> File {
    File { name: "tidings.toml".to_owned(), text: text.to_owned() }
}

fn serve(text: &str) -> Result<Loaded, ConfigError> {
    load(Mode::Serve, Some(&file(text)), std::iter::empty(), &[])
}

fn problems(text: &str) -> String {
    serve(text).expect_err("it must be refused").to_string()
}

fn with_environment(variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    load(Mode::Dev, None, variables, &[])
}

#[test]
fn the_defaults_are_the_promised_ones() {
    let config = Config::dev();
    assert_eq!(config.mode, Mode::Dev);
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.data_dir, Path::new("./tidings-data"));
    assert_eq!(config.durability, Durability::Written);
    assert_eq!(config.heartbeat, Duration::from_secs(15));
    assert_eq!(config.io_threads, 1);
    assert_eq!(config.anonymous, Grants::everything());
    assert_eq!(config.cors_origins, ["*"]);
    assert_eq!(config.drain.jitter, Duration::from_secs(5));
    assert_eq!(config.drain.grace, Duration::from_secs(30));
    assert_eq!(config.limits.event_bytes, 1 << 20);
    assert_eq!(config.limits.long_poll_max, Duration::from_secs(60));
    assert!(config.policies.is_empty());
}

#[test]
fn every_default_passes_the_check_of_its_kind() {
    fn walk(fields: &'static [Field]) -> usize {
        fields
            .iter()
            .map(|field| match (&field.kind, field.default.value()) {
                (Kind::Section(inner), _) => walk(inner),
                (Kind::Sections(inner), Some(_)) => walk(inner),
                (kind, Some(value)) => {
                    assert_eq!(kind.check(&value), Ok(()), "{}", field.name);
                    1
                }
                (_, None) => 0,
            })
            .sum()
    }
    assert!(walk(Raw::FIELDS) > 15);
}

#[test]
fn serve_does_not_start_without_being_told_who_may_do_what() {
    let error = problems("");
    assert!(error.starts_with("anonymous: it must be given"), "{error}");
    for way in ["anonymous = [\"subscribe\"]", "[[issuer]]", "[public]", "tidings token keys"] {
        assert!(error.contains(way), "{error}");
    }
    for enough in [
        "[public]\nsubscribe = [\"news/*\"]",
        "[[issuer]]\nalgorithms = [\"HS256\"]\nsecret_env = \"SECRET\"",
        "[[issuer]]\nalgorithms = [\"EdDSA\"]\njwks_url = \"https://id.example/keys\"\naudience = [\"hub\"]",
    ] {
        let config = serve(enough).expect("somebody may come in").config;
        assert!(!config.anonymous.is_operator());
    }
    let config = serve("anonymous = []").expect("nothing is an answer too").config;
    assert_eq!(config.anonymous, Grants::default());
}

#[test]
fn fetched_keys_need_an_audience() {
    let issuer = "[[issuer]]\nalgorithms = [\"EdDSA\"]\njwks_url = \"https://id.example/k\"\n";
    let of = |audience: &str| serve(&format!("{issuer}audience = {audience}\n"));
    for none in [issuer.to_owned(), format!("{issuer}audience = []\n")] {
        let error = problems(&none);
        let (place, way) =
            ("issuer[0].audience: with jwks_url it must be given", "[\"*\"] for any");
        assert!(error.contains(place) && error.contains(way), "{error}");
    }
    let audience = |loaded: Loaded| loaded.config.issuers[0].audience.clone();
    assert_eq!(audience(of("[\"a\", \"b\"]").expect("given")), ["a", "b"]);
    assert_eq!(audience(of("[\"*\"]").expect("any")), [""; 0]);
    assert!(of("[\"a\", \"*\"]").is_err());
}

#[test]
fn what_an_issuer_is_given_is_the_most_that_its_tokens_claim() {
    let issuer = |more: &str| {
        let text = format!("[[issuer]]\nalgorithms = [\"HS256\"]\nsecret_env = \"SECRET\"\n{more}");
        serve(&text).unwrap().config.issuers[0].clone()
    };
    let may = |issuer: &IssuerConfig, action, topic: &str| {
        issuer.ceiling.as_ref().map(|most| most.fill(Some("ada")).allow(action, topic))
    };
    let none = issuer("");
    assert_eq!((none.ceiling, none.tenant_claim.as_str()), (None, "tenant"));
    let own = issuer("subscribe = [\"inbox/{sub}\"]\ntenant_claim = \"org.id\"\n");
    assert_eq!(own.tenant_claim, "org.id");
    assert_eq!(may(&own, Action::Subscribe, "inbox/ada"), Some(true));
    assert_eq!(may(&own, Action::Subscribe, "inbox/bob"), Some(false));
    assert_eq!(may(&own, Action::Admin, "inbox/ada"), Some(false));
    let nothing = issuer("publish = []\n");
    assert_eq!(may(&nothing, Action::Publish, "a"), Some(false), "given, and empty");
    let most = issuer("subscribe = [\"a\"]\n[issuer.at_most]\nsubscribe = [\"**\"]\n");
    assert_eq!(may(&most, Action::Subscribe, "b"), Some(true));
    assert_eq!(may(&most, Action::Publish, "b"), Some(false));
    assert!(!most.grants.fill(None).allow(Action::Subscribe, "b"), "where a token says nothing");
    let start = "[[issuer]]\nalgorithms = [\"HS256\"]\nsecret_env = \"SECRET\"\n";
    for (wrong, place) in [
        ("[issuer.at_most]\npublish = [\"a/**/b\"]\n", "issuer[0].at_most.publish: `a/**/b`"),
        ("[issuer.at_most]\nread = []\n", "issuer[0].at_most.read"),
        ("[issuer.at_most]\n", "tidings.toml:4: issuer[0].at_most: it has nothing in it"),
        ("at_most = {}\n", "tidings.toml:4: issuer[0].at_most: it has nothing in it"),
        ("subscribe = [\"a\"]\n[issuer.at_most]\n", "write publish = []"),
        ("[[issuer]]\n[issuer.at_most]\n", "issuer[1].at_most: it has nothing in it"),
        ("[[issuer]]\n", "issuer[1].algorithms: it must be given"),
        ("tenant_claim = \"org..id\"\n", "issuer[0].tenant_claim: it is a name"),
        ("tenant_claim = \"\"\n", "issuer[0].tenant_claim: it is empty"),
    ] {
        let error = problems(&format!("{start}{wrong}"));
        assert!(error.contains(place), "{error}");
    }
}

#[test]
fn of_several_issuers_each_has_a_name() {
    let issuer = "[[issuer]]\nalgorithms = [\"HS256\"]\nsecret_env = \"SECRET\"\n";
    let named = |name: &str| format!("{issuer}name = {name:?}\n");
    serve(issuer).expect("one needs none");
    serve(&(named("a") + &named("b"))).expect("both have one");
    let error = problems(&(named("a") + issuer));
    let (place, why) = ("issuer[1].name: ", "of several issuers each has a name");
    assert!(error.contains(place) && error.contains(why), "{error}");
}

#[test]
fn dev_listens_only_on_this_machine() {
    let error = with_environment(&[("TIDINGS_SERVER__LISTEN", "0.0.0.0:80")]).expect_err("open");
    let error = error.to_string();
    assert!(error.starts_with("environment TIDINGS_SERVER__LISTEN: server.listen: `tidings dev`"));
    for loopback in ["127.0.0.2:1", "[::1]:0"] {
        with_environment(&[("TIDINGS_SERVER__LISTEN", loopback)]).expect(loopback);
    }
}

#[test]
fn an_unknown_key_names_its_line_and_the_nearest_known_one() {
    let error = problems(&format!("{OPEN}[server]\nlisten = \"[::]:1\"\nhartbeat = \"1s\"\n"));
    assert_eq!(
        error,
        "tidings.toml:4: server.hartbeat: there is no such key; did you mean `heartbeat`?"
    );
    let error = problems("[server]\nio_threads = 2\nanonymous = []\n");
    assert!(error.contains("`anonymous` belongs at the top of the file"), "{error}");
    let error = problems(&format!("{OPEN}listen = \"[::]:1\"\n"));
    assert!(error.contains("did you mean `server.listen`?"), "{error}");
    let error = problems(&format!("{OPEN}[drain]\ncolour = 1\n"));
    assert!(error.ends_with("there is no such key; known are: jitter, grace"), "{error}");
}

#[test]
fn a_number_without_its_unit_says_so() {
    let error = problems(&format!("{OPEN}[server]\nheartbeat = 15\n[log]\nsegment_bytes = 64\n"));
    let lines: Vec<&str> = error.lines().collect();
    assert!(lines[0].starts_with("tidings.toml:3: server.heartbeat: `15` has no unit; write"));
    assert!(lines[1].starts_with("tidings.toml:5: log.segment_bytes: `64` has no unit; write"));
    assert_eq!(lines.len(), 2);
}

#[test]
fn all_problems_are_told_together() {
    let error = problems(
        "[server]\nlisten = \"localhost\"\nheartbeat = \"10m\"\nio_threads = 0\n\
         durability = \"no\"\ncors_origins = [\"https://a.example/\"]\n[drain]\njitter = \"1m\"\n\
         [[topics]]\nconflate = 1\n[[topics]]\npattern = \"a*\"\nttl_mode = \"sliding\"\n\
         content_type = \"json\"\nretain = { count = 1, forever = true }\n",
    );
    for part in [
        "tidings.toml:2: server.listen: `localhost` is not an address and port",
        "tidings.toml:3: server.heartbeat: 10m is outside what is allowed: 1s to 5m",
        "tidings.toml:4: server.io_threads: 0 is outside what is allowed: 1 to 64",
        "tidings.toml:5: server.durability: \"no\" is not one of \"memory\"",
        "tidings.toml:6: server.cors_origins[0]: `https://a.example/` is not an origin",
        "tidings.toml:8: drain.jitter: it cannot be longer than drain.grace",
        "tidings.toml:9: topics[0]: it has no `pattern`",
        "tidings.toml:10: topics[0].conflate: expected true or false, found `1`",
        "tidings.toml:12: topics[1].pattern: `a*`",
        "tidings.toml:13: topics[1].ttl_mode: it means nothing without `ttl`",
        "tidings.toml:14: topics[1].content_type: `json` is not a media type",
        "tidings.toml:15: topics[1].retain.forever: it contradicts",
        "anonymous: it must be given",
    ] {
        assert!(error.contains(part), "{part}\nis missing in\n{error}");
    }
    assert_eq!(error.lines().count(), 13, "{error}");
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_line() {
    let error = problems("anonymous = []\n[server\n");
    assert!(error.starts_with("tidings.toml:2: "), "{error}");
    for text in ["= 1", "a = ", "\u{feff}[server]\nx=1", "[server]\nlisten = 1979-05-27"] {
        assert!(serve(text).is_err(), "{text:?}");
    }
}

#[test]
fn rules_are_read_in_their_order() {
    let loaded = serve(&format!(
        "{OPEN}[server]\ndurability = \"synced\"\n[[topics]]\npattern = \"chat/**\"\n\
         retain = {{ count = 1000, age = \"7d\", bytes = \"1GiB\" }}\nttl = \"1h\"\n\
         ttl_mode = \"sliding\"\nend_by = \"operator\"\n\
         [[topics]]\npattern = \"prices/*\"\ndurability = \"memory\"\nconflate = true\n\
         private = true\ncontent_type = \"application/json\"\n\
         [topics.retain]\nforever = true\n[[topics]]\npattern = \"rest\"\n"
    ))
    .expect("it is right");
    let [chat, prices, rest] = &loaded.config.policies[..] else { panic!("three rules") };
    assert_eq!(chat.pattern.as_str(), "chat/**");
    assert_eq!(chat.policy.durability, Durability::Synced);
    let (count, age_ms, bytes) = (Some(1_000), Some(604_800_000), Some(1 << 30));
    assert_eq!(chat.policy.retain, Retain { count, age_ms, bytes });
    assert_eq!(chat.policy.ttl, Some(TopicTtl { ms: 3_600_000, mode: TtlMode::Sliding }));
    assert_eq!(chat.policy.end_by, EndBy::Operator);
    assert_eq!(prices.policy.durability, Durability::Memory);
    assert_eq!(prices.policy.retain, Retain::default());
    assert!(prices.policy.conflate && prices.policy.private);
    assert_eq!(rest.policy.retain, TopicPolicy::default().retain);
}

#[test]
fn flags_win_over_the_environment_over_the_file() {
    let text =
        format!("{OPEN}[server]\nlisten = \"127.0.0.1:1\"\nio_threads = 2\nheartbeat = \"2s\"\n");
    let environment =
        [("TIDINGS_SERVER__LISTEN", "127.0.0.1:2"), ("TIDINGS_SERVER__IO_THREADS", "3")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let flag = Flag { path: "server.listen", name: "--listen", value: "127.0.0.1:3".to_owned() };
    let loaded = load(Mode::Serve, Some(&file(&text)), environment.into_iter(), &[flag])
        .expect("it is right");
    assert_eq!(loaded.config.listen.port(), 3);
    assert_eq!(loaded.config.io_threads, 3);
    assert_eq!(loaded.config.heartbeat, Duration::from_secs(2));
    let source = |path: &str| {
        let value = loaded.values.iter().find(|value| value.path == path);
        value.map(|value| value.source.to_string())
    };
    assert_eq!(source("server.listen").as_deref(), Some("flag --listen"));
    let environment = source("server.io_threads");
    assert_eq!(environment.as_deref(), Some("environment TIDINGS_SERVER__IO_THREADS"));
    assert_eq!(source("server.heartbeat").as_deref(), Some("tidings.toml:5"));
    assert_eq!(source("server.data_dir").as_deref(), Some("default"));
}

#[test]
fn a_list_in_the_environment_has_commas() {
    let loaded = with_environment(&[
        ("TIDINGS_ANONYMOUS", "subscribe, publish"),
        ("TIDINGS_SERVER__CORS_ORIGINS", "https://a.example,https://b.example"),
    ])
    .expect("it is right");
    let visitors = Grants { admin: Vec::new(), ..Grants::everything() };
    assert_eq!(loaded.config.anonymous, visitors);
    assert_eq!(loaded.config.cors_origins.len(), 2);
}

#[test]
fn a_variable_that_sets_nothing_is_an_error_but_strangers_are_not() {
    for (name, hint) in [
        ("TIDINGS_LISTEN", "did you mean TIDINGS_SERVER__LISTEN?"),
        ("TIDINGS_SERVER_LISTEN", "did you mean TIDINGS_SERVER__LISTEN?"),
        ("TIDINGS_SERVER__LISTNE", "did you mean TIDINGS_SERVER__LISTEN?"),
        ("TIDINGS_TOPICS__0__PATTERN", "topics are configured only in the file"),
        ("TIDINGS_XYZZY", "it sets nothing"),
    ] {
        let error = with_environment(&[(name, "x")]).expect_err(name).to_string();
        assert!(error.contains(hint), "{name}: {error}");
    }
    for stranger in [
        "TIDINGS_URL",
        "TIDINGS_CONFIG",
        "TIDINGS_EVENT_ID",
        "TIDINGS_PORT",
        "TIDINGS_PORT_8080_TCP_ADDR",
        "TIDINGS_SERVICE_HOST",
        "PATH",
    ] {
        with_environment(&[(stranger, "x")]).expect(stranger);
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_cannot_be_read_is_an_error_that_names_it() {
    use std::os::unix::ffi::OsStringExt as _;
    let set = |name: &[u8], value: &[u8]| {
        (std::ffi::OsString::from_vec(name.into()), std::ffi::OsString::from_vec(value.into()))
    };
    let whole = set(b"TIDINGS_SERVER__LISTEN", b"127.0.0.1:1");
    let strangers = [whole.clone(), set(b"PATH", b"\xff"), set(b"TIDINGS_TOKEN", b"\xff")];
    let read = super::readable(strangers.into_iter()).unwrap();
    assert_eq!(read, [("TIDINGS_SERVER__LISTEN".to_owned(), "127.0.0.1:1".to_owned())]);
    let ours = [whole, set(b"TIDINGS_HOOK__URL", b"\xff"), set(b"TIDINGS_HOOK__\xff", b"x")];
    let told = super::readable(ours.into_iter()).unwrap_err().to_string();
    let lines: Vec<_> = told.lines().collect();
    assert!(lines[0].contains("TIDINGS_HOOK__URL: it is not UTF-8"), "{told}");
    assert!(lines[1].contains("TIDINGS_HOOK__\u{fffd}: it is not UTF-8"), "{told}");
}

#[test]
fn origins_are_written_as_browsers_write_them() {
    let with = |origin: &str| {
        problems(&format!("anonymous = []\n[server]\ncors_origins = [\"{origin}\"]\n"))
    };
    for (origin, write) in [
        ("https://App.example", "\"https://app.example\""),
        ("https://app.example:443", "\"https://app.example\""),
        ("http://app.example:80", "\"http://app.example\""),
        ("http://[::1]:80", "\"http://[::1]\""),
        ("https://app.example:08443", "\"https://app.example:8443\""),
        ("https://app.example:", "is not an origin"),
        ("https://app.example:port", "is not an origin"),
        ("https://:443", "is not an origin"),
        ("https://app.example/", "is not an origin"),
    ] {
        let told = with(origin);
        assert!(told.contains("cors_origins[0]: ") && told.contains(write), "{origin}: {told}");
    }
    for origin in ["*", "https://app.example", "http://app.example:443", "http://[::1]:8080"] {
        let text = format!("anonymous = []\n[server]\ncors_origins = [\"{origin}\"]\n");
        assert!(serve(&text).is_ok(), "{origin}");
    }
}

#[test]
fn the_schema_knows_every_key_and_only_them() {
    fn names(fields: &'static [Field], schema: &Value) {
        assert_eq!(schema["additionalProperties"], false);
        let known = schema["properties"].as_object().expect("an object");
        assert_eq!(known.len(), fields.len());
        for field in fields {
            let property = &known[field.name];
            assert!(!property["description"].as_str().expect("text").is_empty());
            match &field.kind {
                Kind::Section(inner) => names(inner, property),
                Kind::Sections(inner) => names(inner, &property["items"]),
                _ => assert_eq!(property.get("default").cloned(), field.default.value()),
            }
        }
    }
    names(Raw::FIELDS, &json_schema());
}

#[test]
fn the_reference_names_every_key() {
    fn walk(fields: &'static [Field], page: &str) {
        for field in fields {
            match field.kind {
                Kind::Section(inner) | Kind::Sections(inner) => walk(inner, page),
                _ => assert!(page.contains(&format!("{}` | ", field.name)), "{}", field.name),
            }
        }
    }
    walk(Raw::FIELDS, &reference());
}

#[test]
fn the_cookie_of_a_token_has_a_name_that_cookies_can_have() {
    let with = |name: &str| serve(&format!("{OPEN}[server]\ntoken_cookie = '{name}'\n"));
    for name in ["token", "__Host-token", "__Secure-id", "a.b~c", "!#$%&*+-.^_`|~"] {
        assert_eq!(with(name).expect("a name").config.token_cookie.as_deref(), Some(name));
    }
    for name in ["a b", "a=b", "a;b", "a,b", "\"a\"", "(a)", "a/b", "\t", "é", "[a]", "a:b", "@"] {
        let error = with(name).expect_err(name).to_string();
        assert!(error.starts_with("tidings.toml:3: server.token_cookie: "), "{error}");
        assert!(error.contains("cannot be the name of a cookie"), "{error}");
    }
}

#[test]
fn two_listeners_have_two_addresses() {
    const TLS: &str = "certificate = \"c.pem\"\nkey = \"k.pem\"\n";
    let with = |server: &str, tls: &str, operator: &str| {
        let tls = match tls {
            "" => String::new(),
            tls => format!("[tls]\nlisten = \"{tls}\"\n{TLS}"),
        };
        let operator = match operator {
            "" => String::new(),
            operator => format!("[operator]\nlisten = \"{operator}\"\n"),
        };
        serve(&format!("{OPEN}[server]\nlisten = \"{server}\"\n{tls}{operator}"))
    };
    for (server, tls, operator) in [
        ("127.0.0.1:80", "127.0.0.1:443", "127.0.0.1:9"),
        ("127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:80", "", "127.0.0.2:80"),
        ("127.0.0.1:80", "", "[::1]:80"),
    ] {
        assert!(with(server, tls, operator).is_ok(), "{server} {tls} {operator}");
    }
    for (server, tls, operator, told) in [
        ("127.0.0.1:80", "", "127.0.0.1:80", ["operator.listen: 127.0.0.1:80", "server.listen"]),
        ("0.0.0.0:80", "", "127.0.0.1:80", ["operator.listen: 127.0.0.1:80", "server.listen"]),
        ("127.0.0.1:80", "", "0.0.0.0:80", ["operator.listen: 0.0.0.0:80", "server.listen"]),
        ("[::]:80", "", "[::1]:80", ["operator.listen: [::1]:80", "server.listen"]),
        ("127.0.0.1:80", "127.0.0.1:443", "127.0.0.1:443", ["operator.listen: ", "tls.listen"]),
        ("127.0.0.1:80", "127.0.0.1:80", "", ["tls.listen: ", "leave tls.listen out"]),
    ] {
        let error = with(server, tls, operator).expect_err(operator).to_string();
        assert!(told.iter().all(|told| error.contains(told)), "{error}");
        assert!(error.starts_with("tidings.toml:"), "{error}");
    }
}

#[test]
fn what_stands_twice_is_told_by_its_name() {
    for (text, told) in [
        ("[public]\n[public]\n", "tidings.toml:3: the section [public] stands here once more"),
        ("[ public ] # a\n[ public ] # b\n", "the section [public] stands here once more"),
        ("[server]\n[log]\n[server]\n", "tidings.toml:4: the section [server]"),
        ("[tls.acme]\n[tls.acme]\n", "the section [tls.acme]"),
        ("[public]\n[public]\n", "two brackets, such as [[issuer]]"),
        ("[issuer]\n[issuer]\n", "[issuer] stands here once more; each of several is written"),
        ("[topics]\n[topics]\n", "written [[topics]]"),
        ("[server]\nio_threads = 1\nio_threads = 2\n", "tidings.toml:4: the key `io_threads`"),
    ] {
        let error = problems(&format!("{OPEN}{text}"));
        assert!(error.contains(told), "{text}\n{error}");
        assert!(!error.contains("duplicate"), "{error}");
    }
}

#[test]
fn its_own_example_is_accepted() {
    let page = reference();
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let loaded = serve(example.expect("the page has an example")).expect("it is right");
    assert_eq!(loaded.config.policies.len(), 2);
}
