//! The end of a connection whose client is still sending.
//!
//! Closing a socket with bytes that were not read makes the kernel send a reset, and a reset takes
//! the answer away that the client has not read yet (RFC 9112, section 9.6). So the end is said
//! first, and what still comes is let pass for a while.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::app::App;

/// Bytes that are let pass: twice the largest body that can be allowed.
const BYTES_MAX: usize = 128 << 20;

/// How long a client may pause before it is taken to have read the answer.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Bytes read at a time.
const READ_BYTES: usize = 64 << 10;

/// Writes an answer, if there is one left to write, and lets what is sent meanwhile pass. Ends when
/// the client has hung up or paused, with the time for a body, or when the server stops.
pub(crate) async fn answer_and_end<S: AsyncRead + AsyncWrite + Unpin>(
    app: &App,
    mut stream: S,
    answer: &[u8],
) {
    let ending = async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        let mut passed = 0;
        let mut scratch = vec![0; READ_BYTES];
        while passed < BYTES_MAX {
            match tokio::time::timeout(PAUSE_MAX, stream.read(&mut scratch)).await {
                Ok(Ok(count)) if count > 0 => passed += count,
                _ => break,
            }
        }
        Ok::<_, std::io::Error>(())
    };
    // Whatever comes of it, there is nobody left to tell.
    tokio::select! {
        _ = tokio::time::timeout(app.config.limits.body_timeout, ending) => {}
        () = app.drained() => {}
    }
}
