//! Every error that the native API can answer, by a code that will not change.
//!
//! A client decides by `code` and by `retryable`, never by the wording of a title or a detail.
//! `retryable` promises that nothing was changed and that the same request can succeed later.

use std::fmt;

/// What went wrong, in one word of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// A topic name breaks a rule of [`TopicName`](crate::TopicName).
    InvalidTopic,
    /// A pattern breaks a rule of [`Pattern`](crate::Pattern).
    InvalidPattern,
    /// A known parameter or header has a value that it cannot have.
    InvalidParameter,
    /// A query parameter or member that does not exist; it would otherwise be ignored in silence.
    UnknownParameter,
    /// The body is not JSON, or not of the shape that the route asks for.
    InvalidJson,
    /// Text that is not UTF-8 where UTF-8 is asked for.
    InvalidUtf8,
    /// An event type breaks a rule of [`check_event_type`](crate::check_event_type).
    InvalidType,
    /// A key breaks a rule of [`check_key`](crate::check_key).
    InvalidKey,
    /// An id that is not one of this server's, or a publisher's id that breaks a rule.
    InvalidId,
    /// The request is not HTTP as RFC 9110 and RFC 9112 have it.
    InvalidRequest,
    /// The credentials are missing, expired or not valid.
    Unauthorized,
    /// The credentials are valid, but do not give this right.
    Forbidden,
    /// Another producer with a higher epoch has taken over.
    ProducerFenced,
    /// There is no such topic.
    TopicNotFound,
    /// There is no such live connection.
    ConnectionNotFound,
    /// There is no such schedule.
    ScheduleNotFound,
    /// There is no such push subscription.
    PushSubscriptionNotFound,
    /// There is nothing at this path.
    NotFound,
    /// The path exists, but not for this method; `Allow` says which.
    MethodNotAllowed,
    /// The route has none of the media types that `Accept` asks for.
    NotAcceptable,
    /// The client took too long to send its request.
    Timeout,
    /// The topic has ended; nothing can be added.
    TopicClosed,
    /// The topic exists already, with another policy.
    TopicExists,
    /// The topic cannot be removed while others are forked from it.
    TopicHasForks,
    /// A producer's sequence number is not the one after its last.
    ProducerGap,
    /// A request with the same `Idempotency-Key` is under way.
    IdempotencyInProgress,
    /// The event asked for is no longer kept.
    Gone,
    /// The topic's newest event is not the expected one.
    UnexpectedPosition,
    /// The body, or one event's data, is larger than the limit.
    BodyTooLarge,
    /// More events in one request than the limit.
    BatchTooLarge,
    /// The request target is longer than the limit.
    UriTooLong,
    /// The body's media type is not one that the route reads.
    UnsupportedMediaType,
    /// The same `Idempotency-Key` came with another body.
    IdempotencyMismatch,
    /// The topic's content type and the event's do not agree.
    ContentTypeMismatch,
    /// More topics or patterns on one subscription than the limit.
    TooManyTopics,
    /// The caller asks more often than its rate allows.
    RateLimited,
    /// The header fields are longer than the limit.
    HeaderTooLarge,
    /// A bug: the server's log has the details.
    Internal,
    /// The protocol or option exists, but this server was built or configured without it.
    NotImplemented,
    /// As many connections as the server takes.
    TooManyConnections,
    /// More work is waiting than the server takes.
    Overloaded,
    /// The log cannot be written until an operator has seen to it.
    LogFailed,
    /// The server is stopping; another one, or this one in a moment, will answer.
    Draining,
    /// There is no certificate for TLS yet.
    NoCertificate,
    /// The certificate for TLS has ended, and there is no other.
    CertificateExpired,
    /// There is no room left to store events.
    DiskFull,
    /// The route speaks another protocol than the request; `Upgrade` says which.
    UpgradeRequired,
}

/// What there is to know of a code: text, status, title, retryable.
struct Row(ErrorCode, &'static str, u16, &'static str, bool);

const TABLE: [Row; ErrorCode::ALL.len()] = {
    use ErrorCode as E;
    [
        Row(E::InvalidTopic, "invalid-topic", 400, "Not a topic name", false),
        Row(E::InvalidPattern, "invalid-pattern", 400, "Not a pattern", false),
        Row(E::InvalidParameter, "invalid-parameter", 400, "Invalid parameter", false),
        Row(E::UnknownParameter, "unknown-parameter", 400, "Unknown parameter", false),
        Row(E::InvalidJson, "invalid-json", 400, "Not the expected JSON", false),
        Row(E::InvalidUtf8, "invalid-utf8", 400, "Not UTF-8", false),
        Row(E::InvalidType, "invalid-type", 400, "Not an event type", false),
        Row(E::InvalidKey, "invalid-key", 400, "Not a key", false),
        Row(E::InvalidId, "invalid-id", 400, "Not an id", false),
        Row(E::InvalidRequest, "invalid-request", 400, "Not a valid request", false),
        Row(E::Unauthorized, "unauthorized", 401, "Credentials needed", false),
        Row(E::Forbidden, "forbidden", 403, "Not allowed", false),
        Row(E::ProducerFenced, "producer-fenced", 403, "Producer replaced by another", false),
        Row(E::TopicNotFound, "topic-not-found", 404, "No such topic", false),
        Row(E::ConnectionNotFound, "connection-not-found", 404, "No such connection", false),
        Row(E::ScheduleNotFound, "schedule-not-found", 404, "No such schedule", false),
        Row(
            E::PushSubscriptionNotFound,
            "push-subscription-not-found",
            404,
            "No such push subscription",
            false,
        ),
        Row(E::NotFound, "not-found", 404, "Nothing here", false),
        Row(E::MethodNotAllowed, "method-not-allowed", 405, "Method not allowed", false),
        Row(E::NotAcceptable, "not-acceptable", 406, "No acceptable media type", false),
        Row(E::Timeout, "timeout", 408, "Request took too long", true),
        Row(E::TopicClosed, "topic-closed", 409, "Topic has ended", false),
        Row(E::TopicExists, "topic-exists", 409, "Topic exists already", false),
        Row(E::TopicHasForks, "topic-has-forks", 409, "Topic has forks", false),
        Row(E::ProducerGap, "producer-gap", 409, "Producer's sequence has a gap", false),
        Row(E::IdempotencyInProgress, "idempotency-in-progress", 409, "Already under way", true),
        Row(E::Gone, "gone", 410, "No longer kept", false),
        Row(E::UnexpectedPosition, "unexpected-position", 412, "Unexpected position", false),
        Row(E::BodyTooLarge, "body-too-large", 413, "Body too large", false),
        Row(E::BatchTooLarge, "batch-too-large", 413, "Too many events in a batch", false),
        Row(E::UriTooLong, "uri-too-long", 414, "Request target too long", false),
        Row(E::UnsupportedMediaType, "unsupported-media-type", 415, "Media type not read", false),
        Row(E::IdempotencyMismatch, "idempotency-mismatch", 422, "Key used before", false),
        Row(E::ContentTypeMismatch, "content-type-mismatch", 409, "Content types differ", false),
        Row(E::TooManyTopics, "too-many-topics", 400, "Too many topics or patterns", false),
        Row(E::RateLimited, "rate-limited", 429, "Too many requests", true),
        Row(E::HeaderTooLarge, "header-too-large", 431, "Header fields too large", false),
        Row(E::Internal, "internal", 500, "Internal error", false),
        Row(E::NotImplemented, "not-implemented", 501, "Not available here", false),
        Row(E::TooManyConnections, "too-many-connections", 503, "Too many connections", true),
        Row(E::Overloaded, "overloaded", 503, "Too much work waiting", true),
        Row(E::LogFailed, "log-failed", 503, "Log cannot be written", false),
        Row(E::Draining, "draining", 503, "Server is stopping", true),
        Row(E::NoCertificate, "no-certificate", 503, "No certificate yet", true),
        Row(E::CertificateExpired, "certificate-expired", 503, "Certificate has ended", true),
        Row(E::DiskFull, "disk-full", 507, "No room to store events", true),
        Row(E::UpgradeRequired, "upgrade-required", 426, "Another protocol needed", false),
    ]
};

impl ErrorCode {
    /// Every code, in the order of the type.
    pub const ALL: [Self; 47] = [
        Self::InvalidTopic,
        Self::InvalidPattern,
        Self::InvalidParameter,
        Self::UnknownParameter,
        Self::InvalidJson,
        Self::InvalidUtf8,
        Self::InvalidType,
        Self::InvalidKey,
        Self::InvalidId,
        Self::InvalidRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::ProducerFenced,
        Self::TopicNotFound,
        Self::ConnectionNotFound,
        Self::ScheduleNotFound,
        Self::PushSubscriptionNotFound,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::Timeout,
        Self::TopicClosed,
        Self::TopicExists,
        Self::TopicHasForks,
        Self::ProducerGap,
        Self::IdempotencyInProgress,
        Self::Gone,
        Self::UnexpectedPosition,
        Self::BodyTooLarge,
        Self::BatchTooLarge,
        Self::UriTooLong,
        Self::UnsupportedMediaType,
        Self::IdempotencyMismatch,
        Self::ContentTypeMismatch,
        Self::TooManyTopics,
        Self::RateLimited,
        Self::HeaderTooLarge,
        Self::Internal,
        Self::NotImplemented,
        Self::TooManyConnections,
        Self::Overloaded,
        Self::LogFailed,
        Self::Draining,
        Self::NoCertificate,
        Self::CertificateExpired,
        Self::DiskFull,
        Self::UpgradeRequired,
    ];

    const fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The stable text: lower case with hyphens.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.row().1
    }

    /// The HTTP status that goes with it.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.row().2
    }

    /// A short summary for people, the same for every occurrence (RFC 9457, section 3.1.3).
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.row().3
    }

    /// Whether nothing was changed and the same request can succeed later.
    #[must_use]
    pub const fn retryable(self) -> bool {
        self.row().4
    }

    /// The code with this text, if this version knows it.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.1 == code).map(|row| row.0)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_and_list_are_in_the_order_of_the_type_and_codes_are_distinct() {
        for (at, (row, code)) in TABLE.iter().zip(ErrorCode::ALL).enumerate() {
            assert_eq!(row.0, code);
            assert_eq!(code as usize, at);
            assert_eq!(ErrorCode::from_code(code.code()), Some(code));
            assert!((400..600).contains(&code.status()), "{code}");
            assert!(
                code.code()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{code}"
            );
        }
    }

    #[test]
    fn what_may_be_retried_has_a_status_that_generic_clients_retry() {
        for code in ErrorCode::ALL {
            if code.retryable() {
                assert!(matches!(code.status(), 408 | 409 | 429 | 500..), "{code}");
            }
        }
    }
}
