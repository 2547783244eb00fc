//! Bytes on their way to a socket.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write};

use crate::script::Coding;

/// What is still to be written, and where one write ends and the next begins.
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    written: usize,
    /// Ends of writes; a write never reaches over one.
    cuts: Vec<usize>,
    next_cut: usize,
    coding: Coding,
}

impl Outbox {
    pub(crate) fn new(coding: Coding) -> Self {
        Self { bytes: Vec::new(), written: 0, cuts: Vec::new(), next_cut: 0, coding }
    }

    /// The coding of what is put in from now on.
    pub(crate) fn set_coding(&mut self, coding: Coding) {
        self.coding = coding;
    }

    /// Bytes that are not with the socket.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.cuts.clear();
        (self.written, self.next_cut) = (0, 0);
    }

    /// Bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A piece of a body; `alone` gives it a write of its own.
    pub(crate) fn put(&mut self, piece: &[u8], alone: bool) {
        if self.coding == Coding::Chunked {
            write!(self.bytes, "{:x}\r\n", piece.len()).expect("a vector takes everything");
        }
        self.bytes.extend_from_slice(piece);
        if self.coding == Coding::Chunked {
            self.bytes.extend_from_slice(b"\r\n");
        }
        if alone {
            self.cuts.push(self.bytes.len());
        }
    }

    /// What ends a body that is complete.
    pub(crate) fn end(&mut self) {
        if self.coding == Coding::Chunked {
            self.bytes.extend_from_slice(b"0\r\n\r\n");
        }
    }

    /// Writes as much as `socket` takes; whether that is everything.
    pub(crate) fn flush(&mut self, mut socket: impl Write) -> std::io::Result<bool> {
        while self.written < self.bytes.len() {
            let cut = self.cuts.get(self.next_cut).copied().unwrap_or(self.bytes.len());
            match socket.write(&self.bytes[self.written..cut]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.written == cut {
                self.next_cut += 1;
            }
        }
        self.clear();
        Ok(true)
    }
}

/// The head of a response.
pub(crate) fn head(
    status: u16,
    content_type: &str,
    headers: &[(String, String)],
    length: Option<u64>,
    chunked: bool,
    keep_alive: bool,
) -> String {
    let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
    let mut line = |name: &str, value: &str| {
        write!(head, "{name}: {value}\r\n").expect("a string takes everything");
    };
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        line("content-type", content_type);
    }
    for (name, value) in headers {
        line(name, value);
    }
    if let Some(length) = length {
        line("content-length", &length.to_string());
    }
    if chunked {
        line("transfer-encoding", "chunked");
    }
    if !keep_alive {
        line("connection", "close");
    }
    head.push_str("\r\n");
    head
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        529 => "Overloaded",
        _ => "Status",
    }
}
