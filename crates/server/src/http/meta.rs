//! Routes about the server itself.

use serde_json::json;
use tidings_frame::ErrorCode;

use crate::access::Who;
use crate::app::App;
use crate::error::ApiError;
use crate::head::Head;
use crate::reply::Reply;
use crate::tls::Standing;

/// `GET /healthz`: the process answers.
pub(super) fn health() -> Reply {
    Reply::json(200, &json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

/// A question of an authority that is to prove a name (RFC 8555, section 8.3).
pub(super) fn proof(app: &App, head: &Head<'_>) -> Option<Reply> {
    if !matches!(head.method, "GET" | "HEAD") {
        return None;
    }
    let text = app.certificates.as_ref()?.proof(head.path)?;
    Some(Reply::new(200, "application/octet-stream", text))
}

/// `GET /readyz`: the log takes events, nobody is leaving, and there is a certificate that counts
/// if there is to be one.
pub(super) fn ready(app: &App) -> Result<Reply, ApiError> {
    if app.is_draining() {
        return Err(ApiError::draining());
    }
    match app.certificates.as_ref().map(|shown| shown.standing()) {
        None | Some(Standing::Counts) => {}
        Some(Standing::None) => {
            let detail = "there is no certificate yet: the log says how its order goes";
            return Err(ApiError::new(ErrorCode::NoCertificate, detail));
        }
        Some(Standing::Ended) => {
            let detail = "the certificate has ended: the log says why there is no other";
            return Err(ApiError::new(ErrorCode::CertificateExpired, detail));
        }
    }
    let log = app.hub.log_status();
    match log.state {
        tidings_hub::LogState::Healthy => {
            let answer = json!({"status": "ready", "damaged_ranges": log.damaged.len()});
            Ok(Reply::json(200, &answer))
        }
        tidings_hub::LogState::Failed { why } => Err(ApiError::new(
            ErrorCode::LogFailed,
            format!("the log has failed ({why}); mend the disk and start the server again"),
        )),
        tidings_hub::LogState::Closed => Err(ApiError::draining()),
    }
}

/// `GET /metrics`: the operator's, because figures tell who is busy with what.
pub(super) fn metrics(app: &App, who: &Who) -> Result<Reply, ApiError> {
    who.may_operate()?;
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(Reply::new(200, media, app.metrics.text(app)))
}

/// `DELETE /schedules/{id}`.
pub(super) fn unschedule(app: &App, who: &Who, id: &str) -> Result<Reply, ApiError> {
    who.may_operate()?;
    let not_found = || ApiError::new(ErrorCode::ScheduleNotFound, "there is no such schedule");
    let digits = id.bytes().all(|byte| byte.is_ascii_digit());
    let id = id.parse().ok().filter(|_| digits).ok_or_else(not_found)?;
    if app.hub.unschedule(id)? { Ok(Reply::empty(204)) } else { Err(not_found()) }
}
