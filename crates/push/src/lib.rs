//! Web Push as bytes: a message to a browser that has no page open goes by way of its maker's push
//! service, which must not be able to read it and wants to know who sends it.
//!
//! | module | holds |
//! |---|---|
//! | [`message`] | encryption for one receiver (RFC 8291 with the coding of RFC 8188) |
//! | [`vapid`] | the key that names this server, and its signed word to a push service (RFC 8292) |
//! | [`services`] | which push services may be asked, and what an endpoint is |
//!
//! Nothing here does I/O but [`vapid::VapidKey::open`], and nothing knows of topics or events.

pub mod message;
pub mod services;
pub mod vapid;

pub use message::{EncryptError, PAYLOAD_BYTES_MAX, Receiver, ReceiverError, encrypt};
pub use services::{Endpoint, EndpointError, Services};
pub use vapid::{KeyError, VapidKey};
