//! Temporary.
use super::*;
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
    pub estimated: bool,
    pub deltas: u64,
}
#[derive(Debug)]
pub struct Reader {
    finish: bool,
    id: Option<String>,
}
impl Reader {
    pub fn new(_d: Dialect, _a: &Asked) -> Self {
        Self { finish: false, id: None }
    }
    pub fn ui(_a: &Asked, _m: &str) -> Self {
        Self { finish: false, id: None }
    }
    pub fn event(&mut self, t: &str, data: &str, out: &mut Vec<Record>) -> Progress {
        out.push(Record {
            event_type: (!t.is_empty() && t != "message").then(|| t.to_owned()),
            data: data.to_owned(),
        });
        if data.contains("\"finish_reason\":\"") {
            self.finish = true;
        }
        if data == "[DONE]" {
            return Progress::Over(End::Done);
        }
        Progress::Token
    }
    pub fn finish(&mut self, _c: bool, cause: &Cause, out: &mut Vec<Record>) -> End {
        out.push(Record {
            event_type: None,
            data: format!("{{\"error\":{{\"message\":\"{cause:?}\"}}}}"),
        });
        if *cause == Cause::Stopped { End::Cancelled } else { End::Error }
    }
    pub fn usage(&self) -> Usage {
        Usage::default()
    }
    pub fn answer_id(&self) -> Option<&str> {
        self.id.as_deref()
    }
    pub fn model(&self) -> Option<&str> {
        None
    }
}
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub streams: bool,
    pub model: Option<String>,
    pub background: bool,
    pub wants_usage: bool,
    pub max_tokens: Option<u64>,
}
#[derive(Debug)]
pub struct NotARequest;
impl std::fmt::Display for NotARequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no")
    }
}
impl Dialect {
    pub fn of_path(rest: &str) -> Option<Self> {
        match rest {
            "chat/completions" => Some(Self::Chat),
            "responses" => Some(Self::Responses),
            "messages" => Some(Self::Messages),
            _ => None,
        }
    }
}
impl Asked {
    pub fn read(_d: Dialect, body: &[u8]) -> Result<Asked, NotARequest> {
        let v: serde_json::Value = serde_json::from_slice(body).map_err(|_| NotARequest)?;
        Ok(Asked { streams: v["stream"].as_bool().unwrap_or(false), ..Asked::default() })
    }
}
pub fn ask_for_usage(body: &[u8]) -> Vec<u8> {
    body.to_vec()
}
pub struct UiRequest {
    pub chat_id: String,
    pub body: Vec<u8>,
    pub asked: Asked,
}
pub fn chat_request(_b: &[u8], _m: &str) -> Result<UiRequest, NotARequest> {
    Err(NotARequest)
}
pub struct Digest;
impl Digest {
    pub fn response(&self, _s: &str) -> Option<serde_json::Value> {
        None
    }
    pub fn new(_d: Dialect) -> Self {
        Self
    }
    pub fn record(&mut self, _t: Option<&str>, _d: &str) {}
    pub fn snapshot(&self) -> serde_json::Value {
        serde_json::json!({})
    }
}
pub fn sequence_number(_d: &str) -> Option<u64> {
    None
}
