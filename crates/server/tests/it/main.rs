//! The server as its clients see it: bytes in, bytes out, over real sockets.
//!
//! One module per topic. The tests speak raw TCP with a small HTTP reader of their own (`support`),
//! so that every byte of the wire is looked at, and decode streams with the decoder that the
//! clients use. Nothing waits for time to pass: what is to happen is waited for, with a bound.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod access_audit;
mod access_cors;
mod access_ends;
mod access_keys;
mod access_relay;
mod access_topics;
mod access_ws;
mod bad_input;
mod connections;
mod dashboard;
mod dashboard_trace;
mod deleted;
mod doors_alike;
mod drain;
mod forks;
mod h2_client;
mod h2_frames;
mod history;
mod hook;
mod hook_down;
mod hook_limits;
mod http2;
mod http2_abuse;
mod http2_access;
mod json_bodies;
mod limits;
mod limits_connections;
mod no_http;
mod operations;
mod operator;
mod order;
mod policies;
mod proxies;
mod publish;
mod push;
mod push_access;
mod receiver;
mod relay;
mod relay_answers;
mod relay_chat;
mod relay_edges;
mod relay_headers;
mod relay_lifecycle;
mod relay_resume;
mod relay_upstream;
mod requests;
mod resume;
mod scale;
mod schedules;
mod shared_relay;
mod shared_relay_paths;
mod shared_relay_upstream;
mod slow;
mod stream;
mod subscribe;
mod support;
mod tls;
mod webhooks;
mod webhooks_answers;
mod websocket;
mod wire;
mod wires;
mod ws;
mod ws_input;
mod ws_protocol;
mod ws_publish;
mod ws_slow;
