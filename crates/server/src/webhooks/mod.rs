//! Webhooks: what happens here is told to those who are configured, at least once and in order.
//!
//! Tidings' own log is the queue. What happens becomes an event of the topic `$webhooks/{name}` of
//! every webhook that wants it; its receiver's task reads that topic, sends, and notes how far it
//! has come in another topic. So nothing that was stored is lost when the process ends, and what
//! is sent once more has the id that it had.
//!
//! | module | holds |
//! |---|---|
//! | [`occupancy`] | who is here: counted by the threads that hold subscribers, without waiting |
//! | `teller` | the task that makes events of changes, once they have lasted |
//! | `story` | what an event looks like, stored and sent |
//! | `queue` | what is to be sent in which order and when again, without I/O |
//! | `sender` | the task that sends to one receiver |

pub(crate) mod metrics;
pub(crate) mod occupancy;
mod queue;
mod sender;
mod story;
mod teller;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use tidings_frame::{Pattern, TopicName};
use tidings_hub::{
    Durability, Hub, NewEvent, PolicyRule, Publish, PublishError, Retain, StoreError, TopicPolicy,
};
use tidings_relay::TlsError;
use tidings_relay::fetch::Client;
use tidings_relay::finished::{Announce, Finished};

use crate::config::{Config, Happening, WebhookConfig};
use crate::outgoing::Outgoing;
use metrics::Metrics;
use occupancy::Occupancy;

/// The topics with what is to be told: this and the webhook's name.
const QUEUES: &str = "$webhooks/";

/// How far each webhook has come, by its name.
const POSITIONS: &str = "$webhook-notes/positions";

/// Of which topics and subjects it was told that they are there.
const TOLD: &str = "$webhook-notes/told";

/// How long what is given up stays in the log, in milliseconds.
const KEPT_AFTER_MS: u64 = 3_600_000;

/// The webhooks of a server.
pub(crate) struct Webhooks {
    pub(crate) occupancy: Arc<Occupancy>,
    pub(crate) metrics: Metrics,
}

/// What there is to be told, and to whom.
#[derive(Clone, Default)]
struct Wishes(Arc<[WebhookConfig]>);

impl Wishes {
    /// Who is told of this. `topic` is looked at if the happening is about one.
    fn of(
        &self,
        what: Happening,
        topic: Option<&str>,
    ) -> impl Iterator<Item = &WebhookConfig> + use<'_> {
        let topic = topic.map(str::to_owned);
        self.0.iter().filter(move |webhook| {
            let meant = |topic: &String| webhook.topics.iter().any(|known| known.matches(topic));
            webhook.events.contains(&what) && topic.as_ref().is_none_or(meant)
        })
    }

    fn any(&self, either: [Happening; 2], topic: Option<&str>) -> bool {
        either.into_iter().any(|what| self.of(what, topic).next().is_some())
    }
}

/// How the topics of webhooks are kept.
pub(crate) fn policies(webhooks: &[WebhookConfig], durability: Durability) -> Vec<PolicyRule> {
    let longest = webhooks.iter().map(|webhook| webhook.retry_for).max().unwrap_or_default();
    let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    let queues = TopicPolicy {
        durability,
        retain: Retain { age_ms: Some(longest.saturating_add(KEPT_AFTER_MS)), ..Retain::default() },
        ..TopicPolicy::default()
    };
    let notes = TopicPolicy {
        durability,
        retain: Retain::default(),
        conflate: true,
        ..TopicPolicy::default()
    };
    let rule = |text: &str, policy| {
        let pattern = Pattern::new(text).expect("a prefix of ours and a wildcard");
        PolicyRule { pattern, policy }
    };
    vec![rule("$webhooks/*", queues), rule("$webhook-notes/*", notes)]
}

/// What an answer's end has to be stored with, if somebody wants to know of it.
pub(crate) fn announce(config: &Config) -> Option<Announce> {
    let wishes = Wishes(config.webhooks.clone().into());
    wishes.of(Happening::AnswerFinished, None).next()?;
    Some(Arc::new(move |finished: &Finished<'_>| {
        let data = story::answer(finished);
        let events = wishes.of(Happening::AnswerFinished, None);
        events.map(|webhook| queued(webhook, Happening::AnswerFinished, &data)).collect()
    }))
}

/// An event of a webhook's queue.
fn queued(webhook: &WebhookConfig, what: Happening, data: &[u8]) -> NewEvent<'static> {
    NewEvent {
        topic: format!("{QUEUES}{}", webhook.name).into(),
        event_type: Some(what.name().into()),
        data: data.to_vec().into(),
        ..NewEvent::default()
    }
}

/// Publishes events of the server's own, all or none.
fn publish(hub: &Hub, events: &[NewEvent<'_>]) -> Result<(), PublishError> {
    let mut round = hub.round();
    round.publish(&Publish { events, operator: true, relay: true, ..Publish::default() });
    round.commit().pop().map_or_else(
        || Err(StoreError::Failed("a round has an outcome for each request".into()).into()),
        |outcome| outcome.map(drop),
    )
}

fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("a prefix of ours and a checked name")
}

/// Why webhooks cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// TLS cannot be set up.
    #[error("webhooks: {0}")]
    Tls(#[from] TlsError),
    /// What was noted cannot be read.
    #[error("webhooks: {0}")]
    Store(#[from] StoreError),
}

impl Webhooks {
    /// Has the webhooks told, if there are any. What was left over is sent first.
    ///
    /// # Errors
    /// See [`StartError`].
    pub(crate) fn start(
        hub: &Arc<Hub>,
        config: &Config,
        outgoing: &mut Outgoing,
    ) -> Result<Option<Self>, StartError> {
        if config.webhooks.is_empty() {
            return Ok(None);
        }
        let client = Client::new(config.webhooks.iter().any(|webhook| webhook.target.is_tls()))?;
        let metrics = Metrics::default();
        let wishes = Wishes(config.webhooks.clone().into());
        let occupancy = Occupancy::new(wishes.clone());
        let teller = teller::Teller::new(hub, &occupancy, wishes, config.vacancy_grace)?;
        outgoing.spawn(teller.run(outgoing.stopping()));
        for webhook in &config.webhooks {
            let counts = metrics.of(&webhook.name);
            let sender = sender::Sender::new(hub, webhook.clone(), client.clone(), counts)?;
            outgoing.spawn(sender.run(outgoing.stopping()));
        }
        Ok(Some(Self { occupancy, metrics }))
    }
}
