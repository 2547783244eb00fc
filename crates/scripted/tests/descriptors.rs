//! What happens when the process has no descriptors left: a program of its own, because the limit
//! is the process's.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tidings_scripted::{Script, Upstream};

#[test]
fn who_comes_while_descriptors_are_out_is_served_when_they_are_back() {
    let upstream = Upstream::start().unwrap();
    upstream.play(|_| Script::hello());
    let mut client = TcpStream::connect(upstream.address()).unwrap();
    assert!(upstream.wait_for(|seen| seen.open_connections == 1));
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: before.maximum }).unwrap();
    // One is left, for the client's own end.
    let mut files: Vec<File> = (0..64).map_while(|_| File::open("/dev/null").ok()).collect();
    assert!(files.len() < 64 && files.pop().is_some());
    let mut late = TcpStream::connect(upstream.address()).unwrap();
    write!(client, "GET / HTTP/1.1\r\n\r\n").unwrap();
    client.read_exact(&mut [0; 12]).unwrap();
    assert_eq!(upstream.seen().connections, 1);
    drop(files);
    setrlimit(Resource::Nofile, before).unwrap();
    late.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(late, "GET / HTTP/1.1\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    late.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("data: Hello, SSE!"), "{answer}");
}
