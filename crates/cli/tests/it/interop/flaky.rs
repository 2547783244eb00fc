//! Networks that break: one loses an answer on the way (the request arrives, and the connection
//! breaks before the first byte of the answer does), the first time for each request that asks for
//! it; another breaks every connection after so many bytes.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::scenario::Label;

/// The variant whose answers are lost.
pub(super) const LOST: &str = "lost";

/// Bytes of a connection's latest request that are looked at; larger than any of the tests'.
const LOOK_BACK: usize = 64 << 10;

/// A proxy on a free port of 127.0.0.1.
pub(super) struct Flaky {
    address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Flaky {
    /// Passes everything on to `target`, `host:port`, but loses what is labelled [`LOST`], once.
    pub(super) fn start(target: &str) -> Self {
        Self::passing(target, usize::MAX)
    }

    /// Breaks each connection after so many bytes of answers.
    pub(super) fn breaking(target: &str, after: usize) -> Self {
        Self::passing(target, after)
    }

    fn passing(target: &str, most: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let (target, until) = (target.to_owned(), over.clone());
        let lost = Arc::new(Mutex::new(HashSet::new()));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if until.load(Ordering::Acquire) {
                    return;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&target)) else {
                    continue;
                };
                pass(&client, &server, &lost, most);
            }
        });
        Self { address, over }
    }

    /// Its base URL.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Flaky {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        // Wakes the listener; if it is gone already, so much the better.
        let _ = TcpStream::connect(self.address);
    }
}

/// Passes both directions on, each on a thread of its own, until one end closes.
fn pass(
    client: &TcpStream,
    server: &TcpStream,
    lost: &Arc<Mutex<HashSet<String>>>,
    mut most: usize,
) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let clone = |stream: &TcpStream| stream.try_clone().unwrap();
    let (mut from, mut to, heard) = (clone(client), clone(server), said.clone());
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let mut heard = heard.lock().unwrap();
            heard.extend_from_slice(&buffer[..length]);
            let excess = heard.len().saturating_sub(LOOK_BACK);
            heard.drain(..excess);
            drop(heard);
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to, lost) = (clone(server), clone(client), lost.clone());
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let request = std::mem::take(&mut *said.lock().unwrap());
            let label = Label::of(&request).filter(|label| label.variant == LOST);
            if label.is_some_and(|label| lost.lock().unwrap().insert(label.client.to_owned())) {
                break;
            }
            let passed = length.min(most);
            most -= passed;
            if to.write_all(&buffer[..passed]).is_err() || most == 0 {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
