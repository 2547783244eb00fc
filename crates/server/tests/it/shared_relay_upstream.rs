//! An upstream whose every byte the test says: it takes connections and hands them over.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use tidings_frame::TopicName;
use tidings_relay::config::SharedConfig;

use crate::support::PATIENCE;

/// Listens until it is dropped.
pub(crate) struct Upstream {
    address: SocketAddr,
    calls: Receiver<Call>,
    asked: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A request of the relay, and the connection that it came on; closed when it is dropped.
pub(crate) struct Call {
    head: String,
    socket: TcpStream,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap())
    }

    /// Listens where another one did.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (send, calls) = channel();
        let (asked, over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (counted, is_over) = (asked.clone(), over.clone());
        let thread = std::thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                counted.fetch_add(1, Ordering::SeqCst);
                // The test may be over before it has looked at all of them.
                let _ = send.send(Call::read(socket));
            }
        });
        Self { address, calls, asked, over, thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A relay of `/stream` here, shared as `path`.
    pub(crate) fn shared_as(&self, path: &str) -> SharedConfig {
        shared(self.address, path)
    }

    /// The next request.
    #[track_caller]
    pub(crate) fn next(&self) -> Call {
        self.calls.recv_timeout(PATIENCE).expect("a request of the relay")
    }

    /// The next request, which is answered with a stream.
    #[track_caller]
    pub(crate) fn stream(&self) -> Call {
        let mut call = self.next();
        call.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n");
        call
    }

    /// Requests so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // It waits for a connection; the port is free only once it has ended.
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

impl Call {
    fn read(mut socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") && socket.read(&mut byte).is_ok_and(|read| read == 1) {
            head.push(byte[0]);
        }
        Self { head: String::from_utf8(head).unwrap(), socket }
    }

    /// The first line of the request.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes());
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Sends an event with an id, which is also its data.
    pub(crate) fn event(&mut self, id: u64) {
        self.send(&format!("id: {id}\ndata: {id}\n\n"));
    }

    pub(crate) fn events(&mut self, ids: std::ops::RangeInclusive<u64>) {
        ids.for_each(|id| self.event(id));
    }

    /// Answers with something else than a stream.
    pub(crate) fn refuse(mut self, status: &str, headers: &str) {
        self.send(&format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 0\r\n\r\n"));
        self.hang_up();
    }

    /// Ends the stream, as a generator that returns.
    pub(crate) fn hang_up(self) {
        // The relay may have hung up first.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Waits until the relay has hung up.
    #[track_caller]
    pub(crate) fn was_hung_up(mut self) {
        let mut rest = [0; 64];
        loop {
            match self.socket.read(&mut rest) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
                Err(error) => panic!("the relay keeps the connection: {error}"),
            }
        }
    }
}

/// A relay of the stream at an address.
pub(crate) fn shared(address: SocketAddr, path: &str) -> SharedConfig {
    let upstream = format!("http://{address}/stream").parse().unwrap();
    let mut config =
        SharedConfig::new(path, upstream, TopicName::new(path.trim_matches('/')).unwrap());
    config.allow_private = true;
    config
}
