//! Somebody else who is attacked: takes what an attacker sends, on the server's core, with only
//! what the server does not want of it.
//!
//! It is the limit of `bench abuse`: whoever is served beside it feels of the attack what no server
//! could keep from them, the kernel's work for its connections on both cores and the attacker's
//! own on the generator's.

use std::net::SocketAddrV4;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll::EventFlags;
use serde::{Deserialize, Serialize};

use super::abuse::{self, Attack};
use super::{LoadError, Report};
use crate::bench::clock::now_ns;
use crate::bench::socket::{self, Poll, Received};

/// Its listener's backlog.
const BACKLOG: i32 = 4_096;
/// Connections that it holds at most; what comes beyond is refused without a word.
const HELD_MAX: usize = 2_000;
/// Bytes of a head that never ends after which its connection is closed.
const HEAD_BYTES_MAX: usize = 32 << 10;
/// The listener's own token.
const LISTENER: usize = usize::MAX;

/// What it is to stand.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BystanderJob {
    /// Where it listens.
    pub(crate) address: SocketAddrV4,
    pub(crate) attack: Attack,
    pub(crate) milliseconds: u64,
}

struct Held {
    socket: OwnedFd,
    /// Bytes that have come.
    bytes: usize,
}

pub(super) fn run(
    job: &BystanderJob,
    go: &mut dyn FnMut() -> Result<(), LoadError>,
) -> Result<Report, LoadError> {
    abuse::give_way()?;
    let failed = |error| LoadError::Socket("standing by", error);
    let listener = socket::listen(job.address, BACKLOG).map_err(failed)?;
    let mut poll = Poll::new().map_err(failed)?;
    poll.add(&listener, LISTENER, EventFlags::IN).map_err(failed)?;
    let mut held: Vec<Option<Held>> = (0..HELD_MAX).map(|_| None).collect();
    let mut free: Vec<usize> = (0..HELD_MAX).collect();
    let mut buffer = vec![0; HEAD_BYTES_MAX];
    go()?;
    let end = now_ns() + job.milliseconds * 1_000_000;
    while now_ns() < end {
        for index in 0..poll.wait(Some(Duration::from_millis(100))).map_err(failed)? {
            let (token, _) = poll.event(index);
            if token == LISTENER {
                while let Ok(Some(socket)) = socket::accept(&listener) {
                    let Some(slot) = free.pop() else { continue };
                    poll.add(&socket, slot, EventFlags::IN).map_err(failed)?;
                    held[slot] = Some(Held { socket, bytes: 0 });
                }
                continue;
            }
            let Some(from) = held.get_mut(token).and_then(Option::as_mut) else { continue };
            let goes_on = match socket::receive(&from.socket, &mut buffer) {
                Ok(Received::Bytes(length)) => {
                    from.bytes += length;
                    job.attack != Attack::HeadBombs || from.bytes < HEAD_BYTES_MAX
                }
                Ok(Received::Nothing) => true,
                Ok(Received::Closed) | Err(_) => false,
            };
            if !goes_on {
                held[token] = None;
                free.push(token);
            }
        }
    }
    Ok(Report::default())
}
