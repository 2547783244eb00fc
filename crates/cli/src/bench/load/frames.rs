//! Reads the server's side of one WebSocket: handshake and frames (RFC 6455, section 5.2).
//!
//! As much of the protocol as a measurement needs. Servers send whole, unmasked messages without
//! extensions; anything else is an error, never a delivery. What comes whole is not copied.

use super::lines::ScanError;
use crate::bench::http;

/// A message longer than this is an error, bytes.
const MESSAGE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The status of a completed handshake.
const SWITCHING: u16 = 101;
/// What client frames are masked with. The mask protects proxies from what scripts send (RFC
/// 6455, section 10.3); against a server of our own any will do.
const MASK: [u8; 4] = [0x5a, 0x17, 0xc3, 0x8e];

/// One frame of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Text(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
    Close,
}

/// The state of one connection.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    switched: bool,
    /// The unfinished head or frame.
    carry: Vec<u8>,
    /// Bytes of frame headers so far.
    pub(crate) header_bytes: u64,
}

impl Frames {
    /// True once the handshake is done.
    pub(crate) fn switched(&self) -> bool {
        self.switched
    }

    /// Takes the next bytes and reports each frame that they complete.
    pub(crate) fn feed(
        &mut self,
        bytes: &[u8],
        found: &mut impl FnMut(Frame<'_>),
    ) -> Result<(), ScanError> {
        if self.carry.is_empty() {
            let taken = self.take(bytes, found)?;
            self.carry.extend_from_slice(&bytes[taken..]);
            return Ok(());
        }
        let mut all = std::mem::take(&mut self.carry);
        all.extend_from_slice(bytes);
        let taken = self.take(&all, found)?;
        all.drain(..taken);
        self.carry = all;
        Ok(())
    }

    /// Reports what is complete at the start of `bytes`; returns how long that is.
    fn take(
        &mut self,
        bytes: &[u8],
        found: &mut impl FnMut(Frame<'_>),
    ) -> Result<usize, ScanError> {
        let mut taken = 0;
        if !self.switched {
            let Some(head) = http::response_head(bytes)? else {
                return Ok(0);
            };
            if head.status != SWITCHING {
                return Err(ScanError::Refused(head.status));
            }
            self.switched = true;
            taken = head.length;
        }
        while let Some((header, length)) = header(&bytes[taken..])? {
            let Some(payload) = bytes[taken + header..].get(..length) else {
                break;
            };
            let frame = match bytes[taken] {
                0x81 => Frame::Text(payload),
                0x88 => Frame::Close,
                0x89 => Frame::Ping(payload),
                0x8a => Frame::Pong,
                _ => return Err(ScanError::Frame),
            };
            self.header_bytes += header as u64;
            taken += header + length;
            found(frame);
        }
        Ok(taken)
    }
}

/// Lengths of the header and the payload of the frame that `bytes` begin with; `None` while the
/// header is incomplete.
fn header(bytes: &[u8]) -> Result<Option<(usize, usize)>, ScanError> {
    let [_, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    let big_endian =
        |digits: &[u8]| digits.iter().fold(0_u64, |value, digit| value << 8 | u64::from(*digit));
    let (header, length) = match second {
        0..=125 => (2, Some(u64::from(*second))),
        126 => (4, rest.get(..2).map(big_endian)),
        127 => (10, rest.get(..8).map(big_endian)),
        // Masked, which a server must not do.
        _ => return Err(ScanError::Frame),
    };
    match length {
        Some(length) if length > MESSAGE_BYTES_MAX => Err(ScanError::Frame),
        Some(length) => Ok(Some((header, length as usize))),
        None => Ok(None),
    }
}

/// A client's text message.
pub(crate) fn text(message: &[u8]) -> Vec<u8> {
    masked(0x81, message)
}

/// A client's answer to a ping.
pub(crate) fn pong(payload: &[u8]) -> Vec<u8> {
    masked(0x8a, payload)
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

    /// What is read when `bytes` come in pieces of `size`.
    fn read(bytes: &[u8], size: usize) -> Result<(Vec<String>, u64), ScanError> {
        let (mut frames, mut all) = (Frames::default(), Vec::new());
        for piece in bytes.chunks(size) {
            frames.feed(piece, &mut |frame| {
                all.push(match frame {
                    Frame::Text(text) => format!("text {}", text.len()),
                    Frame::Ping(payload) => format!("ping {}", payload.len()),
                    other => format!("{other:?}"),
                });
            })?;
        }
        Ok((all, frames.header_bytes))
    }

    /// A server's frame.
    fn frame(first: u8, length: usize) -> Vec<u8> {
        let mut out = vec![first];
        match length {
            0..=125 => out.push(length as u8),
            126..=0xffff => {
                out.push(126);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                out.push(127);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        out.resize(out.len() + length, b'x');
        out
    }

    #[test]
    fn frames_of_all_lengths_are_read_wherever_they_are_cut() {
        let parts = [
            HEAD.to_vec(),
            frame(0x81, 0),
            frame(0x89, 3),
            frame(0x81, 125),
            frame(0x81, 126),
            frame(0x81, 70_000),
            frame(0x8a, 0),
            frame(0x88, 2),
        ];
        let bytes = parts.concat();
        let expected = ["text 0", "ping 3", "text 125", "text 126", "text 70000", "Pong", "Close"];
        for size in [1, 2, 7, 1_000, 1_000_000] {
            let (found, headers) = read(&bytes, size).unwrap();
            assert_eq!(found, expected, "{size}");
            assert_eq!(headers, 2 + 2 + 2 + 4 + 10 + 2 + 2, "{size}");
        }
    }

    #[test]
    fn what_a_server_must_not_send_is_refused() {
        for wrong in [&[0x82, 0][..], &[0x01, 0], &[0xc1, 0], &[0x81, 0x80], &[0x00, 0]] {
            assert_eq!(read(&[HEAD, wrong].concat(), 100), Err(ScanError::Frame), "{wrong:?}");
        }
        let long = [HEAD, &[0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(read(&long, 100), Err(ScanError::Frame));
        let refused = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        assert_eq!(read(refused, 100), Err(ScanError::Refused(400)));
    }

    #[test]
    fn a_client_frame_is_masked_and_says_its_length() {
        for (length, header) in [(5, 6), (125, 6), (126, 8), (70_000, 14)] {
            let frame = text(&vec![b'a'; length]);
            assert_eq!(frame.len(), header + length);
            assert_eq!((frame[0], frame[1] & 0x80), (0x81, 0x80));
            let (mask, payload) = frame[header - 4..].split_at(4);
            assert!(
                payload.iter().zip(mask.iter().cycle()).all(|(byte, mask)| byte ^ mask == b'a')
            );
        }
    }
}
