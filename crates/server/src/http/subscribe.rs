//! What a subscriber asks for, however it asks: `GET /topics/{topic}`, `GET` or `POST /events`, and
//! the changes of a live connection.

use std::borrow::Cow;
use std::sync::Arc;

use tidings_access::{Action, Caller};
use tidings_frame::api::SubscribeRequest;
use tidings_frame::limits::START_LAST_EVENTS_MAX;
use tidings_frame::{ErrorCode, Pattern, PatternError, TopicName, TopicNameError, is_internal};
use tidings_hub::{Framing, Selection, Start, View};
use tidings_relay::Lease;
use tidings_relay::merged::Merge;

use super::{cors, params};
use crate::access::expiring::{self, Expiring};
use crate::access::{Who, tickets};
use crate::app::App;
use crate::dashboard;
use crate::error::ApiError;
use crate::head::Head;
use crate::limits::{Admission, Party};
use crate::peer::Peer;

/// Most bytes of a `Last-Event-ID` that are looked at; a longer one is simply unknown.
const LAST_EVENT_ID_BYTES_MAX: usize = 256;

/// A subscription that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Subscribe {
    pub(crate) selection: Arc<Selection>,
    pub(crate) start: Start,
    pub(crate) view: View,
    /// The origin that may read the answer, for `Access-Control-Allow-Origin`.
    pub(crate) origin: Option<String>,
    /// Whose token the subscription stands on, and ends with.
    pub(crate) caller: Option<Arc<Caller>>,
    /// Whether it is told before that happens.
    pub(crate) expiring: Expiring,
    /// What a relayed stream has besides.
    pub(crate) opening: Option<Box<Opening>>,
    /// What it has taken of counted limits.
    pub(crate) admission: Admission,
}

/// What a relayed stream has besides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opening {
    /// Header fields of its head.
    pub(crate) fields: Vec<(Cow<'static, str>, String)>,
    /// Frames that are sent first.
    pub(crate) first: Vec<u8>,
    /// How what the client is behind is merged, if it is.
    pub(crate) merge: Option<Merge>,
    /// Counts the connection among the stream's readers.
    pub(crate) lease: Option<Lease>,
}

/// What the parameters of a subscription say, before it is known which topics.
pub(crate) struct Asked<'a> {
    pub(crate) topics: Vec<Cow<'a, str>>,
    pub(crate) patterns: Vec<Cow<'a, str>>,
    pub(crate) start: Option<Start>,
    pub(crate) envelope: bool,
    pub(crate) conflate: bool,
    /// Seconds to wait for an event and answer with JSON.
    pub(crate) poll_ms: Option<u64>,
    pub(crate) limit: Option<u64>,
    pub(crate) before: Option<Cow<'a, str>>,
    pub(crate) after: Option<Cow<'a, str>>,
    origin: Option<String>,
    /// Who asks, as limits see it.
    pub(crate) party: Party,
    pub(crate) who: Who,
    /// Where it came from, if that is known here.
    pub(crate) peer: Option<Peer>,
    expiring: Expiring,
}

/// The parameters of a subscription; those of history are refused by whoever cannot use them.
pub(crate) const PARAMETERS: [&str; 19] = [
    "topic",
    "pattern",
    "lastEventId",
    "last_event_id",
    "lastEventID",
    "since",
    "last",
    "earliest",
    "envelope",
    "conflate",
    "poll",
    "limit",
    "after",
    "before",
    "from",
    params::TOKEN,
    params::DELTAS,
    tickets::PARAMETER,
    expiring::PARAMETER,
];

impl<'a> Asked<'a> {
    /// Reads the query. Parameters that begin with an underscore are passed over: they are what
    /// clients add against caches. So is `datastar`, in which Datastar sends a page's state along
    /// with every `GET`.
    pub(crate) fn read(app: &App, head: &Head<'a>) -> Result<Self, ApiError> {
        Self::read_as(app, head, app.who(head)?)
    }

    /// Reads the query of somebody who is known already: a ticket is good for one look.
    pub(crate) fn read_as(app: &App, head: &Head<'a>, who: Who) -> Result<Self, ApiError> {
        let mut asked = Self::nothing(who);
        asked.origin = cors::allowed(app, head);
        asked.peer = head.peer;
        asked.party = head.party;
        let mut query_id = None;
        for (name, value) in head.query()? {
            match &*name {
                "topic" => asked.topics.push(value),
                "pattern" => asked.patterns.push(value),
                "lastEventId" | "last_event_id" | "lastEventID" => query_id = Some(value),
                "since" => {
                    let since = params::since_ms(&name, &value, app.hub.now_ms())?;
                    asked.start_at(Start::Since(since))?;
                }
                "last" => {
                    let last = params::number(&name, &value, (0, START_LAST_EVENTS_MAX))?;
                    asked.start_at(Start::Last(last))?;
                }
                "earliest" if params::flag(&name, &value)? => asked.start_at(Start::Earliest)?,
                "earliest" => {}
                "from" => asked.start_at(from(&value)?)?,
                "envelope" => asked.envelope = params::flag(&name, &value)?,
                "conflate" => asked.conflate = params::flag(&name, &value)?,
                "poll" => {
                    let limit = app.config.limits.long_poll_max;
                    let seconds = params::number(&name, &value, (0, limit.as_secs()))?;
                    asked.poll_ms = Some(seconds * 1_000);
                }
                "limit" => {
                    let most = app.config.limits.history_page_max as u64;
                    asked.limit = Some(params::number(&name, &value, (1, most))?);
                }
                "after" => asked.after = Some(value),
                "before" => asked.before = Some(value),
                // Read where it is asked for.
                params::TOKEN | params::DELTAS | tickets::PARAMETER => {}
                expiring::PARAMETER => asked.expiring = Expiring::read(&value)?,
                "datastar" => {}
                _ if name.starts_with('_') => {}
                _ => return Err(params::unknown(&name, &PARAMETERS)),
            }
        }
        // A browser that reconnects sends the header and still the query it began with: the header
        // is the newer one, and both are newer than where the subscription once began.
        let id = match head.bytes("last-event-id") {
            Some(id) if !id.is_empty() => Some(String::from_utf8_lossy(id)),
            _ => query_id.filter(|id| !id.is_empty()),
        };
        if let Some(id) = id {
            asked.start = Some(if id == "earliest" { Start::Earliest } else { after(&id) });
        }
        Ok(asked)
    }

    pub(crate) fn nothing(who: Who) -> Self {
        Self {
            topics: Vec::new(),
            patterns: Vec::new(),
            start: None,
            envelope: false,
            conflate: false,
            poll_ms: None,
            limit: None,
            before: None,
            after: None,
            origin: None,
            party: Party::default(),
            who,
            peer: None,
            expiring: Expiring::default(),
        }
    }

    /// Says where it begins, once.
    pub(crate) fn start_at(&mut self, start: Start) -> Result<(), ApiError> {
        match self.start.replace(start) {
            None => Ok(()),
            Some(_) => Err(ApiError::new(
                ErrorCode::InvalidParameter,
                "a subscription begins in one place: give one of since, last, earliest, from",
            )),
        }
    }

    /// Checks the names and makes it a subscription.
    pub(crate) fn subscribe(self, app: &App) -> Result<Subscribe, ApiError> {
        for (name, given) in [
            ("limit", self.limit.is_some()),
            ("after", self.after.is_some()),
            ("before", self.before.is_some()),
        ] {
            if given {
                let why = "for pages of history and long-poll; ask for application/json";
                return Err(ApiError::parameter(name, why));
            }
        }
        let selection = Arc::new(selection(app, &self.who, &self.topics, &self.patterns)?);
        Ok(Subscribe {
            start: self.start.unwrap_or(Start::Live),
            view: View {
                framing: if self.envelope { Framing::Envelope } else { Framing::Plain },
                private: sees_private(&self.who, &selection),
                conflate: self.conflate,
            },
            selection,
            origin: self.origin,
            caller: self.who.caller().cloned(),
            expiring: self.expiring,
            opening: None,
            admission: Admission::default(),
        })
    }

    /// Says the one topic that the path names.
    pub(crate) fn only_topic(&mut self, topic: Cow<'a, str>) -> Result<(), ApiError> {
        for (name, list) in [("topic", &self.topics), ("pattern", &self.patterns)] {
            if !list.is_empty() {
                let why = "the path says the topic; for several there is /events";
                return Err(ApiError::parameter(name, why));
            }
        }
        self.topics.push(topic);
        Ok(())
    }
}

/// The resume point of an id as a client sent it. One that is too long is cut, which leaves it as
/// unknown as it was.
pub(crate) fn after(id: &str) -> Start {
    let mut end = id.len().min(LAST_EVENT_ID_BYTES_MAX);
    while !id.is_char_boundary(end) {
        end -= 1;
    }
    Start::After(id[..end].to_owned())
}

/// `from=`: one word for every kind of start.
pub(crate) fn from(text: &str) -> Result<Start, ApiError> {
    Ok(match text {
        "live" => Start::Live,
        "earliest" => Start::Earliest,
        "" => return Err(ApiError::parameter("from", "live, earliest or an event id")),
        id => after(id),
    })
}

/// Whether private events are shown: only where the caller may see those of all that is asked for.
pub(crate) fn sees_private(who: &Who, selection: &Selection) -> bool {
    let exact = |topic: &TopicName| Pattern::new(topic.as_str());
    selection.topics().iter().all(|topic| exact(topic).is_ok_and(|name| who.sees_private(&name)))
        && selection.patterns().iter().all(|pattern| who.sees_private(pattern))
}

/// Checks and tidies topics and patterns, and whether the caller may follow them.
pub(crate) fn selection(
    app: &App,
    who: &Who,
    topics: &[Cow<'_, str>],
    patterns: &[Cow<'_, str>],
) -> Result<Selection, ApiError> {
    let limit = app.config.limits.subscription_topics;
    if topics.len() > limit {
        let what = "topics";
        return Err(tidings_hub::SubscribeError::TooMany { what, limit }.into());
    }
    let internal = |name: &&Cow<'_, str>| is_internal(name) && !dashboard::is_own(name);
    if let Some(name) = topics.iter().chain(patterns).find(internal) {
        let detail = format!("{name}: names that begin with $ are the server's own");
        return Err(ApiError::new(ErrorCode::Forbidden, detail));
    }
    let topics: Result<Vec<TopicName>, TopicNameError> =
        topics.iter().map(|name| TopicName::new(name)).collect();
    let patterns: Result<Vec<Pattern>, PatternError> =
        patterns.iter().map(|text| Pattern::new(text)).collect();
    let topics = topics.map_err(tidings_hub::SubscribeError::from)?;
    let patterns = patterns.map_err(tidings_hub::SubscribeError::from)?;
    may_follow_all(who, &topics, &patterns)?;
    Ok(Selection::new(topics, patterns)?)
}

/// Refuses unless all of it may be followed.
pub(crate) fn may_follow(who: &Who, selection: &Selection) -> Result<(), ApiError> {
    may_follow_all(who, selection.topics(), selection.patterns())
}

fn may_follow_all(who: &Who, topics: &[TopicName], patterns: &[Pattern]) -> Result<(), ApiError> {
    for topic in topics.iter().map(TopicName::as_str) {
        // The dashboard's are the operator's.
        if dashboard::is_own(topic) {
            who.may_operate()
        } else {
            who.may(Action::Subscribe, topic)
        }?;
    }
    patterns.iter().try_for_each(|pattern| {
        let own = dashboard::is_own(pattern.as_str());
        if own { who.may_operate() } else { who.may_all(Action::Subscribe, pattern) }
    })
}

/// Reads the list of `POST /events`; the other parameters are in the query as for `GET`.
pub(crate) fn posted<'a>(
    app: &App,
    head: &Head<'a>,
    body: &'a [u8],
) -> Result<Subscribe, ApiError> {
    let mut asked = Asked::read(app, head)?;
    let list: SubscribeRequest<'a> = params::object(body)?;
    asked.topics.extend(list.topics);
    asked.patterns.extend(list.patterns);
    asked.subscribe(app)
}
