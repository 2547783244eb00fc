//! The routes of the native API, as data: the router, `405` with its `Allow`, and `/openapi.json`
//! are all made from this one table, so none of them can say something else.

/// What answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Publish,
    PublishMany,
    ReadTopic,
    ReadSeveral,
    SubscribePosted,
    StreamAlias,
    WebSocket,
    ListTopics,
    DescribeTopic,
    SetTopic,
    RemoveTopic,
    ListConnections,
    ChangeConnection,
    CloseConnection,
    Unschedule,
    Revoke,
    MakeTicket,
    ListAnswers,
    DescribeAnswer,
    StopAnswer,
    BeginTrace,
    EndTrace,
    ShowConfiguration,
    PushKey,
    PushSubscribe,
    PushUnsubscribe,
    Health,
    Ready,
    Metrics,
    OpenApi,
    Dashboard,
    Demo,
    WebFile,
}

/// A route.
pub(crate) struct Route {
    pub(crate) method: &'static str,
    /// The path; `{topic}` and `{file}` are the rest of the path, `{id}` and `{page}` one segment.
    pub(crate) path: &'static str,
    pub(crate) action: Action,
    pub(crate) summary: &'static str,
    /// Names of the query parameters.
    pub(crate) query: &'static [&'static str],
    /// Media type and schema of the body.
    pub(crate) body: Option<(&'static str, &'static str)>,
    /// Status, media type and schema of the answers besides problems.
    pub(crate) answers: &'static [(u16, &'static str, &'static str)],
    /// Only in `tidings dev`.
    pub(crate) dev: bool,
}

const PUBLISH: &[&str] =
    &["type", "key", "publisher_id", "ttl", "at", "delay", "expect", "end", "private", "alternate"];
const SUBSCRIBE: &[&str] = &[
    "lastEventId",
    "since",
    "last",
    "earliest",
    "from",
    "envelope",
    "conflate",
    "poll",
    "limit",
    "after",
    "before",
];
const SEVERAL: &[&str] = &[
    "topic",
    "pattern",
    "lastEventId",
    "since",
    "last",
    "earliest",
    "from",
    "envelope",
    "conflate",
    "poll",
    "limit",
    "after",
    "before",
];
const STREAM: &str = "text/event-stream";
const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const READ: &[(u16, &str, &str)] =
    &[(200, STREAM, ""), (200, JSON, "Page"), (200, NDJSON, "Event"), (204, "", "")];

const fn route(
    method: &'static str,
    path: &'static str,
    action: Action,
    summary: &'static str,
) -> Route {
    Route { method, path, action, summary, query: &[], body: None, answers: &[], dev: false }
}

/// The table.
pub(crate) const ROUTES: &[Route] = &[
    Route {
        query: PUBLISH,
        body: Some(("text/plain", "")),
        answers: &[(200, JSON, "Published"), (202, JSON, "Scheduled")],
        ..route(
            "POST",
            "/topics/{topic}",
            Action::Publish,
            "Publish an event; the body is its data",
        )
    },
    Route {
        body: Some((JSON, "PublishRequest")),
        answers: &[(200, JSON, "PublishedAll"), (202, JSON, "Scheduled")],
        ..route("POST", "/publish", Action::PublishMany, "Publish several events, all or none")
    },
    Route {
        query: SUBSCRIBE,
        answers: READ,
        ..route("GET", "/topics/{topic}", Action::ReadTopic, "Subscribe to a topic, or read it")
    },
    Route {
        query: SEVERAL,
        answers: READ,
        ..route("GET", "/events", Action::ReadSeveral, "Subscribe to several topics and patterns")
    },
    Route {
        query: SUBSCRIBE,
        body: Some((JSON, "SubscribeRequest")),
        answers: &[(200, STREAM, "")],
        ..route("POST", "/events", Action::SubscribePosted, "Subscribe to a long list of topics")
    },
    Route {
        query: SUBSCRIBE,
        answers: READ,
        dev: true,
        ..route("GET", "/stream", Action::StreamAlias, "The topic `stream`, as in every tutorial")
    },
    Route {
        answers: &[(101, "", "")],
        ..route("GET", "/ws", Action::WebSocket, "WebSocket, subprotocol tidings.v1.json")
    },
    Route {
        query: &["after", "limit", "name", "next"],
        answers: &[(200, JSON, "TopicPage")],
        ..route("GET", "/topics", Action::ListTopics, "List the topics by name")
    },
    Route {
        answers: &[(200, "", "")],
        ..route("HEAD", "/topics/{topic}", Action::DescribeTopic, "Describe a topic in headers")
    },
    Route {
        body: Some((JSON, "TopicPolicy")),
        answers: &[(200, JSON, "Topic"), (201, JSON, "Topic")],
        ..route("PUT", "/topics/{topic}", Action::SetTopic, "Give a topic a policy, or make it")
    },
    Route {
        answers: &[(204, "", "")],
        ..route("DELETE", "/topics/{topic}", Action::RemoveTopic, "Remove a topic and its events")
    },
    Route {
        query: &["topic", "limit"],
        answers: &[(200, JSON, "ConnectionPage")],
        ..route("GET", "/connections", Action::ListConnections, "List subscriptions with their lag")
    },
    Route {
        body: Some((JSON, "ConnectionChange")),
        answers: &[(200, JSON, "ConnectionTopics")],
        ..route("PATCH", "/connections/{id}", Action::ChangeConnection, "Change its topics")
    },
    Route {
        answers: &[(204, "", "")],
        ..route("DELETE", "/connections/{id}", Action::CloseConnection, "End a subscription")
    },
    Route {
        answers: &[(204, "", "")],
        ..route("DELETE", "/schedules/{id}", Action::Unschedule, "Take a scheduled publish back")
    },
    Route {
        body: Some((JSON, "Revocation")),
        answers: &[(200, JSON, "Revocation")],
        ..route("POST", "/revocations", Action::Revoke, "Refuse a token or a subject from now on")
    },
    Route {
        answers: &[(200, JSON, "Ticket")],
        ..route("POST", "/tickets", Action::MakeTicket, "Exchange a token for a ticket, good once")
    },
    Route {
        answers: &[(200, JSON, "AnswerList")],
        ..route("GET", "/answers", Action::ListAnswers, "List the newest LLM answers")
    },
    Route {
        answers: &[(200, JSON, "Answer")],
        ..route("GET", "/answers/{id}", Action::DescribeAnswer, "An LLM's answer so far")
    },
    Route {
        answers: &[(200, JSON, "Answer")],
        ..route("POST", "/answers/{id}/stop", Action::StopAnswer, "Stop an LLM's answer")
    },
    Route {
        body: Some((JSON, "TraceRequest")),
        answers: &[(201, JSON, "Trace")],
        ..route("POST", "/traces", Action::BeginTrace, "Trace what happens to topics")
    },
    Route {
        answers: &[(204, "", "")],
        ..route("DELETE", "/traces/{id}", Action::EndTrace, "End a trace")
    },
    Route {
        answers: &[(200, JSON, "Settings")],
        ..route(
            "GET",
            "/configuration",
            Action::ShowConfiguration,
            "Every setting and where it was set",
        )
    },
    Route {
        answers: &[(200, JSON, "PushKey")],
        ..route("GET", "/push/key", Action::PushKey, "The key that browsers subscribe with")
    },
    Route {
        body: Some((JSON, "PushSubscription")),
        answers: &[(201, JSON, "PushSubscribed"), (200, JSON, "PushSubscribed")],
        ..route(
            "POST",
            "/push/subscriptions",
            Action::PushSubscribe,
            "Have events pushed to a browser, or change which",
        )
    },
    Route {
        answers: &[(204, "", "")],
        ..route(
            "DELETE",
            "/push/subscriptions/{id}",
            Action::PushUnsubscribe,
            "End a push subscription",
        )
    },
    Route {
        answers: &[(200, JSON, "")],
        ..route("GET", "/healthz", Action::Health, "Whether the process works")
    },
    Route {
        answers: &[(200, JSON, "")],
        ..route("GET", "/readyz", Action::Ready, "Whether it takes publishes and subscriptions")
    },
    Route {
        answers: &[(200, "application/openmetrics-text", "")],
        ..route("GET", "/metrics", Action::Metrics, "Counters for Prometheus")
    },
    Route {
        answers: &[(200, JSON, "")],
        ..route("GET", "/openapi.json", Action::OpenApi, "This API")
    },
    Route {
        answers: &[(200, "text/html", "")],
        dev: true,
        ..route("GET", "/", Action::Demo, "The demo")
    },
    Route {
        answers: &[(200, "text/html", "")],
        dev: true,
        ..route("GET", "/demo/{page}", Action::Demo, "The demo, opened at one of its pages")
    },
    Route {
        answers: &[(200, "text/html", "")],
        ..route("GET", "/_/", Action::Dashboard, "The dashboard")
    },
    Route {
        answers: &[(200, "*/*", ""), (304, "", "")],
        ..route("GET", "/_/{file}", Action::WebFile, "What the pages are made of")
    },
];

/// What a path and a method come to.
pub(crate) enum Found<'p> {
    /// The route, and what its parameter stands for (still percent-encoded).
    Route(&'static Route, &'p str),
    /// The path is there; these are its methods.
    Method(String),
    Nothing,
}

/// Finds the route.
pub(crate) fn find<'p>(method: &str, path: &'p str, dev: bool) -> Found<'p> {
    let mut methods: Vec<&str> = Vec::new();
    for route in ROUTES.iter().filter(|route| dev || !route.dev) {
        let Some(rest) = matches(route.path, path) else {
            continue;
        };
        if route.method == method {
            return Found::Route(route, rest);
        }
        methods.push(route.method);
    }
    if methods.is_empty() {
        return Found::Nothing;
    }
    if methods.contains(&"GET") && !methods.contains(&"HEAD") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    Found::Method(methods.join(", "))
}

/// What the parameter of `pattern` stands for in `path`.
fn matches<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    let Some((before, parameter)) = pattern.split_once('{') else {
        return (pattern == path).then_some("");
    };
    let (name, after) = parameter.split_once('}')?;
    let rest = path.strip_prefix(before)?.strip_suffix(after).filter(|rest| !rest.is_empty())?;
    (matches!(name, "topic" | "file") || !rest.contains('/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &str, path: &str) -> String {
        match find(method, path, false) {
            Found::Route(route, rest) => format!("{:?} {rest}", route.action),
            Found::Method(methods) => methods,
            Found::Nothing => "nothing".into(),
        }
    }

    #[test]
    fn finds_routes_by_path_and_method() {
        for (method, path, wanted) in [
            ("POST", "/topics/a/b", "Publish a/b"),
            ("GET", "/topics", "ListTopics "),
            ("GET", "/topics/", "nothing"),
            ("PATCH", "/topics/a", "POST, GET, HEAD, PUT, DELETE, OPTIONS"),
            ("POST", "/healthz", "GET, HEAD, OPTIONS"),
            ("GET", "/connections/a/b", "nothing"),
            ("DELETE", "/connections/a", "CloseConnection a"),
            ("GET", "/stream", "nothing"),
            ("GET", "/", "nothing"),
            ("GET", "/_/theme.js", "WebFile theme.js"),
            ("GET", "/_/", "Dashboard "),
            ("GET", "/answers", "ListAnswers "),
            ("GET", "/answers/a", "DescribeAnswer a"),
            ("POST", "/answers/a/stop", "StopAnswer a"),
            ("POST", "/answers//stop", "nothing"),
            ("POST", "/answers/a/b/stop", "nothing"),
        ] {
            assert_eq!(found(method, path), wanted, "{method} {path}");
        }
        assert!(matches!(find("GET", "/stream", true), Found::Route(..)));
        assert!(matches!(find("GET", "/_/assets/a.js", true), Found::Route(_, "assets/a.js")));
        assert!(matches!(find("GET", "/demo/a/b", true), Found::Nothing));
    }
}
