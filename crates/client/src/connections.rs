//! Live subscriptions as an operator sees them: who is connected and how far behind, and changes to
//! one. All of it needs the right `admin` (PROTOCOL.md, section 11).

use hyper::Method;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use tidings_frame::api::{ConnectionChange, ConnectionPage, ConnectionTopics};

use crate::client::Client;
use crate::error::RequestError;
use crate::transport::Call;
use crate::url::Query;

impl Client {
    /// The live subscriptions, the first 10,000 of them.
    ///
    /// # Errors
    ///
    /// The server refuses, cannot be reached, or answers with something else than a list.
    pub async fn connections(&self) -> Result<ConnectionPage, RequestError> {
        let mut call = self.path_call(Method::GET, "/connections", &Query::default())?;
        call.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let (_, body) = self.call(&call).await?;
        serde_json::from_slice(&body).map_err(|error| RequestError::Answer(error.to_string()))
    }

    /// Changes what a connection follows, from its present position and without closing it. `id` is
    /// as in the list and in the header `Tidings-Connection` of the stream.
    ///
    /// # Errors
    ///
    /// The server refuses (there is no such connection, or the change leaves it nothing to follow),
    /// cannot be reached, or answers with something else.
    pub async fn change_connection(
        &self,
        id: &str,
        change: &ConnectionChange<'_>,
    ) -> Result<ConnectionTopics, RequestError> {
        let mut call = self.connection_call(Method::PATCH, id)?;
        let body = serde_json::to_vec(change);
        call.body = body.map_err(|error| RequestError::Request(error.to_string()))?.into();
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let (_, body) = self.call(&call).await?;
        serde_json::from_slice(&body).map_err(|error| RequestError::Answer(error.to_string()))
    }

    /// Closes a connection. Its client will usually come back.
    ///
    /// # Errors
    ///
    /// The server refuses (there is no such connection) or cannot be reached.
    pub async fn close_connection(&self, id: &str) -> Result<(), RequestError> {
        self.call(&self.connection_call(Method::DELETE, id)?).await?;
        Ok(())
    }

    fn connection_call(&self, method: Method, id: &str) -> Result<Call, RequestError> {
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(RequestError::Request(format!("`{id}` names no connection")));
        }
        self.path_call(method, &format!("/connections/{id}"), &Query::default())
    }
}
