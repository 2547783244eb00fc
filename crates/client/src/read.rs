//! Reading what is kept, and what there is to know and to do about topics.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use tidings_frame::Position;
use tidings_frame::api::{Page, TopicObject, TopicPage};

use crate::client::{ANSWER_BYTES_MAX, Client};
use crate::error::RequestError;
use crate::url::Query;

/// A page of a topic's history, to be given its options and read.
///
/// Without a place to begin it is the newest page. To go on, ask for `after` the page's `next`.
#[derive(Debug)]
#[must_use = "nothing is read until `page` is called"]
pub struct History<'c> {
    client: &'c Client,
    topic: String,
    query: Query,
    wait: Duration,
}

impl<'c> History<'c> {
    pub(crate) fn new(client: &'c Client, topic: &str) -> Self {
        Self { client, topic: topic.to_owned(), query: Query::default(), wait: Duration::ZERO }
    }

    /// Begins with the oldest event that is kept.
    pub fn earliest(mut self) -> Self {
        self.query.add("earliest", "1");
        self
    }

    /// Only events after this one.
    pub fn after(mut self, id: Position) -> Self {
        self.query.add("after", &id.to_string());
        self
    }

    /// Only events before this one.
    pub fn before(mut self, id: Position) -> Self {
        self.query.add("before", &id.to_string());
        self
    }

    /// The newest so many.
    pub fn last(mut self, events: u64) -> Self {
        self.query.add("last", &events.to_string());
        self
    }

    /// Most events of the page; the server has a limit of its own.
    pub fn limit(mut self, events: u64) -> Self {
        self.query.add("limit", &events.to_string());
        self
    }

    /// If there is nothing yet, waits for the next event, this long at most (long-poll). Whole
    /// seconds; the server has a limit of its own.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.query.add("poll", &wait.as_secs().to_string());
        self.wait = wait;
        self
    }

    /// Reads the page.
    ///
    /// # Errors
    ///
    /// The server refuses, cannot be reached, or answers with something else than a page.
    pub async fn page(self) -> Result<Page<'static>, RequestError> {
        let mut call = self.client.topic_call(Method::GET, &self.topic, &self.query)?;
        call.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let inner = &self.client.inner;
        let timeout = inner.timeout + self.wait;
        let (_, body) = inner.transport.call(&call, timeout, ANSWER_BYTES_MAX).await?;
        let page: Page<'_> = serde_json::from_slice(&body).map_err(not_as_expected)?;
        Ok(page.into_owned())
    }
}

fn not_as_expected(error: serde_json::Error) -> RequestError {
    RequestError::Answer(error.to_string())
}

impl Client {
    async fn topic_page(&self, query: &Query) -> Result<TopicPage, RequestError> {
        let mut call = self.path_call(Method::GET, "/topics", query)?;
        call.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let (_, body) = self.call(&call).await?;
        serde_json::from_slice(&body).map_err(not_as_expected)
    }

    /// A page of the list of topics, by name, after the one named `after`; `limit` of them at most.
    ///
    /// # Errors
    ///
    /// The server refuses, cannot be reached, or answers with something else than a list.
    pub async fn topics(
        &self,
        after: Option<&str>,
        limit: Option<u64>,
    ) -> Result<TopicPage, RequestError> {
        let mut query = Query::default();
        query.add_some("after", after);
        query.add_some("limit", limit.map(|limit| limit.to_string()).as_deref());
        self.topic_page(&query).await
    }

    /// The page of the list of topics where another has said that it goes on ([`TopicPage::next`]).
    ///
    /// # Errors
    ///
    /// The server refuses, cannot be reached, or answers with something else than a list.
    pub async fn topics_at(&self, next: &str) -> Result<TopicPage, RequestError> {
        let mut query = Query::default();
        query.add("next", next);
        self.topic_page(&query).await
    }

    /// Describes a topic; none if there is no such topic.
    ///
    /// # Errors
    ///
    /// The server refuses, cannot be reached, or answers with something else than a list.
    pub async fn describe(&self, topic: &str) -> Result<Option<TopicObject>, RequestError> {
        let mut query = Query::default();
        query.add("name", topic);
        let page = self.topic_page(&query).await?;
        Ok(page.topics.into_iter().find(|found| found.name == topic))
    }

    /// Gives a topic a policy of its own, making it if need be.
    ///
    /// # Errors
    ///
    /// The server refuses or cannot be reached, or `policy` cannot be written as JSON.
    pub async fn set_policy(
        &self,
        topic: &str,
        policy: &impl Serialize,
    ) -> Result<(), RequestError> {
        let mut call = self.topic_call(Method::PUT, topic, &Query::default())?;
        let body = serde_json::to_vec(policy);
        call.body = Bytes::from(body.map_err(|error| RequestError::Request(error.to_string()))?);
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.call(&call).await?;
        Ok(())
    }

    /// Removes a topic and its events.
    ///
    /// # Errors
    ///
    /// The server refuses (there is no such topic, or others are forked from it) or cannot be
    /// reached.
    pub async fn delete(&self, topic: &str) -> Result<(), RequestError> {
        let call = self.topic_call(Method::DELETE, topic, &Query::default())?;
        self.call(&call).await?;
        Ok(())
    }

    /// Takes back what was to be published later; `schedule` is the receipt's.
    ///
    /// # Errors
    ///
    /// The server refuses (it has been published already) or cannot be reached.
    pub async fn unschedule(&self, schedule: &str) -> Result<(), RequestError> {
        let valid =
            !schedule.is_empty() && schedule.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !valid {
            return Err(RequestError::Request(format!("`{schedule}` names no schedule")));
        }
        let path = format!("/schedules/{schedule}");
        let call = self.path_call(Method::DELETE, &path, &Query::default())?;
        self.call(&call).await?;
        Ok(())
    }
}
