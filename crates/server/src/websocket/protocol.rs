//! The WebSocket protocol without I/O: bytes that came go in, messages come out, and what the
//! protocol itself answers (pongs, the closing handshake) is collected to be written.
//!
//! tungstenite does all of it. It is asked over buffers instead of a socket, so that the bytes of
//! events need not be copied through its own, and nothing it does can block.

use std::io::{ErrorKind, Read, Write};

use bytes::{Buf as _, Bytes, BytesMut};
use tungstenite::error::Error;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, FrameHeader, Utf8Bytes};
use tungstenite::protocol::{Message, Role, WebSocketConfig, WebSocketContext};

/// Bytes that are read at a time, and that an idle connection holds.
const READ_BUFFER_BYTES: usize = 4 << 10;

/// Longest payload of a control frame after the code (RFC 6455, section 5.5), in bytes.
const REASON_BYTES_MAX: usize = 123;

/// What came.
#[derive(Debug)]
pub(super) enum Incoming {
    Text(Utf8Bytes),
    /// Of these there are none in this subprotocol.
    Binary,
    /// A ping, which is answered already, or a pong.
    Control,
    /// The client closes, or has confirmed our close.
    Closed,
}

/// Why a connection is closed: with this code and these words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: u16,
    pub(super) reason: String,
}

/// One connection's protocol.
pub(super) struct Protocol {
    context: WebSocketContext,
    wire: Wire,
}

/// Stands in for the socket.
#[derive(Default)]
struct Wire {
    input: BytesMut,
    output: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.input.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = into.len().min(self.input.len());
        self.input.copy_to_slice(&mut into[..count]);
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Protocol {
    /// `message_bytes_max` bounds a message, and so what a connection can hold of an incomplete
    /// one.
    pub(super) fn new(message_bytes_max: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        let context = WebSocketContext::new(Role::Server, Some(config));
        Self { context, wire: Wire::default() }
    }

    /// Takes bytes that came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.wire.input.extend_from_slice(bytes);
    }

    /// The next message in what came; `None` if there is no whole one.
    pub(super) fn next(&mut self) -> Result<Option<Incoming>, Fault> {
        let fault = |code, reason: String| Err(Fault { code, reason });
        let read = self.context.read(&mut self.wire);
        if matches!(read, Ok(Message::Ping(_) | Message::Close(_))) {
            // What it has to say to that, now and not before the next message: into a buffer that
            // takes everything. That the connection is closed then is told by the message itself.
            let _ = self.context.flush(&mut self.wire);
        }
        match read {
            Ok(Message::Text(text)) => Ok(Some(Incoming::Text(text))),
            Ok(Message::Binary(_) | Message::Frame(_)) => Ok(Some(Incoming::Binary)),
            Ok(Message::Ping(_) | Message::Pong(_)) => Ok(Some(Incoming::Control)),
            Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => {
                Ok(Some(Incoming::Closed))
            }
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(Error::Utf8(_)) => fault(1007, "the text is not UTF-8".to_owned()),
            Err(Error::Capacity(error)) => fault(1009, error.to_string()),
            Err(error) => fault(1002, error.to_string()),
        }
    }

    /// Begins the closing handshake.
    pub(super) fn close(&mut self, fault: &Fault) {
        let mut end = fault.reason.len().min(REASON_BYTES_MAX);
        while !fault.reason.is_char_boundary(end) {
            end -= 1;
        }
        let reason = fault.reason[..end].into();
        let frame = CloseFrame { code: CloseCode::from(fault.code), reason };
        // Into a buffer that takes everything; once closed, the first close stands.
        let _ = self.context.close(&mut self.wire, Some(frame));
    }

    /// Asks for a sign of life.
    pub(super) fn ping(&mut self) {
        // As for closing.
        let _ = self.context.write(&mut self.wire, Message::Ping(Bytes::new()));
    }

    /// What the protocol itself has to say.
    pub(super) fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.wire.output)
    }
}

/// Appends the header of a text message of `length` bytes: servers do not mask (RFC 6455, section
/// 5.1), so it is the same for whoever the message is for.
pub(super) fn text_header(length: usize, out: &mut Vec<u8>) {
    let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
    header.format(length as u64, out).expect("a Vec takes every byte");
}
