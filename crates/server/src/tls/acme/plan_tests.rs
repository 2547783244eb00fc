//! What is done when. Times are unix times; the certificates live for ninety days from day 1,000.

use super::*;

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;

fn day(number: i64) -> i64 {
    (1_000 + number) * DAY
}

fn config(challenges: &[Challenge]) -> AcmeConfig {
    AcmeConfig {
        directory: "https://ca.example/directory".parse().unwrap(),
        domains: vec!["a.example".to_owned()],
        contact: Vec::new(),
        challenges: challenges.to_vec(),
        directory_ca: None,
        external_account: None,
        pace: Pace::default(),
    }
}

fn plan() -> Plan {
    Plan::new(&config(&[Challenge::TlsAlpn, Challenge::Http]), None)
}

/// Its serial number is such that it is renewed on day 60 exactly.
fn known() -> Known {
    Known { not_before: day(0), not_after: day(90), serial: vec![7, 0, 0], authority: None }
}

/// A plan for this certificate, of which the authority says nothing.
fn showing(now: i64) -> Plan {
    let mut plan = plan();
    plan.shows(known(), true);
    plan.advised(now, None);
    plan
}

fn advice(from: i64, to: i64) -> Option<Advice> {
    Some(Advice { window: (from, to), again: Duration::ZERO })
}

fn wait(seconds: i64) -> Next {
    Next::Wait(Duration::from_secs(seconds.try_into().unwrap()))
}

/// One order that fails.
fn fails(plan: &mut Plan, now: i64, failed: Failed) -> Attempt {
    plan.begins(now, 0);
    plan.failed(now, failed, None, 0).unwrap().clone()
}

/// As a process that is started after this one's end has it, whatever that was.
fn restarted(plan: &Plan) -> Plan {
    let kept = plan.attempt.as_ref().map(|kept| serde_json::to_vec(kept).unwrap());
    let mut next = Plan::new(
        &config(&[Challenge::TlsAlpn, Challenge::Http]),
        kept.map(|kept| serde_json::from_slice(&kept).unwrap()),
    );
    next.shown = plan.shown.clone();
    next
}

#[test]
fn the_first_certificate_is_ordered_at_once_and_another_one_when_it_is_due() {
    assert_eq!(plan().next(day(0)), Next::Order);
    let mut other = plan();
    other.shows(known(), false);
    assert_eq!(other.next(day(1)), Next::Order, "what is shown is not what is wanted");
    for (now, next) in [
        (day(1), wait(MINUTE)),
        (day(60) - 10, wait(10)),
        (day(60), Next::Order),
        (day(91), Next::Order),
    ] {
        assert_eq!(showing(now).next(now), next, "{now}");
    }
}

#[test]
fn the_authority_is_asked_at_the_start_and_every_six_hours() {
    let mut plan = plan();
    plan.shows(known(), true);
    let (now, mut asked) = (day(1), Vec::new());
    for minute in 0..13 * 60 {
        let now = now + minute * MINUTE;
        match plan.next(now) {
            Next::Ask => {
                asked.push(minute);
                plan.advised(now, None);
                assert_eq!(plan.next(now), wait(MINUTE), "the clock is looked at every minute");
            }
            next => assert_eq!(next, wait(MINUTE)),
        }
    }
    assert_eq!(asked, [0, 6 * 60, 12 * 60]);
    // It may want to be asked more rarely, within reason.
    for (again, hours) in [(10, 6), (7 * 3_600, 7), (u64::MAX, 24)] {
        let window = (day(50), day(50));
        plan.advised(now, Some(Advice { window, again: Duration::from_secs(again) }));
        assert_eq!(plan.next(now + hours * HOUR - 1), wait(1));
        assert_eq!(plan.next(now + hours * HOUR), Next::Ask);
    }
    // Nobody is asked about a certificate that is not wanted.
    plan.shows(known(), false);
    fails(&mut plan, now, Failed::Refused);
    assert_eq!(plan.next(now), wait(MINUTE));
}

#[test]
fn a_renewal_that_was_brought_forward_and_failed_is_tried_again_soon() {
    let now = day(10);
    let mut plan = showing(now);
    plan.advised(now, advice(now, now));
    assert_eq!(plan.next(now), Next::Order);
    fails(&mut plan, now, Failed::Unreachable);
    assert_eq!(plan.next(now), wait(10));
    assert_eq!(plan.next(now + 10), Next::Order);
    // What was advised holds until something else is, or there is another certificate.
    plan.advised(now, None);
    assert_eq!(plan.next(now + 10), Next::Order);
    plan.advised(now, advice(day(20), day(20)));
    assert_eq!(plan.next(now + 10), wait(MINUTE));
    plan.advised(now, advice(now, now));
    plan.shows(known(), true);
    assert_eq!(plan.next(now + 10), Next::Ask);
}

#[test]
fn a_process_that_ends_in_every_order_waits_as_long_as_one_that_goes_on() {
    let mut plan = plan();
    let (mut now, mut orders) = (day(0), 0);
    // Started again every ten seconds, for an hour.
    while now < day(0) + HOUR {
        if plan.next(now) == Next::Order {
            plan.begins(now, 0);
            orders += 1;
        }
        plan = restarted(&plan);
        now += 10;
    }
    assert_eq!(orders, 5);
    plan.succeeded();
    assert_eq!(restarted(&plan).next(now), Next::Order, "nothing is left of it");
}

#[test]
fn who_asks_for_something_else_has_not_tried_yet() {
    let mut plan = plan();
    let kept = fails(&mut plan, day(0), Failed::Refused);
    let both = [Challenge::TlsAlpn, Challenge::Http];
    let next = |config: &AcmeConfig| Plan::new(config, Some(kept.clone())).next(day(0));
    let same = config(&both);
    assert_eq!(next(&same), wait(MINUTE));
    let account = crate::config::ExternalAccount { id: "me".to_owned(), key: vec![1] };
    for other in [
        AcmeConfig { directory: "https://other.example/".parse().unwrap(), ..same.clone() },
        AcmeConfig { domains: vec!["b.example".to_owned()], ..same.clone() },
        AcmeConfig { contact: vec!["mailto:a@example.com".to_owned()], ..same.clone() },
        AcmeConfig { directory_ca: Some("ca.pem".into()), ..same.clone() },
        AcmeConfig { external_account: Some(account), ..same.clone() },
        config(&[Challenge::Http]),
    ] {
        assert_eq!(next(&other), Next::Order, "{other:?}");
    }
}

#[test]
fn a_clock_that_is_set_makes_nobody_wait_longer_than_was_meant() {
    let mut plan = plan();
    fails(&mut plan, day(0), Failed::Refused);
    let mut again = restarted(&plan);
    // By a year back: two minutes from now, and not from then.
    let now = day(-365);
    assert_eq!(again.patience(now).as_secs(), 120);
    assert_eq!(again.next(now + 119), wait(1));
    assert_eq!(again.next(now + 120), Next::Order);
    // Forward: it is over.
    assert_eq!(restarted(&plan).next(day(365)), Next::Order);
    // What nobody can have meant is a day at most.
    for (at, next) in [(i64::MIN, i64::MAX), (i64::MAX, i64::MAX), (0, i64::MAX), (day(0), day(9))]
    {
        let asked = plan.asked.clone();
        plan.attempt = Some(Attempt { asked, at, next, failures: u32::MAX, unproven: u32::MAX });
        let left = plan.patience(day(0));
        assert!(left <= ASKED_WAIT_MAX, "{left:?}");
        let kept = fails(&mut plan, day(0), Failed::NotProven);
        assert_eq!((kept.left(day(0)).as_secs(), kept.failures), (3_600, u32::MAX));
    }
    // The next question is not put off either.
    let mut plan = showing(day(10));
    assert_eq!(plan.next(day(5)), wait(MINUTE));
    assert_eq!(plan.next(day(6)), Next::Ask);
}

#[test]
fn an_authority_s_wish_is_kept_over_a_restart() {
    let mut plan = plan();
    plan.begins(day(0), 0);
    plan.failed(day(0), Failed::Refused, Some(Duration::from_secs(7_200)), 0);
    assert_eq!(restarted(&plan).patience(day(0)).as_secs(), 7_200);
}

#[test]
fn the_other_challenge_is_tried_when_a_name_is_not_proven() {
    let mut plan = plan();
    let mut firsts = Vec::new();
    for failed in [
        Failed::Unreachable,
        Failed::Refused,
        Failed::NotProven,
        Failed::Refused,
        Failed::NotProven,
    ] {
        firsts.push(plan.turn().first);
        fails(&mut plan, day(0), failed);
        plan = restarted(&plan);
    }
    assert_eq!((firsts, plan.turn().first), (vec![0, 0, 0, 1, 1], 0));
    plan.succeeded();
    assert_eq!(plan.turn().first, 0);
    let mut one = Plan::new(&config(&[Challenge::Http]), None);
    fails(&mut one, day(0), Failed::NotProven);
    assert_eq!(one.turn().first, 0);
}

#[test]
fn a_renewal_says_once_what_it_replaces() {
    assert_eq!(plan().turn().replaces, None);
    let mut plan = showing(day(60));
    assert_eq!(plan.turn().replaces, Some(known()));
    fails(&mut plan, day(60), Failed::Refused);
    assert_eq!(plan.turn().replaces, None);
    plan.succeeded();
    plan.shows(known(), false);
    assert_eq!(plan.turn().replaces, None, "it is for other names");
}

#[test]
fn what_is_due_when_it_comes_is_a_failure() {
    // This machine's clock is far ahead.
    let now = day(70);
    let mut plan = plan();
    let mut orders = 0;
    for second in 0..HOUR {
        let now = now + second;
        if plan.next(now) == Next::Order {
            orders += 1;
            plan.begins(now, 0);
            plan.shows(known(), true);
            assert!(plan.due() <= now);
            plan.failed(now, Failed::Refused, None, 0);
        } else {
            plan.advised(now, None);
        }
    }
    assert_eq!(orders, 5);
}
