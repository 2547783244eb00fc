//! The program as its users see it: arguments in; exit code, standard output and error out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;
mod client;
mod config;
mod doctor;
mod doctor_nginx;
mod doctor_stream;
mod doctor_upstream;
mod durability;
mod examples;
mod flask;
mod help;
mod interop;
mod pages;
mod prices;
mod program;
mod publish;
mod push;
mod raw;
mod react;
mod scale;
mod server;
mod stuck;
mod subscribe;
mod token;
mod topics;
mod unreachable;
mod webhooks;
