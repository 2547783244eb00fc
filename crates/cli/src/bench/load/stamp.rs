//! What every published payload carries, so that a subscriber can tell loss, repetition and delay.
//!
//! 16 hexadecimal digits of the publish count, 16 of the monotonic time in nanoseconds, padding.

/// Bytes of a stamp; a payload is at least this long.
pub(crate) const STAMP_BYTES: usize = 32;

/// The mark in one payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The publisher's own count, from 1, over all topics.
    pub(crate) sequence: u64,
    /// When it was published, or due to be: nanoseconds of the monotonic clock.
    pub(crate) sent_ns: u64,
}

impl Stamp {
    /// The stamp that `payload` begins with.
    pub(crate) fn parse(payload: &[u8]) -> Option<Stamp> {
        let digits = payload.get(..STAMP_BYTES)?;
        Some(Stamp { sequence: hex(&digits[..16])?, sent_ns: hex(&digits[16..])? })
    }

    /// Appends a payload of `length` bytes, at least [`STAMP_BYTES`].
    pub(crate) fn write(&self, length: usize, out: &mut Vec<u8>) {
        push_hex(self.sequence, out);
        push_hex(self.sent_ns, out);
        out.resize(out.len() + length.saturating_sub(STAMP_BYTES), b'x');
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

fn push_hex(value: u64, out: &mut Vec<u8>) {
    for shift in (0..16).rev() {
        out.push(b"0123456789abcdef"[(value >> (4 * shift) & 15) as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let stamp = Stamp { sequence: 7, sent_ns: u64::MAX - 1 };
        let mut payload = Vec::new();
        stamp.write(100, &mut payload);
        assert_eq!(payload.len(), 100);
        assert_eq!(Stamp::parse(&payload), Some(stamp));
    }

    #[test]
    fn other_payloads_are_not_stamps() {
        assert_eq!(Stamp::parse(b"short"), None);
        assert_eq!(Stamp::parse(&[b'g'; 40]), None);
        assert_eq!(Stamp::parse(&[b'A'; 40]), None);
    }
}
