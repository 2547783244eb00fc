//! What `tidings dev` adds for its demo pages: programs that are clients of the server like any
//! other, and could as well be somebody else's.

mod market;
mod prices;

pub(crate) use prices::start;
