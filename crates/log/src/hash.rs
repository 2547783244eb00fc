//! Hashing: the log's secret for texts that publishers choose (so that nobody can aim for
//! collisions), and a hasher for tables whose keys are numbers or such hashes already.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::TopicId;
use crate::index::TagKind;

/// The log's random secret, made with its epoch.
#[derive(Clone, Copy)]
pub(crate) struct Secret(pub(crate) [u8; 16]);

impl Secret {
    /// 128 bits for a text in a topic. Never 0, which means "no key".
    pub(crate) fn hash(&self, kind: TagKind, topic: TopicId, text: &str) -> u128 {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write_u8(kind as u8);
        hasher.write_u32(topic.0);
        hasher.write(text.as_bytes());
        hasher.finish128().as_u128().max(1)
    }

    /// Stored beside hashes: tells whether they were made with this secret.
    pub(crate) fn check(&self) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(b"tidings secret check");
        hasher.finish128().as_u64().0
    }
}

/// Spreads a number; good enough for keys that nobody outside chooses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn write_u128(&mut self, value: u128) {
        self.0 ^= value as u64;
    }
}

/// A table keyed by numbers.
pub(crate) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;
