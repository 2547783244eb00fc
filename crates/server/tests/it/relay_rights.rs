//! With the operator's key in front of an API all callers are one account to it: what each of them
//! may do there, and name.

use serde_json::{Value, json};
use tidings_relay::config::{Kept, LlmConfig, Secret};
use tidings_scripted::{At, Fault, Script, SseEvent};

use crate::relay::{Answered, LONG, Relay, chat, messages, responses};
use crate::support::until;

const ADA: &str = "Authorization: Bearer ada\r\n";
const BOB: &str = "Authorization: Bearer bob\r\n";

/// A relay with the operator's key.
fn relay(change: impl FnOnce(&mut LlmConfig)) -> Relay {
    let relay = Relay::with(|llm| {
        llm.upstreams[0].api_key = Some(Secret("sk-ours".into()));
        change(llm);
    });
    relay.play(Script::text("one").id("resp_ada"));
    relay
}

fn with(mut body: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

impl Relay {
    fn answered(&self, path: &str, who: &str, body: &Value) -> Answered {
        Answered::read(self.ask(path, who, body), usize::MAX)
    }

    /// Asks and checks whether the upstream was asked.
    #[track_caller]
    fn asks(&self, path: &str, who: &str, body: &Value) -> u16 {
        let before = self.asked();
        let answered = self.answered(path, who, body);
        let passed = self.asked() - before;
        assert_eq!(passed, usize::from(answered.status == 200), "{path} {body}");
        if answered.status != 200 {
            assert!(
                answered.json()["error"]["message"].is_string(),
                "SDKs look here: {answered:?}"
            );
        }
        answered.status
    }
}

#[test]
fn a_path_is_passed_on_by_the_methods_that_ask_a_model() {
    let relay = relay(|_| {});
    assert_eq!(relay.asks("/v1/responses", ADA, &responses("x")), 200);
    for (path, methods) in [
        ("chat/completions", "POST"),
        ("chat/completions?limit=100", "POST"),
        ("completions", "POST"),
        ("responses", "POST"),
        ("responses/compact", "POST"),
        ("responses/input_tokens", "POST"),
        ("messages", "POST"),
        ("messages/count_tokens", "POST"),
        ("embeddings", "POST"),
        ("models", "GET, HEAD"),
        ("models/ft:gpt:x", "GET, HEAD"),
        ("models/org%2Fname", "GET, HEAD"),
        ("responses/resp_ada/input_items", "GET, HEAD, POST, DELETE"),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"] {
            let before = relay.asked();
            let mut conn = relay.server.connect();
            let body: &[u8] = if matches!(method, "POST" | "PUT" | "PATCH") { b"{}" } else { b"" };
            conn.ask(method, &format!("/v1/{path}"), ADA, body);
            let head = conn.head().expect("an answer").to_ascii_lowercase();
            let passes = methods.split(", ").any(|it| it == method);
            assert_eq!(relay.asked() - before, usize::from(passes), "{method} {path}: {head}");
            if !passes {
                assert!(head.contains(" 405 "), "{method} {path}: {head}");
                let allow = format!("allow: {}\r\n", methods.to_ascii_lowercase());
                assert!(head.contains(&allow), "{method} {path}: {head}");
            }
        }
    }
    assert_eq!(relay.server.request("GET", "/v1/files", ADA, b"").status, 404);
    assert_eq!(relay.server.request("DELETE", "/v1/responses/resp_ada", BOB, b"").status, 404);
}

/// The upstream knows whose key it is.
#[test]
fn a_clients_own_key_may_do_what_it_may() {
    let relay = Relay::start();
    relay.play(Script::text("one"));
    for (method, path) in [("GET", "chat/completions"), ("DELETE", "models/x")] {
        let before = relay.asked();
        relay.server.request(method, &format!("/v1/{path}"), ADA, b"");
        assert_eq!(relay.asked(), before + 1, "{method} {path}");
    }
    let body = with(responses("x"), &json!({"prompt": {"id": "p"}, "conversation": "c"}));
    assert_eq!(relay.asks("/v1/responses", ADA, &body), 200);
}

/// What the operator writes is passed on, by the methods that are written.
#[test]
fn the_operator_opens_more() {
    let allow = |text: &str| text.parse().unwrap();
    let relay = relay(|llm| {
        llm.allow =
            vec![allow("*"), allow("DELETE models/mine"), allow("POST,GET chat/completions/x")];
    });
    for (method, path, passes) in [
        ("GET", "files", true),
        ("DELETE", "files/x", true),
        ("DELETE", "models/mine", true),
        ("DELETE", "models/x", false),
        ("GET", "chat/completions", false),
        ("GET", "Chat%2Fcompletions", false),
        ("GET", "v1/chat//completions", false),
        ("GET", "chat/completions/x", true),
    ] {
        let before = relay.asked();
        let status = relay.server.request(method, &format!("/v1/{path}"), ADA, b"").status;
        assert_eq!(relay.asked() - before, usize::from(passes), "{method} {path}: {status}");
        assert_eq!(status == 405, !passes, "{method} {path}: {status}");
    }
}

/// What is kept at the API, as each API names it.
fn kept() -> Vec<(Kept, &'static str, Value)> {
    let part = |part: Value| json!([{"role": "user", "content": [part]}]);
    let file = json!({"type": "input_file", "file_id": "file-1"});
    let source = json!({"type": "document", "source": {"type": "file", "file_id": "file-1"}});
    let chat_part = json!({"type": "file", "file": {"file_id": "file-1"}});
    let interpreter = json!([{"type": "code_interpreter",
        "container": {"type": "auto", "file_ids": ["file-1"]}}]);
    let search = json!([{"type": "file_search", "vector_store_ids": ["vs_1"]}]);
    let ask = |more: Value| with(responses("x"), &more);
    vec![
        (Kept::Files, "responses", ask(json!({"input": part(file)}))),
        (Kept::Files, "responses", ask(json!({"tools": interpreter}))),
        (Kept::Prompts, "responses", ask(json!({"prompt": {"id": "pmpt_1"}}))),
        (Kept::VectorStores, "responses", ask(json!({"tools": search}))),
        (Kept::Files, "chat/completions", with(chat("x"), &json!({"messages": part(chat_part)}))),
        (Kept::Files, "messages", with(messages("x"), &json!({"messages": part(source)}))),
        (
            Kept::Skills,
            "messages",
            with(messages("x"), &json!({"container": {"skills": [{"skill_id": "s"}]}})),
        ),
    ]
}

#[test]
fn what_is_kept_at_the_api_is_named_only_if_the_operator_shares_it() {
    let closed = relay(|_| {});
    for (kept, path, body) in kept() {
        let path = format!("/v1/{path}");
        assert_eq!(closed.asks(&path, ADA, &body), 403, "{body}");
        let mut whole = body.clone();
        whole["stream"] = json!(false);
        assert_eq!(closed.asks(&path, ADA, &whole), 403, "{whole}");
        let told = closed.answered(&path, ADA, &body).json()["detail"].to_string();
        assert!(told.contains(kept.name()), "{told}");
    }
    let open = relay(|llm| llm.share = Kept::ALL.to_vec());
    for (_, path, body) in kept() {
        assert_eq!(open.asks(&format!("/v1/{path}"), ADA, &body), 200, "{body}");
    }
}

/// The stream of a response with these items.
fn items(items: &[Value]) -> Script {
    let response = |kind: &str| json!({"type": kind, "response": {"id": "resp_items"}});
    let mut data = vec![response("response.created")];
    data.extend(
        items.iter().map(|item| json!({"type": "response.output_item.done", "item": item})),
    );
    data.push(response("response.completed"));
    Script::events(
        data.iter()
            .map(|data| SseEvent { data: data.to_string(), ..SseEvent::default() })
            .collect(),
    )
}

/// Also of an answer that still runs.
#[test]
fn what_an_answer_has_said_is_its_askers_to_name() {
    let relay = relay(|_| {});
    let said = [
        json!({"type": "web_search_call", "id": "ws_1", "status": "completed"}),
        json!({"type": "file_search_call", "id": "fs_1", "queries": ["q"]}),
        json!({"type": "mcp_call", "id": "mcp_1", "name": "n", "arguments": "{}"}),
        json!({"type": "code_interpreter_call", "id": "ci_1", "container_id": "cntr_1"}),
        json!({"type": "shell_call", "id": "sh_1", "environment":
            {"type": "container_reference", "container_id": "cntr_2"}}),
    ];
    relay.play(items(&said).fault(Fault::hang(At::Token(6))));
    let (mut conn, running) = relay.begin("/v1/responses", ADA, &responses("x"));
    let mut seen = Vec::new();
    until("all is said", || {
        conn.read_more();
        seen.extend(conn.take_input());
        String::from_utf8_lossy(&seen).contains("sh_1")
    });
    relay.play(Script::text("two"));
    let tool = |tool: Value| json!({"tools": [tool]});
    let input = |item: Value| json!({"input": [item]});
    let environment = json!({"type": "container_reference", "container_id": "cntr_1"});
    for more in [
        input(said[0].clone()),
        input(said[1].clone()),
        input(said[2].clone()),
        input(said[3].clone()),
        input(said[4].clone()),
        input(
            json!({"type": "shell_call", "call_id": "c", "action": {}, "environment": environment}),
        ),
        tool(json!({"type": "shell", "environment": environment})),
        tool(json!({"type": "code_interpreter", "container": "cntr_2"})),
        tool(json!({"type": "code_interpreter", "container": {"id": "cntr_1"}})),
    ] {
        let body = with(responses("y"), &more);
        assert_eq!(relay.asks("/v1/responses", BOB, &body), 404, "{more}");
        assert_eq!(relay.asks("/v1/responses", ADA, &body), 200, "{more}");
    }
    relay.stop(&running);
    let relay = relay.restart();
    let body = with(responses("y"), &input(said[0].clone()));
    assert_eq!(relay.asks("/v1/responses", BOB, &body), 404, "after a restart");
    assert_eq!(relay.asks("/v1/responses", ADA, &body), 200, "after a restart");
}

/// Members that exempt an item of the input do so in one reading only.
#[test]
fn an_item_of_another_does_not_pass_for_a_whole_one() {
    let relay = relay(|_| {});
    for input in [
        r#"{"type":"reasoning","id":"theirs","summary":[],"result":"x"}"#,
        r#"{"type":"reasoning","id":"theirs","encrypted_content":"x","encrypted_content":null}"#,
        r#"{"type":"reasoning","id":"theirs","encrypted_content":null,"encrypted_content":"x"}"#,
        r#"{"type":"image_generation_call","id":"theirs","Result":"x"}"#,
        r#"{"id":"theirs","Role":"user","content":"x"}"#,
        r#"{"id":"theirs","role":null,"role":null,"content":"x"}"#,
        r#"{"id":"theirs","role":"x"}"#,
    ] {
        let body = format!(r#"{{"model":"m","stream":true,"input":[{input}]}}"#);
        let headers = format!("Content-Type: application/json\r\n{ADA}");
        let reply = relay.server.request("POST", "/v1/responses", &headers, body.as_bytes());
        assert_eq!((reply.status, relay.asked()), (404, 0), "{input}");
    }
}

/// What was judged as JSON is not read as something else.
#[test]
fn a_body_goes_on_as_it_was_judged() {
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let coded = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
    for (own_key, path) in [
        (true, "responses"),
        (true, "chat/completions"),
        (true, "messages"),
        (true, "messages/count_tokens"),
        (true, "responses/compact"),
        (false, "responses"),
        (false, "messages/count_tokens"),
    ] {
        let relay = if own_key { relay(|_| {}) } else { Relay::start() };
        for stream in [true, false] {
            let before = relay.asked();
            let body = json!({"a": "&model=m&previous_response_id=resp_ada&z=", "stream": stream});
            let body = body.to_string();
            let ask = |fields: &str| {
                let target = format!("/v1/{path}");
                let mut conn = relay.server.connect();
                conn.ask("POST", &target, &format!("{fields}{ADA}"), body.as_bytes());
                Answered::read(conn, usize::MAX)
            };
            ask(form);
            let received = relay.upstream.received();
            assert_eq!(received.len(), before + 1, "{path}");
            let wanted = if own_key { "application/json" } else { &form[14..form.len() - 2] };
            assert_eq!(received[before].header("content-type"), Some(wanted), "{path} {stream}");
            let refused = ask(coded).status == 415;
            assert_eq!((refused, relay.asked() - before), (own_key, 2 - usize::from(own_key)));
        }
    }
    let relay = relay(|llm| llm.allow = vec!["files".parse().unwrap()]);
    relay.server.request("POST", "/v1/files", &format!("{coded}{ADA}"), b"x");
    assert_eq!(relay.asked(), 1, "what nobody looks at goes as it is");
}

/// What a whole answer tells is known as well as what a streamed one does.
#[test]
fn what_a_whole_answer_names_is_its_askers_to_name() {
    let whole = |mut body: Value| {
        body["stream"] = json!(false);
        body
    };
    let say = |relay: &Relay, body: Value| {
        relay.play(Script::body(200, "application/json", body.to_string()));
    };
    let relay = relay(|_| {});
    let queued = json!({"id": "resp_bg", "object": "response", "status": "queued", "output": []});
    say(&relay, queued);
    let ask = with(whole(responses("x")), &json!({"background": true}));
    assert_eq!(relay.asks("/v1/responses", ADA, &ask), 200);
    let output = json!([{"type": "web_search_call", "id": "ws_1"},
        {"type": "code_interpreter_call", "id": "ci_1", "container_id": "cntr_1"}]);
    say(&relay, json!({"id": "resp_bg", "status": "completed", "output": output}));
    let get = |who: &str, method: &str, path: &str| {
        relay.server.request(method, &format!("/v1/responses/{path}"), who, b"").status
    };
    for (method, path) in
        [("GET", "resp_bg"), ("POST", "resp_bg/cancel"), ("GET", "resp_bg/input_items")]
    {
        let before = relay.asked();
        assert_eq!((get(BOB, method, path), get(ADA, method, path)), (404, 200), "{path}");
        assert_eq!(relay.asked(), before + 1, "{method} {path}");
    }
    say(&relay, json!({"id": "msg_1", "type": "message", "container": {"id": "c_1"}}));
    assert_eq!(relay.asks("/v1/messages", ADA, &whole(messages("x"))), 200);
    let audio = json!([{"message": {"role": "assistant", "audio": {"id": "audio_1"}}}]);
    say(&relay, json!({"id": "chatcmpl-1", "choices": audio}));
    assert_eq!(relay.asks("/v1/chat/completions", ADA, &whole(chat("x"))), 200);
    for (path, ask, more) in [
        ("responses", responses("y"), json!({"previous_response_id": "resp_bg"})),
        ("responses", responses("y"), json!({"input": [output[0]]})),
        ("responses", responses("y"), json!({"input": [output[1]]})),
        ("messages", messages("y"), json!({"container": "c_1"})),
        (
            "messages",
            messages("y"),
            json!({"thread": {"type": "continue", "previous_message_id": "msg_1"}}),
        ),
        ("messages", messages("y"), json!({"diagnostics": {"previous_message_id": "msg_1"}})),
        ("chat/completions", chat("y"), json!({"messages": [{"audio": {"id": "audio_1"}}]})),
    ] {
        for body in [with(ask.clone(), &more), with(whole(ask), &more)] {
            let path = format!("/v1/{path}");
            assert_eq!(relay.asks(&path, BOB, &body), 404, "{more}");
            assert_eq!(relay.asks(&path, ADA, &body), 200, "{more}");
        }
    }
}

/// Who does not stream has no more answers at a time, also when it goes away.
#[test]
fn an_answer_that_is_no_stream_takes_its_place() {
    for own_key in [true, false] {
        let relay = Relay::with(|llm| {
            llm.quota.concurrent = Some(1);
            llm.upstreams[0].api_key = own_key.then(|| Secret("sk-ours".into()));
        });
        let mut ask = chat("x");
        ask["stream"] = json!(false);
        for (number, status) in [200, 500, 200, 200].into_iter().enumerate() {
            relay.play(if status == 200 { Script::text("one") } else { Script::refuse(500, "no") });
            let answered = relay.answered("/v1/chat/completions", ADA, &ask);
            assert_eq!(answered.status, status, "{number}");
        }
        relay.play(Script::text("one").head_after(LONG));
        let before = relay.asked();
        let conn = relay.ask("/v1/chat/completions", ADA, &ask);
        until("it is asked", || relay.asked() == before + 1);
        for body in [&ask, &chat("y")] {
            assert_eq!(relay.answered("/v1/chat/completions", ADA, body).status, 429);
        }
        drop(conn);
        assert_eq!(relay.answered("/v1/chat/completions", ADA, &ask).status, 429);
        relay.play(Script::text("one"));
        assert_eq!(relay.answered("/v1/chat/completions", BOB, &ask).status, 200, "another");
    }
}

/// Tokens of what goes on by itself are counted when its end is asked for.
#[test]
fn tokens_in_the_background_are_counted() {
    for own_key in [true, false] {
        let relay = Relay::with(|llm| {
            llm.quota.tokens = Some(10);
            llm.upstreams[0].api_key = own_key.then(|| Secret("sk-ours".into()));
        });
        let ask = json!({"model": "m", "input": "x", "background": true});
        let say = |status: &str, usage: Value| {
            let body = json!({"id": "resp_bg", "status": status, "usage": usage});
            relay.play(Script::body(200, "application/json", body.to_string()));
        };
        say("queued", Value::Null);
        for _ in 0..2 {
            assert_eq!(relay.answered("/v1/responses", ADA, &ask).status, 200);
        }
        say("completed", json!({"input_tokens": 3, "output_tokens": 4}));
        for _ in 0..3 {
            let reply = relay.server.request("GET", "/v1/responses/resp_bg", ADA, b"");
            assert_eq!(reply.status, 200);
        }
        // Seven, once; and seven more.
        assert_eq!(relay.answered("/v1/responses", ADA, &ask).status, 200);
        assert_eq!(relay.answered("/v1/responses", ADA, &ask).status, 429);
    }
}

/// There are upstreams to which another member says whether they stream.
#[test]
fn what_was_to_be_a_stream_and_is_none_counts_too() {
    let relay = relay(|llm| llm.quota.tokens = Some(10));
    let usage = json!({"input_tokens": 6, "output_tokens": 6});
    let body = json!({"id": "resp_whole", "status": "completed", "usage": usage});
    relay.play(Script::body(200, "application/json", body.to_string()));
    let from = with(responses("y"), &json!({"previous_response_id": "resp_whole"}));
    assert_eq!(relay.asks("/v1/responses", ADA, &responses("x")), 200);
    assert_eq!(relay.asks("/v1/responses", BOB, &from), 404);
    assert_eq!(relay.asks("/v1/responses", ADA, &from), 429, "hers, and her tokens are used up");
}

/// An upstream that asks nobody for a key is one account too, if the operator says so.
#[test]
fn the_operator_says_that_all_callers_are_one() {
    for (one_account, status) in [(Some(true), 404), (Some(false), 200), (None, 200)] {
        let relay = Relay::with(|llm| llm.one_account = one_account);
        relay.play(Script::text("one"));
        let body = with(responses("x"), &json!({"previous_response_id": "theirs"}));
        assert_eq!(relay.asks("/v1/responses", ADA, &body), status, "{one_account:?}");
    }
}

/// A long body is judged as a short one is.
#[test]
fn what_a_long_body_names_is_found() {
    let relay = relay(|_| {});
    let long = "x".repeat(300 << 10);
    assert_eq!(relay.asks("/v1/responses", ADA, &responses(&long)), 200);
    let body = with(responses(&long), &json!({"previous_response_id": "theirs"}));
    assert_eq!(relay.asks("/v1/responses", ADA, &body), 404);
    let many = vec![json!(1); 5_000];
    let body = with(responses("x"), &json!({"tools": {"container": many}}));
    assert_eq!(relay.asks("/v1/responses", ADA, &body), 400);
}
