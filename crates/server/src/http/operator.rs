//! What is the operator's alone, when the operator has a listener of their own.
//!
//! There everything is answered; where the public comes in, these routes are as if they were not.
//! Health and readiness stay on both: a load balancer asks them at the door that it sends clients
//! to. So does the change of a connection, which its own client may ask for.

use std::sync::Arc;

use tidings_frame::ErrorCode;

use super::routes::{self, Action, Found};
use super::{Outcome, answer};
use crate::app::App;
use crate::config::Mode;
use crate::error::ApiError;
use crate::head::Head;
use crate::peer::Door;

/// Answers a request that came to this door.
pub(crate) async fn answer_at(
    app: &Arc<App>,
    door: Door,
    head: &Head<'_>,
    body: &[u8],
) -> Result<Outcome, ApiError> {
    if door == Door::Public && app.config.operator.is_some() && is_operators(app, head) {
        return Err(ApiError::new(ErrorCode::NotFound, "nothing is here; see /openapi.json"));
    }
    answer(app, head, body).await
}

/// Whether only an operator asks this, who is let in when nobody else is.
pub(crate) fn asked_of_a_full_server(head: &Head<'_>) -> bool {
    ["/healthz", "/readyz", "/metrics"].contains(&head.path)
        || head.path.starts_with("/connections")
}

fn is_operators(app: &App, head: &Head<'_>) -> bool {
    let dev = app.config.mode == Mode::Dev;
    let of_operators = |method| match routes::find(method, head.path, dev) {
        Found::Route(route, _) => route.action.is_operators(dev),
        Found::Method(_) | Found::Nothing => false,
    };
    // Whatever the method: that a path is there at all is not told.
    [head.method, "GET"].into_iter().any(of_operators)
}

impl Action {
    /// Whether it is the operator's alone. Whoever adds a route says it here. The files of `tidings
    /// dev` are those of the demo.
    const fn is_operators(self, dev: bool) -> bool {
        match self {
            Self::ListConnections
            | Self::Metrics
            | Self::Revoke
            | Self::ListAnswers
            | Self::BeginTrace
            | Self::EndTrace
            | Self::ShowConfiguration
            | Self::Dashboard => true,
            Self::WebFile => !dev,
            Self::Publish
            | Self::PublishMany
            | Self::ReadTopic
            | Self::ReadSeveral
            | Self::SubscribePosted
            | Self::StreamAlias
            | Self::WebSocket
            | Self::ListTopics
            | Self::DescribeTopic
            | Self::SetTopic
            | Self::RemoveTopic
            | Self::ChangeConnection
            | Self::CloseConnection
            | Self::Unschedule
            | Self::MakeTicket
            | Self::PushKey
            | Self::PushSubscribe
            | Self::PushUnsubscribe
            | Self::DescribeAnswer
            | Self::StopAnswer
            | Self::Health
            | Self::Ready
            | Self::OpenApi
            | Self::Demo => false,
        }
    }
}
