//! `[[webhook]]` and `[hook]`: what is refused, and with which words.

use super::{Asks, File, Happening, Loaded, Mode, OnError, load};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Loads this, with `SECRET` and `BAD` as the paths of files that hold a secret and none.
fn loaded(text: &str) -> Result<Loaded, String> {
    let folder = tempfile::tempdir().unwrap();
    let mut text = text.to_owned();
    for (name, held) in [("SECRET", SECRET), ("BAD", "not a secret of ours")] {
        let path = folder.path().join(name.to_lowercase());
        std::fs::write(&path, held).unwrap();
        text = text.replace(name, path.to_str().unwrap());
    }
    let file = File { name: "t".into(), text };
    let loaded = load(Mode::Dev, Some(&file), std::iter::empty(), &[]);
    loaded.map_err(|error| {
        let problems = error.problems.iter();
        let told = problems.map(|problem| format!("{}: {}", problem.path, problem.message));
        told.collect::<Vec<_>>().join("\n")
    })
}

const WHOLE: &str = "[[webhook]]\nname = \"a\"\nurl = \"https://h/x\"\nsecret_file = \"SECRET\"\n\
    events = [\"topic.occupied\", \"answer.finished\"]\n";

#[test]
fn a_webhook_is_read() {
    let config = loaded(WHOLE).unwrap().config;
    let [webhook] = &config.webhooks[..] else { panic!("one") };
    assert_eq!(webhook.events, [Happening::TopicOccupied, Happening::AnswerFinished]);
    assert_eq!((webhook.name.as_str(), webhook.concurrency), ("a", 8));
    assert!(webhook.topics[0].matches("any/topic") && webhook.target.is_tls());
    assert_eq!(webhook.retry_for.as_secs(), 86_400);
    assert!(!format!("{webhook:?}").contains("MfKQ9r8G"), "the secret is shown");
    assert!(config.hook.is_none());
}

#[test]
fn every_happening_has_its_name() {
    for (at, name) in super::webhook::HAPPENINGS.iter().enumerate() {
        let read: Happening = serde_json::from_str(&format!("{name:?}")).unwrap();
        assert_eq!((read as usize, read.name()), (at, *name));
    }
}

#[test]
fn a_hook_is_read() {
    let text = "[hook]\nurl = \"http://127.0.0.1:1/allow\"\nsecret_file = \"SECRET\"\n\
        for = [\"publish\"]\non_error = \"allow\"\ntopics = [\"a/*\"]\n";
    let hook = loaded(text).unwrap().config.hook.unwrap();
    assert_eq!((hook.asks, hook.on_error), (vec![Asks::Publish], OnError::Allow));
    assert!(hook.topics[0].matches("a/1") && !hook.topics[0].matches("b"));
    let short = loaded("[hook]\nurl = \"http://h/\"\nsecret_file = \"SECRET\"\n").unwrap();
    let hook = short.config.hook.unwrap();
    assert_eq!(hook.asks, [Asks::Subscribe, Asks::Publish]);
    assert_eq!(hook.on_error, OnError::Deny, "it fails closed");
}

#[test]
fn what_is_wrong_is_told_where_it_is() {
    let webhook = |from: &str, to: &str| WHOLE.replace(from, to);
    let hook = |more: &str| format!("[hook]\nsecret_file = \"SECRET\"\n{more}\n");
    for (text, at, words) in [
        (webhook("name = \"a\"\n", ""), "webhook[0].name", "must be given"),
        (webhook("name = \"a\"", "name = \"a/b\""), "webhook[0].name", "letters"),
        (format!("{WHOLE}{WHOLE}"), "webhook[1].name", "another webhook"),
        (webhook("https://h/x", "ftp://h/x"), "webhook[0].url", "a URL such as"),
        (webhook("https://h/x", "https://user:word@h/x"), "webhook[0].url", "without a user"),
        (webhook("url = \"https://h/x\"\n", ""), "webhook[0].url", "must be given"),
        (webhook("SECRET", "/nowhere"), "webhook[0].secret_file", "cannot read /nowhere"),
        (webhook("SECRET", "BAD"), "webhook[0].secret_file", "whsec_"),
        (webhook("secret_file = \"SECRET\"\n", ""), "webhook[0].secret_file", "openssl rand"),
        (
            webhook("secret_file = \"SECRET\"", "secret_env = \"NOT_SET_ANYWHERE\""),
            "webhook[0].secret_env",
            "is not set",
        ),
        (format!("{WHOLE}secret_env = \"X\"\n"), "webhook[0].secret_file", "one of them"),
        (webhook("topic.occupied", "topic.gone"), "webhook[0].events", "topic.vacated"),
        (format!("{WHOLE}topics = [\"a*\"]\n"), "webhook[0].topics[0]", "whole segment"),
        (format!("{WHOLE}retry_for = \"30d\"\n"), "webhook[0].retry_for", "7d"),
        (hook(""), "hook.url", "must be given"),
        ("[hook]\n".to_owned(), "hook.url", "must be given"),
        ("[hook]\n".to_owned(), "hook.secret_file", "one of them"),
        (hook("url = \"x\""), "hook.url", "a URL such as"),
        (hook("url = \"http://h/\"\nfor = [\"read\"]"), "hook.for", "subscribe"),
        (hook("url = \"http://h/\"\non_error = \"open\""), "hook.on_error", "deny"),
        (hook("url = \"http://h/\"\ntimeout = \"2h\""), "hook.timeout", "1m"),
    ] {
        let told = loaded(&text).expect_err(&text);
        let problem = told.lines().find(|line| line.starts_with(&format!("{at}: ")));
        let problem = problem.unwrap_or_else(|| panic!("nothing at {at}: {told}"));
        assert!(problem.contains(words), "{problem}");
        assert!(!told.contains("not a secret of ours") && !told.contains("word@"), "{told}");
    }
}
