//! Who asks over HTTP/2: cookies of the server's own pages, and what the audit log is told.

use serde_json::{Value, json};

use crate::access::{claims, closed, people, token};
use crate::h2_client::{BOTH, Client, Over};
use crate::support::until;
use crate::tls;

#[tokio::test]
async fn a_cookie_counts_for_the_servers_own_pages() {
    let ada = token(&claims("ada", json!({"publish": ["t"]})));
    let cookie = format!("tidings={ada}");
    for over in BOTH {
        let server = closed(|config| config.tls = Some(tls::files(&config.data_dir)));
        let client = Client::connect(&server, over).await;
        for (origin, host, status) in [
            ("https://first.example", None, 200),
            ("https://FIRST.example", None, 200),
            ("https://evil.example", None, 403),
            // The host is `:authority`.
            ("https://evil.example", Some("evil.example"), 403),
            // Anybody on the way can write a page without TLS.
            ("http://first.example", None, if over == Over::Tls { 403 } else { 200 }),
        ] {
            let mut fields = vec![("cookie", &*cookie), ("origin", origin)];
            fields.extend(host.map(|host| ("host", host)));
            let answer = client.request("POST", "/topics/t", &fields, b"x").await;
            assert_eq!(answer.status, status, "{over:?} {origin} {host:?}");
        }
    }
}

#[tokio::test]
async fn acts_and_refusals_are_in_the_audit_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let log = path.clone();
    let server = closed(move |config| config.audit_log = Some(log));
    let [_, reader, _, operator, _] = people().map(Option::unwrap_or_default);
    let client = Client::connect(&server, Over::Clear).await;
    let own = |token| [("tidings-token", token)];
    let made = client.request("PUT", "/topics/chat/9", &own(&*operator), b"{}").await;
    assert_eq!(made.status, 201);
    let refused = client.request("POST", "/topics/chat/9", &own(&*reader), b"x").await;
    assert_eq!(refused.status, 403);
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(&path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    until("both are written", || lines().len() >= 2);
    let told: Vec<(Value, Value)> =
        lines().iter().map(|line| (line["what"].clone(), line["who"]["subject"].clone())).collect();
    assert_eq!(
        told,
        [(json!("set-topic"), json!("operator")), (json!("refused"), json!("reader")),]
    );
}
