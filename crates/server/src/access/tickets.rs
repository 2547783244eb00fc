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

/// Bytes of randomness in one.
const TICKET_BYTES: usize = 16;

/// Those that are good.
#[derive(Default)]
pub(super) struct Tickets(Mutex<HashMap<String, (Arc<Caller>, u64)>>);

impl Tickets {
    fn make(&self, caller: Arc<Caller>, now_ms: u64) -> Result<String, ApiError> {
        let mut bytes = [0; TICKET_BYTES];
        let unavailable = |_| ApiError::new(ErrorCode::Internal, "no randomness");
        SystemRandom::new().fill(&mut bytes).map_err(unavailable)?;
        let ticket: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut good = self.0.lock();
        if good.len() >= TICKETS_MAX {
            good.retain(|_, (_, until)| *until > now_ms);
        }
        if good.len() >= TICKETS_MAX {
            let detail = "too many tickets were given out in the last half minute";
            return Err(ApiError::new(ErrorCode::RateLimited, detail));
        }
        good.insert(ticket.clone(), (caller, now_ms + GOOD_MS));
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
