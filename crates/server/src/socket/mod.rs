//! Sockets of plain HTTP/1.1, held directly: what most of production is, behind a proxy that ends
//! TLS.
//!
//! A subscriber is a socket and a position, and nothing else: no task, no buffer, no HTTP state
//! once the head of the response is out. A [`shard`] is one thread with one epoll loop that
//! accepts, takes publishes, appends them together and writes what is due to each socket; a
//! [`backfill`] thread does the same for subscribers that have to read the log first, so that a
//! cold disk delays nobody who is up to date. Subscribers move between the two with their position.
//!
//! The [`door`] takes only requests that it fully understands, publishes and subscriptions of the
//! plain kind; everything else goes to hyper with the bytes that were read, and comes back here
//! when it turns out to be a subscription.

mod answers;
pub(crate) mod backfill;
pub(crate) mod conn;
mod deliver;
pub(crate) mod door;
mod follow;
pub(crate) mod heads;
pub(crate) mod mail;
mod requests;
mod seat;
pub(crate) mod shard;
pub(crate) mod slots;
mod tend;
#[cfg(test)]
mod tests;
pub(crate) mod timer;
mod unfinished;
