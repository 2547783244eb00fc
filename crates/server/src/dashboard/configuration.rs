//! `GET /configuration`: every setting, what it is and where that was said. What may be a secret is
//! only said to be set.

use serde_json::{Value, json};

use crate::access::Who;
use crate::app::App;
use crate::config::{Setting, Source};
use crate::error::ApiError;
use crate::reply::Reply;

/// `GET /configuration`.
pub(crate) fn show(app: &App, who: &Who) -> Result<Reply, ApiError> {
    who.may_operate()?;
    let settings: Vec<Value> = app.config.settings.iter().map(object).collect();
    Ok(Reply::json(200, &json!({"settings": settings})).with("cache-control", "no-store"))
}

fn object(setting: &Setting) -> Value {
    let (source, place) = match &setting.source {
        Source::Default => ("default", None),
        Source::Dev => ("default", Some("tidings dev".to_owned())),
        Source::File { name, line } => ("file", Some(format!("{name}:{line}"))),
        Source::Environment(name) => ("environment", Some(name.clone())),
        Source::Flag(name) => ("flag", Some(name.clone())),
    };
    json!({
        "name": setting.name,
        "value": setting.value,
        "source": source,
        "where": place,
        "secret": setting.secret,
        "help": setting.help,
    })
}
