//! The program as its users see it: arguments in; exit code, standard output and error out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;
mod config;
mod doctor;
mod doctor_nginx;
mod doctor_stream;
mod doctor_upstream;
mod durability;
mod help;
mod interop;
mod pages;
mod program;
mod publish;
mod server;
mod subscribe;
mod topics;
mod unreachable;
