//! What an operator is shown: true figures, over topics that are written only while they are read.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidings_scripted::{At, Fault, Script};
use tidings_server::config::{self, Config, File, Flag, Mode};

use crate::relay::{Answered, Relay, chat};
use crate::stream::Stream;
use crate::support::{Conn, Server, is_alone, until};
use crate::websocket::Ws;

const OVERVIEW: &str = "/topics/$tidings/overview";

/// The next figures.
#[track_caller]
fn figures(stream: &mut Stream) -> Value {
    let event = stream.next();
    assert_eq!(event.kind, "overview");
    serde_json::from_str(&event.data).unwrap()
}

/// Figures that are as wanted, and all that came before them.
#[track_caller]
fn figures_until(stream: &mut Stream, done: impl Fn(&Value) -> bool) -> (Value, Vec<Value>) {
    let mut before = Vec::new();
    // One a second.
    for _ in 0..40 {
        let found = figures(stream);
        if done(&found) {
            return (found, before);
        }
        before.push(found);
    }
    panic!("never so: {:#}", before.last().unwrap());
}

fn list_of<'a>(page: &'a Value, name: &str) -> &'a Vec<Value> {
    page[name].as_array().unwrap()
}

#[test]
fn the_page_is_there_in_every_mode() {
    for mode in [Mode::Dev, Mode::Serve] {
        let server = Server::with(|config| config.mode = mode);
        for target in ["/_/", "/_/?view=topics"] {
            let page = server.get(target);
            assert_eq!(page.status, 200, "{mode:?} {target}");
            assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
            let policy = page.header("content-security-policy").unwrap();
            assert!(policy.starts_with("default-src 'none'"), "{policy}");
        }
        server.get("/_/nothing.js").problem(404, "not-found");
        let demo = server.get("/").status;
        assert_eq!(demo, if mode == Mode::Dev { 200 } else { 404 });
    }
}

#[test]
fn connections_and_memory_are_counted_as_they_are() {
    if !is_alone("dashboard::connections_and_memory_are_counted_as_they_are") {
        return;
    }
    let server = Server::start();
    let mut stream = server.subscribe(OVERVIEW);
    let first = figures(&mut stream);
    assert_eq!(first["delivery_ms"], json!({"p50": null, "p99": null}), "nothing was delivered");
    assert_eq!(first["connections"]["sse"], 1);
    let others = [server.subscribe("/topics/a"), server.subscribe("/events?pattern=b/*")];
    let ws = Ws::open(&server);
    let mut waiting = server.connect();
    waiting.ask("GET", "/topics/a?poll=60", "", b"");
    let (found, _) =
        figures_until(&mut stream, |figures| figures["connections"]["long_poll"] == json!(1));
    let connections = &found["connections"];
    assert_eq!(connections["sse"], 3, "{found}");
    assert_eq!((&connections["websocket"], &connections["http2"]), (&json!(1), &json!(0)));
    assert_eq!((&connections["total"], &connections["http1"]), (&json!(5), &json!(5)));
    let resident = found["memory"]["resident"].as_u64().unwrap();
    let real = crate::support::resident() as u64;
    assert!(resident > real / 2 && resident < real * 2, "{resident} of {real}");
    assert!(found["memory"]["per_connection"].as_u64().unwrap() < resident);
    assert_eq!(found["log"]["healthy"], true);
    assert!(found["at"].as_str().unwrap().ends_with('Z'));
    // What a poll waits for; a client that goes before is only noticed by then.
    server.publish("/topics/a", "x");
    assert_eq!(waiting.reply().status, 200);
    drop((others, ws, waiting));
    let (found, _) = figures_until(&mut stream, |figures| figures["connections"]["total"] == 1);
    assert_eq!(found["connections"]["long_poll"], 0);
    assert_eq!(
        (&found["connections"]["sse"], &found["connections"]["websocket"]),
        (&json!(1), &json!(0))
    );
}

#[test]
fn events_and_bytes_are_those_that_came_and_went() {
    let server = Server::start();
    let mut reader = server.subscribe("/topics/a");
    let mut stream = server.subscribe(OVERVIEW);
    figures(&mut stream);
    let lines = "{\"data\":\"0123456789\"}\n".repeat(50);
    let batch = "Content-Type: application/x-ndjson\r\n";
    for _ in 0..4 {
        let reply = server.request("POST", "/topics/a", batch, lines.as_bytes());
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let read = reader.data(200);
    assert_eq!(read.len(), 200);
    let (found, before) = figures_until(&mut stream, |figures| {
        figures["events"]["in"] == 200 && figures["events"]["in_s"] == 0.0
    });
    assert_eq!(found["bytes"]["in_s"], 0.0, "{found}");
    assert_eq!(found["topics"], 1, "the server's own are not counted");
    // The rates of the seconds before, each about a second long, are all that came.
    let sum = |part: &str| {
        before.iter().map(|figures| figures[part]["in_s"].as_f64().unwrap()).sum::<f64>()
    };
    assert!(sum("events") > 20.0, "{before:#?}");
    // 10 bytes of data each, over the same seconds.
    let bytes = sum("bytes") / sum("events");
    assert!((9.0..11.0).contains(&bytes), "{bytes} bytes an event");
    let out = found["events"]["out"].as_u64().unwrap();
    // Those to the reader of the figures are some of them.
    assert!((200..=240).contains(&out), "{out}");
    assert!(found["delivery_ms"]["p50"].is_u64() && found["delivery_ms"]["p99"].is_u64());
    assert!(found["delivery_ms"]["p50"].as_u64() <= found["delivery_ms"]["p99"].as_u64());
}

#[test]
fn resumes_gaps_refusals_and_readers_behind_are_counted() {
    let server = Server::with(|config| config.anonymous.publish.clear());
    let mut stream = server.subscribe(OVERVIEW);
    let first = figures(&mut stream);
    for name in ["resumes", "gaps", "refused"] {
        assert_eq!(first[name]["total"], 0, "{name}");
    }
    let gap = server.subscribe_with("/topics/a", "Last-Event-ID: unknown\r\n").next();
    assert_eq!(gap.kind, "gap");
    let good = server.subscribe_with("/topics/b", &format!("Last-Event-ID: {}\r\n", gap.id));
    server.request("POST", "/topics/a", "", b"x").problem(403, "forbidden");
    server
        .request("POST", "/publish", "", b"{\"events\":[{\"topic\":\"a\"}]}")
        .problem(403, "forbidden");
    server.get("/topics/a?last=x").problem(400, "invalid-parameter");
    let (found, _) = figures_until(&mut stream, |figures| figures["refused"]["total"] == 2);
    assert_eq!((&found["resumes"]["total"], &found["gaps"]["total"]), (&json!(2), &json!(1)));
    assert_eq!(found["behind"], 0);
    drop(good);
}

#[test]
fn who_takes_nothing_is_behind() {
    let server = Server::start();
    let mut stream = server.subscribe(OVERVIEW);
    let mut slow = server.subscribe("/topics/t");
    let data = "x".repeat(256 << 10);
    (0..64).for_each(|_| drop(server.publish("/topics/t", &data)));
    figures_until(&mut stream, |figures| figures["behind"] == 1);
    for _ in 0..64 {
        slow.next();
        slow.forget_raw();
    }
    figures_until(&mut stream, |figures| figures["behind"] == 0);
}

/// Whoever goes away leaves a server that writes no more, and what nobody asked for was never
/// written.
#[test]
fn an_idle_server_writes_nothing() {
    let server = Server::start();
    let mut stream = server.subscribe(OVERVIEW);
    let first = figures(&mut stream);
    let newest = || server.page(&format!("{OVERVIEW}?limit=1"))["events"][0]["id"].clone();
    let (before, read) = (newest(), figures(&mut stream));
    figures(&mut stream);
    assert_ne!(newest(), before, "it writes while it is read: {read}");
    drop(stream);
    let mut last = (newest(), Instant::now());
    until("nothing to be written for three seconds", || {
        let now = newest();
        if now != last.0 {
            last = (now, Instant::now());
        }
        last.1.elapsed() > Duration::from_secs(3)
    });
    let json = "Accept: application/json\r\n";
    let answers = server.request("GET", "/topics/$tidings/answers", json, b"");
    answers.problem(404, "topic-not-found");
    // And it begins again, from where it was.
    let mut again = server.subscribe(&format!("{OVERVIEW}?last=900"));
    let kept = figures(&mut again);
    assert_eq!(kept["uptime_s"], first["uptime_s"], "what was told is kept");
    figures_until(&mut again, |figures| {
        figures["uptime_s"].as_u64() >= kept["uptime_s"].as_u64().map(|seconds| seconds + 3)
    });
}

#[test]
fn it_is_the_operators_and_nobody_elses_to_write() {
    let operators = [
        ("GET", OVERVIEW, ""),
        ("GET", "/topics/%24tidings/overview", ""),
        ("GET", "/events?topic=$tidings/overview", ""),
        ("GET", "/events?pattern=$tidings/**", ""),
        ("POST", "/events", "{\"topics\":[\"a\",\"$tidings/answers\"]}"),
        ("GET", "/topics/$tidings/overview?poll=1", ""),
        ("GET", "/answers", ""),
        ("GET", "/configuration", ""),
        ("GET", "/connections?topic=a", ""),
        ("POST", "/traces", "{\"topic\":\"a\"}"),
        ("DELETE", "/traces/x", ""),
    ];
    let nobodys = [
        ("POST", OVERVIEW, "x"),
        ("POST", "/topics/%24tidings/overview", "x"),
        ("POST", "/topics/a?alternate=$tidings/overview", "x"),
        ("POST", "/topics/$tidings/overview?delay=1h", "x"),
        ("POST", "/publish", "{\"events\":[{\"topic\":\"$tidings/answers\"}]}"),
        ("PUT", OVERVIEW, ""),
        ("DELETE", OVERVIEW, ""),
    ];
    let closed = Server::with(|config| config.anonymous.admin.clear());
    for accept in ["application/json", "text/event-stream"] {
        for (method, target, body) in operators.into_iter().chain(nobodys) {
            let accept = format!("Accept: {accept}\r\n");
            closed.request(method, target, &accept, body.as_bytes()).problem(403, "forbidden");
        }
    }
    let mine = closed.subscribe("/topics/a");
    let add = json!({"add": {"topics": ["$tidings/overview"]}}).to_string();
    let target = format!("/connections/{}", mine.own_name());
    closed.request("PATCH", &target, "", add.as_bytes()).problem(403, "forbidden");
    let open = Server::start();
    for (method, target, body) in nobodys {
        open.request(method, target, "", body.as_bytes()).problem(403, "forbidden");
    }
    // Read, and still hidden from lists and from those who follow everything.
    let mut all = open.subscribe("/events?pattern=**");
    let mut own = open.subscribe("/events?pattern=$tidings/*");
    let id = figures(&mut own)["at"].clone();
    open.publish("/topics/a", "x");
    assert_eq!(all.next().data, "x", "{id}");
    let topics = open.get("/topics").json();
    assert_eq!(list_of(&topics, "topics").len(), 1, "{topics}");
}

#[test]
fn connections_say_how_they_came_and_what_they_got() {
    let server = Server::start();
    let mut sse = server.subscribe("/topics/a");
    let mut ws = Ws::open(&server);
    ws.subscribe("s", json!({"patterns": ["*"]}));
    let mut waiting = server.connect();
    waiting.ask("GET", "/topics/b?poll=60", "", b"");
    until("all three to be listed", || server.get("/connections").json()["total"] == 3);
    server.publish("/topics/a", &"x".repeat(1_000));
    assert_eq!(sse.next().data.len(), 1_000);
    let of = |transport: &str, target: &str| {
        let page = server.get(target).json();
        list_of(&page, "connections").iter().find(|one| one["transport"] == transport).cloned()
    };
    until("what was sent", || {
        ["sse", "websocket"].iter().all(|transport| {
            of(transport, "/connections").unwrap()["bytes"].as_u64().unwrap() > 1_000
        })
    });
    let listed = of("sse", "/connections").unwrap();
    assert_eq!(listed["bytes"], sse.raw.len() + sse.head.head.len(), "every byte");
    for transport in ["sse", "websocket", "long-poll"] {
        let listed = of(transport, "/connections").unwrap();
        assert_eq!((&listed["protocol"], &listed["tls"]), (&json!("http/1.1"), &json!(false)));
        assert_eq!(listed["subject"], Value::Null);
        assert!(listed["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    }
    // By topic: those that name it, and those whose patterns match it.
    for (target, transports) in [
        ("/connections?topic=a", vec!["sse", "websocket"]),
        ("/connections?topic=b", vec!["websocket", "long-poll"]),
        ("/connections?topic=c/d", vec![]),
    ] {
        let page = server.get(target).json();
        assert_eq!(page["total"], transports.len(), "{target}: {page}");
        assert!(transports.iter().all(|transport| of(transport, target).is_some()), "{page}");
    }
    let page = server.get("/connections?limit=1").json();
    assert_eq!((list_of(&page, "connections").len(), &page["total"]), (1, &json!(3)));
    server.get("/connections?limit=0").problem(400, "invalid-parameter");
    server.get("/connections?name=a").problem(400, "unknown-parameter");
    // A long poll is ended like any other: with an empty page.
    let id = of("long-poll", "/connections").unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(server.request("DELETE", &format!("/connections/{id}"), "", b"").status, 204);
    assert_eq!(waiting.reply().json()["events"], json!([]));
    until("it to be gone", || server.get("/connections").json()["total"] == 2);
}

#[test]
fn every_setting_says_where_it_came_from_and_no_secret() {
    let text = "[server]\nheartbeat = \"20s\"\n[[relay]]\nkind = \"shared\"\npath = \"/live\"\n\
        upstream = \"http://127.0.0.1:9/x?key=hunter2\"\n\
        add_headers = [\"Authorization: Bearer hunter2\"]\n";
    let file = File { name: "tidings.toml".into(), text: text.into() };
    let variables = [("TIDINGS_LIMITS__BATCH_EVENTS".to_owned(), "77".to_owned())];
    let flags = [Flag { path: "server.io_threads", name: "--io-threads", value: "2".into() }];
    let loaded = config::load(Mode::Dev, Some(&file), variables.into_iter(), &flags).unwrap();
    let server = Server::with(|config| config.settings = loaded.config.settings.clone());
    let reply = server.get("/configuration");
    assert!(!reply.text().contains("hunter2"), "{}", reply.text());
    let page = reply.json();
    let of = |name: &str| {
        let found = list_of(&page, "settings").iter().find(|setting| setting["name"] == name);
        found.unwrap_or_else(|| panic!("{name} in {page:#}")).clone()
    };
    for (name, value, source, place) in [
        ("server.heartbeat", json!("20s"), "file", json!("tidings.toml:2")),
        ("limits.batch_events", json!(77), "environment", json!("TIDINGS_LIMITS__BATCH_EVENTS")),
        ("server.io_threads", json!(2), "flag", json!("--io-threads")),
        ("drain.jitter", json!("5s"), "default", Value::Null),
        ("server.cors_origins", json!(["*"]), "default", json!("tidings dev")),
        ("relay[0].add_headers", json!("(set)"), "file", json!("tidings.toml:7")),
        ("relay[0].path", json!("/live"), "file", json!("tidings.toml:5")),
    ] {
        let setting = of(name);
        assert_eq!((&setting["value"], &setting["source"]), (&value, &json!(source)), "{name}");
        assert_eq!(setting["where"], place, "{name}");
        assert_eq!(setting["secret"], name.ends_with("add_headers"), "{name}");
        let help = setting["help"].as_str().unwrap();
        assert!(!help.is_empty() && help.trim() == help && !help.contains("  "), "{name}: {help}");
    }
    assert_eq!(
        Config::dev().settings.len(),
        Server::start().get("/configuration").json()["settings"].as_array().unwrap().len()
    );
}

/// Begins an answer that hangs after its second token.
fn hanging(relay: &Relay) -> Conn {
    relay.play(Script::text("one two three").fault(Fault::hang(At::Token(2))));
    relay.ask("/v1/chat/completions", "", &chat("hello"))
}

#[test]
fn answers_are_listed_told_and_stopped() {
    let relay = Relay::start();
    let server = &relay.server;
    let mut told = server.subscribe("/topics/$tidings/answers");
    let mut overview = server.subscribe(OVERVIEW);
    let conn = hanging(&relay);
    let newest = || server.get("/answers").json()["answers"][0].clone();
    until("two tokens", || newest()["tokens"] == 2);
    let live = newest();
    assert_eq!((&live["state"], &live["route"]), (&json!("streaming"), &json!("/v1")), "{live}");
    assert_eq!((&live["readers"], &live["ended"]), (&json!(1), &Value::Null));
    assert!(live["bytes"].as_u64().unwrap() > 2 && live["started"].is_string());
    assert!(live["tokens_s"].is_f64() && live["model"].is_string(), "{live}");
    assert_eq!(live["topic"], format!("$answers/{}", live["id"].as_str().unwrap()));
    assert!(!live.to_string().contains("one"), "not what it says");
    figures_until(&mut overview, |figures| figures["answers"]["live"] == 1);
    let path = format!("/answers/{}/stop", live["id"].as_str().unwrap());
    let stopped = server.request("POST", &path, "", b"");
    assert_eq!((stopped.status, &stopped.json()["state"]), (200, &json!("cancelled")));
    let ended = newest();
    assert_eq!((&ended["state"], &ended["tokens"]), (&json!("stopped"), &json!(2)));
    assert!(ended["ended"].as_str() >= ended["started"].as_str());
    drop(conn);
    relay.play(Script::text("one").fault(Fault::close(At::Token(1))));
    relay.chat("");
    relay.play(Script::text("one two"));
    relay.chat("");
    let states = |list: &Value| -> Vec<String> {
        let all = list_of(list, "answers").iter();
        all.map(|answer| answer["state"].as_str().unwrap().to_owned()).collect()
    };
    let expect = ["finished", "failed", "stopped"];
    let unread = |list: &Value| list_of(list, "answers").iter().all(|one| one["readers"] == 0);
    until("all to be over and let go", || {
        let list = server.get("/answers").json();
        states(&list) == expect && unread(&list)
    });
    let all = server.get("/answers").json()["answers"].clone();
    let (counted, _) = figures_until(&mut overview, |figures| figures["answers"]["finished"] == 2);
    assert_eq!(counted["answers"], json!({"live": 0, "finished": 2, "failed": 1}));
    // The topic has told each change once, and ends with the same.
    let mut lists: Vec<Value> = Vec::new();
    while lists.last().is_none_or(|list| list["answers"] != all) {
        let event = told.next();
        assert_eq!(event.kind, "answers");
        lists.push(serde_json::from_str::<Value>(&event.data).unwrap());
    }
    assert!(lists.windows(2).all(|two| two[0]["answers"] != two[1]["answers"]), "{lists:#?}");
    assert_eq!(server.get("/answers").json()["answers"], all);
}

#[test]
fn who_is_no_operator_stops_no_answer() {
    let relay = Relay::with_config(|config| config.anonymous.admin.clear());
    relay.play(Script::text("one two").fault(Fault::hang(At::Token(1))));
    let answered = Answered::read(relay.ask("/v1/chat/completions", "", &chat("hello")), 200);
    let stop = answered.header("tidings-stop");
    let without = stop.split_once('?').unwrap().0;
    relay.server.request("POST", without, "", b"").problem(401, "unauthorized");
    assert_eq!(relay.stop(&answered)["state"], "cancelled");
}
