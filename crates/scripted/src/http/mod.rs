//! As much of HTTP/1.1 (RFC 9112) as an upstream needs: requests in, one response after another
//! out, each body in the coding that the script wants.

mod outbox;
mod request;

pub(crate) use outbox::{Outbox, head};
pub(crate) use request::{Taken, take};
