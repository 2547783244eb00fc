//! Non-blocking TCP sockets and epoll, spelled once for the limit server and the load generator.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::clock::now_ns;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};
use rustix::time::Timespec;

/// Events taken from one `epoll_wait`.
pub(crate) const EVENTS_MAX: usize = 1024;

/// One epoll instance and the buffer its events come in.
pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poll {
    pub(crate) fn new() -> Result<Poll, Errno> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Poll { epoll, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Watches `fd`; its events carry `token`.
    pub(crate) fn add(&self, fd: impl AsFd, token: usize, flags: EventFlags) -> Result<(), Errno> {
        epoll::add(&self.epoll, fd, EventData::new_u64(token as u64), flags)
    }

    /// Changes what `fd` is watched for.
    pub(crate) fn modify(
        &self,
        fd: impl AsFd,
        token: usize,
        flags: EventFlags,
    ) -> Result<(), Errno> {
        epoll::modify(&self.epoll, fd, EventData::new_u64(token as u64), flags)
    }

    /// Waits for at most `timeout` (`None`: for ever); returns how many events came, at most
    /// 1,024, for [`event`](Poll::event).
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> Result<usize, Errno> {
        let timeout = timeout.map(|time| Timespec {
            tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: time.subsec_nanos().into(),
        });
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(self.events.len()),
            Err(error) => Err(error),
        }
    }

    /// Waits without sleeping until `until` of the monotonic clock, nanoseconds.
    ///
    /// Waking a sleeping process on another core is an interrupt, which in a virtual machine costs
    /// ten times what a send does, and it is charged to the server: a generator has to be awake.
    pub(crate) fn spin(&mut self, until: u64) -> Result<usize, Errno> {
        loop {
            let events = self.wait(Some(Duration::ZERO))?;
            if events > 0 || now_ns() >= until {
                return Ok(events);
            }
        }
    }

    /// Token and flags of an event of the last wait.
    pub(crate) fn event(&self, index: usize) -> (usize, EventFlags) {
        let event = self.events[index];
        (event.data.u64() as usize, event.flags)
    }
}

impl AsFd for Poll {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// A listening socket that does not block.
pub(crate) fn listen(address: SocketAddrV4, backlog: i32) -> Result<OwnedFd, Errno> {
    let socket = new_socket()?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &address)?;
    net::listen(&socket, backlog)?;
    Ok(socket)
}

/// The next connection of a listening socket; `None` when there is none now.
pub(crate) fn accept(listener: &OwnedFd) -> Result<Option<OwnedFd>, Errno> {
    match net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
        Ok(socket) => {
            sockopt::set_tcp_nodelay(&socket, true)?;
            Ok(Some(socket))
        }
        Err(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Starts a connection from `source` (`None`: the kernel chooses) to `target`.
pub(crate) fn connect(source: Option<Ipv4Addr>, target: SocketAddrV4) -> Result<OwnedFd, Errno> {
    let socket = new_socket()?;
    if let Some(source) = source {
        net::bind(&socket, &SocketAddrV4::new(source, 0))?;
    }
    match net::connect(&socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}

/// Sends small requests at once.
pub(crate) fn undelayed(socket: impl AsFd) -> Result<(), Errno> {
    sockopt::set_tcp_nodelay(socket, true)
}

/// Makes closing the socket reset the connection: thousands of ports in TIME_WAIT would make the
/// next run of the same measurement a different one.
pub(crate) fn reset_on_close(socket: impl AsFd) -> Result<(), Errno> {
    sockopt::set_socket_linger(socket, Some(Duration::ZERO))
}

fn new_socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
}

/// Sends what fits; 0 when nothing does now.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8]) -> Result<usize, Errno> {
    match net::send(socket, bytes, SendFlags::NOSIGNAL) {
        Ok(sent) => Ok(sent),
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        Err(error) => Err(error),
    }
}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Bytes(usize),
    /// The peer has closed, orderly or not.
    Closed,
    Nothing,
}

/// Receives once into `buffer`.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<Received, Errno> {
    match net::recv(socket, buffer, RecvFlags::empty()) {
        Ok((0, _)) | Err(Errno::CONNRESET) => Ok(Received::Closed),
        Ok((length, _)) => Ok(Received::Bytes(length)),
        Err(Errno::AGAIN | Errno::INTR) => Ok(Received::Nothing),
        Err(error) => Err(error),
    }
}
