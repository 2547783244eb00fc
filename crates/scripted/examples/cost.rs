//! What playing costs, from `cargo run --release -p tidings-scripted --example cost`, which takes
//! the number of answers and of seconds.
//!
//! Plays so many chat answers at once (1,000 without a number), each 50 tokens a second, to a
//! reader in the same process, and prints what the serving thread used of the processor.
#![allow(clippy::print_stdout, reason = "what it finds is for people")]

use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use tidings_scripted::{Script, Upstream};

const PACE: Duration = Duration::from_millis(20);
const BODY: &str = r#"{"model":"m","stream":true}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse::<u64>());
    let answers = numbers.next().unwrap_or(Ok(1_000))?.clamp(1, 10_000);
    let seconds = numbers.next().unwrap_or(Ok(10))?.clamp(1, 60);
    let upstream = Upstream::start()?;
    let tokens = vec![" token".to_owned(); usize::try_from(seconds * 50)?];
    let script = Script::tokens(tokens).pace(PACE);
    upstream.play(move |_| script.clone());

    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut sockets = Vec::new();
    let begun = Instant::now();
    for key in 0..answers {
        // Spread over one pace, as real answers would be.
        let at = PACE.mul_f64(key as f64 / answers as f64) * 50;
        std::thread::sleep(at.saturating_sub(begun.elapsed()));
        let mut socket = TcpStream::connect(upstream.address())?;
        let len = BODY.len();
        write!(socket, "POST /v1/chat/completions HTTP/1.1\r\nconnection: close\r\n")?;
        write!(socket, "content-length: {len}\r\n\r\n{BODY}")?;
        socket.set_nonblocking(true)?;
        epoll::add(&poll, &socket, epoll::EventData::new_u64(key), epoll::EventFlags::IN)?;
        sockets.push(Some(socket));
    }
    let (mut open, mut reads, mut buffer) = (sockets.len(), 0_u64, [0; 16 << 10]);
    let mut ready = Vec::with_capacity(256);
    while open > 0 {
        ready.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut ready), None)?;
        for event in &ready {
            let place = usize::try_from(event.data.u64())?;
            let Some(socket) = &mut sockets[place] else { continue };
            match socket.read(&mut buffer) {
                Ok(0) => {
                    sockets[place] = None;
                    open -= 1;
                }
                Ok(_) => reads += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let (elapsed, used) = (begun.elapsed().as_secs_f64(), cpu()?);
    let tokens = upstream.look(|seen| seen.answers.iter().map(|answer| answer.tokens).sum::<u64>());
    println!("{answers} answers, {tokens} tokens in {elapsed:.1} s, {reads} reads");
    println!("{:.0} tokens a second", tokens as f64 / elapsed);
    println!("{:.2} µs of processor for each token, all included", used / tokens as f64);
    println!("{:.1} % of one processor", used / 10_000.0 / elapsed);
    Ok(())
}

/// Microseconds of processor that the serving thread has used.
fn cpu() -> Result<f64, Box<dyn Error>> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.trim() == "scripted" {
            let nanos = std::fs::read_to_string(task.join("schedstat"))?;
            let nanos = nanos.split(' ').next().ok_or("no schedstat")?;
            return Ok(nanos.parse::<f64>()? / 1_000.0);
        }
    }
    Err("the thread is not there".into())
}
