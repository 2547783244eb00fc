//! Publishes over a connection: those that have come together share one append, and each is
//! answered when it is as durable as its topics ask.

use tidings_hub::{Accepted, Published};
use tokio::sync::mpsc;

use super::message;
use super::request::Reference;
use crate::access::Who;
use crate::app::App;
use crate::error::ApiError;
use crate::http::publish::{Request, write_answer};
use crate::peer::Peer;

/// A publish on its way into a round.
pub(super) struct Staged<'a> {
    pub(super) reference: Option<Reference>,
    pub(super) request: Request<'a>,
    /// Whether the client administrates all that it publishes to.
    pub(super) operator: bool,
}

/// The answer to a publish that had to wait for the disk: a message.
pub(super) type Receipt = Vec<u8>;

/// Publishes all of them in one round. What can be answered now is given to `answer`; for the rest
/// there is a place in `receipts`, which the caller has made sure of.
pub(super) fn publish(
    app: &App,
    (peer, who): (Peer, &Who),
    staged: &mut Vec<Staged<'_>>,
    receipts: &mpsc::Sender<Receipt>,
    mut answer: impl FnMut(Vec<u8>),
) {
    if staged.is_empty() {
        return;
    }
    let outcomes = {
        let mut round = app.hub.round();
        for Staged { request, operator, .. } in staged.iter() {
            let maker = request.maker(who);
            round.publish(&request.publish(*operator, maker.as_deref()));
        }
        round.commit()
    };
    for (Staged { reference, request, .. }, outcome) in staged.drain(..).zip(outcomes) {
        let traces = &app.dashboard.traces;
        let traced = traces.traced(&request, who);
        let accepted = match outcome {
            Ok(accepted) => accepted,
            Err(error) => {
                let error = crate::error::publish(&app.hub, error);
                app.metrics.answered(error.problem.status);
                let now_ms = app.hub.now_ms();
                traces.publish_refused(now_ms, traced.as_deref(), &error, Some(peer));
                answer(message::error(reference.as_ref(), &error));
                continue;
            }
        };
        traces.published(app, traced.as_deref(), &accepted, Some(peer));
        let receipt = receipt(app, &accepted, reference.as_ref(), &request);
        let Some(batch) = accepted.wait else {
            app.metrics.published(request.events.len());
            answer(receipt);
            continue;
        };
        let Ok(place) = receipts.clone().try_reserve_owned() else {
            // Not read from the connection unless there are places.
            let error = ApiError::new(tidings_frame::ErrorCode::Internal, "no place for a receipt");
            answer(message::error(reference.as_ref(), &error));
            continue;
        };
        app.metrics.published(request.events.len());
        let done = move |result: Result<(), tidings_hub::StoreError>| {
            let failed = |error: tidings_hub::StoreError| {
                message::error(reference.as_ref(), &ApiError::from(error))
            };
            place.send(result.map_or_else(failed, |()| receipt));
        };
        app.hub.when_synced(batch, Box::new(done));
    }
}

fn receipt(
    app: &App,
    accepted: &Accepted,
    reference: Option<&Reference>,
    request: &Request<'_>,
) -> Receipt {
    let op = match accepted.result {
        Published::Stored { .. } => "published",
        Published::Scheduled { .. } => "scheduled",
    };
    let mut answer = Vec::new();
    let topics = request.events.iter().map(|event| &*event.topic);
    write_answer(&app.hub, accepted, request.batch, topics, &mut answer);
    message::receipt(op, reference, &answer)
}
