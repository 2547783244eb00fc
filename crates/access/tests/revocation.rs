//! Who was thrown out stays out, and nobody else goes with them.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use tidings_access::revoked::{REVOKED_MAX, Revocation, Revoked};
use tidings_access::verifier::LEEWAY_SECONDS;
use tidings_access::{Caller, Grants};

fn caller(subject: &str, token: &str, issued: Option<u64>) -> Caller {
    Caller {
        identity: subject.into(),
        issuer: None,
        subject: Some(subject.into()),
        token_id: Some(token.into()),
        tenant: None,
        issued,
        expires: None,
        grants: Grants::default(),
    }
}

#[test]
fn a_token_by_its_name_and_a_subject_by_its_tokens_so_far() {
    let mut revoked = Revoked::default();
    let token = Revocation::Token { id: "t1".into(), issuer: None, until: 200 };
    let subject = Revocation::Subject { subject: "ada".into(), issuer: None, issued_through: 100 };
    revoked.add(&token, 0).unwrap();
    revoked.add(&subject, 0).unwrap();
    for (who, wanted) in [
        (caller("bob", "t1", Some(1)), true),
        (caller("bob", "t2", Some(1)), false),
        (caller("ada", "t2", Some(100)), true),
        (caller("ada", "t2", None), true),
        // The issuer's clock may be ahead.
        (caller("ada", "t2", Some(100 + LEEWAY_SECONDS)), true),
        (caller("ada", "t2", Some(101 + LEEWAY_SECONDS)), false),
    ] {
        assert_eq!(revoked.covers(&who), wanted, "{who:?}");
    }
    // An older revocation does not let anybody in again.
    let older = Revocation::Subject { subject: "ada".into(), issuer: None, issued_through: 50 };
    revoked.add(&older, 0).unwrap();
    assert!(revoked.covers(&caller("ada", "t", Some(80))));
}

#[test]
fn a_name_of_two_issuers_is_meant_as_the_revocation_says() {
    let (staff, guests) = (Some("staff".to_owned()), Some("guests".to_owned()));
    let of =
        |issuer: &Option<String>| Caller { issuer: issuer.clone(), ..caller("ada", "t", Some(1)) };
    let subject =
        |issuer| Revocation::Subject { subject: "ada".into(), issuer, issued_through: 100 };
    let token = |issuer| Revocation::Token { id: "t".into(), issuer, until: 200 };
    for revocation in [subject, token as fn(_) -> _] {
        for (named, everyone) in [(None, true), (staff.clone(), false)] {
            let mut revoked = Revoked::default();
            revoked.add(&revocation(named), 0).unwrap();
            assert!(revoked.covers(&of(&staff)), "whom it names");
            assert_eq!(revoked.covers(&of(&guests)), everyone);
            assert!(revoked.covers(&of(&None)), "whose issuer is not known");
        }
    }
    let mut revoked = Revoked::default();
    for (issuer, issued_through) in [(staff.clone(), 100), (guests.clone(), 500), (None, 300)] {
        let one = Revocation::Subject { subject: "ada".into(), issuer, issued_through };
        revoked.add(&one, 0).unwrap();
    }
    for (issuer, issued, wanted) in
        [(&staff, 300, true), (&staff, 400, false), (&guests, 400, true), (&None, 400, true)]
    {
        let who = Caller { issued: Some(issued), ..of(issuer) };
        assert_eq!(revoked.covers(&who), wanted, "{who:?}");
    }
}

#[test]
fn a_full_list_forgets_what_is_over_and_then_refuses() {
    let mut revoked = Revoked::default();
    let token = |n: usize, until| Revocation::Token { id: n.to_string(), issuer: None, until };
    for n in 0..REVOKED_MAX {
        revoked.add(&token(n, 100 + u64::from(n == 7)), 0).unwrap();
    }
    assert!(revoked.add(&token(REVOKED_MAX, 300), 99).is_err());
    assert!(revoked.add(&token(7, 300), 99).is_ok(), "one that is there already");
    assert!(revoked.add(&token(REVOKED_MAX, 300), 100).is_ok(), "the others are over");
    assert!(revoked.covers(&caller("x", "7", None)) && !revoked.covers(&caller("x", "8", None)));
}
