//! Tickets: for clients that can show neither a header nor a cookie, such as a plain `EventSource`
//! of another origin.
//!
//! A page fetches one with its token (`POST /tickets`) and puts it into the address that it opens
//! next. It is good once and for half a minute, so an address that ends in a log opens nothing.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::json;
use tidings_access::Caller;
use tidings_frame::ErrorCode;

use super::Who;
use crate::app::App;
use crate::error::ApiError;
use crate::reply::Reply;

/// The query's parameter.
pub(crate) const PARAMETER: &str = "ticket";

/// How long a ticket is good, in milliseconds.
const GOOD_MS: u64 = 30_000;

/// Tickets that are good at a time.
const TICKETS_MAX: usize = 10_000;

/// Tickets of one identity that are good at a time: so that nobody takes those of others.
const TICKETS_OF_ONE_MAX: usize = 20;

/// Bytes of randomness in one.
const TICKET_BYTES: usize = 16;

/// Those that are good.
#[derive(Default)]
pub(super) struct Tickets(Mutex<Good>);

#[derive(Default)]
struct Good {
    /// Whom each stands for, and until when, in milliseconds since 1970.
    all: HashMap<String, (Arc<Caller>, u64)>,
    /// How many there are of each identity, those included whose time is over and that were not
    /// looked at since.
    counts: HashMap<String, usize>,
}

impl Good {
    fn remove(&mut self, ticket: &str) -> Option<(Arc<Caller>, u64)> {
        let (caller, until) = self.all.remove(ticket)?;
        if let Some(count) = self.counts.get_mut(&caller.identity) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&caller.identity);
            }
        }
        Some((caller, until))
    }

    fn of(&self, identity: &str) -> usize {
        self.counts.get(identity).copied().unwrap_or(0)
    }

    /// Forgets those whose time is over.
    fn tidy(&mut self, now_ms: u64) {
        let over = self.all.iter().filter(|(_, (_, until))| *until <= now_ms);
        let over: Vec<String> = over.map(|(ticket, _)| ticket.clone()).collect();
        over.iter().for_each(|ticket| drop(self.remove(ticket)));
    }
}

impl Tickets {
    fn make(&self, caller: Arc<Caller>, now_ms: u64) -> Result<String, ApiError> {
        let mut bytes = [0; TICKET_BYTES];
        let unavailable = |_| ApiError::new(ErrorCode::Internal, "no randomness");
        SystemRandom::new().fill(&mut bytes).map_err(unavailable)?;
        let ticket: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut good = self.0.lock();
        let is_full = |good: &Good| {
            let of_one = good.of(&caller.identity) >= TICKETS_OF_ONE_MAX;
            of_one || good.all.len() >= TICKETS_MAX
        };
        if is_full(&good) {
            good.tidy(now_ms);
        }
        if is_full(&good) {
            let detail = "too many tickets were given out in the last half minute and not used";
            return Err(ApiError::new(ErrorCode::RateLimited, detail));
        }
        *good.counts.entry(caller.identity.clone()).or_default() += 1;
        good.all.insert(ticket.clone(), (caller, now_ms.saturating_add(GOOD_MS)));
        Ok(ticket)
    }

    /// The bearer of a ticket, which is used up by this.
    pub(super) fn take(&self, ticket: &str, now_ms: u64) -> Option<Arc<Caller>> {
        let (caller, until) = self.0.lock().remove(ticket)?;
        (until > now_ms).then_some(caller)
    }
}

/// Answers `POST /tickets`.
pub(crate) fn make(app: &App, who: &Who) -> Result<Reply, ApiError> {
    let Some(caller) = who.caller() else {
        let mut error = ApiError::new(ErrorCode::Unauthorized, "a ticket is given for a token");
        error.header = Some(("www-authenticate", "Bearer".to_owned()));
        return Err(error);
    };
    let ticket = app.access.tickets.make(caller.clone(), app.hub.now_ms())?;
    let answer = json!({"ticket": ticket, "expires_in": GOOD_MS / 1_000});
    Ok(Reply::json(200, &answer).with("cache-control", "no-store"))
}

#[cfg(test)]
mod tests {
    use tidings_access::Grants;

    use super::*;

    #[test]
    fn one_identity_has_so_many_at_a_time() {
        let caller = |identity: &str| {
            Arc::new(Caller {
                identity: identity.to_owned(),
                issuer: None,
                subject: None,
                token_id: None,
                tenant: None,
                issued: None,
                expires: None,
                grants: Grants::default(),
            })
        };
        let tickets = Tickets::default();
        let make = |identity: &str, now_ms| tickets.make(caller(identity), now_ms);
        let made: Vec<String> =
            (0..TICKETS_OF_ONE_MAX).map(|_| make("ada", 0).expect("there is room")).collect();
        assert_eq!(make("ada", 1).expect_err("no more").problem.status, 429);
        make("bob", 1).expect("another's are his");
        assert!(tickets.take(&made[0], 2).is_some() && tickets.take(&made[0], 2).is_none());
        make("ada", 2).expect("one was used");
        assert!(make("ada", GOOD_MS - 1).is_err());
        for _ in 1..TICKETS_OF_ONE_MAX {
            make("ada", GOOD_MS).expect("the time of the others is over");
        }
        assert!(make("ada", GOOD_MS).is_err(), "the one that was made later is still good");
        let good = tickets.0.lock();
        assert_eq!(good.of("ada"), good.all.values().filter(|it| it.0.identity == "ada").count());
    }
}
