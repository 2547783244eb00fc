//! WebSocket (RFC 6455), subprotocol `tidings.v1.json`: the same topics, events, ids and promises,
//! both ways over one connection.
//!
//! | module | holds |
//! |---|---|
//! | [`handshake`] | from a `GET /ws` to the head that changes the protocol |
//! | `protocol` | a library's WebSocket without its I/O: bytes in, messages out |
//! | `request` | what clients say |
//! | `message` | what the server says |
//! | `output` | what a socket has not taken yet |
//! | `wire` | the socket, or TLS on it |
//! | `operations` | what is asked for, done |
//! | `publishing` | publishes, several in one round, and their receipts |
//! | `subscription` | a follower with a name on its connection |
//! | `connection` | the task that holds all of it |
//! | `asking` | what waits for the application's word |
//! | `standing` | whose token it stands on, and what becomes of it without |
//!
//! A connection is a task and reads only as fast as its client takes the answers. Events are
//! encoded once for all connections; what is written for each is a few bytes around them.

mod asking;
mod connection;
pub(crate) mod handshake;
mod message;
mod operations;
mod output;
mod protocol;
mod publishing;
mod request;
mod standing;
mod subscription;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

pub(crate) use connection::serve;

use crate::socket::mail::{Change, Changed, Listed};

/// What others ask of a connection's task and it has not done yet, at most.
const CONTROLS_MAX: usize = 16;

/// What others ask of a connection's task.
enum Control {
    /// Change what a subscription follows. Answered with whether it is there.
    Change { number: u64, change: Change, done: oneshot::Sender<Option<Changed>> },
    /// End a subscription.
    Close { number: u64, done: oneshot::Sender<bool> },
}

struct Registered {
    listed: Arc<Mutex<Listed>>,
    task: mpsc::Sender<Control>,
}

/// The subscriptions of WebSocket connections, for whoever lists, changes and ends them.
#[derive(Default)]
pub(crate) struct WebSockets {
    all: Mutex<HashMap<u64, Registered>>,
}

impl WebSockets {
    fn insert(&self, number: u64, listed: Arc<Mutex<Listed>>, task: mpsc::Sender<Control>) {
        self.all.lock().insert(number, Registered { listed, task });
    }

    fn remove(&self, number: u64) {
        self.all.lock().remove(&number);
    }

    /// How they stand.
    pub(crate) fn list(&self) -> Vec<Listed> {
        self.all.lock().values().map(|registered| registered.listed.lock().clone()).collect()
    }

    /// Changes one; `None` if there is none of this number, or the change was refused.
    pub(crate) async fn change(&self, number: u64, change: Change) -> Option<Changed> {
        let (done, changed) = oneshot::channel();
        self.ask(number, Control::Change { number, change, done }).await;
        changed.await.ok().flatten()
    }

    /// Ends one; whether it was there.
    pub(crate) async fn close(&self, number: u64) -> bool {
        let (done, closed) = oneshot::channel();
        self.ask(number, Control::Close { number, done }).await;
        closed.await.unwrap_or(false)
    }

    async fn ask(&self, number: u64, control: Control) {
        let task = self.all.lock().get(&number).map(|registered| registered.task.clone());
        if let Some(task) = task {
            // It may end meanwhile, which its silence tells.
            let _ = task.send(control).await;
        }
    }
}
