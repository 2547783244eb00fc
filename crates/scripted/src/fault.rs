//! Where an answer breaks, and how.

use std::time::Duration;

/// A place in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Before the first byte of the response's head.
    Head,
    /// After this many bytes of the body as the client's SSE decoder sees it, that is before the
    /// transfer coding; 0 is after the head.
    Byte(u64),
    /// After this many tokens; 0 is after what opens the answer (a role, a message's start).
    /// Reasoning and pieces of a tool call's arguments count as tokens.
    Token(u64),
}

/// What happens at a place in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The response ends as HTTP wants it, as if it were complete.
    End,
    /// The connection is closed; with a transfer coding the response is visibly incomplete.
    Close,
    /// The connection is reset (RST). What has been sent and not yet read may be lost to the
    /// client, as on a real network.
    Reset,
    /// Nothing is sent for a while (`None`: ever again); the connection stays open.
    Stall(Option<Duration>),
    /// The dialect's own error event, then the end that HTTP wants, without the dialect's mark of
    /// a complete answer.
    Error {
        /// The dialect's word for the error, such as `server_error` or `overloaded_error`.
        kind: String,
        /// What went wrong, for people.
        message: String,
    },
    /// The end that the Responses dialect has for answers that fail (`response.failed`); in other
    /// dialects the same as an error.
    Fail {
        /// What went wrong, for people.
        message: String,
    },
    /// These bytes are put into the body, and the answer goes on. They are not counted by
    /// [`At::Byte`].
    Insert(Vec<u8>),
}

/// Something that happens at a place in an answer. Each happens once; several are played in the
/// order of their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub at: At,
    /// What.
    pub action: Action,
}

impl Fault {
    /// The response ends as if it were complete.
    #[must_use]
    pub fn end(at: At) -> Self {
        Self { at, action: Action::End }
    }

    /// The connection is closed in the middle of the response.
    #[must_use]
    pub fn close(at: At) -> Self {
        Self { at, action: Action::Close }
    }

    /// The connection is reset.
    #[must_use]
    pub fn reset(at: At) -> Self {
        Self { at, action: Action::Reset }
    }

    /// Nothing comes for `pause`, then the answer goes on.
    #[must_use]
    pub fn pause(at: At, pause: Duration) -> Self {
        Self { at, action: Action::Stall(Some(pause)) }
    }

    /// Nothing comes ever again, on a connection that stays open.
    #[must_use]
    pub fn hang(at: At) -> Self {
        Self { at, action: Action::Stall(None) }
    }

    /// An error event of the dialect, then the end.
    #[must_use]
    pub fn error(at: At, message: &str) -> Self {
        let kind = "server_error".to_owned();
        Self { at, action: Action::Error { kind, message: message.to_owned() } }
    }

    /// The failure of the answer, in the dialect's own form.
    #[must_use]
    pub fn fail(at: At, message: &str) -> Self {
        Self { at, action: Action::Fail { message: message.to_owned() } }
    }

    /// These bytes, and the answer goes on.
    #[must_use]
    pub fn insert(at: At, bytes: impl Into<Vec<u8>>) -> Self {
        Self { at, action: Action::Insert(bytes.into()) }
    }

    /// An event whose data is not JSON although it begins like it, and the answer goes on.
    #[must_use]
    pub fn garbage(at: At) -> Self {
        Self::insert(at, &b"data: {\"id\":\"garbage\",\"choices\":[{\"delta\n\n"[..])
    }
}
