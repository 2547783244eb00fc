//! An upstream that plays a script: an LLM's answers without a model, and every way in which a
//! stream can break, at a byte of the test's choosing.
//!
//! The tests of the relay and its benchmark need an upstream that does exactly what is asked of it;
//! `tidings dev` offers the same as a demonstration that needs neither a key nor a download.
//!
//! An [`Upstream`] listens on loopback and serves on a thread of its own. For each request a
//! function decides on a [`Script`]: what is said, in which dialect, at which pace, how it is
//! framed, and where it breaks ([`Fault`]). What came in and what became of it is seen through
//! [`Upstream::received`] and [`Upstream::wait_for`].
//!
//! ```
//! use tidings_scripted::{At, Fault, Script, Upstream};
//!
//! # fn main() -> std::io::Result<()> {
//! let upstream = Upstream::start()?;
//! // Every answer: three words, then the connection is reset in the middle of the next event.
//! upstream.play(|_| Script::text("one two three four").fault(Fault::reset(At::Byte(600))));
//! assert!(upstream.url().ends_with("/v1"));
//! # Ok(())
//! # }
//! ```
//!
//! Beside it stands [`push`], a push service with the browsers behind it.

mod demo;
mod dialect;
mod directed;
mod fault;
mod framing;
mod http;
mod id;
mod player;
pub mod push;
mod script;
mod seen;
mod serve;
mod text;
mod upstream;

pub use demo::{DEMO_MODEL, FAST_MODEL, STORY_MODEL, demo};
pub use dialect::Dialect;
pub use directed::directed_script;
pub use fault::{Action, At, Fault};
pub use framing::{Comment, Framing, LineEnd, Writes};
pub use script::{Coding, Finish, Part, Script, SseEvent};
pub use seen::{Answer, Received, Seen};
pub use text::tokens;
pub use upstream::{Upstream, WAIT_MAX, default_script, monotonic_ns};
