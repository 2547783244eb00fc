//! Bytes that somebody else chose, as a token: never a panic, and nothing counts that was not
//! signed.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panicking")]

#[path = "../../../fuzz/harness/token.rs"]
mod harness;

use proptest::prelude::*;

#[test]
fn what_is_good_counts_and_its_parts_elsewhere_do_not() {
    for which in 0..10 {
        let good = harness::mutated(which, &[]);
        assert!(harness::judge(&good), "{good}");
        let (signed, signature) = good.rsplit_once('.').unwrap();
        assert!(!harness::judge(&format!("{signed}.")));
        assert!(!harness::judge(&format!("{signed}. {signature}")));
        assert!(!harness::judge(&format!("{good}\0")));
        for part in [6, 7, 14] {
            for other in (0..10).filter(|other| *other != which) {
                let mixed = harness::mutated(which, &[part, 0, other]);
                assert_eq!(harness::judge(&mixed), mixed == good, "{mixed}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_bytes_are_a_token(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        harness::check(&bytes);
    }

    #[test]
    fn a_changed_token_is_none(
        which in any::<u8>(),
        changes in prop::collection::vec(any::<[u8; 3]>(), 1..4),
    ) {
        harness::judge(&harness::mutated(which, changes.as_flattened()));
    }

    #[test]
    fn what_is_signed_is_read_or_refused(
        members in prop::collection::vec(
            (
                "sub|exp|nbf|iat|aud|iss|jti|tidings",
                prop_oneof![
                    "[0-9]{1,22}|1844674407370955161[0-9]",
                    r"-?[0-9]\.[0-9]e[0-9]{1,3}",
                    r#""[a-z*/{}]{0,9}"|\[\]|\{\}|null"#,
                ],
            ),
            0..5,
        ),
    ) {
        let members: Vec<_> =
            members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        harness::check(format!("\0{{{}}}", members.join(",")).as_bytes());
    }
}
