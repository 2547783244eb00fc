//! From an upstream that speaks SSE into a topic: LLM answers, and streams that many share.
//!
//! Whoever asks an LLM through the relay gets the answer as a subscription to a topic. The upstream
//! is read by a task of its own, every event is in the log before anybody sees it, and so an answer
//! survives dropped connections, reloads, second devices and slow readers, with no change to either
//! side. Nothing here listens: the server brings the requests.
//!
//! | module | holds |
//! |---|---|
//! | [`dialect`] | what an answer looks like on the wire of each API, without I/O |

pub mod dialect;
