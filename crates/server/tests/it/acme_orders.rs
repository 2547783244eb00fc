//! What becomes of an order that the authority has taken, and of one that it refuses for the sake
//! of the account.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tidings_server::config::{CertificateSource, ExternalAccount};

use crate::acme::{audited, server};
use crate::acme_mock::{Mock, NONCE, first_failure, problem};
use crate::pebble::free_port;
use crate::support::{Server, until};

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn a_certificate_that_was_issued_and_did_not_come_is_not_ordered_anew_at_once() {
    let between = (502, "Content-Type: text/plain\r\n".to_owned(), "no".to_owned());
    for (answer, told) in [
        (between, "status 502 and is text/plain,"),
        (problem(503, NONCE, "serverInternal"), "serverInternal"),
    ] {
        let mock = Mock::start(move |_, path| (path == "/certificate").then(|| answer.clone()));
        let mut config = mock.config();
        (config.pace.refused, config.pace.most) = (Duration::from_secs(9), Duration::from_secs(9));
        let server = server(free_port(), config);
        let (error, again_in) = first_failure(&server);
        assert!(error.contains(told) && error.contains("has taken the order"), "{error}");
        assert!((9..=10).contains(&again_in), "{told} {again_in}");
    }
}

/// The ids of the accounts that were asked to be bound to.
fn bound_to(mock: &Mock) -> Vec<String> {
    let asked = mock.asked.lock();
    let accounts = asked.iter().filter_map(|line| line.strip_prefix("POST /account {"));
    accounts
        .map(|said| {
            let said: Value = serde_json::from_str(&format!("{{{said}")).unwrap();
            let binding = said["externalAccountBinding"]["protected"].as_str().unwrap_or_default();
            let binding = URL_SAFE_NO_PAD.decode(binding).unwrap();
            let head: Value = serde_json::from_slice(&binding).unwrap_or_default();
            head["kid"].as_str().unwrap_or_default().to_owned()
        })
        .collect()
}

#[test]
fn another_external_account_is_another_account() {
    let mock =
        Mock::start(|_, path| (path == "/order").then(|| problem(403, NONCE, "unauthorized")));
    let config = |id: Option<&str>| {
        let mut config = mock.config();
        (config.pace.refused, config.pace.most) = (DAY, DAY);
        config.external_account =
            id.map(|id| ExternalAccount { id: id.to_owned(), key: b"a key".to_vec() });
        config
    };
    let mut server = server(free_port(), config(Some("one")));
    first_failure(&server);
    let again = |server: Server, id: Option<&str>| {
        let before = audited(&server).len();
        let server = server.restart_with(|all| {
            std::fs::remove_file(all.data_dir.join("acme/attempt.json")).unwrap();
            let acme = CertificateSource::Acme(Box::new(config(id)));
            all.tls.as_mut().unwrap().certificate = acme;
        });
        until("an order", || audited(&server).len() > before);
        server
    };
    for (id, known) in [
        (Some("one"), &["one"][..]),
        (Some("two"), &["one", "two"]),
        // It need not be told once there is an account.
        (None, &["one", "two"]),
        (Some("two"), &["one", "two"]),
    ] {
        server = again(server, id);
        assert_eq!(bound_to(&mock), known, "{id:?}");
        let last = audited(&server).pop().unwrap();
        let error = last["error"].as_str().unwrap();
        // Of an account that was just made there is nothing to remove.
        let kept = id != Some("two") || audited(&server).len() > 3;
        assert_eq!(error.contains("acme/account.json"), kept, "{error}");
    }
}
