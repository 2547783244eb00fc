//! Counts the frames of a connection that cost something and bring nothing.
//!
//! h2 keeps the memory of a connection bounded, whatever comes. What it does not bound is work: a
//! client may send pings, settings and resets as fast as the wire takes them, each of them legal.
//! So frames are counted as they are read, before anybody acts on them, and a connection that has
//! used up its allowance is ended (RFC 9113, section 10.5). Requests and their bodies cost nothing
//! here: they are work that was asked for.

use std::time::Instant;

/// How many frames a connection may send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// At once.
    burst: u64,
    /// Again in each second.
    per_second: u64,
}

impl Allowance {
    /// For one client: a browser that closes a page with a hundred streams sends as many resets,
    /// and the settings and updates of its beginning.
    pub(super) const CLIENT: Self = Self { burst: 2_000, per_second: 200 };

    /// For a proxy that is trusted: what many clients do, of whom none may use up what the others
    /// need. Where one alone does too much, the proxy is the one to end it.
    pub(super) const PROXY: Self = Self { burst: 100_000, per_second: 10_000 };
}

/// Bytes written to the client that allow it one frame more. The smallest write that a client would
/// acknowledge with two window updates, a frame's head and a short event, pays for both of them.
const BYTES_PER_FRAME: u64 = 16;

/// Bytes that a connection begins with (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = super::PREFACE.len();

/// Bytes of a frame's head (RFC 9113, section 4.1).
const HEAD_BYTES: usize = 9;

/// Types of frames (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;

/// The flag of the last frame of a stream.
const END_STREAM: u8 = 1;

/// The flag of a ping or of settings that answer one.
const ACK: u8 = 1;

/// The allowance has been used up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flood;

/// The meter of one connection.
#[derive(Debug)]
pub(super) struct Meter {
    /// Bytes to pass over before the next head.
    skip: usize,
    head: [u8; HEAD_BYTES],
    /// Bytes of `head` that have come.
    have: usize,
    limits: Allowance,
    allowance: u64,
    refilled: Instant,
    /// Bytes written since they last allowed a frame.
    written: u64,
    /// Bytes that will be written only because frames ask for it: they allow nothing.
    owed: u64,
}

impl Meter {
    /// A meter for a connection that begins with the preface.
    pub(super) fn new(now: Instant, limits: Allowance) -> Self {
        Self {
            skip: PREFACE_BYTES,
            head: [0; HEAD_BYTES],
            have: 0,
            limits,
            allowance: limits.burst,
            refilled: now,
            written: 0,
            owed: 0,
        }
    }

    /// Counts what was read.
    pub(super) fn read(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Flood> {
        while !bytes.is_empty() {
            let passed = self.skip.min(bytes.len());
            self.skip -= passed;
            bytes = &bytes[passed..];
            let taken = (HEAD_BYTES - self.have).min(bytes.len());
            self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == HEAD_BYTES {
                self.have = 0;
                let [a, b, c, kind, flags, ..] = self.head;
                self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
                self.count(kind, flags, now)?;
            }
        }
        Ok(())
    }

    fn count(&mut self, kind: u8, flags: u8, now: Instant) -> Result<(), Flood> {
        let brings = match kind {
            DATA => self.skip > 0 || flags & END_STREAM != 0,
            HEADERS => true,
            _ => false,
        };
        if brings {
            return Ok(());
        }
        if flags & ACK == 0 {
            self.owed += match kind {
                PING => (HEAD_BYTES + self.skip) as u64,
                SETTINGS => HEAD_BYTES as u64,
                _ => 0,
            };
        }
        if self.allowance == 0 {
            let passed = now.saturating_duration_since(self.refilled).as_millis();
            let passed = u64::try_from(passed).unwrap_or(u64::MAX);
            let Allowance { burst, per_second } = self.limits;
            self.allowance = (passed.saturating_mul(per_second) / 1_000).min(burst);
            self.refilled = now;
        }
        self.allowance = self.allowance.checked_sub(1).ok_or(Flood)?;
        Ok(())
    }

    /// Counts what was written.
    pub(super) fn wrote(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        let paid = self.owed.min(bytes);
        self.owed -= paid;
        self.written += bytes - paid;
        self.allowance = (self.allowance + self.written / BYTES_PER_FRAME).min(self.limits.burst);
        self.written %= BYTES_PER_FRAME;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FRAMES_BURST: u64 = Allowance::CLIENT.burst;

    /// How long until a connection that has used up everything may send as much again.
    const REFILL: Duration = Duration::from_secs(FRAMES_BURST / Allowance::CLIENT.per_second);

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend_from_slice(&[kind, flags, 0, 0, 0, 1]);
        frame.extend_from_slice(payload);
        frame
    }

    fn begun(now: Instant) -> Meter {
        let mut meter = Meter::new(now, Allowance::CLIENT);
        meter.read(super::super::PREFACE, now).unwrap();
        meter
    }

    /// Frames of this kind until the meter has had enough.
    fn allowed(meter: &mut Meter, frame: &[u8], now: Instant) -> u64 {
        let flood = (0..meter.limits.burst * 3).find(|_| meter.read(frame, now).is_err());
        // The rest of the frame that was one too many.
        meter.skip = 0;
        flood.unwrap_or(u64::MAX)
    }

    #[test]
    fn what_brings_nothing_is_counted_and_what_does_is_not() {
        let now = Instant::now();
        for (frame, wanted) in [
            (frame(6, 0, &[0; 8]), FRAMES_BURST),
            (frame(4, 0, &[]), FRAMES_BURST),
            (frame(3, 0, &[0; 4]), FRAMES_BURST),
            (frame(9, 0, b"x"), FRAMES_BURST),
            (frame(8, 0, &[0; 4]), FRAMES_BURST),
            (frame(2, 0, &[0; 5]), FRAMES_BURST),
            (frame(0xbe, 0, b"grease"), FRAMES_BURST),
            (frame(DATA, 0, &[]), FRAMES_BURST),
            (frame(DATA, END_STREAM, &[]), u64::MAX),
            (frame(DATA, 0, b"x"), u64::MAX),
            (frame(HEADERS, 4, b"head"), u64::MAX),
        ] {
            assert_eq!(allowed(&mut begun(now), &frame, now), wanted, "{frame:?}");
        }
    }

    #[test]
    fn a_proxy_may_send_what_many_clients_do() {
        let (now, Allowance { burst, per_second }) = (Instant::now(), Allowance::PROXY);
        let mut meter = Meter::new(now, Allowance::PROXY);
        meter.read(super::super::PREFACE, now).unwrap();
        let reset = frame(3, 0, &[0; 4]);
        assert_eq!(allowed(&mut meter, &reset, now), burst);
        assert_eq!(allowed(&mut meter, &reset, now + Duration::from_secs(1)), per_second);
        assert!(burst > 10 * FRAMES_BURST && per_second > 10 * Allowance::CLIENT.per_second);
    }

    #[test]
    fn frames_are_found_however_the_bytes_are_cut() {
        let now = Instant::now();
        let mut bytes = super::super::PREFACE.to_vec();
        for _ in 0..FRAMES_BURST {
            // A payload that looks like pings.
            bytes.extend(frame(DATA, 0, &frame(6, 0, &[0; 8])));
            bytes.extend(frame(6, 0, &[0; 8]));
        }
        for cut in [1, 7, 9, 26, 1_000, bytes.len()] {
            let mut meter = Meter::new(now, Allowance::CLIENT);
            for part in bytes.chunks(cut) {
                assert_eq!(meter.read(part, now), Ok(()), "{cut}");
            }
            assert_eq!(meter.read(&frame(6, 0, &[0; 8]), now), Err(Flood), "{cut}");
        }
    }

    #[test]
    fn time_and_what_is_written_allow_more() {
        let now = Instant::now();
        let ping = frame(6, 0, &[0; 8]);
        let mut meter = begun(now);
        assert_eq!(allowed(&mut meter, &ping, now), FRAMES_BURST);
        assert_eq!(allowed(&mut meter, &ping, now + REFILL / 2), FRAMES_BURST / 2);
        // The answers to the pings pay for nothing.
        meter.wrote(usize::try_from(FRAMES_BURST * 17 * 3 / 2 + 2 * 17).unwrap());
        assert_eq!(allowed(&mut meter, &ping, now), 0);
        meter.wrote(17);
        meter.wrote(31);
        assert_eq!(allowed(&mut meter, &frame(3, 0, &[0; 4]), now), 1);
        meter.wrote(1);
        assert_eq!(allowed(&mut meter, &frame(3, 0, &[0; 4]), now), 1);
        meter.wrote(usize::MAX >> 8);
        assert_eq!(allowed(&mut meter, &ping, now), FRAMES_BURST);
    }
}
