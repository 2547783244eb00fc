//! Why an answer ended before it was complete, in the words of its dialect.
//!
//! Both official OpenAI clients and both of Anthropic's take a stream that merely stops for an
//! answer that is complete. So an answer that is not gets an object that makes them raise.

use std::borrow::Cow;

use tidings_frame::End;

use super::{Cause, Record, json};

/// What a dialect's error object says.
pub(super) struct Failure<'a> {
    /// OpenAI's `error.type`.
    pub(super) kind: &'static str,
    /// Anthropic's `error.type`.
    pub(super) messages_kind: &'static str,
    /// A stable word for programs.
    pub(super) code: &'static str,
    /// A sentence for people.
    pub(super) message: Cow<'a, str>,
}

impl Cause {
    /// How the topic ends for this cause, where the answer is not complete.
    #[must_use]
    pub const fn end(&self) -> End {
        match self {
            Self::Stopped => End::Cancelled,
            Self::Broken(_) | Self::TimedOut(_) | Self::Lost => End::Error,
        }
    }

    pub(super) fn failure(&self) -> Failure<'_> {
        let (kind, messages_kind, code, message) = match self {
            Self::Broken(why) => ("upstream_error", "api_error", "upstream_broken", why.as_str()),
            Self::TimedOut(why) => ("timeout", "timeout_error", "upstream_timeout", why.as_str()),
            Self::Stopped => ("cancelled", "cancelled", "cancelled", "the answer was stopped"),
            Self::Lost => (
                "upstream_error",
                "api_error",
                "relay_restarted",
                "the relay restarted while the answer was running",
            ),
        };
        Failure { kind, messages_kind, code, message: Cow::Borrowed(message) }
    }
}

impl Failure<'static> {
    /// The upstream said that it was done, or closed, in the middle of its answer.
    pub(super) const fn cut(message: &'static str) -> Self {
        Self {
            kind: "upstream_error",
            messages_kind: "api_error",
            code: "upstream_incomplete",
            message: Cow::Borrowed(message),
        }
    }
}

impl Failure<'_> {
    /// OpenAI's error: the value of `error`.
    fn openai(&self) -> String {
        let message = json::quote(&self.message);
        let (kind, code) = (self.kind, self.code);
        format!(r#"{{"message":{message},"type":"{kind}","param":null,"code":"{code}"}}"#)
    }

    /// A chat chunk on which the clients raise: they look for a member `error`.
    pub(super) fn chat(&self) -> Record {
        Record { event_type: None, data: format!(r#"{{"error":{}}}"#, self.openai()) }
    }

    /// A Responses event on which the clients raise. The JavaScript client does at the event's
    /// name; the Python one takes OpenAI's own `error` events for part of the answer and raises
    /// only at a member `error`, so that is there as well.
    pub(super) fn responses(&self, sequence_number: u64) -> Record {
        let (code, message) = (self.code, json::quote(&self.message));
        let data = format!(
            concat!(
                r#"{{"type":"error","sequence_number":{},"code":"{}","message":{},"#,
                r#""param":null,"error":{}}}"#
            ),
            sequence_number,
            code,
            message,
            self.openai()
        );
        Record { event_type: Some("error".to_owned()), data }
    }

    /// A Messages event on which the clients raise: they look at the event's name.
    pub(super) fn messages(&self) -> Record {
        let (kind, message) = (self.messages_kind, json::quote(&self.message));
        let data = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":{message}}}}}"#);
        Record { event_type: Some("error".to_owned()), data }
    }
}
