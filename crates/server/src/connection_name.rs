//! What a connection is called, and how its own client shows that it is its own.
//!
//! The list of connections names them `c42`. The client of the connection itself is told more, in
//! the head of its stream: `c42.` and a key, which is an HMAC of the number (RFC 2104) with a
//! secret that this process made for itself. So nothing is kept per connection, and the key says
//! nothing to anybody else, nor after a restart.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::error::Unspecified;
use ring::hmac;
use ring::rand::SystemRandom;

/// Bytes of the MAC that a key shows: nobody guesses 128 bits within one life of a process.
const KEY_BYTES: usize = 16;

/// Makes and reads names.
pub(crate) struct ConnectionNames {
    secret: hmac::Key,
}

/// A name as somebody has shown it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The number alone, as the list says it.
    Number(u64),
    /// With its key: by the connection's own client, or whoever it has told.
    Own(u64),
}

impl ConnectionNames {
    /// With a secret of its own.
    pub(crate) fn new() -> Result<Self, Unspecified> {
        Ok(Self { secret: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())? })
    }

    /// The name that only the connection's client is told.
    pub(crate) fn own(&self, connection: u64) -> String {
        let name = connection_name(connection);
        let key = self.key(&name);
        format!("{name}.{key}")
    }

    /// Reads a name; `None` if it is none, or its key is not that of its number.
    pub(crate) fn read(&self, shown: &str) -> Option<Shown> {
        let (name, key) = shown.split_once('.').map_or((shown, None), |(n, k)| (n, Some(k)));
        let number = connection_number(name)?;
        let Some(key) = key else { return Some(Shown::Number(number)) };
        // What is compared are MACs of the two, in constant time, so that how long it takes says
        // nothing of how much of the key is right.
        let expected = hmac::sign(&self.secret, self.key(&connection_name(number)).as_bytes());
        let same = hmac::verify(&self.secret, key.as_bytes(), expected.as_ref());
        same.ok().map(|()| Shown::Own(number))
    }

    fn key(&self, name: &str) -> String {
        URL_SAFE_NO_PAD.encode(&hmac::sign(&self.secret, name.as_bytes()).as_ref()[..KEY_BYTES])
    }
}

/// The text form of a connection's number.
pub(crate) fn connection_name(connection: u64) -> String {
    format!("c{connection}")
}

/// The number of a connection's text form.
fn connection_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix('c')?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_good_for_its_own_connection_in_its_own_process() {
        let (names, others) = (ConnectionNames::new().unwrap(), ConnectionNames::new().unwrap());
        for number in [0, 1, 42, u64::MAX] {
            let own = names.own(number);
            let (bare, key) = own.split_once('.').unwrap();
            assert_eq!(key.len(), 22);
            assert_eq!(names.read(bare), Some(Shown::Number(number)));
            assert_eq!(names.read(&own), Some(Shown::Own(number)));
            assert_eq!(others.read(&own), None);
            for at in 0..own.len() {
                let mut wrong = own.clone().into_bytes();
                wrong[at] = if wrong[at] == b'1' { b'2' } else { b'1' };
                let wrong = String::from_utf8(wrong).unwrap();
                let read = names.read(&wrong);
                // A point that is gone may leave a number.
                assert!(!matches!(read, Some(Shown::Own(_))), "{wrong}");
            }
            let (short, long) = (&own[..own.len() - 1], format!("{own}A"));
            for wrong in [short, &long, &format!("{bare}."), &format!("{own}.{key}")] {
                assert_eq!(names.read(wrong), None, "{wrong}");
            }
        }
    }

    #[test]
    fn connections_have_one_name() {
        assert_eq!(connection_number(&connection_name(u64::MAX)), Some(u64::MAX));
        for name in ["", "c", "7", "c+7", "c7x", "c99999999999999999999"] {
            assert_eq!(connection_number(name), None, "{name}");
        }
    }
}
