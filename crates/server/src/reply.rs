//! What a route answers, before a door puts it on its connection.

use std::borrow::Cow;

use tidings_frame::problem::PROBLEM_MEDIA_TYPE;

use crate::error::ApiError;

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Empty for none.
    pub(crate) media: &'static str,
    pub(crate) headers: Vec<(Cow<'static, str>, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn new(status: u16, media: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, media, headers: Vec::new(), body: body.into() }
    }

    pub(crate) fn json(status: u16, value: &serde_json::Value) -> Self {
        let mut body = value.to_string().into_bytes();
        body.push(b'\n');
        Self::new(status, "application/json", body)
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self::new(status, "", Vec::new())
    }

    pub(crate) fn with(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
    ) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl From<ApiError> for Reply {
    fn from(error: ApiError) -> Self {
        let mut body = error.problem.to_json();
        body.push(b'\n');
        let reply = Self::new(error.problem.status, PROBLEM_MEDIA_TYPE, body);
        match error.header {
            Some((name, value)) => reply.with(name, value),
            None => reply,
        }
    }
}
