//! The Rust client of Tidings: publish, subscribe, resume.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tidings_client::{Client, Item, Start};
//!
//! let client = Client::new("http://127.0.0.1:8080")?;
//! client.publish("chat/7", "hello").event_type("said").send().await?;
//!
//! let mut subscription = client.subscribe().topic("chat/7").start(Start::Earliest).open()?;
//! while let Some(item) = subscription.next().await {
//!     match item? {
//!         Item::Event(event) => println!("{} {}", event.id, event.text()),
//!         Item::Gap(gap) => println!("missing: {}", gap.reason),
//!         Item::End(end) => println!("the end: {}", end.reason),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Promises: after a reconnection every event comes once, in order, or a gap says what is missing.
//! Nothing is repeated that is not safe to repeat. Memory is bounded, however slow the reader and
//! however large the stream. There is no task in the background: what is dropped is closed.
//!
//! | module | holds |
//! |---|---|
//! | [`client`] | [`Client`] and its settings |
//! | [`publish`] | one event, a batch, several topics at once |
//! | [`subscribe`] | following topics, with resume |
//! | [`read`] | history, and what there is to know and to do about topics |
//! | [`error`] | why a call failed |

mod backoff;
pub mod client;
mod connections;
pub mod error;
pub mod publish;
pub mod read;
pub mod subscribe;
mod transport;
mod url;

pub use client::{Client, ClientBuilder};
pub use error::{BuildError, Cause, Refusal, RequestError, SubscribeError};
pub use publish::{Expect, NewEvent, Publish, PublishAll, Receipt};
pub use read::History;
pub use subscribe::{ConnectionState, Ended, Event, Gap, Item, Start, Subscribe, Subscription};
pub use tidings_frame as frame;
