//! Live subscriptions: who is connected and how far behind, which is for operators (the right
//! `admin`), and changes to one, which are also for whoever shows the name that its stream was
//! given, with its key ([`Subscription::connection`](crate::Subscription::connection);
//! PROTOCOL.md, section 11).

use hyper::Method;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use serde::Serialize;
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
    /// as in the list, or as in the header `Tidings-Connection` of the stream, with its key.
    ///
    /// A subscription of this client that reconnects asks for its own list again, not for this one.
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

    /// Refuses a token, or all of a subject's so far, from now on:
    /// `{"token_id": …, "expires": …}` or `{"subject": …}`. Live connections that stand on it end.
    /// Returns what the server has noted.
    ///
    /// # Errors
    ///
    /// The server refuses (only operators may), cannot be reached, or answers with something else.
    pub async fn revoke(
        &self,
        revocation: &impl Serialize,
    ) -> Result<serde_json::Value, RequestError> {
        let mut call = self.path_call(Method::POST, "/revocations", &Query::default())?;
        let body = serde_json::to_vec(revocation);
        call.body = body.map_err(|error| RequestError::Request(error.to_string()))?.into();
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let (_, body) = self.call(&call).await?;
        serde_json::from_slice(&body).map_err(|error| RequestError::Answer(error.to_string()))
    }

    fn connection_call(&self, method: Method, id: &str) -> Result<Call, RequestError> {
        let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !id.starts_with(|first: char| first.is_ascii_alphanumeric())
            || !id.bytes().all(of_a_name)
        {
            return Err(RequestError::Request(format!("`{id}` names no connection")));
        }
        self.path_call(method, &format!("/connections/{id}"), &Query::default())
    }
}
