//! What is told of an LLM's answers: once, however they end and whoever dies.

use std::time::Duration;

use serde_json::{Value, json};
use tidings_relay::config::LlmConfig;
use tidings_scripted::{At, Fault, Script, Upstream};

use crate::receiver::{Answer, Receiver};
use crate::relay::{Answered, LONG, Relay, chat};
use crate::support::{Server, until};
use crate::webhooks::{configured, secret, webhook};

fn relay(receiver: &Receiver) -> Relay {
    let upstream = Upstream::start().unwrap();
    let mut llm = LlmConfig::new("llm", "/v1", upstream.url().parse().unwrap());
    llm.retries = 0;
    let from = configured(&webhook("app", &receiver.url(), ""), &[secret(1)]);
    let server = Server::with(|config| {
        config.drain.grace = Duration::from_millis(500);
        config.webhooks = from.webhooks;
        config.llm_relays.push(llm);
    });
    Relay { upstream, server }
}

/// What was told last of an answer, and its name.
fn last(receiver: &Receiver, count: usize) -> Value {
    let told = receiver.wait_for(count).pop().unwrap().json();
    assert_eq!(told["type"], "answer.finished");
    let (topic, answer) = (&told["data"]["topic"], &told["data"]["answer"]);
    assert_eq!(topic.as_str().unwrap(), format!("$answers/{}", answer.as_str().unwrap()));
    told["data"].clone()
}

#[test]
fn an_answers_end_is_told_with_its_price() {
    let receiver = Receiver::start(|_, _| Answer::status(200));
    let relay = relay(&receiver);
    relay.play(Script::text("one two three"));
    let answered = relay.chat("");
    let told = last(&receiver, 1);
    assert!(answered.link().contains(told["answer"].as_str().unwrap()), "{told}");
    assert_eq!((&told["state"], &told["relay"]), (&json!("finished"), &json!("llm")));
    assert!(told["tokens"]["output"].as_u64().unwrap() > 0, "{told}");
    assert!(told["duration_ms"].is_u64() && told["model"].is_string(), "{told}");
    relay.play(Script::text("one two three").fault(Fault::close(At::Token(2))));
    relay.chat("");
    assert_eq!(last(&receiver, 2)["state"], "failed");
    relay.play(Script::text("one two three").pace(LONG));
    let (_conn, answered) = relay.begin("/v1/chat/completions", "", &chat("hello"));
    relay.stop(&answered);
    assert_eq!(last(&receiver, 3)["state"], "stopped");
    // No answer: nothing is told. And who asks for one that there is, is told of by nothing new.
    relay.play(Script::refuse(429, "no"));
    relay.chat("");
    relay.play(Script::text("again"));
    relay.chat("Idempotency-Key: k\r\n");
    relay.chat("Idempotency-Key: k\r\n");
    assert_eq!(last(&receiver, 4)["state"], "finished");
    assert_eq!(receiver.came().len(), 4);
}

/// It runs when the process goes, and its end is that of the next one to say.
#[test]
fn an_answer_that_a_restart_ended_is_told_of_once() {
    let receiver = Receiver::start(|_, _| Answer::status(200));
    let relay = relay(&receiver);
    relay.play(Script::text("one two three").pace(LONG));
    let (conn, answered) = relay.begin("/v1/chat/completions", "", &chat("hello"));
    let relay = relay.restart();
    drop(conn);
    let told = last(&receiver, 1);
    assert!(answered.link().contains(told["answer"].as_str().unwrap()), "{told}");
    assert_eq!(told["state"], "failed");
    until("it is noted", || {
        relay.server.metric("tidings_webhook_sent_total{webhook=\"app\"}") == 1.0
    });
    let relay = relay.restart();
    relay.play(Script::text("new"));
    Answered::read(relay.ask("/v1/chat/completions", "", &chat("hello")), usize::MAX);
    last(&receiver, 2);
    assert_eq!(receiver.came().len(), 2);
}
