//! `tidings token`: from a key to a closed server, and out of it again.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::program::{Outcome, command, finish, run_with_input};
use crate::server::Server;

fn token(folder: &Path, arguments: &[&str]) -> Outcome {
    finish(command().arg("token").args(arguments).current_dir(folder))
}

/// A command against the server, by whoever has this token.
fn with(server: &Server, token: &str, arguments: &[&str]) -> Outcome {
    let mut command = command();
    finish(command.args(arguments).env("TIDINGS_URL", &server.url).env("TIDINGS_TOKEN", token))
}

#[test]
fn a_key_makes_tokens_that_a_closed_server_takes_until_they_are_revoked() {
    let folder = tempfile::tempdir().unwrap();
    for algorithm in ["EdDSA", "ES256", "HS256"] {
        let keys = ["keys", "--id", algorithm, "--algorithm", algorithm];
        let printed = token(folder.path(), &keys).success();
        let (signs, secret) = if algorithm == "HS256" {
            ("HS256.secret".to_owned(), true)
        } else {
            (format!("{algorithm}.private.pem"), false)
        };
        let private = folder.path().join(&signs);
        let mode = std::fs::metadata(&private).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "for its owner alone");
        let text = std::fs::read_to_string(&private).unwrap();
        // A secret in base64url may itself begin with a dash; a frame of PEM has five.
        let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
        assert!(body.len() >= 43, "256 bits in base64url");
        assert!(!printed.contains(&body), "a private key is not shown");
        assert_eq!(printed.contains("JSON Web Key Set"), !secret);
        // A second run would take the key away from every token that it has made.
        token(folder.path(), &keys).failure(1);
        assert_eq!(std::fs::read_to_string(&private).unwrap(), text);

        let config = folder.path().join("tidings.toml");
        std::fs::write(&config, format!("anonymous = []\n{printed}")).unwrap();
        let config = config.to_str().unwrap();
        let server = Server::start_with(&["--config", config]);
        let mint = |more: &[&str]| {
            let all: Vec<&str> = ["mint", "--key", &signs].iter().chain(more).copied().collect();
            token(folder.path(), &all).success().trim().to_owned()
        };
        let ada = mint(&["--subject", "ada", "--publish", "chat/*"]);
        let operator = mint(&["--subject", "ops", "--admin", "**"]);
        let publish = ["publish", "chat/7", "x"];
        finish(command().args(publish).env("TIDINGS_URL", &server.url)).failure(4);
        with(&server, &ada, &publish).success();
        with(&server, &ada, &["publish", "other", "x"]).failure(4);
        with(&server, &ada, &["token", "revoke", "--subject", "ada"]).failure(4);

        let verify = ["token", "verify", "--config", config, "--json"];
        let said = run_with_input(&verify, format!("{ada}\n").as_bytes()).success();
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["subject"], "ada");
        assert_eq!(said["grants"]["publish"][0], "chat/*");
        let changed = format!("{ada}A");
        let why = run_with_input(&verify, changed.as_bytes()).failure(1);
        assert!(why.contains("does not count"), "{why}");
        assert!(!why.contains(&ada), "a token is not said again");

        with(&server, &operator, &["token", "revoke", "--subject", "ada"]).success();
        with(&server, &ada, &publish).failure(4);
        let id = said["token_id"].as_str().unwrap();
        with(&server, &operator, &["token", "revoke", "--id", id]).success();
    }
}

#[test]
fn a_set_on_the_network_is_fetched_to_judge_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let made = |id: &str, algorithm: &str| -> Value {
        let keys = ["keys", "--id", id, "--algorithm", algorithm, "--json"];
        serde_json::from_str(&token(folder.path(), &keys).success()).unwrap()
    };
    let (set, other) = (made("k", "EdDSA")["jwks"].clone(), made("o", "ES256")["jwks"].clone());
    let upstream = tidings_scripted::Upstream::start().unwrap();
    let config = folder.path().join("tidings.toml");
    let url = format!("http://{}/keys", upstream.address());
    let text =
        format!("[[issuer]]\nalgorithms = [\"EdDSA\"]\naudience = [\"*\"]\njwks_url = \"{url}\"\n");
    std::fs::write(&config, text).unwrap();
    let mint = ["mint", "--key", "k.private.pem", "--subject", "ada"];
    let minted = token(folder.path(), &mint).success();
    let verify = || {
        let arguments = ["token", "verify", "--config", config.to_str().unwrap()];
        run_with_input(&arguments, minted.as_bytes())
    };
    let play = |status: u16, body: String| {
        upstream.play(move |_| {
            tidings_scripted::Script::body(status, "application/json", body.clone())
        });
    };
    play(200, set.to_string());
    assert!(verify().success().contains("ada"));
    assert_eq!(upstream.received().len(), 1, "once");
    for (status, body, told) in [
        (500, String::new(), "the answer has status 500"),
        (200, "{}".to_owned(), "not a JSON Web Key Set"),
        (200, other.to_string(), "the key \"o\" is for ES256"),
    ] {
        play(status, body);
        let said = verify().failure(3);
        assert!(said.contains("it cannot be judged") && said.contains(&url), "{said}");
        assert!(said.contains(told), "{said}");
    }
}

#[test]
fn what_a_token_says_is_what_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let private = token(folder.path(), &["keys", "--show-private", "--json"]).success();
    let private: Value = serde_json::from_str(&private).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "shown, not written");
    std::fs::write(folder.path().join("k.private.pem"), private["private"].as_str().unwrap())
        .unwrap();
    let mint = [
        "mint",
        "--key",
        "k.private.pem",
        "--subject",
        "ada",
        "--issuer",
        "me",
        "--audience",
        "a",
        "--audience",
        "b",
        "--tenant",
        "t",
        "--id",
        "j",
        "--expires",
        "10m",
        "--subscribe",
        "x/**",
        "--json",
    ];
    let made: Value = serde_json::from_str(&token(folder.path(), &mint).success()).unwrap();
    let claims = &made["claims"];
    assert_eq!((&claims["sub"], &claims["iss"]), (&"ada".into(), &"me".into()));
    assert_eq!(claims["aud"], serde_json::json!(["a", "b"]));
    assert_eq!((&claims["jti"], &claims["tenant"]), (&"j".into(), &"t".into()));
    let (exp, iat) = (claims["exp"].as_u64().unwrap(), claims["iat"].as_u64().unwrap());
    assert_eq!(exp - iat, 600);
    assert_eq!(claims["tidings"], serde_json::json!({"subscribe": ["x/**"]}));
    for wrong in [
        &["mint", "--key", "k.private.pem", "--publish", "a/**/b"][..],
        &["mint", "--key", "k.private.pem", "--expires", "soon"],
        &["keys", "--algorithm", "none"],
        &["keys", "--algorithm", "RS256"],
        &["keys", "--id", "../x"],
        &["revoke"],
        &["verify"],
    ] {
        token(folder.path(), wrong).failure(2);
    }
    token(folder.path(), &["mint", "--key", "none.pem"]).failure(1);
}
