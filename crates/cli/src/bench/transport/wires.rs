//! What goes over the wire of one reader: its opening, its messages, and what a library would
//! make of them by compressing.

use std::io::Write as _;
use std::time::{Duration, Instant};

use flate2::write::GzEncoder;
use flate2::{Compress, Compression, FlushCompress};

use super::decode::Way;
use super::line::{Line, OPEN_MAX, Opening};
use super::payload::{KINDS, Kind};
use super::post::Poster;
use crate::bench::BenchError;
use crate::bench::contender::Server;
use crate::bench::result::Sample;

/// How long a single event may take; what takes longer is a failure, not a figure.
pub(super) const EVENT_MAX: Duration = Duration::from_secs(10);
/// Events of one publish where they come in bursts.
pub(super) const BURST: usize = 100;
/// Messages of data that is no text, and bytes of each.
const BINARY_MESSAGES: usize = 20;
pub(super) const BINARY_BYTES: usize = 1_000;
/// What zlib and most servers take unless told otherwise.
const LEVEL: u32 = 6;
/// What ends every flush of deflate, and permessage-deflate leaves out (RFC 7692, section 7.2.1).
const FLUSH_TAIL: usize = 4;

/// A column of these cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Is(Way),
    /// A WebSocket whose messages are the payloads alone. Its frames are computed (RFC 6455,
    /// section 5.2): there is nothing else in it.
    Bare,
}

/// Opens connections one after the other: bytes, requests, and time until the reader is live.
pub(super) fn handshake(server: &Server, way: Way, times: usize) -> Result<Sample, BenchError> {
    let topic = format!("{}handshake", server.prefix);
    let mut poster = Poster::connect(server.address, &topic, false)?;
    poster.publish("x")?;
    let mut how = opening(server, way, &topic);
    how.least = true;
    let least = Line::open(&how)?.opening;
    how.least = false;
    let mut times_ms = Vec::with_capacity(times);
    let mut counts = least;
    for _ in 0..times {
        let start = Instant::now();
        let line = Line::open(&how)?;
        times_ms.push(start.elapsed().as_secs_f64() * 1e3);
        counts = line.opening;
        line.cut();
    }
    Ok(Sample::from([
        ("up_least".to_owned(), least.up as f64),
        ("up".to_owned(), counts.up as f64),
        ("down".to_owned(), counts.down as f64),
        ("writes".to_owned(), counts.writes as f64),
        ("ms".to_owned(), median(&mut times_ms)),
    ]))
}

/// Bytes that a message costs beyond its payload.
pub(super) fn bytes(server: &Server, lane: Lane, count: usize) -> Result<Sample, BenchError> {
    let mut sample = Sample::new();
    for kind in KINDS {
        let messages = kind.messages(count);
        let payload: usize = messages.iter().map(String::len).sum();
        let each = |bytes: f64| bytes / count as f64;
        let (down, up) = match lane {
            Lane::Bare => (messages.iter().map(|one| frame(one.len())).sum::<usize>() as f64, 0.0),
            Lane::Is(way) => {
                let line = one_by_one(server, way, &messages)?;
                let frames = line.header_bytes() as f64;
                if way == Way::WebSocket {
                    sample.insert(format!("{}_frame", kind.name()), each(frames));
                }
                let (all, opening) = (line.counts, line.opening);
                ((all.down - opening.down) as f64, (all.up - opening.up) as f64)
            }
        };
        sample.insert(format!("{}_over", kind.name()), each(down - payload as f64));
        if kind == Kind::Tick {
            sample.insert("up".to_owned(), each(up));
        }
    }
    sample.insert("burst_over".to_owned(), burst(server, lane, count)?);
    sample.insert("binary_over".to_owned(), binary(server, lane)?);
    Ok(sample)
}

/// Bytes beyond the payload where prices come [`BURST`] at a time.
fn burst(server: &Server, lane: Lane, count: usize) -> Result<f64, BenchError> {
    let messages = Kind::Tick.messages(count);
    let payload: usize = messages.iter().map(String::len).sum();
    let Lane::Is(way) = lane else {
        let frames: usize = messages.iter().map(|one| frame(one.len())).sum();
        return Ok((frames - payload) as f64 / count as f64);
    };
    let (mut line, mut poster) = pair(server, way, &format!("{}wire", server.prefix))?;
    for burst in messages.chunks(BURST) {
        poster.publish_all(burst)?;
        for due in burst {
            expect(&mut line, due)?;
        }
    }
    let down = line.counts.down - line.opening.down;
    Ok((down as f64 - payload as f64) / count as f64)
}

/// Bytes beyond the payload of data that is no text.
fn binary(server: &Server, lane: Lane) -> Result<f64, BenchError> {
    let Lane::Is(way) = lane else {
        return Ok((frame(BINARY_BYTES) - BINARY_BYTES) as f64);
    };
    let topic = format!("{}binary", server.prefix);
    Poster::connect(server.address, &topic, false)?.make_binary()?;
    let (mut line, mut poster) = pair(server, way, &topic)?;
    let data: Vec<u8> = (0..BINARY_BYTES).map(|at| (at * 37 % 251) as u8).collect();
    for _ in 0..BINARY_MESSAGES {
        poster.publish_bytes(&data)?;
        let event = line.next(Instant::now() + EVENT_MAX)?;
        event.ok_or(BenchError::Never("an event"))?;
    }
    let down = (line.counts.down - line.opening.down) as f64;
    Ok(down / BINARY_MESSAGES as f64 - BINARY_BYTES as f64)
}

/// Bytes of a message on the wire when every message is compressed and flushed by itself, and the
/// time that takes: by flate2, in this process. Tidings compresses neither.
pub(super) fn packed(server: &Server, lane: Lane, count: usize) -> Result<Sample, BenchError> {
    let mut sample = Sample::new();
    let mut spent = Duration::ZERO;
    for kind in KINDS {
        let payloads = kind.messages(count);
        let messages: Vec<Vec<u8>> = match lane {
            Lane::Bare => payloads.into_iter().map(String::into_bytes).collect(),
            Lane::Is(way) => one_by_one(server, way, &payloads)?.messages,
        };
        let wrap = if lane == Lane::Is(Way::Sse) { chunk } else { frame };
        let start = Instant::now();
        let sizes = match lane {
            Lane::Is(Way::Sse) => gzip(&messages),
            _ => deflate(&messages, true),
        }
        .map_err(|error| BenchError::Io("compressing", error))?;
        spent += start.elapsed();
        let each = |sizes: &[usize]| {
            sizes.iter().copied().map(wrap).sum::<usize>() as f64 / sizes.len().max(1) as f64
        };
        let raw: Vec<usize> = messages.iter().map(Vec::len).collect();
        sample.insert(kind.name().to_owned(), each(&sizes));
        sample.insert(format!("{}_raw", kind.name()), each(&raw));
        if lane != Lane::Is(Way::Sse) {
            let alone = deflate(&messages, false);
            let alone = alone.map_err(|error| BenchError::Io("compressing", error))?;
            sample.insert(format!("{}_alone", kind.name()), each(&alone));
        }
    }
    let microseconds = spent.as_secs_f64() * 1e6 / (KINDS.len() * count) as f64;
    sample.insert("us".to_owned(), microseconds);
    Ok(sample)
}

/// Bytes that each message adds to one gzip stream.
fn gzip(messages: &[Vec<u8>]) -> std::io::Result<Vec<usize>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(LEVEL));
    let mut sizes = Vec::with_capacity(messages.len());
    for message in messages {
        encoder.write_all(message)?;
        encoder.flush()?;
        sizes.push(encoder.get_ref().len());
        encoder.get_mut().clear();
    }
    Ok(sizes)
}

/// Bytes of each message after permessage-deflate, its context kept from one to the next or not.
fn deflate(messages: &[Vec<u8>], keep: bool) -> std::io::Result<Vec<usize>> {
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    let mut out = Vec::new();
    let mut sizes = Vec::with_capacity(messages.len());
    for message in messages {
        out.clear();
        // Incompressible input grows by five bytes for each 16 KiB, and a flush by a few more.
        out.reserve(message.len() + message.len() / 1_000 + 64);
        compress.compress_vec(message, &mut out, FlushCompress::Sync)?;
        sizes.push(out.len().saturating_sub(FLUSH_TAIL));
        if !keep {
            compress.reset();
        }
    }
    Ok(sizes)
}

/// Bytes of a server's WebSocket frame around a message.
fn frame(length: usize) -> usize {
    let header = match length {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    };
    header + length
}

/// Bytes of an HTTP/1.1 chunk around a part.
fn chunk(length: usize) -> usize {
    format!("{length:x}").len() + 4 + length
}

/// Publishes each message when the one before it has come; returns the reader.
fn one_by_one(server: &Server, way: Way, messages: &[String]) -> Result<Line, BenchError> {
    let (mut line, mut poster) = pair(server, way, &format!("{}wire", server.prefix))?;
    for message in messages {
        poster.publish(message)?;
        expect(&mut line, message)?;
    }
    Ok(line)
}

fn pair(server: &Server, way: Way, topic: &str) -> Result<(Line, Poster), BenchError> {
    let mut poster = Poster::connect(server.address, topic, false)?;
    poster.publish("x")?;
    let after = match way {
        Way::Poll => Some(newest(server, topic)?),
        _ => None,
    };
    let how = Opening { after: after.as_deref(), ..opening(server, way, topic) };
    Ok((Line::open(&how)?, poster))
}

/// The id of the newest event of a topic that has some.
pub(super) fn newest(server: &Server, topic: &str) -> Result<String, BenchError> {
    let mut line = Line::open(&opening(server, Way::Sse, topic))?;
    let mut poster = Poster::connect(server.address, topic, false)?;
    poster.publish("x")?;
    let event = line.next(Instant::now() + EVENT_MAX)?;
    event.map(|event| event.id).ok_or(BenchError::Never("an event"))
}

/// How a reader is usually opened.
pub(super) fn opening<'a>(server: &Server, way: Way, topic: &'a str) -> Opening<'a> {
    Opening {
        way,
        address: server.address,
        topic,
        after: None,
        least: false,
        spin: false,
        patience: OPEN_MAX,
    }
}

fn expect(line: &mut Line, due: &str) -> Result<(), BenchError> {
    match line.next(Instant::now() + EVENT_MAX)? {
        Some(event) if event.data == due => Ok(()),
        Some(_) => Err(BenchError::Workload("another event came than was due".to_owned())),
        None => Err(BenchError::Never("an event")),
    }
}

/// The middle value; 0 of none.
pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_is_as_long_as_the_standards_say() {
        assert_eq!([frame(0), frame(125), frame(126), frame(70_000)], [2, 127, 130, 70_010]);
        assert_eq!([chunk(1), chunk(16), chunk(4_096)], [6, 22, 4_104]);
    }

    #[test]
    fn a_kept_context_pays_and_every_flush_can_be_read() {
        let messages: Vec<Vec<u8>> =
            Kind::Chunk.messages(50).into_iter().map(String::into_bytes).collect();
        let sum = |sizes: Vec<usize>| sizes.iter().sum::<usize>();
        let kept = sum(deflate(&messages, true).unwrap());
        let alone = sum(deflate(&messages, false).unwrap());
        let raw = sum(messages.iter().map(Vec::len).collect());
        assert!(kept * 3 < alone && alone < raw, "{kept} {alone} {raw}");
        let gzip = gzip(&messages).unwrap();
        assert!(gzip.iter().all(|size| *size > FLUSH_TAIL), "{gzip:?}");
        assert!(sum(gzip) > kept);
    }
}
