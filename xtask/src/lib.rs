//! Rules of this repository that no compiler and no linter checks.
//!
//! Each rule is a pure function from the text of a file to what is wrong with it, so that its own
//! tests can show that it fails; `tests/tidy` applies them to everything in the repository. There
//! are no dependencies: the rules must never be the reason why something does not build.

pub mod manifest;
pub mod markdown;
pub mod repository;
pub mod source;
