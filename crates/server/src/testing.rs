//! A whole server inside the test's own process, for tests that speak to it over TCP.
//!
//! It is the same server as the program's, from configuration to drain; only what tells it to stop
//! is a call instead of a signal.

use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::config::Config;
use crate::run::{Ready, RunError, run_until};

/// A running server. Dropping it asks it to stop and does not wait.
#[derive(Debug)]
pub struct Server {
    ready: Ready,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), RunError>>>,
}

impl Server {
    /// Starts a server and waits until it listens.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn start(config: Config) -> Result<Self, RunError> {
        let (ready, is_ready) = mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("tidings-test".into()).spawn(move || {
            let tell = |told: &Ready| {
                // Whoever started it waits for just this.
                let _ = ready.send(*told);
            };
            let stop = async move {
                // A dropped handle stops it too.
                let _ = stopped.await;
                Ok(())
            };
            run_until(config, tell, stop)
        })?;
        match is_ready.recv() {
            Ok(ready) => Ok(Self { ready, stop: Some(stop), thread: Some(thread) }),
            Err(_) => Err(match join(thread) {
                Err(error) => error,
                Ok(()) => std::io::Error::other("it ended before it listened").into(),
            }),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.ready.address
    }

    /// Where TLS is spoken.
    ///
    /// # Panics
    /// If it is not.
    #[must_use]
    pub fn tls(&self) -> SocketAddr {
        self.ready.tls.expect("the configuration has a certificate")
    }

    /// Where the operator's endpoints are.
    ///
    /// # Panics
    /// If they have no listener of their own.
    #[must_use]
    pub fn operator(&self) -> SocketAddr {
        self.ready.operator.expect("the configuration has a listener for the operator")
    }

    /// Asks it to stop, as SIGTERM does.
    pub fn ask_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have stopped by itself.
            let _ = stop.send(());
        }
    }

    /// Asks it to stop and waits until it has.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn stop(mut self) -> Result<(), RunError> {
        self.ask_to_stop();
        self.thread.take().map_or(Ok(()), join)
    }
}

fn join(thread: JoinHandle<Result<(), RunError>>) -> Result<(), RunError> {
    thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the server panicked").into()))
}

/// A small reproducible source of choices (xorshift64), for tests that decide who is cut when.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below `sides`, which is not 0. The seed is not 0 either.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}
