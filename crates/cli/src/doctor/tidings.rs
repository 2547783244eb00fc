//! A Tidings server, through whatever is in front of it: here the doctor has both ends in its
//! hands. It publishes at an even pace and watches what becomes of it.
//!
//! Everything happens in topics below `doctor/` with a name that nobody else has; they are removed
//! afterwards, and their events would expire by themselves.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::{Duration, Instant};

use hyper::Uri;
use hyper::header::AUTHORIZATION;
use hyper::http::response::Parts;
use tidings_client::{Client, Receipt, RequestError};
use tidings_frame::End;

use super::checks::{cors, flow, head, lasting, resume, size};
use super::finding::{Check, Finding};
use super::pace::Pace;
use super::plan::Plan;
use super::progress::Progress;
use super::proxy::recognise;
use super::record::{Listening, Record};
use super::report::{Kind, Report};
use super::wire::{Ask, fetch};
use crate::terminal::harmless;

/// Events of the probe. Ten are enough to tell a buffer from a slow moment.
const EVENTS: usize = 10;
/// The time between two of them.
const GAP: Duration = Duration::from_millis(200);
/// How long to wait for what was published.
const ARRIVAL_WAIT: Duration = Duration::from_secs(5);
/// The time between two events of the long stream: below every limit on silence.
const LENGTH_GAP: Duration = Duration::from_secs(1);
/// After this time an event of ours expires, should its topic be left behind.
const TTL: Duration = Duration::from_secs(600);
/// Time to find out whether this is a Tidings server.
const RECOGNISE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for one publish.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(15);

/// A Tidings server that was recognised.
#[derive(Debug)]
pub(super) struct Server {
    /// Its URL, without a `/` at the end.
    base: String,
    pub(super) version: String,
    client: Client,
    /// The head of the answer that gave it away.
    head: Parts,
}

impl Server {
    /// Asks for the description of the API, below the path that was given or, if that is the path
    /// of a topic, below what is before it.
    pub(super) async fn recognise(plan: &Plan) -> Option<Self> {
        let base = base(&plan.uri);
        let uri: Uri = format!("{base}/openapi.json").parse().ok()?;
        let ask = fetch(Ask::get(uri, &plan.headers));
        let (head, body) = tokio::time::timeout(RECOGNISE_TIMEOUT, ask).await.ok()?.ok()?;
        let description: serde_json::Value = serde_json::from_slice(&body).ok()?;
        if description["info"]["title"] != "Tidings" {
            return None;
        }
        let version = description["info"]["version"].as_str().unwrap_or("").to_owned();
        let mut client = Client::builder(&base).publish_attempts(1).timeout(PUBLISH_TIMEOUT);
        for (name, value) in &plan.headers {
            client = client.header(name.as_str(), value.to_str().ok()?);
        }
        if let Some(value) = &plan.authorization {
            client = client.header("authorization", value.to_str().ok()?);
        }
        Some(Self { base, version: harmless(&version), client: client.build().ok()?, head })
    }

    fn topic(&self, plan: &Plan, topic: &str) -> Ask {
        let uri = format!("{}/topics/{topic}", self.base).parse();
        let uri = uri.expect("the base is a URL, and the topic's name needs no encoding");
        let mut ask = plan.stream(uri);
        if let Some(value) = &plan.authorization {
            ask.headers.insert(AUTHORIZATION, value.clone());
        }
        ask
    }
}

/// What a URL has before the path of a topic, or of another route.
fn base(uri: &Uri) -> String {
    let path = uri.path();
    let end = path
        .find("/topics/")
        .or_else(|| path.strip_suffix("/events").map(str::len))
        .or_else(|| path.strip_suffix("/stream").map(str::len))
        .unwrap_or(path.len());
    let origin = match (uri.scheme_str(), uri.authority()) {
        (Some(scheme), Some(authority)) => format!("{scheme}://{authority}"),
        _ => String::new(),
    };
    format!("{origin}{}", path[..end].trim_end_matches('/'))
}

/// What was published.
#[derive(Debug, Default)]
struct Probe {
    sent: Vec<Instant>,
    ids: Vec<String>,
    /// Why no more was.
    refused: Option<String>,
}

/// All checks of a Tidings server.
pub(super) async fn examine(plan: &Plan, server: Server, progress: &Progress) -> Report {
    let topic = format!("doctor/{:016x}", RandomState::new().build_hasher().finish());
    let ask = server.topic(plan, &topic);
    let plain = ask.clone().with("accept-encoding", "identity");
    let compressed = ask.clone().with("accept-encoding", "gzip, br");
    let probed = async {
        let mut streams = (Listening::start(plain), Listening::start(compressed));
        let began = |record: &Record| record.first_byte().is_some();
        let wait = flow::FIRST_BYTE_HELD;
        tokio::join!(streams.0.until(wait, began), streams.1.until(wait, began));
        let probe = publish(plan, &server.client, &topic).await;
        if !probe.sent.is_empty() {
            let over = |record: &Record| record.is_over();
            tokio::join!(streams.0.until(ARRIVAL_WAIT, over), streams.1.until(ARRIVAL_WAIT, over));
        }
        (probe, streams.0.record(), streams.1.record())
    };
    let (probe, stream, compressed) = progress.during("publishing a probe", probed).await;
    let heads = [&server.head].into_iter().chain(stream.head.as_ref().map(|head| &head.2));
    let signs = recognise(heads.map(|head| &head.headers).collect::<Vec<_>>().into_iter());
    let mut findings = vec![
        head::stream(&stream),
        flow::first_byte(&stream),
        pace(&probe, &stream, &signs),
        compression(&probe, &compressed),
        head::headers(&stream, true, &signs),
    ];
    findings.push(match &probe.refused {
        Some(why) => Finding::not_tested(Check::Resume, why),
        None => progress.during("resuming", resume::check(ask.clone(), &probe.ids)).await,
    });
    if let Some(origin) = &plan.origin {
        let mut stream = Listening::start(ask.clone().with("origin", origin));
        stream.until(ARRIVAL_WAIT, |record| record.head.is_some()).await;
        findings.push(cors::check(ask, origin, &stream.record()).await);
    }
    let mut topics = vec![topic.clone()];
    if let Some(bytes) = plan.publish_size {
        let topic = format!("{topic}/size");
        let finding = match &probe.refused {
            Some(why) => Finding::not_tested(Check::Size, why),
            None => {
                let check = size::check(&server.client, &topic, bytes);
                progress.during("publishing a large event", check).await
            }
        };
        // Without an event that was taken there is no such topic.
        topics.extend(finding.has_measured(&["taken_bytes", "passed_bytes"]).then_some(topic));
        findings.push(finding);
    }
    let lasting = [format!("{topic}/idle"), format!("{topic}/length")];
    findings.extend(lasting_checks(plan, &server, &lasting, &probe, progress).await);
    // Nothing is published to the silent one, and to the other only if it is watched.
    let [_, length] = lasting;
    topics.extend(plan.length.is_some().then_some(length));
    let mut report = Report::new(Kind::Tidings(server.version.clone()), findings, signs);
    if !probe.sent.is_empty() {
        report.notes = remove(&server.client, &topics).await;
    }
    report
}

/// Those that take as long as they are given, at the same time.
async fn lasting_checks(
    plan: &Plan,
    server: &Server,
    [idle_topic, length_topic]: &[String; 2],
    probe: &Probe,
    progress: &Progress,
) -> Vec<Finding> {
    let idle = async {
        let time = plan.idle?;
        let ask = server.topic(plan, idle_topic);
        let silence = lasting::silence(ask.clone(), time);
        let (stream, silence) = tokio::join!(lasting::listen(ask, time), silence);
        Some(lasting::idle(&stream, &silence, time))
    };
    let length = async {
        let time = plan.length?;
        if let Some(why) = &probe.refused {
            return Some(Finding::not_tested(Check::Length, why));
        }
        let listening = lasting::listen(server.topic(plan, length_topic), time);
        tokio::pin!(listening);
        let mut due = tokio::time::interval(LENGTH_GAP);
        let stream = loop {
            tokio::select! {
                stream = &mut listening => break stream,
                _ = due.tick() => {
                    // A publish that fails leaves the stream silent for a second; the stream
                    // is what is tested.
                    let _ = server.client.publish(length_topic, "tick").ttl(TTL).send().await;
                }
            }
        };
        Some(lasting::length(&stream, time, true))
    };
    let both = async { tokio::join!(idle, length) };
    let time = plan.idle.max(plan.length).unwrap_or_default();
    let (idle, length) = progress.along("watching the stream", time, both).await;
    idle.into_iter().chain(length).collect()
}

/// Publishes the probe; its last event ends the topic, so that whoever holds events back gives
/// them away now.
async fn publish(plan: &Plan, client: &Client, topic: &str) -> Probe {
    let mut probe = Probe::default();
    if plan.read_only {
        probe.refused = Some("nothing is published with --read-only".to_owned());
        return probe;
    }
    let mut due = tokio::time::interval(GAP);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for number in 0..EVENTS {
        due.tick().await;
        let mut event = client.publish(topic, number.to_string()).event_type("probe").ttl(TTL);
        if number + 1 == EVENTS {
            event = event.end(End::Done);
        }
        let sent = Instant::now();
        match event.send().await {
            Ok(Receipt::Stored(stored)) => {
                probe.sent.push(sent);
                probe.ids.push(stored.id.to_string());
            }
            Ok(_) => probe.refused = Some("the probe was put off by the server".to_owned()),
            Err(error) => probe.refused = Some(refusal(&error)),
        }
        if probe.refused.is_some() {
            break;
        }
    }
    probe
}

fn refusal(error: &RequestError) -> String {
    let why = super::wire::chain(error);
    format!("publishing to doctor/… failed: {}", harmless(&why))
}

fn pace(probe: &Probe, stream: &Record, signs: &[super::proxy::Sign]) -> Finding {
    if let Some(why) = &probe.refused {
        return Finding::not_tested(Check::Pace, why);
    }
    let arrival = |number: usize| {
        let mut events = stream.events.iter();
        events.find(|event| event.data.parse() == Ok(number)).map(|event| event.at)
    };
    let came: Vec<_> = (0..probe.sent.len()).map(arrival).collect();
    let pace = Pace::of(&probe.sent, &came, GAP);
    flow::pace(&pace, GAP, stream.is_over(), signs)
}

fn compression(probe: &Probe, stream: &Record) -> Finding {
    match &probe.refused {
        Some(_) => flow::compression_of_any(stream),
        None => flow::compression(stream, &probe.sent, GAP),
    }
}

/// Removes the topics; what is to be told if that is not allowed.
async fn remove(client: &Client, topics: &[String]) -> Vec<String> {
    let mut notes = Vec::new();
    for topic in topics {
        match client.delete(topic).await {
            Ok(()) => {}
            Err(RequestError::Refused(refusal)) if refusal.status == 404 => {}
            Err(error) => notes.push(format!(
                "the topic {topic} could not be removed ({}); its events expire in 10 minutes",
                harmless(&super::wire::chain(&error))
            )),
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_what_is_before_a_route() {
        for (url, expected) in [
            ("http://h", "http://h"),
            ("http://h/", "http://h"),
            ("https://h:1/live/", "https://h:1/live"),
            ("http://h/topics/a/b?x=1", "http://h"),
            ("http://h/live/topics/a", "http://h/live"),
            ("http://h/events?topic=a", "http://h"),
            ("http://h/stream", "http://h"),
        ] {
            assert_eq!(base(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
