//! An upstream that plays a script: an LLM's answers without a model, and every way in which a
//! stream can break, at a byte of the test's choosing.
//!
//! The tests of the relay and its benchmark need an upstream that does exactly what is asked of it;
//! `tidings dev` offers the same as a demonstration that needs neither a key nor a download.
