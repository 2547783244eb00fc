//! Webhooks as their receivers see them: signed, in order, again until they are accepted.

use std::time::Duration;

use base64::Engine as _;
use serde_json::json;
use tidings_server::config::{Config, File, Mode, load};

use crate::receiver::{Answer, Receiver};
use crate::support::{Server, until};

/// A secret of 32 bytes, all this one.
pub(crate) fn secret(byte: u8) -> String {
    format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode([byte; 32]))
}

/// Sets what these lines of a configuration file say, with `SECRET` as the path of a file that holds
/// the secrets.
pub(crate) fn configured(text: &str, secrets: &[String]) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, secrets.join("\n")).unwrap();
    let text = text.replace("SECRET", path.to_str().unwrap());
    let file = File { name: "tidings.toml".into(), text };
    load(Mode::Dev, Some(&file), std::iter::empty(), &[]).unwrap().config
}

/// A webhook of this name that is told everything.
pub(crate) fn webhook(name: &str, url: &str, more: &str) -> String {
    format!(
        "[[webhook]]\nname = {name:?}\nurl = {url:?}\nsecret_file = \"SECRET\"\n\
         events = [\"topic.occupied\", \"topic.vacated\", \"subject.online\", \"subject.offline\", \
         \"answer.finished\"]\n{more}\n"
    )
}

/// A server with these webhooks, impatient ones.
pub(crate) fn server(text: &str) -> Server {
    let from = configured(text, &[secret(1)]);
    Server::with(|config| {
        config.webhooks = from.webhooks;
        config.vacancy_grace = Duration::from_millis(200);
        for webhook in &mut config.webhooks {
            webhook.first_retry = Duration::from_millis(20);
        }
    })
}

fn accepts() -> Receiver {
    Receiver::start(|_, _| Answer::status(204))
}

#[test]
fn tells_who_comes_and_goes_signed() {
    let receiver = accepts();
    let server = server(&webhook("app", &receiver.url(), ""));
    let first = server.subscribe("/topics/chat/7");
    let [occupied] = &receiver.wait_for(1)[..] else { panic!("one") };
    assert!(occupied.head.starts_with("POST /hooks?from=tidings HTTP/1.1\r\n"), "{occupied:?}");
    assert_eq!(occupied.header("content-type"), "application/json");
    assert!(occupied.is_signed_with(&secret(1)) && !occupied.is_signed_with(&secret(2)));
    assert!(occupied.id().starts_with("msg_"), "{occupied:?}");
    let told = occupied.json();
    assert_eq!(told["type"], "topic.occupied");
    assert_eq!(told["data"], json!({"topic": "chat/7"}));
    assert!(told["timestamp"].as_str().unwrap().ends_with('Z'));
    // Another changes nothing.
    let second = server.subscribe("/events?topic=chat/7&topic=chat/8");
    receiver.wait_for(2);
    drop((first, second));
    receiver.wait_for(4);
    let mut told = receiver.told();
    told[2..].sort();
    let wanted = ["topic.occupied chat/7", "topic.occupied chat/8", "topic.vacated chat/7"];
    assert_eq!(told, [&wanted[..], &["topic.vacated chat/8"]].concat());
    let ids: std::collections::HashSet<_> =
        receiver.came().iter().map(|c| c.id().to_owned()).collect();
    assert_eq!(ids.len(), 4);
    until("it is counted", || server.metric("tidings_webhook_sent_total{webhook=\"app\"}") == 4.0);
    assert_eq!(server.metric("tidings_webhook_waiting{webhook=\"app\"}"), 0.0);
}
