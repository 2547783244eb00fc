//! Web Push: events of a topic for browsers that have no page open, by way of their makers' push
//! services (RFC 8030).
//!
//! A subscription is what it is everywhere here: a position in the log and a follower, on a task of
//! its own ([`deliver`]). There is no queue of messages: while a push service is away, the
//! subscription stands where it is, and holds nothing but its position. Subscriptions and positions
//! are events of the server's own topics ([`entry`]), so both outlive the process. A position is
//! noted a moment after it was reached: a restart repeats at most what was sent in that moment, and
//! the push service replaces a message by its repeat.
//!
//! Endpoints come from whoever subscribes, so only listed push services are ever asked.

mod deliver;
mod entry;
mod metrics;
mod patience;
mod send;
mod subscription;
mod table;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tidings_hub::{Hub, PublishError, StoreError};
use tidings_push::{KeyError, VapidKey};
use tidings_relay::fetch::Client;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::config::PushConfig;
use crate::follower::{Board, LogReader};

pub(crate) use entry::{Urgency, policies};
pub(crate) use subscription::{Asked, SubscribeError};

use entry::Entry;
use metrics::Metrics;
use table::Table;

/// The file in the data folder that holds the key which names this server to push services.
const KEY_FILE: &str = "push.key";

/// Requests to one push service at a time; the others are not held up by one that is slow.
const REQUESTS_PER_SERVICE: usize = 32;

/// How often positions that were reached are noted.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// Why Web Push cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The subscriptions cannot be read.
    #[error("subscriptions of Web Push: {0}")]
    Log(#[from] StoreError),
}

/// What there is before the server is put together: a key, and what earlier processes left.
pub(crate) struct Prepared {
    config: PushConfig,
    key: VapidKey,
    entries: Vec<Entry>,
    tasks: Handle,
}

/// Web Push of one server.
pub(crate) struct Push {
    hub: Arc<Hub>,
    board: Arc<Board>,
    reader: Arc<LogReader>,
    config: PushConfig,
    key: VapidKey,
    /// Made when the first message is sent: it reads the system's certificates.
    client: OnceLock<Option<Client>>,
    permits: Vec<Semaphore>,
    /// Signed words by the origin of a push service, and when each ends, in seconds since 1970.
    words: Mutex<HashMap<String, (String, u64)>>,
    table: Mutex<Table>,
    tasks: Handle,
    metrics: Metrics,
}

/// Reads or makes the key, and reads the subscriptions; nothing if Web Push is off. `tasks` is
/// where messages are sent from.
pub(crate) fn prepare(
    hub: &Hub,
    config: Option<&PushConfig>,
    folder: &Path,
    tasks: &Handle,
) -> Result<Option<Prepared>, StartError> {
    let Some(config) = config else { return Ok(None) };
    Ok(Some(Prepared {
        config: config.clone(),
        key: VapidKey::open(&folder.join(KEY_FILE))?,
        entries: entry::read(hub)?,
        tasks: tasks.clone(),
    }))
}

impl Prepared {
    /// Joins it with what followers need.
    pub(crate) fn join(
        self,
        hub: &Arc<Hub>,
        board: &Arc<Board>,
        reader: &Arc<LogReader>,
    ) -> Arc<Push> {
        let permits = self.config.services.len();
        let push = Arc::new(Push {
            hub: hub.clone(),
            board: board.clone(),
            reader: reader.clone(),
            permits: (0..permits).map(|_| Semaphore::new(REQUESTS_PER_SERVICE)).collect(),
            config: self.config,
            key: self.key,
            client: OnceLock::new(),
            words: Mutex::default(),
            table: Mutex::default(),
            tasks: self.tasks,
            metrics: Metrics::default(),
        });
        push.take_up(self.entries);
        push.tasks.spawn(note_again_and_again(push.clone()));
        push
    }
}

impl Push {
    /// The public key that pages subscribe with.
    pub(crate) fn public_key(&self) -> String {
        self.key.public()
    }

    /// Shows the counters in a registry.
    pub(crate) fn register(&self, registry: &mut prometheus_client::registry::Registry) {
        self.metrics.register(registry);
    }

    /// Notes the positions that were reached since the last time. What cannot be noted is kept for
    /// the next time.
    pub(crate) fn note_positions(&self) {
        let reached = self.table.lock().take_reached();
        if reached.is_empty() {
            return;
        }
        if let Err(error) = entry::write_positions(&self.hub, &reached) {
            tracing::warn!(%error, "positions of Web Push could not be noted");
            self.table.lock().reached_again(reached);
        }
    }
}

async fn note_again_and_again(push: Arc<Push>) {
    loop {
        tokio::time::sleep(NOTE_EVERY).await;
        push.note_positions();
    }
}

/// A publish of the server's own was refused.
fn refused(error: PublishError) -> StoreError {
    match error {
        PublishError::Store(error) => error,
        other => StoreError::Failed(other.to_string()),
    }
}
