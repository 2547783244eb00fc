//! With the operator's key in front of an API all callers are one account to it: what each of them
//! may do there, and name.

use serde_json::{Value, json};
use tidings_relay::config::{Kept, LlmConfig, Secret};
use tidings_scripted::{At, Fault, Script, SseEvent};

use crate::relay::{Answered, Relay, chat, messages, responses};
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
        // A response of one's own, by whatever the API has.
        ("responses/resp_ada/input_items", "any"),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            let before = relay.asked();
            let mut conn = relay.server.connect();
            let body: &[u8] = if matches!(method, "POST" | "PUT" | "PATCH") { b"{}" } else { b"" };
            conn.ask(method, &format!("/v1/{path}"), ADA, body);
            let head = conn.head().expect("an answer").to_ascii_lowercase();
            let passes = methods == "any" || methods.split(", ").any(|it| it == method);
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
