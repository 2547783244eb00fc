//! Where an event stands: the epoch of a log's life and a sequence number within it.
//!
//! The text form, `<epoch>-<sequence>`, is the SSE `id:`, so it is written once for every event
//! ever sent and read from every resuming client. Writing takes no formatter and no allocation.
//! Reading is strict: one position has exactly one text form, so ids can be compared as text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::POSITION_BYTES_MAX;

/// Characters in an epoch.
pub const EPOCH_BYTES: usize = 8;

/// Digits in the largest sequence number.
const SEQUENCE_DIGITS_MAX: usize = 20;

/// One life of a log: eight characters of `[a-z0-9]`, drawn at random when the log was created.
///
/// A sequence number means nothing in another epoch, which is how a client that resumes against a
/// restored or replaced server is found out.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch([u8; EPOCH_BYTES]);

impl Epoch {
    /// Makes an epoch from eight random bytes. 36^8 is 2^41 epochs; the bias of taking a byte
    /// modulo 36 is harmless, since an epoch is told apart, never guessed against.
    #[must_use]
    pub const fn from_entropy(entropy: [u8; EPOCH_BYTES]) -> Self {
        const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let mut text = [0; EPOCH_BYTES];
        let mut at = 0;
        while at < EPOCH_BYTES {
            text[at] = ALPHABET[entropy[at] as usize % ALPHABET.len()];
            at += 1;
        }
        Self(text)
    }

    /// The eight characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("only ASCII is ever stored")
    }
}

impl FromStr for Epoch {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let bytes: [u8; EPOCH_BYTES] =
            text.as_bytes().try_into().map_err(|_| PositionError::Epoch)?;
        if bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            Ok(Self(bytes))
        } else {
            Err(PositionError::Epoch)
        }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The place of one event in one log. Sequence numbers start at 1; 0 is "before everything".
///
/// There is no order between positions of different epochs, so there is no `Ord`: compare
/// `sequence` after having compared `epoch`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// The life of the log that gave the sequence number.
    pub epoch: Epoch,
    /// Consecutive within the epoch, over all topics.
    pub sequence: u64,
}

/// Why a text is not a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PositionError {
    /// More than [`POSITION_BYTES_MAX`] bytes.
    #[error("an id has at most {POSITION_BYTES_MAX} bytes")]
    TooLong,
    /// The part before the hyphen is not an epoch.
    #[error("an id begins with an epoch: eight characters of a-z and 0-9")]
    Epoch,
    /// The part after the hyphen is not a canonical decimal number below 2^64.
    #[error("an id ends in a hyphen and a decimal number without sign or leading zeros")]
    Sequence,
}

impl Position {
    /// Appends the text form to `out`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut digits = [0; SEQUENCE_DIGITS_MAX];
        out.extend_from_slice(&self.epoch.0);
        out.push(b'-');
        out.extend_from_slice(decimal(self.sequence, &mut digits));
    }
}

/// The decimal digits of `value`, two at a time, without the formatting machinery: an id is written
/// for every event that is sent.
pub(crate) fn decimal(mut value: u64, buffer: &mut [u8; SEQUENCE_DIGITS_MAX]) -> &[u8] {
    let mut at = SEQUENCE_DIGITS_MAX;
    while value >= 10 {
        let pair = (value % 100) as u8;
        value /= 100;
        at -= 2;
        buffer[at] = b'0' + pair / 10;
        buffer[at + 1] = b'0' + pair % 10;
    }
    // What is left is a single digit: the first of an odd number of them, or nothing at all.
    if value > 0 || at == SEQUENCE_DIGITS_MAX {
        at -= 1;
        buffer[at] = b'0' + value as u8;
    }
    &buffer[at..]
}

/// Reads a canonical decimal number: no sign, no leading zero, below 2^64.
fn sequence(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || (digits[0] == b'0' && digits.len() > 1) {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        if text.len() > POSITION_BYTES_MAX {
            return Err(PositionError::TooLong);
        }
        let (epoch, digits) = text.split_once('-').ok_or(if text.len() == EPOCH_BYTES {
            PositionError::Sequence
        } else {
            PositionError::Epoch
        })?;
        let epoch = epoch.parse()?;
        let sequence = sequence(digits.as_bytes()).ok_or(PositionError::Sequence)?;
        Ok(Self { epoch, sequence })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; SEQUENCE_DIGITS_MAX];
        let digits = decimal(self.sequence, &mut digits);
        f.write_str(self.epoch.as_str())?;
        f.write_str("-")?;
        f.write_str(std::str::from_utf8(digits).expect("only digits are ever stored"))
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_at_every_length_are_written_as_the_standard_library_writes_them() {
        let epoch = Epoch::from_entropy([7; 8]);
        let edges = (0..20).flat_map(|power| {
            let ten = 10_u64.pow(power);
            [ten - 1, ten, ten + 1, ten.saturating_mul(9)]
        });
        for sequence in edges.chain([u64::MAX, u64::MAX - 1, 99, 100, 101]) {
            let position = Position { epoch, sequence };
            let mut written = Vec::new();
            position.write_to(&mut written);
            let expected = format!("hhhhhhhh-{sequence}");
            assert_eq!(String::from_utf8(written).unwrap(), expected);
            assert_eq!(position.to_string(), expected);
            assert_eq!(expected.parse(), Ok(position));
        }
    }

    #[test]
    fn every_byte_of_entropy_gives_a_valid_epoch() {
        for byte in 0..=255 {
            let epoch = Epoch::from_entropy([byte; 8]);
            assert_eq!(epoch.as_str().parse(), Ok(epoch));
        }
    }
}
