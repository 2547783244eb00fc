//! What this crate makes, as a push service and a browser see it that were written without it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use tidings_push::{PAYLOAD_BYTES_MAX, Receiver, VapidKey, encrypt};
use tidings_scripted::push::{Browser, check_word};

#[test]
fn only_the_browser_opens_it() {
    let browser = Browser::new("a");
    let receiver = Receiver::new(&browser.p256dh(), &browser.auth()).unwrap();
    assert_eq!((receiver.p256dh(), receiver.auth()), (browser.p256dh(), browser.auth()));
    for payload in [&b""[..], b"hello", &[0; 17], &[b'x'; PAYLOAD_BYTES_MAX]] {
        let body = encrypt(&receiver, payload).unwrap();
        assert_eq!(browser.open(&body).unwrap(), payload);
        assert_eq!(Browser::new("b").open(&body), None);
        // Never the same twice.
        assert_ne!(encrypt(&receiver, payload).unwrap(), body);
    }
}

#[test]
fn a_push_service_believes_its_word() {
    let folder = tempfile::tempdir().unwrap();
    let key = VapidKey::open(&folder.path().join("push.key")).unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let origin = "https://push.example";
    let word = key.authorization(origin, Some("mailto:a@b.example"), now);
    let (claims, by) = check_word(&word, origin).unwrap();
    assert_eq!((by, &claims["sub"]), (key.public(), &"mailto:a@b.example".into()));
    assert!(check_word(&word, "https://other.example").is_err());
    let old = key.authorization(origin, None, now - 13 * 3_600);
    assert!(check_word(&old, origin).is_err());
    let (head, rest) = word.split_once('.').unwrap();
    assert!(check_word(&format!("{head}.e{rest}"), origin).is_err());
}
