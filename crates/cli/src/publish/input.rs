//! Where the data of events comes from: the command line, a file, or standard input, whole or by
//! line.
//!
//! Lines are read on a thread of their own, because reading from a terminal or a pipe blocks. What
//! is there is taken together as one batch: a busy pipe makes large batches, a person makes single
//! events.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context as _;
use tokio::sync::mpsc;

use crate::exit::{Exit, Reason};

/// Most events in one batch; the server's own limit.
const BATCH_EVENTS_MAX: usize = 1_000;
/// Most bytes of data in one batch. Four megabytes stay below the server's largest body, 8 MiB,
/// even if JSON writes every second character as two.
const BATCH_BYTES_MAX: usize = 4 << 20;
/// The longest line, in bytes: the server's limit for one event's data.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Lines that are read ahead. With the longest lines that is 64 MiB; with usual ones a few
/// kilobytes.
const LINES_AHEAD_MAX: usize = 64;

/// The data of a single event.
pub(super) fn whole(data: Option<&str>, file: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    match (data, file) {
        (Some("-"), _) => {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
            Ok(bytes)
        }
        (Some(text), _) => Ok(text.as_bytes().to_vec()),
        (None, Some(path)) => {
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
        }
        (None, None) => {
            let message = "there is nothing to publish: give DATA, or --file FILE, or - for \
                           standard input";
            Err(Exit::new(Reason::Usage, message).into())
        }
    }
}

/// Lines as they come.
pub(super) struct Lines {
    receiver: mpsc::Receiver<io::Result<Line>>,
    held: Option<Line>,
    /// The size of all there is, in bytes, where that can be known.
    pub(super) bytes: Option<u64>,
}

/// One line without its end, with the bytes that it took in the input.
struct Line {
    data: Vec<u8>,
    read: u64,
}

/// Lines that are published together.
pub(super) struct Batch {
    pub(super) lines: Vec<Vec<u8>>,
    /// Bytes of the input that they took.
    pub(super) read: u64,
}

impl Lines {
    /// Begins to read lines from a file, or from standard input.
    pub(super) fn open(file: Option<&Path>) -> anyhow::Result<Self> {
        let (input, bytes): (Box<dyn Read + Send>, _) = match file {
            Some(path) => {
                let what = || format!("cannot read {}", path.display());
                let file = File::open(path).with_context(what)?;
                let size = file.metadata().with_context(what)?;
                (Box::new(file), size.is_file().then_some(size.len()))
            }
            None => (Box::new(io::stdin()), None),
        };
        let (sender, receiver) = mpsc::channel(LINES_AHEAD_MAX);
        std::thread::Builder::new()
            .name("lines".to_owned())
            .spawn(move || read_lines(BufReader::new(input), &sender))
            .context("cannot start the thread that reads lines")?;
        Ok(Self { receiver, held: None, bytes })
    }

    /// The next batch, at once when there is a line; none at the end.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Batch>> {
        let mut batch = Batch { lines: Vec::new(), read: 0 };
        let mut bytes = 0;
        let mut next = match self.held.take() {
            Some(line) => Some(line),
            None => self.receiver.recv().await.transpose().context("cannot read a line")?,
        };
        while let Some(line) = next {
            if !batch.lines.is_empty() && bytes + line.data.len() > BATCH_BYTES_MAX {
                self.held = Some(line);
                break;
            }
            bytes += line.data.len();
            batch.read += line.read;
            batch.lines.push(line.data);
            if batch.lines.len() == BATCH_EVENTS_MAX {
                break;
            }
            next = self.receiver.try_recv().ok().transpose().context("cannot read a line")?;
        }
        Ok((!batch.lines.is_empty()).then_some(batch))
    }
}

fn read_lines(mut input: impl BufRead, sender: &mpsc::Sender<io::Result<Line>>) {
    for number in 1u64.. {
        let line = match read_line(&mut input) {
            Ok(None) => return,
            Ok(Some(line)) => Ok(line),
            Err(error) => Err(io::Error::new(error.kind(), format!("line {number}: {error}"))),
        };
        let last = line.is_err();
        // The other side is gone when publishing failed; it says so itself.
        if sender.blocking_send(line).is_err() || last {
            return;
        }
    }
}

/// The next line without its line end (LF or CRLF).
fn read_line(input: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut data = Vec::new();
    // Room for the longest line and its end; one more byte would show that it is longer.
    let most = LINE_BYTES_MAX as u64 + 2;
    let read = input.by_ref().take(most).read_until(b'\n', &mut data)? as u64;
    if read == 0 {
        return Ok(None);
    }
    if data.last() == Some(&b'\n') {
        data.pop();
        if data.last() == Some(&b'\r') {
            data.pop();
        }
    }
    if data.len() > LINE_BYTES_MAX {
        let message = format!("it is longer than an event may be ({LINE_BYTES_MAX} bytes)");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(Some(Line { data, read }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &[u8]) -> Vec<Vec<u8>> {
        let mut input = input;
        std::iter::from_fn(|| read_line(&mut input).unwrap()).map(|line| line.data).collect()
    }

    #[test]
    fn lines_end_with_lf_or_crlf_or_the_input() {
        assert_eq!(all(b"a\nb\r\n\nc"), [&b"a"[..], b"b", b"", b"c"]);
        assert_eq!(all(b""), [b""; 0]);
        assert_eq!(all(b"\n"), [b""]);
    }

    #[test]
    fn a_line_that_is_too_long_is_refused() {
        let longest = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(all(&[&longest[..], b"\r\nb"].concat()).len(), 2);
        let longer = [&longest[..], b"xy\n"].concat();
        assert!(read_line(&mut &longer[..]).is_err());
    }
}
