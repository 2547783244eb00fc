//! One stream that many share: a single connection to the upstream feeds a topic, and any number of
//! clients follow the topic.
//!
//! The upstream is read from the first subscriber on until a grace time after the last one, as a
//! browser would read it: it is sent the last id that it gave, its `retry:` is honoured, and its
//! end is no end but a reason to come back. Every event is in the log before anybody gets it, so
//! clients resume against the topic and never notice that the upstream was gone.
//!
//! | module | holds |
//! |---|---|
//! | `follower` | the task: when there is a connection, and what becomes of what it brings |
//! | `request` | what the upstream is asked, and which answers are a stream |
//! | `known` | what is stored already, for upstreams that begin anew after a reconnection |
//! | `waits` | how long until the next attempt |
//! | [`metrics`] | counters, for each stream |

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tidings_frame::Pattern;
use tidings_hub::{Durability, Hub, PolicyRule, Retain, TopicPolicy};

mod follower;
mod known;
pub mod metrics;
mod request;
mod waits;

use crate::config::SharedConfig;
use crate::readers::{Lease, Readers};
use crate::upstream::{TlsError, Upstreams};
use crate::work::Work;
use follower::Follower;
use metrics::Metrics;

/// A stream that is shared.
#[derive(Debug)]
pub struct Shared {
    /// Its settings.
    pub config: SharedConfig,
    readers: Arc<Readers>,
}

impl Shared {
    /// Counts a client among the stream's readers, for as long as the lease lives. The first one
    /// has the upstream connected.
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.readers.lease()
    }
}

/// The shared streams of a server.
pub struct SharedRelays {
    streams: Vec<Arc<Shared>>,
    metrics: Metrics,
}

impl std::fmt::Debug for SharedRelays {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedRelays").field("streams", &self.streams).finish_non_exhaustive()
    }
}

impl SharedRelays {
    /// Has the streams read there. No upstream is asked for anything before somebody subscribes.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn start(
        hub: &Arc<Hub>,
        configs: Vec<SharedConfig>,
        work: &Work,
    ) -> Result<Arc<Self>, TlsError> {
        let tls = configs.iter().any(|config| config.upstream.scheme_str() == Some("https"));
        let upstreams = Upstreams::new(tls)?;
        let metrics = Metrics::default();
        let share = |config| Arc::new(Shared { config, readers: Arc::default() });
        let streams: Vec<Arc<Shared>> = configs.into_iter().map(share).collect();
        for stream in &streams {
            let counts = metrics.of(&stream.config.path);
            let follower = Follower::new(hub.clone(), stream, upstreams.clone(), counts);
            work.handle().spawn(follower.run());
        }
        Ok(Arc::new(Self { streams, metrics }))
    }

    /// The stream that clients reach at this path.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Arc<Shared>> {
        self.streams.iter().find(|stream| stream.config.path == path)
    }

    /// Shows what is counted in a registry.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }
}

/// The policies of the topics that streams become: the newest events are kept, however old, so that
/// the last one can be shown to whoever comes, and its id sent to the upstream.
#[must_use]
pub fn policies(configs: &[SharedConfig], durability: Durability) -> Vec<PolicyRule> {
    let rule = |config: &SharedConfig| PolicyRule {
        pattern: Pattern::new(config.topic.as_str()).expect("a name is a pattern for itself"),
        policy: TopicPolicy {
            durability,
            retain: Retain { count: Some(config.retain), ..Retain::default() },
            ..TopicPolicy::default()
        },
    };
    configs.iter().map(rule).collect()
}
