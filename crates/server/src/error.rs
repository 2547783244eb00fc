//! The one place where errors become HTTP.
//!
//! Every operation of the hub has its own enum; here each of their cases is given its stable code.
//! The matches are exhaustive, so a new case does not compile until somebody has decided how the
//! client is told.

use crate::limits::Refused;
use crate::limits::name::Limit;
use tidings_access::TokenError;
use tidings_frame::{ErrorCode, Position, Problem};
use tidings_hub::{Hub, PublishError, StoreError, SubscribeError, TopicError};
use tidings_relay::AskError;

use crate::push;

/// An error as the client will see it.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) problem: Box<Problem>,
    /// For 405: what is allowed. For 503: when to come again, in seconds.
    pub(crate) header: Option<(&'static str, String)>,
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        let header = code.retryable().then(|| ("retry-after", "1".to_owned()));
        Self { problem: Box::new(Problem::new(code, detail)), header }
    }

    pub(crate) fn with(mut self, member: &str, value: impl Into<serde_json::Value>) -> Self {
        self.problem = Box::new(self.problem.with(member, value));
        self
    }

    pub(crate) fn parameter(name: &str, why: impl std::fmt::Display) -> Self {
        Self::new(ErrorCode::InvalidParameter, format!("{name}: {why}")).with("parameter", name)
    }

    /// Whether whoever is told this has to wait before it is heard again: to refuse costs something
    /// too, and a token that does not count the verification of its signature.
    pub(crate) fn makes_wait(&self) -> bool {
        let invalid = |(name, value): &(&str, String)| {
            *name == "www-authenticate" && value.contains("invalid_token")
        };
        self.problem.status == 429 || self.header.as_ref().is_some_and(invalid)
    }

    pub(crate) fn draining() -> Self {
        Self::new(
            ErrorCode::Draining,
            "the server is shutting down; connect again, maybe elsewhere",
        )
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::DiskFull => ErrorCode::DiskFull,
            StoreError::Failed(_) => ErrorCode::LogFailed,
        };
        Self::new(code, error.to_string())
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let code = match refused.limit {
            Limit::Quota(..) | Limit::Topics | Limit::Scheduled => ErrorCode::RateLimited,
            Limit::Connections => ErrorCode::TooManyConnections,
            Limit::RequestMemory => ErrorCode::Overloaded,
        };
        let ms = u64::try_from(refused.after.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut error = Self::new(code, refused.detail())
            .with("limit", refused.limit.name())
            .with("retry_after_ms", ms);
        error.header = Some(("retry-after", ms.div_ceil(1_000).to_string()));
        error
    }
}

/// Says a publish error; the hub is needed to write positions.
pub(crate) fn publish(hub: &Hub, error: PublishError) -> ApiError {
    let detail = error.to_string();
    let code = match error {
        PublishError::Store(error) => return error.into(),
        PublishError::Topic(_) => ErrorCode::InvalidTopic,
        PublishError::Name { field: "type", .. } => ErrorCode::InvalidType,
        PublishError::Name { field: "key", .. } => ErrorCode::InvalidKey,
        PublishError::Name { .. } => ErrorCode::InvalidId,
        PublishError::NotText => ErrorCode::InvalidUtf8,
        PublishError::TooLarge { .. } => ErrorCode::BodyTooLarge,
        PublishError::BatchSize { events: 0, .. } => ErrorCode::InvalidRequest,
        PublishError::BatchSize { .. } => ErrorCode::BatchTooLarge,
        PublishError::TooManyTopics { .. } => ErrorCode::TooManyTopics,
        PublishError::NoMoreTopics { .. } => return Refused::later(Limit::Topics).into(),
        PublishError::NoMoreSchedules { .. } => return Refused::later(Limit::Scheduled).into(),
        PublishError::Ended { end } => {
            return ApiError::new(ErrorCode::TopicClosed, detail).with("end", end.as_str());
        }
        PublishError::MayNotEnd | PublishError::Internal => ErrorCode::Forbidden,
        PublishError::Unexpected { newest } => {
            let newest =
                (newest > 0).then(|| Position { epoch: hub.epoch(), sequence: newest }.to_string());
            return ApiError::new(ErrorCode::UnexpectedPosition, detail).with("newest", newest);
        }
        PublishError::IdempotencyMismatch => ErrorCode::IdempotencyMismatch,
        PublishError::ProducerFenced { epoch } => {
            return ApiError::new(ErrorCode::ProducerFenced, detail).with("epoch", epoch);
        }
        PublishError::ProducerGap { expected, received } => {
            return ApiError::new(ErrorCode::ProducerGap, detail)
                .with("expected", expected)
                .with("received", received);
        }
        PublishError::TooFarAhead { .. } => ErrorCode::InvalidParameter,
        PublishError::Revoked => return crate::access::unauthorized(TokenError::Revoked),
    };
    ApiError::new(code, detail)
}

/// An error where SDKs of an LLM's API look for it as well: in `error`.
pub(crate) fn of_api(code: ErrorCode, detail: impl Into<String>) -> ApiError {
    let detail = detail.into();
    let told = serde_json::json!({"message": &detail, "type": code.code(), "code": code.code()});
    ApiError::new(code, detail).with("error", told)
}

/// Says why an answer was not begun.
pub(crate) fn ask(hub: &Hub, error: AskError) -> ApiError {
    let detail = error.to_string();
    let code = match &error {
        AskError::KeyUsed => ErrorCode::IdempotencyMismatch,
        AskError::TooMany { .. } | AskError::Budget { .. } => ErrorCode::RateLimited,
        AskError::Store(_) => ErrorCode::LogFailed,
    };
    let retry_after = match error {
        AskError::Store(error) => return publish(hub, error),
        AskError::Budget { again_ms, .. } => Some(again_ms.div_ceil(1_000).max(1)),
        _ => None,
    };
    let mut error = of_api(code, detail);
    if let Some(seconds) = retry_after {
        error.header = Some(("retry-after", seconds.to_string()));
    }
    error
}

impl From<SubscribeError> for ApiError {
    fn from(error: SubscribeError) -> Self {
        let code = match &error {
            SubscribeError::Topic(_) => ErrorCode::InvalidTopic,
            SubscribeError::Pattern(_) => ErrorCode::InvalidPattern,
            SubscribeError::Nothing => ErrorCode::InvalidRequest,
            SubscribeError::TooMany { .. } => ErrorCode::TooManyTopics,
        };
        Self::new(code, error.to_string())
    }
}

impl From<push::SubscribeError> for ApiError {
    fn from(error: push::SubscribeError) -> Self {
        use push::SubscribeError as E;
        let code = match error {
            E::Store(error) => return error.into(),
            E::Endpoint(tidings_push::EndpointError::NotAService(_)) => ErrorCode::Forbidden,
            E::Endpoint(_) | E::Receiver(_) => ErrorCode::InvalidParameter,
            E::Topics => ErrorCode::TooManyTopics,
            E::Full(_) | E::PartyFull(_) | E::TopicFull { .. } => ErrorCode::RateLimited,
        };
        Self::new(code, error.to_string())
    }
}

impl From<TopicError> for ApiError {
    fn from(error: TopicError) -> Self {
        let detail = error.to_string();
        let code = match error {
            TopicError::Store(error) => return error.into(),
            TopicError::Name(_) => ErrorCode::InvalidTopic,
            TopicError::NotFound => ErrorCode::TopicNotFound,
            TopicError::NoMore { .. } => return Refused::later(Limit::Topics).into(),
            TopicError::HasForks => ErrorCode::TopicHasForks,
            TopicError::Exists => ErrorCode::TopicExists,
            TopicError::Refused(_) | TopicError::ForkAhead => ErrorCode::InvalidParameter,
        };
        Self::new(code, detail)
    }
}
