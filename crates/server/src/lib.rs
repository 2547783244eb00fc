//! Everything that listens.

pub mod config;
