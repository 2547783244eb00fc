//! `/openapi.json`: the table of routes, and the documents of the API, as OpenAPI 3.1 says them.

use serde_json::{Map, Value, json};

use super::routes::{ROUTES, Route};
use crate::reply::Reply;

/// What each query parameter means, and its schema.
const PARAMETERS: &[(&str, &str, &str)] = &[
    ("type", "string", "The event's type; none is what `onmessage` gets"),
    ("key", "string", "What the event is about, for conflation"),
    ("publisher_id", "string", "The publisher's own id of the event"),
    ("ttl", "string", "How long it is delivered, such as 90s"),
    ("at", "string", "When to publish it (RFC 3339)"),
    ("delay", "string", "After how long to publish it, such as 10m"),
    ("expect", "string", "Id of the topic's newest event, or `none`; otherwise 412"),
    ("end", "string", "Ends the topic: done, error or cancelled"),
    ("private", "boolean", "Whether only those with a right to private events see it"),
    ("alternate", "string", "Another topic that it belongs to; may be repeated"),
    ("producer-id", "string", "Names a producer whose events are numbered (also as a header)"),
    (
        "producer-epoch",
        "integer",
        "The producer's incarnation; a larger one shuts out smaller ones",
    ),
    ("producer-sequence", "integer", "The event's number within the epoch, from 0 without a hole"),
    ("topic", "string", "A topic; may be repeated"),
    ("pattern", "string", "Topics by pattern, such as chat/*; may be repeated"),
    ("lastEventId", "string", "Resume after this id; the header Last-Event-ID comes first"),
    ("since", "string", "Begin at a time, or so long ago"),
    ("last", "integer", "Begin with the last so many events"),
    ("earliest", "boolean", "Begin with the oldest event that is kept"),
    ("from", "string", "live, earliest, or an id"),
    ("envelope", "boolean", "Data is the JSON event object, with topic, time and key"),
    ("conflate", "boolean", "When several events are due, only the newest of each key"),
    ("poll", "integer", "Wait so many seconds for an event and answer with a page"),
    ("limit", "integer", "Most items in a page"),
    ("after", "string", "The page begins after this id (or, in lists, this name)"),
    ("before", "string", "The page ends before this id"),
    ("name", "string", "Only the topic of this name"),
    ("next", "string", "Where a page of the list said that it goes on"),
];

/// `GET /openapi.json`.
pub(super) fn document(dev: bool) -> Reply {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES.iter().filter(|route| dev || !route.dev) {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Value::Object(methods) = path {
            methods.insert(route.method.to_ascii_lowercase(), operation(route));
        }
    }
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tidings",
            "summary": "Durable, resumable live streams over plain HTTP",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0 OR MIT"},
        },
        "paths": paths,
        "components": {"schemas": schemas()},
    });
    Reply::json(200, &document)
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    if let Some((_, name)) = route.path.split_once('{') {
        let name = name.trim_end_matches('}');
        parameters.push(json!({
            "name": name, "in": "path", "required": true, "schema": {"type": "string"},
        }));
    }
    for &wanted in route.query {
        let known = PARAMETERS.iter().find(|(name, ..)| *name == wanted);
        if let Some((name, kind, text)) = known {
            parameters.push(json!({
                "name": name, "in": "query", "description": text, "schema": {"type": kind},
            }));
        }
    }
    let mut responses: Map<String, Value> = Map::new();
    for &(status, media, schema) in route.answers {
        let answer = responses
            .entry(status.to_string())
            .or_insert_with(|| json!({"description": description(status)}));
        if !media.is_empty() {
            answer["content"][media] = json!({"schema": schema_of(schema)});
        }
    }
    let problem = json!({"schema": schema_of("Problem")});
    responses.insert(
        "default".into(),
        json!({
            "description": "What is wrong (RFC 9457)",
            "content": {tidings_frame::problem::PROBLEM_MEDIA_TYPE: problem},
        }),
    );
    let mut operation = json!({
        "operationId": format!("{:?}", route.action),
        "summary": route.summary,
        "parameters": parameters,
        "responses": responses,
    });
    if let Some((media, schema)) = route.body {
        operation["requestBody"] = json!({"content": {media: {"schema": schema_of(schema)}}});
    }
    operation
}

fn description(status: u16) -> &'static str {
    match status {
        200 => "Done",
        201 => "Made",
        202 => "Will be published at its time",
        204 => "Nothing to say, or nothing more to come",
        _ => "",
    }
}

fn schema_of(name: &str) -> Value {
    match name {
        "" => json!({}),
        name => json!({"$ref": format!("#/components/schemas/{name}")}),
    }
}

fn object(required: &[&str], members: &[(&str, &str)]) -> Value {
    let properties: Map<String, Value> =
        members.iter().map(|&(name, kind)| (name.to_owned(), member(kind))).collect();
    json!({"type": "object", "required": required, "properties": properties})
}

/// A member's schema: a JSON type, `[X]` for a list, or the name of another document.
fn member(kind: &str) -> Value {
    match kind {
        "any" => json!({}),
        "string" | "integer" | "number" | "boolean" | "object" => json!({"type": kind}),
        "time" => json!({"type": "string", "format": "date-time"}),
        _ => match kind.strip_prefix('[').and_then(|kind| kind.strip_suffix(']')) {
            Some(item) => json!({"type": "array", "items": member(item)}),
            None => schema_of(kind),
        },
    }
}

fn ticket() -> Value {
    object(&["ticket", "expires_in"], &[("ticket", "string"), ("expires_in", "integer")])
}

fn revocation() -> Value {
    object(
        &[],
        &[
            ("token_id", "string"),
            ("expires", "integer"),
            ("subject", "string"),
            ("issuer", "string"),
        ],
    )
}

fn schemas() -> Value {
    let mut all = of_clients();
    if let (Value::Object(all), Value::Object(more)) = (&mut all, of_operators()) {
        all.extend(more);
    }
    all
}

/// The documents that operators read and write.
fn of_operators() -> Value {
    json!({
        "AnswerList": object(&["answers"], &[("answers", "[ListedAnswer]")]),
        "ListedAnswer": object(&["id"], &[
            ("id", "string"), ("topic", "string"), ("route", "string"), ("state", "string"),
            ("model", "string"), ("tokens", "integer"), ("tokens_s", "number"),
            ("bytes", "integer"), ("readers", "integer"), ("started", "time"),
            ("ended", "time"),
        ]),
        "TraceRequest": object(&[], &[("topic", "string"), ("subject", "string")]),
        "Trace": object(&["id", "topic", "until"], &[
            ("id", "string"), ("topic", "string"), ("until", "time"),
        ]),
        "Settings": object(&["settings"], &[("settings", "[Setting]")]),
        "Setting": object(&["name", "source", "secret", "help"], &[
            ("name", "string"), ("value", "any"), ("source", "string"), ("where", "string"),
            ("secret", "boolean"), ("help", "string"),
        ]),
        "Connection": object(&["id"], &[
            ("id", "string"), ("peer", "string"), ("since", "time"), ("topics", "[string]"),
            ("patterns", "[string]"), ("state", "string"), ("after", "string"),
            ("lag", "integer"), ("events", "integer"),
            ("bytes", "integer"), ("transport", "string"), ("protocol", "string"),
            ("tls", "boolean"), ("subject", "string"),
        ]),
        "ConnectionTopics": object(&["id", "topics", "patterns", "after"], &[
            ("id", "string"), ("topics", "[string]"), ("patterns", "[string]"),
            ("after", "string"),
        ]),
        "ConnectionPage": object(&["connections", "total"], &[
            ("connections", "[Connection]"), ("total", "integer"),
        ]),
        "ConnectionChange": object(&[], &[
            ("topics", "[string]"), ("patterns", "[string]"), ("add", "SubscribeRequest"),
            ("remove", "SubscribeRequest"),
        ]),
    })
}

fn of_clients() -> Value {
    json!({
        "Event": object(&["id", "topic", "time"], &[
            ("id", "string"), ("topic", "string"), ("alternates", "[string]"), ("time", "time"),
            ("type", "string"), ("key", "string"), ("publisher_id", "string"), ("end", "string"),
            ("data", "string"), ("data_base64", "string"),
        ]),
        "EventToPublish": object(&["topic"], &[
            ("topic", "string"), ("alternates", "[string]"), ("data", "string"),
            ("data_base64", "string"), ("type", "string"), ("key", "string"),
            ("publisher_id", "string"), ("ttl", "string"), ("private", "boolean"),
            ("end", "string"), ("expect", "string"),
        ]),
        "PublishRequest": object(&["events"], &[
            ("events", "[EventToPublish]"), ("at", "time"), ("delay", "string"),
        ]),
        "Published": object(&["id", "topic", "duplicate"], &[
            ("id", "string"), ("topic", "string"), ("duplicate", "boolean"),
        ]),
        "PublishedAll": object(&["events", "duplicate"], &[
            ("events", "[Published]"), ("duplicate", "boolean"),
        ]),
        "Scheduled": object(&["schedule", "at"], &[("schedule", "string"), ("at", "time")]),
        "SubscribeRequest": object(&[], &[("topics", "[string]"), ("patterns", "[string]")]),
        "Gap": object(&["reason", "requested", "resumes", "topics"], &[
            ("reason", "string"), ("requested", "string"), ("resumes", "string"),
            ("topics", "[string]"),
        ]),
        "Page": object(&["events", "next", "more"], &[
            ("events", "[Event]"), ("next", "string"), ("more", "boolean"), ("gap", "Gap"),
        ]),
        "TopicPolicy": object(&[], &[
            ("durability", "string"), ("retain", "object"), ("conflate", "boolean"),
            ("ttl", "object"), ("private", "boolean"), ("content_type", "string"),
            ("end_by", "string"), ("fork", "object"),
        ]),
        "Topic": object(&["name", "policy", "events", "bytes"], &[
            ("name", "string"), ("policy", "TopicPolicy"), ("own_policy", "boolean"),
            ("created", "time"), ("closed", "string"), ("oldest", "string"),
            ("newest", "string"), ("events", "integer"), ("bytes", "integer"),
            ("forked_from", "object"),
        ]),
        "TopicPage": object(
            &["topics", "more"],
            &[("topics", "[Topic]"), ("more", "boolean"), ("next", "string")],
        ),
        "Answer": object(&["answer", "topic", "dialect", "state"], &[
            ("answer", "string"), ("topic", "string"), ("dialect", "string"), ("state", "string"),
            ("response", "string"), ("model", "string"), ("readers", "integer"),
            ("usage", "object"), ("snapshot", "object"),
        ]),
        "Revocation": revocation(),
        "Ticket": ticket(),
        "PushKey": object(&["key"], &[("key", "string")]),
        "PushSubscribed": object(&["id"], &[("id", "string")]),
        "PushSubscription": object(&["endpoint", "keys"], &[
            ("endpoint", "string"), ("expirationTime", "integer"), ("keys", "object"),
            ("topics", "[string]"), ("patterns", "[string]"), ("ttl", "string"),
            ("urgency", "string"),
        ]),
        "Problem": object(&["type", "title", "status", "code", "retryable"], &[
            ("type", "string"), ("title", "string"), ("status", "integer"), ("detail", "string"),
            ("code", "string"), ("retryable", "boolean"),
        ]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_and_schema_of_the_table_is_described() {
        let schemas = schemas();
        for route in ROUTES {
            for name in route.query {
                assert!(PARAMETERS.iter().any(|(known, ..)| known == name), "{name}");
            }
            let named = route.answers.iter().map(|answer| answer.2);
            for schema in named.chain(route.body.map(|body| body.1)).filter(|name| !name.is_empty())
            {
                assert!(schemas.get(schema).is_some(), "{schema}");
            }
        }
    }
}
