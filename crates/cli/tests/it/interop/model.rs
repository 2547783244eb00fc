//! A real model behind the relay: llama.cpp's server with SmolLM2-135M, at temperature 0 and with a
//! fixed seed, so that the same question always has the same answer.
//!
//! It shows what no script can: that the relay follows a real server, that the official clients can
//! read it, and that stopping an answer frees the model for the next.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{self, Results};
use super::environment::{self, Environment};
use crate::program::in_repository;
use crate::server::Server;

/// Longest wait for the model to be loaded, or for its server to do what it was asked to.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tokens of an answer that would take half a minute, if nobody stopped it.
const LONG: u64 = 1_500;

/// The model's server. It is stopped when it is dropped.
struct Model {
    child: Child,
    url: String,
}

impl Model {
    /// Starts the server and waits until it answers; `None`, and a notice, where there is none.
    fn start() -> Option<Self> {
        let python = environment::model()?;
        let mut child = Command::new(python)
            .arg(in_repository("interop/model/serve.py"))
            .arg("0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (said, address) = mpsc::channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines();
            let _ = said.send(lines.next().and_then(Result::ok).unwrap_or_default());
            // Read on, so that the server can never wait for a reader.
            lines.for_each(drop);
        });
        let url = address.recv_timeout(PATIENCE).unwrap_or_default();
        let model = Self { child, url };
        if model.url.is_empty() {
            environment::skipped("the test with a real model", "its server does not start here");
            return None;
        }
        Some(model)
    }

    /// What each slot has come to: whether it works, and how many tokens it holds, those of the
    /// question included.
    fn slots(&self) -> Vec<(bool, u64)> {
        let url = format!("{}/slots", self.url);
        let output = Command::new("curl").args(["-fsS", "-m", "60", &url]).output().unwrap();
        let slots: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let of = |slot: &Value| {
            (slot["is_processing"] == true, slot["n_prompt_tokens"].as_u64().unwrap_or(0))
        };
        slots.iter().map(of).collect()
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What an API is asked, so that the answer is the same each time.
fn settings(api: &str, tokens: u64) -> Value {
    // Not every client has a name for each of these.
    let fixed = json!({"temperature": 0, "seed": 1, "ignore_eos": tokens == LONG});
    let limit = if api == "responses" { "max_output_tokens" } else { "max_tokens" };
    json!({limit: tokens, "extra_body": fixed})
}

fn job(case: &str, verb: &str, api: &str, base: &str, tokens: u64) -> Value {
    json!({
        "case": case,
        "do": verb,
        "api": api,
        "base": base,
        "text": "What is the sea?",
        "more": settings(api, tokens),
        "headers": if verb == "repeat" { json!({"Idempotency-Key": format!("{api}-{case}")}) } else { json!({}) },
        "retries": 0,
        "take": 6,
    })
}

/// All text of an answer's events, whatever the API.
fn text(result: &Value) -> String {
    let events = result["events"].as_array().unwrap_or_else(|| panic!("{result}"));
    let delta = |event: &Value| -> Option<String> {
        let chat = &event["choices"][0]["delta"]["content"];
        let said = if event["type"] == "response.output_text.delta" {
            &event["delta"]
        } else if chat.is_string() {
            chat
        } else {
            &event["delta"]["text"]
        };
        said.as_str().map(str::to_owned)
    };
    assert!(result["raised"].is_null(), "{result}");
    events.iter().filter_map(delta).collect()
}

fn program(api: &str) -> &'static str {
    if api == "messages" { "python/anthropic_client.py" } else { "python/openai_client.py" }
}

fn ask(environment: &Environment, api: &str, jobs: &[Value]) -> Results {
    client::run(environment, program(api), jobs)
}

#[test]
fn a_real_model_says_the_same_through_the_relay_however_often_the_connection_is_lost() {
    let Some(environment) = environment::clients() else { return };
    let Some(model) = Model::start() else { return };
    let server = Server::start_with(&["--llm", &format!("{}/v1", model.url)]);
    for (api, tokens) in [("chat", 40), ("responses", 40), ("messages", 40)] {
        let direct = ask(environment, api, &[job("direct", "stream", api, &model.url, tokens)]);
        let mut jobs = vec![
            job("stream", "stream", api, &server.url, tokens),
            job("repeat", "repeat", api, &server.url, tokens),
        ];
        if api == "responses" {
            jobs.push(job("retrieve", "retrieve", api, &server.url, tokens));
            jobs.push(job("helper", "helper", api, &server.url, tokens));
        }
        let relayed = ask(environment, api, &jobs);
        let said = text(&direct["direct"]);
        assert!(said.split_whitespace().count() > 20, "{api}: {said}");
        for case in ["stream", "repeat", "retrieve"] {
            let Some(result) = relayed.get(case) else { continue };
            assert_eq!(text(result), said, "{api} {case}");
        }
        assert_eq!(relayed.contains_key("retrieve"), api == "responses");
        if api == "responses" {
            // The server leaves indices out; without them this helper fails.
            let whole = relayed["helper"].pointer("/final/output/0/content/0/text");
            assert_eq!(whole, Some(&json!(said)), "{}", relayed["helper"]);
        }
    }
}

#[test]
fn stopping_an_answer_frees_the_model() {
    let Some(environment) = environment::clients() else { return };
    let Some(model) = Model::start() else { return };
    let server = Server::start_with(&["--llm", &format!("{}/v1", model.url)]);
    let result = ask(environment, "chat", &[job("stop", "stop", "chat", &server.url, LONG)]);
    let stop = &result["stop"];
    assert_eq!(stop["status"], json!([200, 200]), "{stop}");
    assert_eq!(stop["raised"]["class"], "APIError", "{stop}");
    let until = Instant::now() + PATIENCE;
    let slots = loop {
        let slots = model.slots();
        if slots.iter().all(|(works, _)| !works) {
            break slots;
        }
        assert!(Instant::now() < until, "the model goes on: {slots:?}");
        std::thread::sleep(Duration::from_millis(20));
    };
    let held = slots.iter().map(|(_, tokens)| *tokens).max().unwrap();
    assert!(held > 0 && held < LONG, "it was not stopped: {slots:?}");
}
