//! axum's `Sse` over one broadcast channel per topic, on one worker thread: the usual way to serve
//! live events in Rust, and the peer that `tidings bench` compares with.
//!
//! `POST /topics/<name>` publishes, `GET` of the same path subscribes. Nothing is stored; who
//! falls more than 1,024 events behind loses some without being told.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::response::sse::{Event, Sse};
use axum::routing::get;
use futures_util::stream::{self, Stream};
use tokio::sync::broadcast::{self, Receiver, Sender};

/// Events that a subscriber may be behind.
const CHANNEL_EVENTS: usize = 1_024;

#[derive(Clone)]
struct Message {
    id: Arc<str>,
    data: Arc<str>,
}

struct Topic {
    sender: Sender<Message>,
    sequence: u64,
}

#[derive(Clone, Default)]
struct Topics(Arc<Mutex<HashMap<String, Topic>>>);

impl Topics {
    fn with<T>(&self, name: String, act: impl FnOnce(&mut Topic) -> T) -> T {
        let mut topics = self
            .0
            .lock()
            .expect("nothing panics while it holds the lock");
        let new = || Topic {
            sender: broadcast::channel(CHANNEL_EVENTS).0,
            sequence: 0,
        };
        act(topics.entry(name).or_insert_with(new))
    }
}

fn main() -> std::io::Result<()> {
    let address = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = listen(&address)?;
        let routes = Router::new()
            .route("/readyz", get(|| async {}))
            .route("/topics/{*name}", get(subscribe).post(publish))
            .with_state(Topics::default());
        axum::serve(listener, routes).await
    })
}

/// With room for a connect storm, as the others have.
fn listen(address: &str) -> std::io::Result<tokio::net::TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    let address = address.parse().map_err(std::io::Error::other)?;
    socket.bind(address)?;
    socket.listen(4_096)
}

async fn publish(State(topics): State<Topics>, Path(name): Path<String>, data: String) -> String {
    topics.with(name, |topic| {
        topic.sequence += 1;
        let id: Arc<str> = format!("axumpeer-{}", topic.sequence).into();
        let answer = format!("{{\"id\":\"{id}\",\"duplicate\":false}}");
        // No receivers is no error: the event is published to nobody.
        let _ = topic.sender.send(Message {
            id,
            data: data.into(),
        });
        answer
    })
}

async fn subscribe(
    State(topics): State<Topics>,
    Path(name): Path<String>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let receiver = topics.with(name, |topic| topic.sender.subscribe());
    Sse::new(stream::unfold(receiver, next))
}

async fn next(
    mut receiver: Receiver<Message>,
) -> Option<(Result<Event, Infallible>, Receiver<Message>)> {
    loop {
        match receiver.recv().await {
            Ok(message) => {
                let event = Event::default().id(&*message.id).data(&*message.data);
                return Some((Ok(event), receiver));
            }
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}
