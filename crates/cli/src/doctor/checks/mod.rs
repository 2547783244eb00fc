//! The checks: each takes what was seen and says what it means.

pub(super) mod connection;
pub(super) mod cors;
pub(super) mod flow;
pub(super) mod head;
pub(super) mod lasting;
pub(super) mod resume;
pub(super) mod size;
