//! The PROXY protocol, versions 1 and 2 (HAProxy's "The PROXY protocol", 2020/03/05): what a proxy
//! that passes bytes through says first of the connection that it passes on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::peer::Peer;

/// What version 2 begins with (section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What version 1 begins with (section 2.1).
const WORD: &[u8; 6] = b"PROXY ";

/// Longest line of version 1, with its end (section 2.1).
const LINE_BYTES_MAX: usize = 107;

/// Bytes of version 2 before its addresses.
const HEAD_BYTES: usize = 16;

/// Most bytes after them that are taken: addresses and what else a proxy tells. Those that tell of
/// certificates send some hundred.
const REST_BYTES_MAX: usize = 4 << 10;

/// Type of the part that tells of TLS, and the bit that says so (section 2.2.7).
const TLS_PART: u8 = 0x20;
const OVER_TLS: u8 = 0x01;

/// A header that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A whole header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Its bytes.
    pub(crate) length: usize,
    /// From where the client has connected; none if the proxy speaks for itself, or does not say.
    address: Option<SocketAddr>,
    tls: bool,
}

impl Header {
    /// The other end of the connection, which is the client.
    pub(crate) fn client(&self, peer: Peer) -> Peer {
        let Some(address) = self.address else { return Peer { unnamed: true, ..peer } };
        Peer { address, tls: self.tls || peer.tls, ..peer }
    }
}

/// Reads a header; `None` if more bytes are needed.
pub(crate) fn parse(data: &[u8]) -> Result<Option<Header>, Malformed> {
    if data.starts_with(SIGNATURE) {
        return parse_binary(data);
    }
    if data.starts_with(WORD) {
        return parse_line(data);
    }
    let begins = SIGNATURE.starts_with(data) || WORD.starts_with(data);
    if begins { Ok(None) } else { Err(Malformed) }
}

fn parse_line(data: &[u8]) -> Result<Option<Header>, Malformed> {
    let looked_at = &data[..data.len().min(LINE_BYTES_MAX)];
    let Some(end) = looked_at.windows(2).position(|two| two == b"\r\n") else {
        return if data.len() < LINE_BYTES_MAX { Ok(None) } else { Err(Malformed) };
    };
    let line = std::str::from_utf8(&data[WORD.len()..end]).map_err(|_| Malformed)?;
    let length = end + 2;
    let words: Vec<&str> = line.split(' ').collect();
    let address = match words[..] {
        ["UNKNOWN", ..] => None,
        [family @ ("TCP4" | "TCP6"), from, to, from_port, to_port] => {
            let ip = |text: &str| text.parse::<IpAddr>().map_err(|_| Malformed);
            let port = |text: &str| text.parse::<u16>().map_err(|_| Malformed);
            let (from, to) = (ip(from)?, ip(to)?);
            if from.is_ipv4() != (family == "TCP4") || to.is_ipv4() != from.is_ipv4() {
                return Err(Malformed);
            }
            port(to_port)?;
            Some(SocketAddr::new(from, port(from_port)?))
        }
        _ => return Err(Malformed),
    };
    Ok(Some(Header { length, address, tls: false }))
}

fn parse_binary(data: &[u8]) -> Result<Option<Header>, Malformed> {
    let Some(&[version_and_command, family, high, low]) = data.get(SIGNATURE.len()..HEAD_BYTES)
    else {
        return Ok(None);
    };
    let rest = usize::from(u16::from_be_bytes([high, low]));
    if rest > REST_BYTES_MAX {
        return Err(Malformed);
    }
    let length = HEAD_BYTES + rest;
    let Some(rest) = data.get(HEAD_BYTES..length) else { return Ok(None) };
    let local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(Malformed),
    };
    // The family in the high bits; the low ones say that it is a stream.
    let (address, parts) = match family {
        _ if local => (None, &[][..]),
        0x00 => (None, &[][..]),
        0x11 => {
            let (from, parts) = rest.split_first_chunk::<12>().ok_or(Malformed)?;
            let [a, b, c, d, _, _, _, _, high, low, ..] = *from;
            let ip = Ipv4Addr::new(a, b, c, d);
            (Some(SocketAddr::new(ip.into(), u16::from_be_bytes([high, low]))), parts)
        }
        0x21 => {
            let (from, parts) = rest.split_first_chunk::<36>().ok_or(Malformed)?;
            let mut ip = [0; 16];
            ip.copy_from_slice(&from[..16]);
            let port = u16::from_be_bytes([from[32], from[33]]);
            (Some(SocketAddr::new(Ipv6Addr::from(ip).into(), port)), parts)
        }
        // A socket of the proxy's own machine has no address that says anything here.
        0x31 if rest.len() >= 216 => (None, &rest[216..]),
        _ => return Err(Malformed),
    };
    Ok(Some(Header { length, address, tls: tells_of_tls(parts)? }))
}

/// Looks through the parts after the addresses (section 2.2.7).
fn tells_of_tls(mut parts: &[u8]) -> Result<bool, Malformed> {
    let mut tls = false;
    while let Some((&[kind, high, low], rest)) = parts.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, rest) = rest.split_at_checked(length).ok_or(Malformed)?;
        if kind == TLS_PART {
            tls = value.first().ok_or(Malformed)? & OVER_TLS != 0;
        }
        parts = rest;
    }
    if parts.is_empty() { Ok(tls) } else { Err(Malformed) }
}

/// Reads a header off a connection, and nothing after it.
///
/// # Errors
/// When the connection ends, or what comes is no header.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Header> {
    let mut data = Vec::with_capacity(LINE_BYTES_MAX);
    loop {
        match parse(&data) {
            Ok(Some(header)) => return Ok(header),
            Err(Malformed) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "no PROXY header"));
            }
            Ok(None) => {}
        }
        // Version 2 says how long it is; a line of version 1 has to be looked for.
        let more = match data.get(HEAD_BYTES - 2..HEAD_BYTES) {
            Some(length) if data.starts_with(SIGNATURE) => {
                let rest = usize::from(u16::from_be_bytes([length[0], length[1]]));
                HEAD_BYTES + rest - data.len()
            }
            _ if data.is_empty() => SIGNATURE.len(),
            _ if data.starts_with(SIGNATURE) => HEAD_BYTES - data.len(),
            _ => 1,
        };
        let have = data.len();
        data.resize(have + more, 0);
        stream.read_exact(&mut data[have..]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    fn told(data: &[u8]) -> Result<Option<(usize, String, bool)>, Malformed> {
        let text = |address: Option<SocketAddr>| address.map_or("".into(), |a| a.to_string());
        Ok(parse(data)?.map(|header| (header.length, text(header.address), header.tls)))
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x34, 0, 80];

    #[test]
    fn headers_are_read_and_what_follows_is_left() {
        let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[7], &[0; 16], &[0, 9, 0, 80]].concat();
        let tls = [&V4[..], &[4, 0, 1, 0], &[TLS_PART, 0, 5, 1, 0, 0, 0, 0]].concat();
        let clear = [&V4[..], &[TLS_PART, 0, 5, 0, 0, 0, 0, 0]].concat();
        let unix = [0; 216];
        for (header, address, tls) in [
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 80\r\n".to_vec(), "192.0.2.1:4660", false),
            (b"PROXY TCP6 2001:db8::7 ::1 9 80\r\n".to_vec(), "[2001:db8::7]:9", false),
            (b"PROXY UNKNOWN\r\n".to_vec(), "", false),
            (b"PROXY UNKNOWN what ever 1 2\r\n".to_vec(), "", false),
            (binary(0x21, 0x11, &V4), "192.0.2.1:4660", false),
            (binary(0x21, 0x21, &v6), "[2001:db8::7]:9", false),
            (binary(0x21, 0x11, &tls), "192.0.2.1:4660", true),
            (binary(0x21, 0x11, &clear), "192.0.2.1:4660", false),
            (binary(0x20, 0x11, &V4), "", false),
            (binary(0x20, 0x00, b""), "", false),
            (binary(0x21, 0x00, b"anything"), "", false),
            (binary(0x21, 0x31, &unix), "", false),
        ] {
            let wanted = Ok(Some((header.len(), address.to_owned(), tls)));
            let followed = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            assert_eq!(told(&followed), wanted, "{header:?}");
            for cut in 0..header.len() {
                assert_eq!(told(&header[..cut]), Ok(None), "{header:?} {cut}");
            }
            // The same, off a connection.
            let mut rest = &followed[..];
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let read = runtime.block_on(read(&mut rest)).unwrap();
            assert_eq!((read.length, rest), (header.len(), &b"GET / HTTP/1.1\r\n"[..]));
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let long = [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat();
        for data in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXX",
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4660\r\n",
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4660 80 1\r\n",
            b"PROXY TCP4 192.0.2.256 10.0.0.1 4660 80\r\n",
            b"PROXY TCP4 192.0.2.1 10.0.0.1 65536 80\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP6 192.0.2.1 10.0.0.1 1 2\r\n",
            b"PROXY UDP4 192.0.2.1 10.0.0.1 1 2\r\n",
            b"PROXY \xff\r\n",
            &long,
            &binary(0x11, 0x11, &V4),
            &binary(0x22, 0x11, &V4),
            &binary(0x21, 0x11, &V4[..11]),
            &binary(0x21, 0x21, &V4),
            &binary(0x21, 0x12, &V4),
            &binary(0x21, 0x31, &V4),
            &binary(0x21, 0x11, &[&V4[..], &[4, 0, 9, 0]].concat()),
            &binary(0x21, 0x11, &[&V4[..], &[4]].concat()),
            &binary(0x21, 0x11, &[&V4[..], &[TLS_PART, 0, 0]].concat()),
            &binary(0x21, 0x11, &[0; REST_BYTES_MAX + 1]),
        ] {
            assert_eq!(told(data), Err(Malformed), "{data:?}");
        }
    }
}
