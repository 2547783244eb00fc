//! What was deleted before a subscriber had it is told as a gap, also under a new topic of that
//! name.

use serde_json::{Value, json};

use crate::stream::Event;
use crate::support::{DOORS, Server, sequence, until};

/// Deletes a topic.
#[track_caller]
fn delete(server: &Server, topic: &str) {
    assert_eq!(server.request("DELETE", &format!("/topics/{topic}"), "", b"").status, 204);
}

/// A gap of these topics.
#[track_caller]
fn check_gap(gap: &Event, requested: &str, resumes: &str, topics: &[&str]) {
    assert_eq!((gap.kind.as_str(), gap.id.as_str()), ("gap", resumes), "{gap:?}");
    let wanted = json!({
        "reason": "retention", "requested": requested, "resumes": resumes, "topics": topics,
    });
    assert_eq!(serde_json::from_str::<Value>(&gap.data).unwrap(), wanted);
}

#[test]
fn who_resumes_after_a_deletion_is_told_also_when_the_topic_was_made_anew() {
    let server = Server::start();
    let ids = server.publish_numbers("t", 1..4);
    server.publish("/topics/other", "kept");
    delete(&server, "t");
    for anew in [false, true] {
        let mut new = Vec::new();
        if anew {
            new = server.publish_numbers("t", 4..5);
        }
        for door in DOORS {
            let resume = |target: &str, id: &str| {
                server.subscribe_with(target, &format!("{}Last-Event-ID: {id}\r\n", door.headers()))
            };
            let mut behind = resume("/topics/t", &ids[0]);
            check_gap(&behind.next(), &ids[0], &ids[2], &["t"]);
            for target in ["/events?topic=t&topic=other", "/events?pattern=**"] {
                let mut several = resume(target, &ids[0]);
                check_gap(&several.next(), &ids[0], &ids[0], &["t"]);
                assert_eq!(several.next().data, "kept", "{target}: nothing kept is withheld");
            }
            // Who had it all misses nothing.
            let mut whole = resume("/topics/t", &ids[2]);
            for id in &new {
                assert_eq!((&behind.next().id, &whole.next().id), (id, id));
            }
        }
    }
    let server = server.restart();
    let mut behind = server.subscribe(&format!("/topics/t?lastEventId={}", ids[1]));
    check_gap(&behind.next(), &ids[1], &ids[2], &["t"]);
    assert_eq!(behind.next().data, "4");
}

#[test]
fn who_does_not_read_is_told_of_what_was_deleted_meanwhile() {
    let server = Server::start();
    let targets = ["/topics/t", "/events?topic=t&topic=u", "/events?pattern=*"];
    let mut stuck: Vec<_> = targets.iter().map(|target| server.subscribe(target)).collect();
    // More than fits into the sockets.
    let data = "x".repeat(256 << 10);
    let ids: Vec<String> = (0..64).map(|_| server.publish("/topics/t", &data)).collect();
    until("they are behind", || {
        let page = server.get("/connections").json();
        let all = page["connections"].as_array().unwrap().clone();
        all.iter().all(|one| one["lag"].as_u64().unwrap() > 0)
    });
    delete(&server, "t");
    let new = server.publish("/topics/t", "new");
    for (stream, target) in stuck.iter_mut().zip(targets) {
        let mut had = 0;
        let gap = loop {
            let event = stream.next();
            if event.kind == "gap" {
                break event;
            }
            assert_eq!(event.id, ids[had], "{target}: in order, and no hole before the gap");
            had += 1;
        };
        let notice: Value = serde_json::from_str(&gap.data).unwrap();
        assert_eq!(notice["topics"], json!(["t"]), "{target}");
        assert_eq!(notice["requested"], ids[had - 1], "{target}: the position it had reached");
        assert!(had < ids.len());
        assert_eq!(stream.next().id, new, "{target}");
    }
}

#[test]
fn pages_and_polls_tell_it_too() {
    let server = Server::start();
    let ids = server.publish_numbers("t", 1..4);
    let polling = |after: &str| {
        let mut conn = server.connect();
        let target = format!("/topics/t?poll=30&after={after}");
        conn.ask("GET", &target, "Accept: application/json\r\n", b"");
        conn
    };
    delete(&server, "t");
    server.publish("/topics/t", "4");
    for target in ["/topics/t?", "/events?topic=t&"] {
        let page = server.page(&format!("{target}after={}", ids[0]));
        assert_eq!(page["gap"]["reason"], "retention", "{target}: {page}");
    }
    let page = polling(&ids[0]).reply().json();
    assert_eq!(
        (&page["gap"]["resumes"], &page["events"][0]["data"]),
        (&json!(ids[2]), &json!("4"))
    );
    // Whoever begins with what is there misses nothing.
    for target in ["/topics/t", "/topics/t?earliest", "/topics/t?last=9"] {
        assert_eq!(server.page(target)["gap"], Value::Null, "{target}");
    }
    assert!(sequence(page["next"].as_str().unwrap()) > sequence(&ids[2]));
}
