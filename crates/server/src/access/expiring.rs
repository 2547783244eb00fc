//! `auth-expiring`: tells whoever asked for it that its token ends soon, so that it can bring
//! another in time (`PATCH /connections/{id}`, or the message `token`).

use bytes::Bytes;
use serde_json::{Value, json};
use tidings_access::Caller;
use tidings_frame::Time;
use tidings_frame::sse_encode::Frame;

use crate::error::ApiError;
use crate::head::Head;
use crate::http::params;

/// The query's parameter: how many seconds before the end.
pub(crate) const PARAMETER: &str = "auth_expiring";

/// The event, and the message.
pub(crate) const NAME: &str = "auth-expiring";

/// The longest time before the end, in seconds.
const AHEAD_SECONDS_MAX: u64 = 86_400;

/// When somebody is to be told, and what was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expiring {
    ahead_ms: Option<u64>,
    /// The end that was told, in seconds since 1970: a renewed token's is another.
    told: Option<u64>,
}

impl Expiring {
    /// What the value of the parameter asks for.
    pub(crate) fn read(value: &str) -> Result<Self, ApiError> {
        let seconds = params::number(PARAMETER, value, (1, AHEAD_SECONDS_MAX))?;
        Ok(Self { ahead_ms: Some(seconds * 1_000), told: None })
    }

    /// What the query of a request asks for.
    pub(crate) fn of(head: &Head<'_>) -> Result<Self, ApiError> {
        let query = head.query()?;
        let asked = query.iter().find(|(name, _)| name == PARAMETER);
        asked.map_or(Ok(Self::default()), |(_, value)| Self::read(value))
    }

    /// When it is to be told, in milliseconds since 1970; none if it is not, or was.
    pub(crate) fn at_ms(self, caller: Option<&Caller>) -> Option<u64> {
        let ahead_ms = self.ahead_ms?;
        let end = caller?.expires.filter(|end| self.told != Some(*end))?;
        Some(end.saturating_mul(1_000).saturating_sub(ahead_ms))
    }

    /// What is to be told now, once.
    pub(crate) fn tell(&mut self, caller: Option<&Caller>, now_ms: u64) -> Option<Value> {
        self.at_ms(caller).filter(|at_ms| *at_ms <= now_ms)?;
        let end = caller?.expires?;
        self.told = Some(end);
        let end_ms = end.saturating_mul(1_000);
        let left = end_ms.saturating_sub(now_ms) / 1_000;
        Some(json!({"expires": Time(end_ms), "expires_in": left}))
    }
}

/// The event as it is sent: without an id, for it is in no log and moves no position.
pub(crate) fn frame(told: &Value) -> Bytes {
    let (data, mut out) = (told.to_string(), Vec::new());
    Frame { id: None, event: Some(NAME), retry_ms: None, data: data.as_bytes() }.encode(&mut out);
    out.into()
}
